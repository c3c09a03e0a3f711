"""Writes the table of app settings into docs/operations.md: ``python -m dev.settings_table``."""

from dev.page_table import docs_page, with_table
from functions.settings import SETTINGS

PAGE = docs_page("operations.md")


def page() -> str:
    """The page with the table as the code has it."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    lines += [f"| `{one.name}` | {one.default} | {one.meaning} |" for one in SETTINGS]
    return with_table(PAGE, "python -m dev.settings_table", lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
