"""What is kept of a message that was given up on, when even its head stops whoever reads it."""

from datetime import timedelta

import pytest

from shared.model import RawMessage
from shared.parking import parked_message
from tests.builders import NOW, make_entry
from tests.run.poison import POISON, deadly
from tests.run.world import mail


@pytest.mark.parametrize("kind", [b"exit", b"loop"])
def test_a_head_that_cannot_be_read_is_left_out(kind: bytes) -> None:
    """In the time that the run has left: the worker would be stopped before it wrote anything down."""
    data = POISON + kind + b"\r\n" + mail("Printer")
    entry = make_entry()
    raw = RawMessage(entry.ref, data, len(data))
    parked = parked_message(entry, "No.", raw, NOW, read_head=deadly, left=timedelta(seconds=2))
    assert (parked.subject, parked.sender, parked.message_id) == ("", "", "")
    assert (parked.reason, parked.size, parked.has_raw) == ("No.", len(data), True)
