"""Writes the table of app settings into docs/operations.md: ``python -m dev.settings_table``."""

from pathlib import Path

from functions.settings import SETTINGS

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
_BEGIN, _END = "<!-- table: python -m dev.settings_table -->\n", "<!-- end of table -->\n"


def page() -> str:
    """The page with the table as the code has it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    lines += [f"| `{one.name}` | {one.default} | {one.meaning} |" for one in SETTINGS]
    return before + _BEGIN + "\n".join(lines) + "\n" + _END + rest.partition(_END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
