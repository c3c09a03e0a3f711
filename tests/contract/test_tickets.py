"""The contract of `shared.ports.TicketStore`: one ticket for one message, for ever."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from shared.errors import MessageError
from shared.model import Action, Address, Delivered, Ticket, TicketStatus, TicketSummary
from shared.ports import NewTicket
from tests.builders import NOW, make_attachment, make_delivery, make_key, make_message, make_new_ticket, make_reply
from tests.contract.storage import Storage, pages, race
from tests.contract.test_jobs import PREFIX_IDS
from tests.contract.test_ledger import AWKWARD
from tests.fakes.clock import FakeClock


class TestAdd:
    """`add`: creates and modifies."""

    def test_creates_a_ticket(self, storage: Storage) -> None:
        """A first message becomes a ticket with one entry."""
        addition = make_new_ticket(1)
        (answer,) = storage.tickets.add([addition])
        assert answer == Delivered(addition.ticket_ids[0], Action.CREATED)
        ticket = read(storage, addition.ticket_ids[0])
        assert (ticket.job_id, ticket.subject, ticket.status) == ("support", "Printer 1 is on fire", TicketStatus.OPEN)
        assert ticket.requester == Address("ann@customer.example", "Ann")
        assert (ticket.created, ticket.updated) == (NOW, NOW)
        assert [entry.action for entry in ticket.entries] == [Action.CREATED]

    def test_reply_modifies_its_ticket(self, storage: Storage, clock: FakeClock) -> None:
        """A reply becomes the next entry; the ticket stays what it was, but for when it was last touched."""
        first = create(storage)
        later = clock.advance(timedelta(hours=1))
        reply = make_reply(2, first, message=make_message(2, subject="Re: fire", date=later))
        assert storage.tickets.add([reply]) == [Delivered(first, Action.MODIFIED)]
        ticket = read(storage, first)
        assert (ticket.subject, ticket.created, ticket.updated) == ("Printer 1 is on fire", NOW, later)
        assert [entry.subject for entry in ticket.entries] == ["Printer 1 is on fire", "Re: fire"]
        assert [entry.action for entry in ticket.entries] == [Action.CREATED, Action.MODIFIED]
        assert len({entry.entry_id for entry in ticket.entries}) == 2

    def test_answers_in_order(self, storage: Storage) -> None:
        """Creations and replies mixed are answered one for one, in their order."""
        first, second = create(storage, 1), create(storage, 2)
        new = make_new_ticket(5)
        answers = storage.tickets.add([make_reply(3, second), new, make_reply(4, first)])
        assert answers == [
            Delivered(second, Action.MODIFIED),
            Delivered(new.ticket_ids[0], Action.CREATED),
            Delivered(first, Action.MODIFIED),
        ]

    def test_many_at_once(self, storage: Storage) -> None:
        """A batch of 100 becomes 100 tickets."""
        additions = [make_new_ticket(uid) for uid in range(100)]
        ids = [addition.ticket_ids[0] for addition in additions]
        assert storage.tickets.add(additions) == [Delivered(one, Action.CREATED) for one in ids]
        assert set(storage.tickets.summaries(ids)) == set(ids)

    def test_nothing_is_no_fault(self, storage: Storage) -> None:
        """Adding nothing is quiet."""
        assert list(storage.tickets.add([])) == []

    def test_two_replies_to_one_ticket_in_one_call(self, storage: Storage) -> None:
        """Both replies are kept, in their order."""
        first = create(storage)
        replies = [
            make_reply(uid, first, message=make_message(uid, date=NOW + timedelta(seconds=uid))) for uid in (2, 3)
        ]
        assert storage.tickets.add(replies) == [Delivered(first, Action.MODIFIED)] * 2
        assert [entry.message_id for entry in read(storage, first).entries] == [
            f"<{uid}@customer.example>" for uid in (1, 2, 3)
        ]

    def test_reply_to_no_ticket_is_that_messages_fault(self, storage: Storage) -> None:
        """Of a batch only the reply whose ticket is not there is refused, and it can still become a ticket."""
        lost = make_reply(2, "TNOWHERE")
        answers = storage.tickets.add([make_new_ticket(1), lost, make_new_ticket(3)])
        assert isinstance(answers[1], MessageError)
        assert [type(answer) for answer in answers] == [Delivered, type(answers[1]), Delivered]
        assert storage.tickets.ticket("TNOWHERE") is None
        assert create(storage, 2) == make_new_ticket(2).ticket_ids[0]


class TestIdempotency:
    """Asked again, `add` gives the same answer and changes nothing."""

    def test_same_message_again(self, storage: Storage, clock: FakeClock) -> None:
        """A message that is delivered twice has one ticket with one entry, untouched."""
        addition = make_new_ticket(1, message=make_message(attachments=(make_attachment(),)))
        (first,) = storage.tickets.add([addition])
        before = read(storage, addition.ticket_ids[0])
        clock.advance(timedelta(hours=1))
        assert storage.tickets.add([addition]) == [first]
        assert read(storage, addition.ticket_ids[0]) == before

    def test_same_reply_again(self, storage: Storage, clock: FakeClock) -> None:
        """A reply that is delivered twice is one entry."""
        ticket_id = create(storage)
        reply = make_reply(2, ticket_id)
        (first,) = storage.tickets.add([reply])
        before = read(storage, ticket_id)
        clock.advance(timedelta(hours=1))
        assert storage.tickets.add([reply]) == [first]
        assert read(storage, ticket_id) == before

    def test_twice_in_one_call(self, storage: Storage) -> None:
        """The same message twice in one batch, new or reply, is one entry."""
        new = make_new_ticket(1)
        answer = Delivered(new.ticket_ids[0], Action.CREATED)
        assert storage.tickets.add([new, new]) == [answer, answer]
        reply = make_reply(2, new.ticket_ids[0])
        answer = Delivered(new.ticket_ids[0], Action.MODIFIED)
        assert storage.tickets.add([reply, reply]) == [answer, answer]
        assert len(read(storage, new.ticket_ids[0]).entries) == 2

    def test_decided_otherwise_the_second_time(self, storage: Storage) -> None:
        """A message that made a ticket is not also added to another one, nor the other way round."""
        other = create(storage, 9)
        made, modified = create(storage, 1), storage.tickets.add([make_reply(2, other)])
        assert storage.tickets.add([make_reply(1, other)]) == [Delivered(made, Action.CREATED)]
        assert storage.tickets.add([make_new_ticket(2)]) == modified == [Delivered(other, Action.MODIFIED)]
        assert [len(read(storage, one).entries) for one in (other, made)] == [2, 1]
        assert storage.tickets.ticket(make_new_ticket(2).ticket_ids[0]) is None

    def test_replies_to_another_ticket_the_second_time(self, storage: Storage) -> None:
        """A reply stays with the ticket that it was added to first."""
        first, second = create(storage, 1), create(storage, 2)
        storage.tickets.add([make_reply(3, first)])
        assert storage.tickets.add([make_reply(3, second)]) == [Delivered(first, Action.MODIFIED)]
        assert len(read(storage, second).entries) == 1

    def test_decided_otherwise_within_one_call(self, storage: Storage) -> None:
        """One key in one batch, once as a new ticket and once as a reply, is one entry somewhere."""
        other = create(storage, 9)
        answers = storage.tickets.add([make_new_ticket(1), make_reply(1, other)])
        assert answers == [Delivered(make_new_ticket(1).ticket_ids[0], Action.CREATED)] * 2
        assert len(read(storage, other).entries) == 1

    def test_partly_known_batch(self, storage: Storage) -> None:
        """A batch of which a part was delivered before a crash is completed, each answer its own."""
        storage.tickets.add([make_new_ticket(uid) for uid in range(0, 60, 3)])
        additions = [make_new_ticket(uid) for uid in range(60)]
        answers = storage.tickets.add(additions)
        assert answers == [Delivered(one.ticket_ids[0], Action.CREATED) for one in additions]
        assert len(pages(storage.tickets.page, limit=100)) == 60

    def test_other_generation_is_another_message(self, storage: Storage) -> None:
        """A message that is to be processed anew makes a ticket of its own."""
        again = make_new_ticket(1, key=make_key(1, generation=1))
        assert create(storage, 1) != again.ticket_ids[0]
        assert storage.tickets.add([again]) == [Delivered(again.ticket_ids[0], Action.CREATED)]

    def test_many_hands_one_ticket(self, storage: Storage) -> None:
        """Six that deliver one message at once get one answer; the ticket has one entry."""
        addition = make_new_ticket(1)
        answers = race(6, lambda _: storage.tickets.add([addition])[0])
        assert answers == [Delivered(addition.ticket_ids[0], Action.CREATED)] * 6
        assert len(read(storage, addition.ticket_ids[0]).entries) == 1

    def test_many_replies_at_once(self, storage: Storage) -> None:
        """Six different replies to one ticket at once are all kept, and so is everybody on them."""
        ticket_id = create(storage)
        replies = [
            make_reply(uid, ticket_id, message=make_message(uid, sender=Address(f"{uid}@customer.example")))
            for uid in range(2, 8)
        ]
        answers = race(6, lambda number: storage.tickets.add([replies[number]])[0])
        assert answers == [Delivered(ticket_id, Action.MODIFIED)] * 6
        ticket = read(storage, ticket_id)
        assert len(ticket.entries) == 7
        assert {f"{uid}@customer.example" for uid in range(2, 8)} <= ticket.participants


class TestTicketIds:
    """Where another message already has an id, the next one is taken."""

    def test_taken_id_gives_the_next(self, storage: Storage) -> None:
        """The second message gets its second id, and gets it again when asked again."""
        first = NewTicket(make_delivery(1), ("T1", "T1-longer"))
        second = NewTicket(make_delivery(2), ("T1", "T1-other", "T1-third"))
        assert storage.tickets.add([first]) == [Delivered("T1", Action.CREATED)]
        assert storage.tickets.add([second]) == [Delivered("T1-other", Action.CREATED)]
        assert storage.tickets.add([second, first]) == [
            Delivered("T1-other", Action.CREATED),
            Delivered("T1", Action.CREATED),
        ]
        assert [read(storage, one).subject for one in ("T1", "T1-other")] == [
            "Printer 1 is on fire",
            "Printer 2 is on fire",
        ]

    def test_taken_within_one_call(self, storage: Storage) -> None:
        """Two messages of one batch that want the same id get different ones."""
        additions = [NewTicket(make_delivery(uid), ("T1", f"T1-{uid}")) for uid in (1, 2)]
        assert storage.tickets.add(additions) == [
            Delivered("T1", Action.CREATED),
            Delivered("T1-2", Action.CREATED),
        ]

    def test_taken_at_the_same_time(self, storage: Storage) -> None:
        """Six messages that want the same id at once get six different ones."""
        additions = [NewTicket(make_delivery(uid), ("T1", f"T1-{uid}")) for uid in range(6)]
        answers = race(6, lambda number: storage.tickets.add([additions[number]])[0])
        ids = [answer.ticket_id for answer in answers if isinstance(answer, Delivered)]
        assert len(set(ids)) == 6, answers
        assert "T1" in ids


class TestSummaries:
    """`summaries` and `ticket`."""

    def test_tells_status_and_participants(self, storage: Storage) -> None:
        """Participants are the lower-case addresses of everybody on the messages so far, and grow with them."""
        message = make_message(
            sender=Address("Ann@Customer.example", "Ann"), to=(Address("help@mail.example"), Address("BOB@x.example")),
            cc=(Address("carol@x.example"),),
        )  # fmt: skip
        ticket_id = create(storage, 1, message=message)
        everybody = frozenset({"ann@customer.example", "help@mail.example", "bob@x.example", "carol@x.example"})
        assert summary(storage, ticket_id) == TicketSummary(ticket_id, TicketStatus.OPEN, everybody)
        reply = make_message(2, sender=Address("dave@x.example"), to=(Address("ANN@customer.example"),))
        storage.tickets.add([make_reply(2, ticket_id, message=reply)])
        assert summary(storage, ticket_id).participants == everybody | {"dave@x.example"}
        assert read(storage, ticket_id).participants == everybody | {"dave@x.example"}

    def test_message_without_sender_makes_a_ticket(self, storage: Storage) -> None:
        """A ticket may have no requester."""
        ticket_id = create(storage, 1, message=make_message(sender=None, to=()))
        assert read(storage, ticket_id).requester is None
        assert summary(storage, ticket_id).participants == frozenset()

    def test_unknown_ids_are_left_out(self, storage: Storage) -> None:
        """Ids stand in the subjects of strangers' mail: any text may be asked for, and only known ones answer."""
        ticket_id = create(storage)
        assert set(storage.tickets.summaries([*AWKWARD, ticket_id, "' or '1' eq '1"])) == {ticket_id}
        assert storage.tickets.summaries([]) == {}
        for odd in AWKWARD:
            assert storage.tickets.ticket(odd) is None

    def test_asked_before_there_is_any(self, storage: Storage) -> None:
        """Before the first ticket nothing is known, and nothing fails."""
        assert storage.tickets.summaries(["T1"]) == {}
        assert storage.tickets.ticket("T1") is None
        assert storage.tickets.page(limit=10) == ([], None)


