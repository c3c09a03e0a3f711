"""Writes the table of routes and roles into docs/access.md: ``python -m dev.access_table``."""

from dev.page_table import docs_page, with_table
from shared.api.access import ROLES, Role
from shared.api.app import routes

PAGE = docs_page("access.md")


def page() -> str:
    """The page with the table as the code has it."""
    lines = ["| route | without | reader | operator | admin |", "|---|---|---|---|---|"]
    for path, method, name in sorted((path, method, name) for name, method, path in routes()):
        cells = ["yes " if granted >= ROLES[name] else "" for granted in Role]
        lines.append(f"| `{method} {path}` | {'| '.join(cells)}|")
    return with_table(PAGE, "python -m dev.access_table", lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
