"""Write the expectations of mails that have none yet, from what is seen: `python -m tests.mime.accept`.

To be read line by line before they are committed: what this writes is what the parser does, not what is right.
"""

import json
import tomllib
from typing import Any

from shared.mime import parse
from tests.mime.test_corpus import SOURCES, USUAL, seen


def toml(expectation: dict[str, Any]) -> str:
    """An expectation as TOML: plain values, then tables."""
    plain = [f"{name} = {_value(given)}" for name, given in expectation.items() if not _is_table(given)]
    tables = [_table(name, given) for name, given in expectation.items() if _is_table(given)]
    return "\n".join(plain) + "\n" + "".join(tables)


def _is_table(given: Any) -> bool:
    return isinstance(given, dict) or (isinstance(given, list) and bool(given) and isinstance(given[0], dict))


def _table(name: str, given: Any) -> str:
    if isinstance(given, list):
        return "".join(f"\n[[{name}]]\n{_fields(name, one)}" for one in given)
    return f"\n[{name}]\n{_fields(name, given)}"


def _fields(name: str, given: dict[str, Any]) -> str:
    plain = "".join(f"{key} = {_value(value)}\n" for key, value in given.items() if not _is_table(value))
    return plain + "".join(_table(f"{name}.{key}", value) for key, value in given.items() if _is_table(value))


def _value(given: Any) -> str:
    if isinstance(given, list) and given:
        return "[\n" + "".join(f"    {_value(one)},\n" for one in given) + "]"
    if isinstance(given, str) and "\n" in given and "'''" not in given:
        lines = given.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        return f'"""\n{lines}"""'
    text = json.dumps(given, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")


def main() -> None:
    """Write what is missing, and say which."""
    for source in SOURCES:
        beside = source.with_suffix(".toml")
        if beside.exists():
            continue
        expectation = {name: one for name, one in seen(parse(source.read_bytes())).items() if one != USUAL.get(name)}
        text = toml(expectation)
        if tomllib.loads(text) != expectation:
            raise SystemExit(f"{source.stem}: its expectation cannot be written as TOML; write it by hand.")
        beside.write_text(text, "utf-8")
        print(f"written, to be read: {beside.name}")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
