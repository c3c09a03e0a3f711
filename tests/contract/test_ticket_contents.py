"""The contract of `shared.ports.TicketStore`: what comes back is what was sent, however long or odd."""

from datetime import timedelta

import pytest

from shared.model import Action, Address, Create, Delivered, FieldValue, Modify, StoredAttachment, TicketEntry
from tests.builders import NOW, make_attachment, make_message, make_new_ticket, make_reply
from tests.contract.storage import Storage
from tests.contract.test_ledger import AWKWARD
from tests.contract.test_tickets import create, read

#: Longer than one table property (32,768 UTF-16 units), with characters of one and of two units at every offset.
LONG = "a" + "😀" * 40_000 + "é" * 1001


class TestEntries:
    """Entries of a ticket."""

    def test_keeps_every_field(self, storage: Storage) -> None:
        """An entry says who wrote what to whom, what parsing made of it, and why it is here."""
        message = make_message(
            subject="Ünïcode 'quoted' 😀",
            sender=Address("ann@customer.example", 'Ann "A." Ä'),
            to=(Address("support@mail.example"), Address("b@x.example", "B, b <b>")),
            cc=(Address("c@x.example"),),
            text="One\r\n\ttwo\n",
            html="<p>One &amp; two</p>",
            message_id="<[83c4/\\#?@microsoft.example]>",
            defects=("A charset made no sense.", "é😀"),
        )
        ticket_id = create(storage, 1, message=message, decision=Create(evidence=("No tag.", "é"), links=("T8", "T9")))
        ticket = read(storage, ticket_id)
        (entry,) = ticket.entries
        assert entry == TicketEntry(
            entry_id=entry.entry_id,
            action=Action.CREATED,
            sender=message.sender,
            to=message.to,
            cc=message.cc,
            subject=message.subject,
            date=NOW,
            text=message.text,
            html=message.html,
            message_id=message.message_id,
            defects=message.defects,
            evidence=("No tag.", "é"),
        )
        assert (ticket.links, ticket.subject, ticket.requester) == (("T8", "T9"), message.subject, message.sender)

    def test_keeps_what_is_missing_missing(self, storage: Storage) -> None:
        """No sender, no HTML, no Message-ID and no text are not made up."""
        message = make_message(sender=None, to=(), html=None, message_id=None, text="", subject="")
        (entry,) = read(storage, create(storage, 1, message=message)).entries
        assert (entry.sender, entry.to, entry.cc, entry.html) == (None, (), (), None)
        assert (entry.message_id, entry.text, entry.subject) == (None, "", "")

    def test_without_date_the_time_of_receipt_stands(self, storage: Storage) -> None:
        """A message without a usable date is dated when the server received it; or else now."""
        received = NOW - timedelta(days=1, microseconds=1)
        undated = make_message(date=None)
        (entry,) = read(storage, create(storage, 1, message=undated, received=received)).entries
        assert entry.date == received
        (entry,) = read(storage, create(storage, 2, message=undated, received=None)).entries
        assert entry.date == NOW

    @pytest.mark.parametrize("text", [LONG, LONG[1:], "x" * 32_768, "x" * 32_769, "é" * 70_000, "line\r\n" * 200_000])
    def test_keeps_long_text_exactly(self, storage: Storage, text: str) -> None:
        """Text and HTML of any length come back to the character, wherever storage has to cut them."""
        message = make_message(text=text, html=f"<p>{text}</p>")
        (entry,) = read(storage, create(storage, 1, message=message)).entries
        assert entry.text == text
        assert entry.html == f"<p>{text}</p>"

    def test_long_ones_fit_beside_each_other(self, storage: Storage) -> None:
        """A batch of long messages is stored, though no single transaction could hold it."""
        additions = [make_new_ticket(uid, message=make_message(uid, text=f"{uid} {LONG}")) for uid in range(40)]
        assert all(isinstance(answer, Delivered) for answer in storage.tickets.add(additions))
        for uid in (0, 39):
            (entry,) = read(storage, additions[uid].ticket_ids[0]).entries
            assert entry.text == f"{uid} {LONG}"

    def test_long_replies_to_one_ticket(self, storage: Storage) -> None:
        """A ticket may grow far beyond what one table row or transaction holds."""
        ticket_id = create(storage)
        replies = [
            make_reply(
                uid, ticket_id, message=make_message(uid, text=f"{uid} {LONG}", date=NOW + timedelta(seconds=uid))
            )
            for uid in range(2, 42)
        ]
        assert storage.tickets.add(replies) == [Delivered(ticket_id, Action.MODIFIED)] * 40
        assert [entry.text for entry in read(storage, ticket_id).entries[1:]] == [
            f"{uid} {LONG}" for uid in range(2, 42)
        ]

    def test_many_recipients(self, storage: Storage) -> None:
        """Of a message to 5,000 people, and of the replies after it, at least the senders are participants for good."""
        crowd = tuple(Address(f"person{number}@a-rather-long-domain.example") for number in range(5000))
        zoe, yan = Address("zoe@customer.example"), Address("yan@customer.example")
        ticket_id = create(storage, 1, message=make_message(1, sender=zoe, cc=crowd))
        storage.tickets.add(
            [make_reply(2, ticket_id, message=make_message(2, sender=yan, cc=crowd, date=NOW + timedelta(1)))]
        )
        ticket = read(storage, ticket_id)
        assert {zoe.email, yan.email} <= ticket.participants
        assert [entry.text for entry in ticket.entries] == [make_message(uid).text for uid in (1, 2)]

    def test_long_subject(self, storage: Storage) -> None:
        """A subject of 10,000 characters makes a ticket that shows at least its beginning."""
        subject = "😀é" * 5000
        ticket = read(storage, create(storage, 1, message=make_message(subject=subject)))
        for shown in (ticket.subject, ticket.entries[0].subject):
            assert subject.startswith(shown)
            assert len(shown) >= 200


