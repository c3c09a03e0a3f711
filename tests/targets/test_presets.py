"""Each preset on a stand-in of its system: what matters most of the contract."""

import re
from collections.abc import Callable, Iterator, Mapping

import pytest
from pydantic import ValidationError

from shared.errors import Refused, Unavailable
from shared.model import Delivered, Delivery
from shared.targets._presets import preset, preset_names
from shared.targets.webhook import WebhookSettings
from tests.builders import make_attachment, make_message
from tests.contract.target import TargetContract
from tests.contract.target_world import Crash, Entry, Seen, TargetWorld, ids, new, reply
from tests.servers.vendor import SECRET, Vendor
from tests.servers.vendors import VENDORS, plain
from tests.servers.vendors_hosted import Jira, ServiceNow
from tests.servers.vendors_own import Alloy, Glpi
from tests.targets.webhook_world import WebhookWorld


class _World(WebhookWorld):
    system: Vendor

    def tickets(self) -> Mapping[str, Seen]:
        return {
            self.system.name(number): Seen(
                one.subject,
                tuple(
                    Entry(
                        plain(text), tuple(sorted((_name(name), data) for name, data in [*files, *self._linked(text)]))
                    )
                    for text, files in zip(one.texts, one.files, strict=True)
                    if "Attachments of the mail" not in text
                ),
            )
            for number, one in self.system.records.items()
        }

    def recover(self) -> None:
        super().recover()
        # Longer than any search lags.
        self.clock.advance(type(self.clock()).resolution * 3_600_000_000)

    def close_ticket(self, ticket_id: str) -> None:
        number = self.system.number(ticket_id)
        assert number
        self.system.records[number].closed = True

    def _linked(self, text: str) -> list[tuple[str, bytes]]:
        found = re.findall(r"<a href='([^']+)'>([^<]+)</a>", text)
        return [(name, self.storage.outbox.blobs[url]) for url, name in found]


def _name(name: str) -> str:
    return re.sub(r"-[0-9a-f]{8}(\.\w+)$", r"\1", name)


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.preset)
def world(request: pytest.FixtureRequest) -> Iterator[_World]:
    """A system of its own."""
    with request.param() as system:
        yield _World(system, system.block(), vendor=SECRET, x="X")


def test_a_message_becomes_a_ticket(world: TargetWorld) -> None:
    """See the contract."""
    TargetContract().test_a_message_becomes_a_ticket(world)


def test_a_reply_is_added_to_its_ticket(world: TargetWorld) -> None:
    """See the contract."""
    TargetContract().test_a_reply_is_added_to_its_ticket(world)


def test_known_tickets_are_found(world: TargetWorld) -> None:
    """See the contract."""
    TargetContract().test_known_tickets_are_found(world)


def test_a_closed_ticket_is_closed(world: TargetWorld) -> None:
    """See the contract."""
    TargetContract().test_a_closed_ticket_is_closed(world)


def test_a_reply_to_no_ticket_is_that_messages_fault(world: TargetWorld) -> None:
    """See the contract."""
    TargetContract().test_a_reply_to_no_ticket_is_that_messages_fault(world)


@pytest.mark.parametrize("modifies", [False, True])
def test_killed_anywhere_nothing_is_lost_or_doubled(world: TargetWorld, *, modifies: bool) -> None:
    """See the contract."""
    TargetContract().test_killed_anywhere_nothing_is_lost_or_doubled(world, modifies=modifies)


def test_markup_in_a_mail_is_text_there(world: _World) -> None:
    """What a stranger writes is never markup in the other system."""
    ids(world.open().apply([new(1, make_message(1, text="<script>alert(1)</script> & <b>x</b>"))]))
    (seen,) = world.tickets().values()
    assert seen.entries[0].text == "<script>alert(1)</script> & <b>x</b>"
    (record,) = world.system.records.values()
    assert not (record.texts[0].startswith("<p>") and "<script>" in record.texts[0])


def test_a_file_of_no_bytes_arrives(world: _World) -> None:
    """Request Tracker, for one, takes an empty text for a missing one."""
    empty = make_attachment("empty.txt", b"")
    (ticket,) = ids(world.open().apply([new(1, make_message(1, attachments=(empty,)))]))
    ids(world.open().apply([reply(2, ticket, make_message(2, attachments=(empty,)))]))
    files = [file for entry in world.tickets()[ticket].entries for file in entry.files]
    assert files == [("empty.txt", b"")] * 2


