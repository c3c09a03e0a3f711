"""The limits of Table Storage that the emulator does not know: ours must say no where Azure would."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.azurite import Azurite
from shared.storage.limits import (
    ENTITY_BYTES,
    KEY_UNITS,
    PROPERTIES,
    STRING_UNITS,
    TRANSACTION_BYTES,
    check_entity,
    cut_to_units,
    entity_bytes,
    utf16_units,
    wire_bytes,
)
from shared.storage.open import Account
from shared.storage.table import Table, Write

#: Any text at all, lone surrogates included: mail brings them.
anything = st.text(st.characters())
#: Texts in which every way of counting differs.
mixed = st.text(st.sampled_from('aé日😀\ud800\udc00 "\\\n\x00'), max_size=40)


def entity(**properties: Any) -> dict[str, Any]:
    """A row with these properties."""
    return {"PartitionKey": "p", "RowKey": "r", **properties}


@given(anything | mixed)
def test_units_are_those_of_utf16(text: str) -> None:
    """One for each character of the basic plane, two for each beyond it."""
    assert utf16_units(text) == sum(2 if ord(character) > 0xFFFF else 1 for character in text)


@given(anything | mixed, st.integers(0, 60))
def test_a_cut_text_fits_and_can_be_sent(text: str, units: int) -> None:
    """Never longer than asked for, never half a character, and as long as it can be."""
    cut = cut_to_units(text, units)
    assert utf16_units(cut) <= units
    if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
        cut.encode()
        assert text.startswith(cut)
        assert cut == text or utf16_units(cut) >= units - 1


@pytest.mark.parametrize("character", ["a", "é", "日"])
def test_a_string_of_32k_units_passes_and_one_more_does_not(character: str) -> None:
    """The border is exact."""
    check_entity(entity(text=character * STRING_UNITS))
    with pytest.raises(ValueError, match="Property text of row p/r is over 32768"):
        check_entity(entity(text=character * (STRING_UNITS + 1)))


def test_a_character_beyond_the_basic_plane_counts_twice() -> None:
    """As Azure counts, not as Python does."""
    check_entity(entity(text="😀" * (STRING_UNITS // 2)))
    with pytest.raises(ValueError, match="over 32768 UTF-16 units"):
        check_entity(entity(text="😀" * (STRING_UNITS // 2) + "a"))


def test_252_properties_pass_and_one_more_does_not() -> None:
    """Besides the two keys."""
    check_entity(entity(**{f"p{number}": number for number in range(PROPERTIES)}))
    with pytest.raises(ValueError, match="Row p/r has more than 252 properties"):
        check_entity(entity(**{f"p{number}": number for number in range(PROPERTIES + 1)}))


@pytest.mark.parametrize("key", ["PartitionKey", "RowKey"])
def test_a_key_of_1024_units_passes_and_one_more_does_not(key: str) -> None:
    """Both keys, and in UTF-16 units."""
    check_entity({**entity(), key: "é" * KEY_UNITS})
    for long in ("é" * (KEY_UNITS + 1), "😀" * (KEY_UNITS // 2) + "a"):
        with pytest.raises(ValueError, match=f"^{key} of row"):
            check_entity({**entity(), key: long})


@pytest.mark.parametrize("key", ["PartitionKey", "RowKey"])
@pytest.mark.parametrize("character", [*"/\\#?", *map(chr, (*range(0x20), *range(0x7F, 0xA0)))])
def test_a_key_has_no_forbidden_character(key: str, character: str) -> None:
    """Slash, backslash, number sign, question mark, and every control character."""
    with pytest.raises(ValueError, match=f"^{key} of row"):
        check_entity({**entity(), key: f"a{character}b"})


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a.b", "é", "a\n", "a" * 256])
def test_a_property_has_a_proper_name(name: str) -> None:
    """A C# identifier of at most 255 characters, to the safe side: ASCII."""
    with pytest.raises(ValueError, match="bad name"):
        check_entity(entity(**{name: 1}))


def test_a_row_of_one_mebibyte_does_not_pass() -> None:
    """Azure counts two octets a unit: 17 strings of the longest kind are too much, 15 are not."""
    check_entity(entity(**{f"p{number}": "a" * STRING_UNITS for number in range(15)}))
    with pytest.raises(ValueError, match="Row p/r is over 1 MiB"):
        check_entity(entity(**{f"p{number}": "a" * STRING_UNITS for number in range(17)}))


rows = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(lambda name: name not in {"PartitionKey", "RowKey"}),
    mixed | st.integers(0, 2**31 - 1) | st.booleans(),
    max_size=12,
)  # fmt: skip


@given(rows)
def test_the_size_of_a_row_is_never_reckoned_too_small(properties: Mapping[str, Any]) -> None:
    """By the formula that Microsoft published: 4 + keys + for each property 8 + name + value, two octets a unit."""
    row = entity(**properties)
    least = 4 + 2 * (utf16_units("p") + utf16_units("r"))
    for name, value in properties.items():
        size = 1 if isinstance(value, bool) else 4 if isinstance(value, int) else 4 + 2 * utf16_units(value)
        least += 8 + 2 * len(name) + size
    assert entity_bytes(row) >= least


@given(rows)
def test_the_size_on_the_wire_is_never_reckoned_too_small(properties: Mapping[str, Any]) -> None:
    """Not smaller than the row as JSON, whatever is in its strings."""
    row = entity(**properties)
    # A control character takes six octets, as everything does that is not ASCII; quotes and backslashes take two.
    assert wire_bytes(row) >= len(json.dumps(row))


def test_a_transaction_is_as_large_as_reckoned(azurite: Azurite, prefix: str) -> None:
    """What really leaves for 99 rows of the most expensive text is within the reckoning, and under 4 MiB."""
    sent: list[int] = []
    account = Account(connection_string=azurite.connection_string)
    client = account.tables(raw_request_hook=lambda request: sent.append(len(request.http_request.body or b"")))
    table = Table(client.get_table_client(f"{prefix}jobs"))
    rows = [entity(RowKey=f"r{number}", text="日" * 3_000, flag=True, number=1) for number in range(99)]
    table.write(*(Write("insert", row) for row in rows))
    assert max(sent) <= sum(map(wire_bytes, rows)) <= TRANSACTION_BYTES
    assert max(sent) > 99 * 3_000 * 6


def test_too_much_is_refused_before_anything_leaves(azurite: Azurite, prefix: str) -> None:
    """A breach is a defect of ours: ValueError, and no request."""
    sent: list[object] = []
    account = Account(connection_string=azurite.connection_string)
    table = Table(account.tables(raw_request_hook=sent.append).get_table_client(f"{prefix}jobs"))
    with pytest.raises(ValueError, match="A transaction of 101 operations"):
        table.write(*(Write("insert", entity(RowKey=f"r{number}")) for number in range(101)))
    with pytest.raises(ValueError, match="over 1 MiB"):
        table.write(Write("insert", entity(**{f"p{n}": "a" * STRING_UNITS for n in range(ENTITY_BYTES // 60_000)})))
    assert sent == []
