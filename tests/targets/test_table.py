"""Ids of tickets: derived from the message alone, short, and fit for the telephone."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model import Delivered, MessageKey
from shared.ports import NewTicket
from shared.routing import RoutingSettings, refers_to
from shared.targets import target_for, targets
from shared.targets._ticket_ids import ticket_ids
from shared.targets.table import TableTarget, TableTargetSettings
from tests.builders import NOW, make_delivery, make_key, make_message
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.targets.requests import make_target_request

any_key = st.builds(
    MessageKey,
    job_id=st.text(max_size=20),
    mailbox=st.text(st.characters(), max_size=20),
    item=st.text(st.characters(), max_size=20),
    generation=st.integers(0, 1000),
)


@given(any_key)
def test_an_id_is_short_and_speakable(key: MessageKey) -> None:
    """T and groups of four; digits and capital letters without I, L, O and U, which the ear and the eye confuse."""
    first, *longer = ticket_ids(key)
    assert re.fullmatch(r"T(-[0-9A-HJKMNP-TV-Z]{4}){2}", first)
    assert all(re.fullmatch(r"T(-[0-9A-HJKMNP-TV-Z]{4}){3,8}", one) for one in longer)


@given(any_key)
def test_longer_ids_begin_with_the_shorter_ones(key: MessageKey) -> None:
    """So that a ticket whose first id was taken is still recognised; the longest has 160 bits of the key."""
    ids = list(ticket_ids(key))
    assert all(longer.startswith(f"{shorter}-") for shorter, longer in itertools.pairwise(ids))
    assert len(ids) == 7
    assert len(ids[-1].replace("-", "")) == 1 + 160 // 5


@given(any_key)
def test_an_id_is_found_again_in_a_subject(key: MessageKey) -> None:
    """Whichever of them it is: what we print is what we read."""
    for one in ticket_ids(key):
        message = make_message(subject=f"Re: AW: [{one}] Printer")
        assert refers_to(message, RoutingSettings()).ticket_ids == (one,)


def test_ids_never_change() -> None:
    """They are printed in mails: another release must derive the same ones."""
    key = MessageKey("support", "imap4:mail.example/support/INBOX", "0000000007.0000000042")
    assert list(ticket_ids(key))[:2] == ["T-364P-17FY", "T-364P-17FY-4FNB"]


@given(any_key, any_key)
def test_different_messages_have_different_ids(one: MessageKey, other: MessageKey) -> None:
    """The longest ids differ whenever the keys do, and are the same whenever they are."""
    assert (list(ticket_ids(one))[-1] == list(ticket_ids(other))[-1]) == (one == other)


def test_a_new_generation_has_an_id_of_its_own() -> None:
    """`reprocess` makes another ticket."""
    assert next(ticket_ids(make_key(generation=0))) != next(ticket_ids(make_key(generation=1)))


def test_ten_thousand_messages_hardly_ever_share_a_first_id() -> None:
    """40 bits: among ten thousand, none of these do."""
    assert len({next(ticket_ids(make_key(uid))) for uid in range(10_000)}) == 10_000


@pytest.fixture
def storage() -> FakeStorage:
    """Empty storage."""
    return FakeStorage(FakeClock(NOW))


def test_a_taken_id_gives_way_to_a_longer_one(storage: FakeStorage) -> None:
    """Another message has the first two: the third is taken, and asking again gives it again."""
    delivery = make_delivery(1)
    ids = list(ticket_ids(delivery.key))
    for uid, taken in enumerate(ids[:2], start=100):
        storage.tickets.add([NewTicket(make_delivery(uid), (taken,))])
    target = TableTarget(storage.tickets)
    (first,), (again,) = target.apply([delivery]), target.apply([delivery])
    assert isinstance(first, Delivered)
    assert first == again
    assert first.ticket_id == ids[2]


def test_the_target_is_found_by_its_settings(storage: FakeStorage) -> None:
    """One file in the folder is one kind of target."""
    kind = target_for(TableTargetSettings())
    assert kind is targets()["table"]
    target = kind.open(make_target_request(TableTargetSettings(), storage))
    (made,) = target.apply([make_delivery(1)])
    assert isinstance(made, Delivered)
    assert set(target.look_up([made.ticket_id, "T-0000-0000"])) == {made.ticket_id}
