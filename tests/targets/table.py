"""``make targets``: the Target contract over every kind of target and every preset, as a table, into docs/targets-contract.md.

Exit code 1 where a case failed. A cell is empty where a preset is held to the cases that matter most alone.
"""

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from shared.targets._presets import preset_names

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = _ROOT / "docs" / "targets-contract.md"
_FILES = ("test_table_contract", "test_queue", "test_webhook_contract", "test_presets", "roundup_whole")
_CLASSES = {
    "TestTableOnAzurite": "table",
    "TestQueueOnAzurite": "queue",
    "TestWebhook": "webhook",
    "TestRoundup": "roundup",
}
_HEAD = """# The Target contract

Every kind of target passes the same cases ([tests/contract/target.py](../tests/contract/target.py)): `table` and `queue` on
Azurite, `webhook` on a plain tracker, the preset `roundup` on Roundup itself, the other presets on stand-ins, where they are
held to the cases that matter most. What the stand-ins rest on: [target-webhook.md](target-webhook.md#what-was-read-and-what-was-not).
Made by `make targets`; do not edit.

"""

Cells = dict[str, dict[str, str]]


def main() -> int:
    """Run, print, write."""
    files = [str(Path(__file__).with_name(f"{name}.py")) for name in _FILES]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = ["-m", "pytest", "-q", "-n", "0", f"--junitxml={report}"]
        code = subprocess.run([sys.executable, *command, *files], cwd=_ROOT, check=False).returncode
        text = table(read(report))
    print(f"\n{text}")  # noqa: T201 (a table for people)
    if code == 0:
        _PAGE.write_text(_HEAD + text)
    return code


def read(report: Path) -> Cells:
    """``{case: {target: result}}``; a case with several forms is "ok" where all of them are."""
    cells: Cells = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 (pytest wrote it a moment ago)
        name, _, given = case.attrib["name"].partition("[")
        parts = re.split(r"[\]-]", given)
        of_preset = next((one for one in preset_names() if given.startswith(one)), "")
        target = _CLASSES.get(case.attrib["classname"].rpartition(".")[2], of_preset)
        if not target or (of_preset and parts[0] == ""):
            continue
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped")
        result = "FAILED" if failed else skipped.attrib["message"] if skipped is not None else "ok"
        row = cells.setdefault(name.removeprefix("test_").replace("_", " "), {})
        row[target] = result if row.get(target, "ok") == "ok" else row[target]
    return cells


def table(cells: Cells) -> str:
    """For people. Reasons are numbered under the table."""
    first = ["table", "queue", "webhook", "roundup"]
    targets = [*first, *(one for one in preset_names() if one not in first)]
    reasons: list[str] = []
    lines = [f"| case | {' | '.join(targets)} |", f"|---|{'---|' * len(targets)}"]
    for case, row in cells.items():
        shown = []
        for target in targets:
            result = row.get(target, "")
            if result not in {"ok", "FAILED", ""}:
                if result not in reasons:
                    reasons.append(result)
                result = f"- ({reasons.index(result) + 1})"
            shown.append(result)
        lines.append(f"| {case} | {' | '.join(shown)} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *notes, ""])


if __name__ == "__main__":
    sys.exit(main())
