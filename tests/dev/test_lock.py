"""The locks that `make lock` writes are complete: pip, given hashes, takes nothing that they do not pin as it is asked for."""

from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).resolve().parents[2]


def _pins(*names: str) -> dict[str, set[str]]:
    """Every package that these files pin for this interpreter, with the extras that the pins name."""
    pins: dict[str, set[str]] = {}
    for name in names:
        for line in (_ROOT / name).read_text().splitlines():
            if not line or line[0] in " #":
                continue
            pin = Requirement(line.rstrip(" \\"))
            if pin.marker is None or pin.marker.evaluate():
                pins.setdefault(canonicalize_name(pin.name), set()).update(pin.extras)
    return pins


@pytest.mark.parametrize("files", [("requirements.txt",), ("requirements.txt", "requirements-dev.txt")])
def test_every_extra_that_a_pinned_package_asks_for_is_pinned_too(files: tuple[str, ...]) -> None:
    """Else pip looks for the newest release with that extra, which has no hash here: the next release ends the build."""
    pins = _pins(*files)
    missing: list[str] = []
    for name, extras in pins.items():
        for text in distribution(name).requires or ():
            wanted = Requirement(text)
            asked = [{"extra": extra} for extra in ("", *extras)]
            if wanted.marker and not any(wanted.marker.evaluate(environment) for environment in asked):
                continue
            if not wanted.extras <= pins.get(canonicalize_name(wanted.name), set()):
                missing.append(f"{name} asks for {wanted}")
    assert missing == []
