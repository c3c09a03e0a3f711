"""The limits of Table Storage that the emulator does not enforce, checked before a request is sent.

Source: learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model and
.../performing-entity-group-transactions. A breach is a defect of ours, so it raises ValueError, loudly.
"""

import re
from collections.abc import Mapping
from typing import Any

ENTITY_BYTES = 1024 * 1024
PROPERTIES = 252
STRING_UNITS = 32_768
KEY_UNITS = 1_024
TRANSACTION_ENTITIES = 100
TRANSACTION_BYTES = 4 * 1024 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_BAD_KEY = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")


def utf16_units(text: str) -> int:
    """The length of a text as Azure counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_to_units(text: str, units: int) -> str:
    """As much of ``text`` as fits into ``units``, without lone surrogates, which no request can carry."""
    if text.isascii():
        return text[:units]
    return text.encode("utf-16-le", "surrogatepass")[: units * 2].decode("utf-16-le", "ignore")


def entity_bytes(entity: Mapping[str, Any]) -> int:
    """The size of an entity as Azure reckons it, to the safe side: two octets a unit, and the names."""
    size = 4
    for name, value in entity.items():
        size += 8 + 2 * len(name)
        size += 2 * utf16_units(value) + 4 if isinstance(value, str) else 16
    return size


def wire_bytes(entity: Mapping[str, Any]) -> int:
    r"""The most that an entity takes within a request: the SDK writes whatever is not ASCII as ``\uXXXX``."""
    size = 600
    for name, value in entity.items():
        size += len(name) + 40
        if isinstance(value, str):
            size += 2 * len(value) if value.isascii() else 6 * utf16_units(value)
    return size


def check_entity(entity: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the row, where Azure would refuse it."""
    row = f"{entity.get('PartitionKey')}/{entity.get('RowKey')}"
    for key in ("PartitionKey", "RowKey"):
        value = entity[key]
        if utf16_units(value) > KEY_UNITS or _BAD_KEY.search(value):
            raise ValueError(f"{key} of row {row} is over {KEY_UNITS} characters or has a forbidden one.")
    if len(entity) - 2 > PROPERTIES:
        raise ValueError(f"Row {row} has more than {PROPERTIES} properties.")
    for name, value in entity.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"Row {row} has a property with the bad name {name!r}.")
        if isinstance(value, str) and utf16_units(value) > STRING_UNITS:
            raise ValueError(f"Property {name} of row {row} is over {STRING_UNITS} UTF-16 units.")
    if entity_bytes(entity) > ENTITY_BYTES:
        raise ValueError(f"Row {row} is over 1 MiB.")