class TestPage:
    """`page`."""

    def test_newest_first_page_by_page(self, storage: Storage, clock: FakeClock) -> None:
        """Tickets come newest first, each once, without their entries, whatever the size of a page."""
        ids = []
        for uid in range(7):
            ids.append(create(storage, uid, message=make_message(uid, date=clock())))
            clock.advance(timedelta(seconds=1))
        storage.tickets.add([make_reply(9, ids[0])])
        for limit in (1, 3, 7, 100):
            found = pages(storage.tickets.page, limit=limit)
            assert [one.ticket_id for one in found] == ids[::-1]
            assert all(one.entries == () for one in found)
        assert storage.tickets.page(limit=1)[0] == [replace(read(storage, ids[-1]), entries=())]

    def test_goes_on_where_it_stopped(self, storage: Storage, clock: FakeClock) -> None:
        """A ticket that is made between two pages makes no other appear twice."""
        ids = []
        for uid in range(4):
            ids.append(create(storage, uid))
            clock.advance(timedelta(seconds=1))
        _, cursor = storage.tickets.page(limit=2)
        create(storage, 5)
        page, cursor = storage.tickets.page(limit=10, cursor=cursor)
        assert [one.ticket_id for one in page] == [ids[1], ids[0]]
        assert cursor is None

    def test_of_one_job(self, storage: Storage, clock: FakeClock) -> None:
        """The tickets of one job are listed without those of jobs whose ids begin alike."""
        ids: dict[str, list[str]] = {}
        for uid in range(3):
            for job_id in PREFIX_IDS[:6]:
                ids.setdefault(job_id, []).insert(0, create(storage, uid, job_id))
                clock.advance(timedelta(seconds=1))
        for job_id, wanted in ids.items():
            found: list[Ticket] = pages(
                lambda *, limit, cursor=None, job_id=job_id: storage.tickets.page(
                    limit=limit, cursor=cursor, job_id=job_id
                ),
                limit=2,
            )
            assert [one.ticket_id for one in found] == wanted
        assert storage.tickets.page(limit=10, job_id=PREFIX_IDS[-1]) == ([], None)


