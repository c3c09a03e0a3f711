"""What is in the package that others wrote: ``make inventory``.

Installs requirements.txt alone, and writes of that environment a bill of materials (CycloneDX 1.6,
.local/package/sbom.json) and the list of licences (docs/licences.md). Asks for known vulnerabilities as well, where the
source of advisories can be reached. The tools are not among the project's own dependencies: uv fetches them, at the
versions below.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".local" / "package"
LICENCES = ROOT / "docs" / "licences.md"

_CYCLONEDX = "cyclonedx-bom==7.5.0"
_LICENSES = "pip-licenses==5.5.5"
_AUDIT = "pip-audit==2.10.1"

_HEAD = """# Licences

Of everything that is deployed, as the packages declare it. `make inventory` writes this page.

| package | version | licence |
|---|---|---|
"""


def _uv(*arguments: str | Path, capture: bool = False, check: bool = True) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, check=check, capture_output=capture)


def main() -> int:
    """0 also where no advisory could be asked for, which is said; 1 where one was found."""
    environment = PLACE / "environment"
    python = environment / "bin" / "python"
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, environment)
    _uv("pip", "install", "--quiet", "--require-hashes", "--python", python, "-r", "requirements.txt")
    bill = PLACE / "sbom.json"
    _uv(
        "tool",
        "run",
        "--quiet",
        "--from",
        _CYCLONEDX,
        "cyclonedx-py",
        "environment",
        "--output-reproducible",
        "--spec-version",
        "1.6",
        "-o",
        bill,
        python,
    )
    print(f"{len(json.loads(bill.read_text())['components'])} components: {bill.relative_to(ROOT)}")
    told = _uv("tool", "run", "--quiet", _LICENSES, "--python", python, "--format", "json", capture=True)
    rows = [f"| {one['Name']} | {one['Version']} | {_short(one['License'])} |" for one in json.loads(told.stdout)]
    LICENCES.write_text(_HEAD + "\n".join(sorted(rows, key=str.lower)) + "\n")
    print(f"{len(rows)} licences: {LICENCES.relative_to(ROOT)}")
    found = _uv(
        "tool",
        "run",
        "--quiet",
        _AUDIT,
        "--disable-pip",
        "--require-hashes",
        "-r",
        "requirements.txt",
        capture=True,
        check=False,
    )
    skipped = found.stdout.count("could not be audited")
    if skipped or (found.returncode and not found.stdout):
        print(f"The source of advisories cannot be reached: nothing is known of {skipped or 'all'} packages.")
        return 0
    print(found.stdout or found.stderr)
    return found.returncode


def _short(licence: str) -> str:
    """Some packages give the whole text."""
    return licence.splitlines()[0].strip().replace("|", "/")[:80]


if __name__ == "__main__":
    sys.exit(main())
