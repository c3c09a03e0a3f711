"""Tables that are written into a page of docs/ from the code: each stands between marks that name its command."""

from pathlib import Path

_DOCS = Path(__file__).parent.parent / "docs"
_END = "<!-- end of table -->\n"


def docs_page(name: str) -> Path:
    """The page of that name."""
    return _DOCS / name


def with_table(page: Path, command: str, lines: list[str]) -> str:
    """The text of ``page`` with ``lines`` for the table that ``command`` writes."""
    begin = f"<!-- table: {command} -->\n"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    return before + begin + "\n".join(lines) + "\n" + _END + rest.partition(_END)[2]