def create(storage: Storage, uid: int = 1, job_id: str = "support", **changes: object) -> str:
    """Make a ticket of message ``uid`` and return its id."""
    (answer,) = storage.tickets.add([make_new_ticket(uid, job_id, **changes)])
    assert isinstance(answer, Delivered)
    return answer.ticket_id


def read(storage: Storage, ticket_id: str) -> Ticket:
    """A ticket that is there."""
    ticket = storage.tickets.ticket(ticket_id)
    assert ticket
    return ticket


def summary(storage: Storage, ticket_id: str) -> TicketSummary:
    """What routing is told about a ticket that is there."""
    return storage.tickets.summaries([ticket_id])[ticket_id]


class TestStatus:
    """`set_open` and `merge`."""

    def test_closed_and_opened_again(self, storage: Storage, clock: FakeClock) -> None:
        """As everybody sees it, with the time; doing it again changes nothing."""
        ticket_id = create(storage)
        for is_open, status in ((False, TicketStatus.CLOSED), (True, TicketStatus.OPEN)):
            now = clock.advance(timedelta(hours=1))
            changed = storage.tickets.set_open(ticket_id, is_open=is_open)
            assert changed
            assert (changed.status, changed.updated, changed.entries) == (status, now, ())
            clock.advance(timedelta(hours=1))
            assert storage.tickets.set_open(ticket_id, is_open=is_open) == changed
            assert replace(read(storage, ticket_id), entries=()) == changed
            assert storage.tickets.page(limit=10)[0] == [changed]
            assert summary(storage, ticket_id).status is status
        assert storage.tickets.set_open("T-0", is_open=True) is None

    def test_merged_into_another(self, storage: Storage, clock: FakeClock) -> None:
        """Who took part in the one takes part in the other, which refers to it; each keeps its entries."""
        one = create(storage, 1)
        other = create(storage, 2, message=make_message(2, sender=Address("bob@x.example")))
        now = clock.advance(timedelta(hours=1))
        merged = storage.tickets.merge(one, other)
        assert merged
        assert (merged.status, merged.merged_into, merged.updated) == (TicketStatus.MERGED, other, now)
        assert (summary(storage, one).status, summary(storage, one).merged_into) == (TicketStatus.MERGED, other)
        taken = read(storage, other)
        assert (taken.status, taken.links, taken.updated) == (TicketStatus.OPEN, (one,), now)
        assert {"ann@customer.example", "bob@x.example"} <= taken.participants
        assert [len(read(storage, each).entries) for each in (one, other)] == [1, 1]
        assert {ticket.ticket_id: ticket.status for ticket in storage.tickets.page(limit=9)[0]} == {
            one: TicketStatus.MERGED,
            other: TicketStatus.OPEN,
        }

    def test_merged_into_what_the_other_is_by_now(self, storage: Storage) -> None:
        """A chain ends at the ticket that is there; there is no circle, and nothing goes into nothing."""
        one, two, three = (create(storage, uid) for uid in (1, 2, 3))
        assert storage.tickets.merge(two, three)
        merged = storage.tickets.merge(one, two)
        assert merged
        assert merged.merged_into == three
        for from_, into in ((three, one), (three, two), (three, three), (one, "T-0"), ("T-0", one)):
            assert storage.tickets.merge(from_, into) is None
        opened = storage.tickets.set_open(one, is_open=True)
        assert opened
        assert (opened.status, opened.merged_into) == (TicketStatus.OPEN, "")

    def test_closed_while_replies_come(self, storage: Storage) -> None:
        """Neither the reply nor the change is lost, whoever comes first."""
        ticket_id = create(storage)
        replies = [make_reply(uid, ticket_id) for uid in range(2, 6)]

        def act(number: int) -> object:
            if number == 4:
                return storage.tickets.set_open(ticket_id, is_open=False)
            return storage.tickets.add([replies[number]])[0]

        answers = race(5, act)
        assert answers[:4] == [Delivered(ticket_id, Action.MODIFIED)] * 4
        assert len(read(storage, ticket_id).entries) == 5
        assert summary(storage, ticket_id).status is TicketStatus.CLOSED