def _deaths(vendor: type[Vendor], before: Callable[[_World], None], delivery: Delivery) -> Iterator[tuple[_World, str]]:
    """A worker dies at each thing that it does outside, and another one completes it: what is there, and the ticket."""
    for nth in range(1, 40):
        with vendor() as system:
            world = _World(system, system.block(), vendor=SECRET, x="X")
            before(world)
            world.crash_at(nth)
            try:
                answers = world.open().apply([delivery])
                died = False
            except (Crash, Unavailable):
                world.recover()
                answers = world.open().apply([delivery])
                died = True
            (ticket,) = ids(answers)
            yield world, ticket
            if not died:
                return
    pytest.fail("A delivery takes more than 40 steps.")


def test_without_the_field_for_the_reference_no_stranger_s_ticket_is_taken() -> None:
    """ServiceNow ignores the part of a query that names no field, and finds every record."""

    def before(world: _World) -> None:
        assert isinstance(world.system, ServiceNow)
        world.system.correlates = False
        ids(world.open().apply([new(1)]))

    tickets = [ticket for _, ticket in _deaths(ServiceNow, before, new(2))]
    assert len(tickets) > 3
    assert "INC0000001" not in tickets


def test_a_document_is_not_taken_for_another_one() -> None:
    """GLPI: document 1 is not linked because document 11 is."""

    def before(world: _World) -> None:
        assert isinstance(world.system, Glpi)
        ids(world.open().apply([new(1)]))
        world.system.linked[1] = [11, 12, 13]

    with_file = reply(2, "1", make_message(2, attachments=(make_attachment(),)))
    counts = [len(world.system.records[1].files[-1]) for world, _ in _deaths(Glpi, before, with_file)]
    assert counts == [1] * len(counts)


def test_a_reply_is_found_behind_a_hundred_others() -> None:
    """Jira lists a hundred comments at most: the newest ones are asked for."""

    def before(world: _World) -> None:
        ids(world.open().apply([new(1)]))
        for number in range(120):
            world.system.records[1].add(f"Comment {number}")

    with_file = reply(2, "HELP-1", make_message(2, attachments=(make_attachment(),)))
    counts = [len(world.system.records[1].texts) for world, _ in _deaths(Jira, before, with_file)]
    assert counts == [1 + 120 + 2] * len(counts)


def test_a_text_that_is_too_long_there_is_that_messages_fault() -> None:
    """Nothing of it is cut away unseen: a person decides. Jira takes 32,767 characters."""
    with Jira() as system:
        world = _World(system, system.block(), vendor=SECRET)
        long, fits = world.open().apply([new(1, make_message(1, text="x" * 32_768)), new(2)])
        assert isinstance(long, Refused)
        assert "32,767" in str(long)
        assert isinstance(fits, Delivered)
        assert len(system.records) == 1


def test_a_refusal_with_a_200_is_one() -> None:
    """Alloy Navigator says in its answer whether it is one."""
    with Alloy() as system:
        world = _World(system, system.block(), vendor=SECRET)
        (ticket,) = ids(world.open().apply([new(1)]))
        system.records.clear()
        (answer,) = world.open().apply([reply(2, ticket, make_message(2, attachments=(make_attachment(),)))])
        assert isinstance(answer, Refused)
        assert f"Object {ticket} not found" in str(answer)


def test_every_preset_names_its_sources_and_is_tried() -> None:
    """Roundup on itself (test_roundup), the others here."""
    assert set(preset_names()) == {vendor.preset for vendor in VENDORS} | {"roundup"}
    for name in preset_names():
        found = preset(name)
        assert found.about
        assert all(source.startswith("https://") for source in found.sources)


def test_values_of_a_preset_are_checked() -> None:
    """What it needs must be there, and nothing that it does not know."""
    block = {"type": "webhook", "preset": "zammad", "url": "https://zammad.example"}
    for values, said in (({}, "needs group"), ({"group": "Users", "grup": "x"}, "knows no grup")):
        with pytest.raises(ValidationError, match=said):
            WebhookSettings.model_validate({**block, "values": values})
