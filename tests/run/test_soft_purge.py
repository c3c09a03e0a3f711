"""Soft purge in whole runs: no original goes without its copy, whatever fails; a copy makes the ticket that is asked for."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from shared.api.records import check_job
from shared.errors import Unavailable
from shared.ledger import Stage
from shared.model import PurgedMessage, RunOutcome
from shared.ports import Deadline
from tests.run.world import LONG, Broken, Killed, World, mail, reply

PURGE = {"mark_as_deleted": True, "purge_deleted_at_end_of_session": True}
DAY = timedelta(days=1)
OWN = {"X_Mail_Connector": "support"}
SERVER = {"host": "mail.example", "username": "support", "password_secret": "support"}


def purged(world: World) -> list[PurgedMessage]:
    """Every copy that is listed, by subject."""
    found, _ = world.storage.purged.page("support", limit=1000)
    return sorted(found, key=lambda one: one.subject)


def raw(world: World, one: PurgedMessage) -> bytes:
    """Its bytes."""
    chunks = world.storage.purged.raw("support", one.purged_id)
    assert chunks is not None
    return b"".join(chunks)


def watch(world: World) -> World:
    """Look from outside whenever an original is marked or purged: by then its copy must be listed, to the octet."""
    check = world.check

    def look(step: str, uids: Sequence[int]) -> None:
        check(step, uids)
        if step in {"dispose", "purge"}:
            kept = {(int(one.key.item), raw(world, one)) for one in purged(world)}
            for uid in uids:
                stored = world.folder.messages.get(uid)
                if stored and world.ledger()[uid].disposition.purges and (uid, stored.data) not in kept:
                    raise Broken(step, uid)

    world.steps.before = look
    return world


def make(**config: Any) -> World:
    """A job that purges and keeps copies for ten days."""
    return watch(World(**{"on_success": PURGE, "soft_purge_days": 10, **config}))


@pytest.mark.parametrize(
    ("server", "asked", "days"),
    [
        ({"type": "pop3"}, {}, 30),
        ({"type": "pop3"}, {"soft_purge_days": 0}, 0),
        ({"type": "pop3"}, {"soft_purge_days": 7}, 7),
        ({"type": "imap4"}, {"on_success": PURGE}, 0),
        ({"type": "imap4"}, {"on_success": PURGE, "soft_purge_days": 365}, 365),
    ],
)
def test_how_long_copies_are_kept(server: dict[str, str], asked: dict[str, Any], days: int) -> None:
    """As the job says; left out, 30 days where the server leaves no choice but to purge, and else not at all."""
    job = check_job({"id": "support", "server": {**SERVER, **server}, **asked})
    assert (job.days_kept, job.warnings()) == (days, [])


def test_keeping_what_is_never_purged_is_warned_of() -> None:
    """The setting is allowed, but surely not meant."""
    job = check_job({"id": "support", "server": {**SERVER, "type": "imap4"}, "soft_purge_days": 5})
    assert job.warnings() == ["soft_purge_days has no effect: this job purges no message."]


def test_what_is_purged_is_kept() -> None:
    """Tickets and rejected ones alike, each with what a person finds it by, to the end of the tenth day."""
    world = make(on_reject=PURGE)
    first, own = mail("First"), mail("Own", **OWN)
    world.deliver(first, own)
    report = world.report()
    assert (report.created, report.rejected, report.purged, world.flags()) == (1, 1, 2, {})
    one, two = purged(world)
    (ticket,) = world.tickets()
    assert (one.subject, one.ticket_id, one.reason, one.sender) == (
        "First",
        ticket.ticket_id,
        "",
        "Ann <ann@customer.example>",
    )
    assert (two.subject, two.ticket_id, bool(two.reason)) == ("Own", "", True)
    assert (raw(world, one), raw(world, two)) == (first, own)
    midnight = one.purged_at.replace(hour=0, minute=0, second=0, microsecond=0)
    assert one.expires_at == midnight + 11 * DAY
    assert world.storage.writes.count("ledger.keep") == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"soft_purge_days": None}, mail("Plain")),
        ({"soft_purge_days": 0}, mail("Plain")),
        ({"on_success": {"mark_as_deleted": True}}, mail("Plain")),
        ({}, mail("Rejected", **OWN)),
        ({"max_message_mb": 1}, mail("Large") + b"x" * 1_100_000),
    ],
    ids=["left out", "off", "not purged", "rejected and left", "over the limit"],
)
def test_what_is_not_purged_is_not_kept(config: dict[str, Any], message: bytes) -> None:
    """No copy of what stays, and no request for it."""
    world = World(**{"on_success": PURGE, "soft_purge_days": 10, **config})
    world.deliver(message)
    world.report()
    assert purged(world) == []
    assert "ledger.keep" not in world.storage.writes


def test_nothing_goes_while_copies_cannot_be_kept() -> None:
    """Blob storage is away: the run fails, every original is as it was; then all goes, and there is no second ticket."""
    world = make()
    world.deliver(mail("First"), mail("Second"))
    run_until(world, "ledger.keep")
    report = world.report()
    assert (report.outcome, report.created, world.flags()) == (RunOutcome.FAILED, 0, {1: "untouched", 2: "untouched"})
    assert report.comments == ("Blobs are away.",)
    assert [entry.attempts for entry in world.ledger().values()] == [0, 0]
    report = world.later()
    assert (report.created, report.purged, world.subjects(), world.flags()) == (2, 2, [["First"], ["Second"]], {})
    assert [one.subject for one in purged(world)] == ["First", "Second"]


def run_until(world: World, write: str) -> None:
    """Have storage fail at the first write of this name, which the same run in another world tells the number of."""
    other = make()
    other.deliver(mail("First"), mail("Second"))
    before = len(other.storage.writes)
    other.report()
    nth = other.storage.writes[before:].index(write) + 1
    world.storage.fail_next(nth, Unavailable("Blobs are away."))


def crowd() -> World:
    """More than one delivery, a reply, one that is rejected and goes as well, one that cannot be handled."""
    world = make(on_reject=PURGE, max_attempts=1)
    world.deliver(
        mail("A"), mail("B"), reply("Re: A", to="A"), mail("Loop", **OWN), mail("Refused"), mail("C", message_id=None)
    )
    world.refused.add("Refused")
    return world


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fault", [Killed(), Unavailable("Away.")], ids=["killed", "away"])
def test_storage_may_fail_or_the_worker_die_at_every_write(fault: BaseException, *, after: bool) -> None:
    """`watch` sees that nothing goes without its copy; in the end each message is kept, and has one ticket.

    A write whose answer was lost is done again, and may list a copy twice; the run records count each ticket once.
    """
    nth = 0
    while True:
        nth += 1
        world = crowd()
        so_far = len(world.storage.writes)
        killed = isinstance(fault, Killed)
        world.storage.fail_next(nth, fault, after=after, lasting=killed)
        ran = False
        with suppress(Killed, Unavailable):
            ran = world.run() is not None
        struck = len(world.storage.writes) >= so_far + nth
        world.recover()
        world.drain()
        assert world.subjects() == [["A", "Re: A"], ["B"], ["C"]], nth
        assert world.flags() == {5: "untouched"}
        listed = [one.subject for one in purged(world)]
        assert (listed if killed else sorted(set(listed))) == ["A", "B", "C", "Loop", "Re: A"], nth
        reports = world.reports()
        if ran:
            assert (sum(one.created for one in reports), sum(one.updated for one in reports)) == (3, 1), nth
        if not struck:
            break
    assert nth > 15


def test_housekeeping_ends_it() -> None:
    """On the day of expiry the copy is gone; the ledger still knows the message."""
    world = make()
    world.deliver(mail("First"))
    world.report()
    world.clock.advance(11 * DAY)
    tidied = world.storage.housekeeping.tidy(Deadline(world.clock() + DAY, world.clock))
    assert tidied is not None
    assert (tidied.purged_messages, tidied.blobs) == (1, 1)
    assert (purged(world), world.ledger()[1].stage) == ([], Stage.DONE)


# --- re-processing ---------------------------------------------------------------------------------------------------


def after_a_purge(**config: Any) -> tuple[World, PurgedMessage]:
    """A world in which one message was purged, and its copy."""
    world = make(**config)
    world.deliver(mail("First"))
    world.report()
    (one,) = purged(world)
    return world, one


def ask(world: World, one: PurgedMessage) -> None:
    """A person's wish."""
    assert world.storage.purged.reprocess("support", one.purged_id)


