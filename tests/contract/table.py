"""``make contract``: the Mailbox contract over every mail server, as a table case x server, into docs/contract.md.

Every test class that derives from `MailboxContract`, wherever it is, is a column; its docstring's first words name it.
A case that does not apply to a server is skipped there with the reason, which the table repeats. Exit code 1 where a
case failed or a cell is empty.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = _ROOT / "docs" / "contract.md"
_HEAD = """# The Mailbox contract

Every connector passes the same cases ([tests/contract/mailbox.py](../tests/contract/mailbox.py)), over real servers where
there are any, and over the strict simulators for Exchange and Graph. Made by `make contract`; do not edit.

"""

Cells = dict[str, dict[str, str]]


def main() -> int:
    """Run, print, write."""
    files = sorted(path for path in (_ROOT / "tests").rglob("test_*.py") if "(MailboxContract)" in path.read_text())
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-k", "Mailbox", f"--junitxml={report}"]
        code = subprocess.run([sys.executable, *command, *map(str, files)], cwd=_ROOT, check=False).returncode
        cells = read(report)
    text, empty = table(cells)
    print(f"\n{text}")  # noqa: T201 (a table for people)
    if code or empty:
        print(f"{empty} cells are empty.")  # noqa: T201
        return 1
    _PAGE.write_text(_HEAD + text)
    return 0


def read(report: Path) -> Cells:
    """``{case: {server: result}}``; a result is "ok", the reason why the case does not apply, or "FAILED"."""
    cells: Cells = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 (pytest wrote it a moment ago)
        server = case.attrib["classname"].rpartition(".")[2].removeprefix("Test").removesuffix("Mailbox")
        if not server or server == case.attrib["classname"]:
            continue
        skipped = case.find("skipped")
        result = "ok" if skipped is None else skipped.attrib["message"]
        failed = case.find("failure") is not None or case.find("error") is not None
        words = case.attrib["name"].removeprefix("test_").replace("_", " ")
        cells.setdefault(words, {})[server] = "FAILED" if failed else result
    return cells


def table(cells: Cells) -> tuple[str, int]:
    """For people, and how many cells are empty. Reasons are numbered under the table."""
    servers = sorted({server for row in cells.values() for server in row})
    reasons: list[str] = []
    lines = [f"| case | {' | '.join(servers)} |", f"|---|{'---|' * len(servers)}"]
    empty = 0
    for case, row in cells.items():
        shown = []
        for server in servers:
            result = row.get(server, "")
            empty += not result
            if result not in {"ok", "FAILED", ""}:
                if result not in reasons:
                    reasons.append(result)
                result = f"- ({reasons.index(result) + 1})"
            shown.append(result)
        lines.append(f"| {case} | {' | '.join(shown)} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *notes, ""]), empty


if __name__ == "__main__":
    sys.exit(main())
