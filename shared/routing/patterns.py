"""Texts that stand for many: regular expressions that cannot stall a run, and names with asterisks.

Regular expressions are RE2's (github.com/google/re2/wiki/Syntax): their time grows with the text alone, whatever the
pattern, at the price of back-references and look-around. The library is imported by a job that has a pattern, and by
no other.
"""

from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

#: Octets that the compiled form of one pattern may take.
_PATTERN_BYTES: Final = 8 * 1024 * 1024


@lru_cache(maxsize=500)
def compiled(pattern: str) -> Any:
    """The pattern, to search with, whatever the case of the letters. Raises ValueError that says what is wrong."""
    import re2

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _PATTERN_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as fault:
        reason = fault.args[0] if fault.args else ""
        shown = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"This is no regular expression of RE2: {shown}.") from None


def search(pattern: str, text: str) -> Any:
    """The first match of ``pattern`` in ``text``, as ``re`` would give it, or None."""
    return compiled(pattern).search(text.encode("utf-8", "replace").decode())


def _check(pattern: str) -> str:
    compiled(pattern)
    return pattern


#: A regular expression in a config, checked when it is saved.
Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_check)]


def like(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``, in which an asterisk stands for any text; the case of letters does not matter.

    ::

        like("*@example.com", "Ann@Example.com")    like("*.ex?", "a.ex?")
    """
    first, *rest = pattern.casefold().split("*")
    text = text.casefold()
    if not rest:
        return text == first
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(rest[-1]) and text.endswith(rest[-1])


#: Texts in which an asterisk stands for any text.
Likes = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=320)], ...], Field(max_length=500)]