def test_a_copy_becomes_a_further_ticket() -> None:
    """By the next run, without the mailbox; the copy stays, is not kept again, and can be asked for again."""
    world, one = after_a_purge()
    for further in (1, 2):
        ask(world, one)
        world.steps.taken.clear()
        report = world.later()
        assert (report.created, report.received, report.errors) == (1, 1, 0)
        assert world.steps.taken == ["open", "candidates", "apply"]
        assert world.subjects() == [["First"]] * (1 + further)
        assert len({ticket.ticket_id for ticket in world.tickets()}) == 1 + further
        assert (world.ledger()[1].stage, purged(world)) == (Stage.DONE, [one])
    assert world.later().received == 0


def test_a_copy_goes_through_the_rules_of_today() -> None:
    """What they reject makes no ticket, is not kept again, and is done."""
    world = make(on_reject=PURGE)
    world.deliver(mail("First"), mail("Loop", **OWN))
    world.report()
    _, loop = purged(world)
    ask(world, loop)
    report = world.later()
    assert (report.rejected, report.created, world.ledger()[2].stage) == (1, 0, Stage.DONE)
    assert [one.subject for one in purged(world)] == ["First", "Loop"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fault", [Killed(), Unavailable("Away.")], ids=["killed", "away"])
def test_a_copy_never_becomes_two_further_tickets(fault: BaseException, *, after: bool) -> None:
    """Whichever write of the run fails, or kills the worker: in the end there is one ticket more."""
    nth = 0
    while True:
        nth += 1
        world, one = after_a_purge()
        ask(world, one)
        world.clock.advance(LONG)
        so_far = len(world.storage.writes)
        world.storage.fail_next(nth, fault, after=after, lasting=True)
        with suppress(Killed, Unavailable):
            world.run()
        struck = len(world.storage.writes) >= so_far + nth
        world.recover()
        world.drain()
        assert world.subjects() == [["First"], ["First"]], nth
        assert purged(world) == [one]
        if not struck:
            break
    assert nth > 4


def test_a_copy_that_cannot_be_handled_is_parked_and_may_be_retried() -> None:
    """As any message; the mailbox is asked for nothing, and the retry makes the ticket from the copy."""
    world, one = after_a_purge(max_attempts=1)
    world.refused.add("First")
    ask(world, one)
    assert world.later().parked == 1
    assert not world.storage.purged.reprocess("support", one.purged_id)
    world.refused.clear()
    (parked,), _ = world.storage.parked.page("support", limit=9)
    assert world.storage.parked.retry("support", parked.parked_id)
    world.steps.taken.clear()
    assert world.later().created == 1
    assert world.steps.taken == ["open", "candidates", "apply"]
    assert world.subjects() == [["First"], ["First"]]


def test_a_copy_that_is_gone_by_then_is_told() -> None:
    """Discarded before the run came: nothing is made, nothing stays open, and the record says why."""
    world, one = after_a_purge()
    ask(world, one)
    world.storage.purged.discard("support", one.purged_id)
    report = world.later()
    assert report.comments == ("A purged message was to be re-processed, but its copy is not kept any more.",)
    assert (world.subjects(), world.ledger()[1].stage, world.state().unfinished) == ([["First"]], Stage.DONE, False)


def test_a_copy_leaves_alone_what_has_its_name_now() -> None:
    """The mailbox gave the same name to another message: it is neither taken for the copy nor removed with it."""
    world, one = after_a_purge()
    ask(world, one)
    world.folder._next = 1
    world.deliver(mail("Another"))
    report = world.later()
    assert (report.created, world.subjects(), world.flags()) == (1, [["First"], ["First"]], {1: "untouched"})
    assert world.later().purged == 1
    assert (world.subjects(), world.flags()) == ([["Another"], ["First"], ["First"]], {})


def test_a_message_with_its_ticket_that_comes_back_is_kept_once_a_day() -> None:
    """A server that shows it again and again does not fill the storage; what goes has a copy for its full time."""
    world = make()
    for _ in range(3):
        world.folder._next = 1
        world.deliver(mail("First"))
        world.later(timedelta(minutes=10))
    assert (world.subjects(), world.flags(), len(purged(world))) == ([["First"]], {}, 1)
    world.clock.advance(DAY)
    world.folder._next = 1
    world.deliver(mail("First"))
    world.later(timedelta(minutes=10))
    assert (world.subjects(), world.flags(), len(purged(world))) == ([["First"]], {}, 2)