class TestFilters:
    """`page` with conditions."""

    def test_by_status_requester_and_change(self, storage: Storage, clock: FakeClock) -> None:
        """Each alone and together, page by page."""
        start = clock()
        ids = []
        for uid in range(6):
            sender = Address("Ann@Customer.example" if uid % 2 else "bob@x.example")
            ids.append(create(storage, uid, message=make_message(uid, sender=sender)))
            clock.advance(timedelta(minutes=1))
        storage.tickets.set_open(ids[1], is_open=False)
        storage.tickets.add([make_reply(9, ids[2])])

        def found(limit: int, **wanted: Any) -> list[str]:
            page = partial(storage.tickets.page, **wanted)
            return [ticket.ticket_id for ticket in pages(page, limit=limit)]

        for limit in (1, 2, 10):
            assert found(limit, status=TicketStatus.CLOSED) == [ids[1]]
            assert found(limit, requester="ann@customer.example") == [ids[5], ids[3], ids[1]]
            assert found(limit, requester="ANN@customer.example", status=TicketStatus.OPEN) == [ids[5], ids[3]]
            since = start + timedelta(minutes=4)
            assert found(limit, changed_since=since) == [ids[5], ids[4], ids[2], ids[1]]
            assert found(limit, changed_since=since, status=TicketStatus.OPEN, requester="bob@x.example") == [
                ids[4],
                ids[2],
            ]
            assert found(limit, changed_since=start + timedelta(days=1)) == []
            assert found(limit, requester="nobody@x.example") == []
