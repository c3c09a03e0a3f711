"""The requests for known systems: one JSON file each in ``presets``, held to the same model as a job's own."""

from functools import cache
from pathlib import Path

from shared.targets._webhook_steps import Program

_FOLDER = Path(__file__).parent / "presets"


@cache
def preset_names() -> tuple[str, ...]:
    """Every preset there is."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


@cache
def preset(name: str) -> Program:
    """The requests for one kind of system."""
    return Program.model_validate_json((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
