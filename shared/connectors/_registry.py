"""Finds the connectors by looking into the folder, so that a new one is one new file."""

import importlib
import pkgutil
from functools import cache

from shared.ports import Connector, ServerSettings


@cache
def connectors() -> tuple[Connector, ...]:
    """Every connector there is."""
    import shared.connectors as folder

    modules = sorted(module.name for module in pkgutil.iter_modules(folder.__path__) if not module.name.startswith("_"))
    return tuple(importlib.import_module(f"{folder.__name__}.{name}").CONNECTOR for name in modules)


def connector_for(settings: ServerSettings) -> Connector:
    """The connector whose settings these are."""
    return next(connector for connector in connectors() if type(settings) is connector.settings)