class TestFields:
    """What the job's rules set or found."""

    def test_of_every_kind(self, storage: Storage) -> None:
        """Texts, numbers, truth and a memo that is longer than a property come back with their entry, and the notes."""
        fields: dict[str, FieldValue] = {"team": "ünï 😀", "count": -3, "ratio": 0.5, "vip": True, "memo": "é" * 40_000}
        notes = ("The attachment setup.exe was left out.", "By rule.")
        ticket_id = create(storage, 1, decision=Create(fields=fields, notes=notes))
        storage.tickets.add([make_reply(2, ticket_id, decision=Modify(ticket_id, fields={"team": "other"}))])
        first, second = sorted(read(storage, ticket_id).entries, key=lambda entry: str(entry.message_id))
        assert (first.fields, first.notes) == (fields, notes)
        assert [type(first.fields[name]) for name in ("count", "ratio", "vip")] == [int, float, bool]
        assert (second.fields, second.notes) == ({"team": "other"}, ())


class TestAttachments:
    """`attachment` and the listing of attachments in entries."""

    def test_keeps_every_byte(self, storage: Storage) -> None:
        """Attachments come back in their order with name, type, Content-ID and content: empty, binary, large."""
        parts = (
            make_attachment("empty.txt", b""),
            make_attachment("ünï 😀.bin", bytes(range(256)), content_type="application/octet-stream"),
            make_attachment("logo.png", b"\x89PNG", content_type="image/png", content_id="logo@x/\\#?é", inline=True),
            make_attachment("large.bin", bytes(range(256)) * 20_000),
        )
        (entry,) = read(storage, ticket_id := create(storage, 1, message=make_message(attachments=parts))).entries
        assert len(entry.attachments) == 4
        for index, part in enumerate(parts):
            stored, data = read_attachment(storage, ticket_id, entry.entry_id, index)
            assert data == part.data
            assert stored == entry.attachments[index]
            assert stored == StoredAttachment(
                name=part.name,
                content_type=part.content_type,
                size=len(part.data),
                sha256=part.sha256,
                blob=stored.blob,
                content_id=part.content_id,
                inline=part.inline,
            )

    def test_awkward_names_stay_apart(self, storage: Storage) -> None:
        """Attachments are told apart whatever they are called, also when all are called the same."""
        parts = tuple(make_attachment(name, f"{number}".encode()) for number, name in enumerate((*AWKWARD, "a", "a")))
        (entry,) = read(storage, ticket_id := create(storage, 1, message=make_message(attachments=parts))).entries
        assert [one.name for one in entry.attachments] == [part.name for part in parts]
        for index, part in enumerate(parts):
            assert read_attachment(storage, ticket_id, entry.entry_id, index)[1] == part.data

    def test_each_entry_has_its_own(self, storage: Storage) -> None:
        """Files of the same name in a message and its reply do not replace each other."""
        ticket_id = create(storage, 1, message=make_message(attachments=(make_attachment(data=b"first"),)))
        reply = make_message(2, attachments=(make_attachment(data=b"second"),), date=NOW + timedelta(seconds=1))
        storage.tickets.add([make_reply(2, ticket_id, message=reply)])
        entries = read(storage, ticket_id).entries
        assert [read_attachment(storage, ticket_id, one.entry_id, 0)[1] for one in entries] == [b"first", b"second"]

    def test_unknown_is_none(self, storage: Storage) -> None:
        """What is not there is no error, however it is asked for."""
        ticket_id = create(storage, 1, message=make_message(attachments=(make_attachment(),)))
        (entry,) = read(storage, ticket_id).entries
        for index in (1, -1, 10**9):
            assert storage.tickets.attachment(ticket_id, entry.entry_id, index) is None
        assert storage.tickets.attachment("TNOWHERE", entry.entry_id, 0) is None
        for odd in AWKWARD:
            assert storage.tickets.attachment(ticket_id, odd, 0) is None
            assert storage.tickets.attachment(odd, entry.entry_id, 0) is None


def read_attachment(storage: Storage, ticket_id: str, entry_id: str, index: int) -> tuple[StoredAttachment, bytes]:
    """One attachment that is there, whole."""
    found = storage.tickets.attachment(ticket_id, entry_id, index)
    assert found
    return found[0], b"".join(found[1])
