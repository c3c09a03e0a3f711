"""Finds the targets by looking into the folder, so that a new one is one new file."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from shared.ports import TargetKind, TargetSettings


@cache
def targets() -> Mapping[str, TargetKind]:
    """Every target by its ``type``."""
    import shared.targets as folder

    modules = sorted(module.name for module in pkgutil.iter_modules(folder.__path__) if not module.name.startswith("_"))
    found: list[TargetKind] = [importlib.import_module(f"{folder.__name__}.{name}").TARGET for name in modules]
    return {target.kind: target for target in found}


def target_for(settings: TargetSettings) -> TargetKind:
    """The target whose settings these are."""
    return next(target for target in targets().values() if type(settings) is target.settings)
