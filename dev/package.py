"""Builds what is deployed: ``make package``, or ``python -m dev.package --prebuilt``.

The package holds what .funcignore lets in of what git tracks, and nothing else. The same tree gives the same bytes:
names are sorted, and every file has the same date and rights.

Without ``--prebuilt`` the platform installs requirements.txt when it is deployed (``--build-remote true``), for its own
Python. With it the libraries lie in the package, as .python_packages/lib/site-packages, for the Python and system that
this runs on: only Linux x86-64 fits Azure.
"""

import argparse
import fnmatch
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / ".local" / "package" / "app.zip"
LIBRARIES = Path(".python_packages/lib/site-packages")

_DATE = (2020, 1, 1, 0, 0, 0)
#: Never imported at work: they are a tenth of what the libraries take.
_LEFT_OUT = ("*/tests/*", "*/test/*", "*.pyi", "*.pyc", "*/__pycache__/*", "/bin/*")


def deployed(root: Path = ROOT) -> list[Path]:
    """The files of the app, as paths from the root, sorted."""
    lines = (root / ".funcignore").read_text().splitlines()
    ignored = [line for line in lines if line and not line.startswith("#")]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    kept = [path for path in tracked if not any(fnmatch.fnmatch(path.split("/")[0], one) for one in ignored)]
    return sorted(Path(path) for path in kept)


def install(place: Path, root: Path = ROOT) -> list[Path]:
    """Install the app's libraries below ``place``; what is worth deploying of them, as paths from there."""
    target = place / LIBRARIES
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--require-hashes", "--target", str(target)]
    subprocess.run([*command, "-r", str(root / "requirements.txt")], check=True)
    found = (path.relative_to(place) for path in target.rglob("*") if path.is_file())
    return sorted(path for path in found if not _left_out(path.relative_to(LIBRARIES)))


def build(target: Path, files: Iterable[tuple[Path, Path]]) -> None:
    """Write a zip of ``(name within, file)``, in the order given, the same each time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for name, path in files:
            entry = zipfile.ZipInfo(name.as_posix(), _DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, path.read_bytes())


def _left_out(path: Path) -> bool:
    return any(fnmatch.fnmatch(f"/{path.as_posix()}", one) for one in _LEFT_OUT)


def _sizes(files: Iterable[Path], place: Path) -> list[tuple[str, int]]:
    """Octets by library, largest first."""
    sizes: dict[str, int] = {}
    for path in files:
        parts = path.relative_to(LIBRARIES).parts
        name = "/".join(parts[:2]) if parts[0] == "azure" else parts[0]
        sizes[name] = sizes.get(name, 0) + (place / path).stat().st_size
    return sorted(sizes.items(), key=lambda one: -one[1])


def main() -> int:
    """Build, and say what it came to."""
    parser = argparse.ArgumentParser(prog="python -m dev.package", description=__doc__)
    parser.add_argument("--prebuilt", action="store_true", help="with the libraries, for this Python and system")
    parser.add_argument("--target", type=Path, default=TARGET)
    given = parser.parse_args()
    files = [(path, ROOT / path) for path in deployed()]
    with tempfile.TemporaryDirectory() as place:
        if given.prebuilt:
            libraries = install(Path(place))
            files += [(path, Path(place) / path) for path in libraries]
            for name, size in _sizes(libraries, Path(place))[:8]:
                print(f"{size / 1e6:8.1f} MB  {name}")
        build(given.target, files)
    package = given.target.read_bytes()
    unpacked = sum(entry.file_size for entry in zipfile.ZipFile(given.target).infolist())
    print(f"{len(files)} files, {len(package) / 1e6:.1f} MB, {unpacked / 1e6:.1f} MB unpacked: {given.target}")
    print(f"sha256 {hashlib.sha256(package).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
