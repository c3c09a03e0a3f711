"""Writes the table of routes and roles into docs/access.md: ``python -m dev.access_table``."""

from pathlib import Path

from shared.api.access import ROLES, Role
from shared.api.app import routes

PAGE = Path(__file__).parent.parent / "docs" / "access.md"
_BEGIN, _END = "<!-- table: python -m dev.access_table -->\n", "<!-- end of table -->\n"


def page() -> str:
    """The page with the table as the code has it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    return f"{before}{_BEGIN}{_table()}{_END}{rest.partition(_END)[2]}"


def _table() -> str:
    lines = ["| route | without | reader | operator | admin |", "|---|---|---|---|---|"]
    for path, method, name in sorted((path, method, name) for name, method, path in routes()):
        cells = ["yes " if granted >= ROLES[name] else "" for granted in Role]
        lines.append(f"| `{method} {path}` | {'| '.join(cells)}|")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
