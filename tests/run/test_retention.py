"""What the ledger forgets in whole runs, and what it must not."""

from datetime import timedelta

import pytest

from shared.errors import Unavailable
from shared.ledger import Stage
from shared.model import RunOutcome
from shared.retention import STRETCH
from tests.run.world import Killed, World, mail

DAY = timedelta(days=1)
LEDGER = timedelta(days=90)
PURGE = {"mark_as_deleted": True, "purge_deleted_at_end_of_session": True}


def reviews(world: World) -> int:
    """How often a run has asked the mailbox what is still there."""
    return world.steps.taken.count("still_there")


def handled(world: World, *names: str) -> list[int]:
    """Messages that were delivered and made tickets of; their UIDs."""
    uids = world.deliver(*map(mail, names))
    assert world.report().created == len(names)
    return uids


def test_what_is_in_the_mailbox_is_never_forgotten() -> None:
    """Read or deleted, for years; a person who marks it as unread then gets no second ticket."""
    world = World()
    read, deleted = handled(world, "read", "deleted")
    world.folder.messages[deleted].deleted = True
    for _ in range(10):
        world.later(LEDGER)
    assert world.ledger().keys() == {read, deleted}
    for stored in world.folder.messages.values():
        stored.seen = stored.deleted = False
    assert world.later().received == 0
    assert world.subjects() == [["deleted"], ["read"]]


def test_what_a_person_removed_is_forgotten_when_it_was_missing_twice() -> None:
    """Ninety days apart; one that came back in between counts as never gone."""
    world = World()
    gone, back = handled(world, "gone", "back")
    taken = {uid: world.folder.messages.pop(uid) for uid in (gone, back)}
    world.later(LEDGER + DAY)
    assert all(entry.missing_since for entry in world.ledger().values())
    world.folder.messages[back] = taken[back]
    world.later(LEDGER + DAY)
    assert world.ledger().keys() == {back}
    assert world.ledger()[back].missing_since is None
    del world.folder.messages[back]
    world.later(LEDGER + DAY)
    assert world.ledger().keys() == {back}
    world.later(LEDGER + DAY)
    assert world.ledger() == {}


def test_what_a_job_purged_is_forgotten_after_its_days() -> None:
    """It is known to be gone since; not a day earlier than ``ledger_days``."""
    world = World(on_success=PURGE, ledger_days=30)
    handled(world, "one")
    world.later(timedelta(days=30, seconds=-1))
    assert len(world.ledger()) == 1
    world.later(2 * DAY)
    assert world.ledger() == {}


def test_a_message_in_another_folder_is_remembered() -> None:
    """Where a move keeps the key, a person may put it back."""
    world = World(on_success={"move_to": "Done"})
    world.folder.others["Done"] = []
    (uid,) = handled(world, "one")
    for _ in range(4):
        world.later(LEDGER)
    stored = world.folder.others["Done"].pop()
    world.folder.messages[uid] = stored
    assert world.later().received == 0
    assert world.subjects() == [["one"]]


def test_what_is_open_or_parked_is_remembered() -> None:
    """Whatever the mailbox says; a discarded one is like any other."""
    world = World(max_attempts=1)
    world.refused = {"bad"}
    (uid,) = world.deliver(mail("bad"))
    world.report()
    del world.folder.messages[uid]
    for _ in range(4):
        world.later(LEDGER)
    assert world.ledger()[uid].stage is Stage.PARKED
    (parked,), _ = world.storage.parked.page("support", limit=10)
    world.storage.parked.discard("support", parked.parked_id)
    for _ in range(3):
        world.later(LEDGER + DAY)
    assert world.ledger() == {}


def test_what_was_parked_once_and_became_a_ticket_leaves_no_copy() -> None:
    """The copy goes with the entry."""
    world = World(max_attempts=1)
    world.refused = {"bad"}
    (uid,) = world.deliver(mail("bad"))
    world.report()
    world.refused = set()
    (parked,), _ = world.storage.parked.page("support", limit=10)
    assert world.storage.parked.retry("support", parked.parked_id)
    assert world.later().created == 1
    del world.folder.messages[uid]
    rows = world.storage.jobs._rows
    assert len(rows.copies) == 1
    for _ in range(3):
        world.later(LEDGER + DAY)
    assert (world.ledger(), rows.copies) == ({}, {})


def test_it_is_looked_at_once_a_day_and_asked_for_once_in_ninety() -> None:
    """A mailbox is not asked at all on days on which nothing is old enough."""
    world = World()
    handled(world, "one")
    for _ in range(89):
        world.later(DAY)
    assert reviews(world) == 0
    for _ in range(95):
        world.later(DAY)
    assert reviews(world) == 2


def test_mail_comes_first() -> None:
    """A run that leaves mail for lack of time looks at nothing old; the run that is through with it does."""
    world = World()
    handled(world, "one")
    world.clock.advance(LEDGER)
    world.deliver(*(mail(f"m{number}") for number in range(120)))

    def dawdle(name: str, _uids: object) -> None:
        if name == "apply":
            world.clock.advance(timedelta(seconds=61))

    world.steps.after = dawdle
    assert world.report().outcome is RunOutcome.CONTINUED
    assert reviews(world) == 0
    world.steps.after = lambda _name, _uids: None
    world.later()
    assert (reviews(world), len(world.tickets())) == (1, 121)


def test_a_stretch_ends_and_the_next_run_goes_on() -> None:
    """Five hundred at a time; when thirty seconds are over, the rest is left for the next run, whenever that is."""
    world = World()
    world.deliver(*(mail(f"m{number}") for number in range(1_200)))
    assert world.report().created == 1_200
    world.folder.messages.clear()
    world.clock.advance(LEDGER)

    def dawdle(name: str, _uids: object) -> None:
        if name == "still_there":
            world.clock.advance(STRETCH)

    world.steps.after = dawdle
    noted = []
    for _ in range(4):
        world.later(timedelta(minutes=5))
        noted.append(sum(entry.missing_since is not None for entry in world.ledger().values()))
    assert noted == [500, 1_000, 1_200, 1_200]


def test_a_mailbox_that_does_not_tell_costs_no_mail() -> None:
    """The run says so and goes well; nothing is forgotten, and it is tried again a day later."""
    world = World()
    handled(world, "one")
    world.clock.advance(LEDGER)
    world.folder.messages.clear()
    world.steps.before = lambda name, _uids: _fail() if name == "still_there" else None
    world.deliver(mail("two"))
    report = world.report()
    assert (report.outcome, report.created, report.errors) == (RunOutcome.COMPLETED, 1, 0)
    assert any("could not be told: The server hangs up." in comment for comment in report.comments)
    assert len(world.ledger()) == 2
    world.later(timedelta(hours=23))
    assert reviews(world) == 1
    world.later(timedelta(hours=2))
    assert reviews(world) == 2


def _fail() -> None:
    raise Unavailable("The server hangs up.")


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_is_killed_while_it_forgets_harms_nothing(*, after: bool) -> None:
    """Before the write takes effect or after it: the next run does what is left."""
    world = World(on_success=PURGE)
    handled(world, "one", "two")
    world.clock.advance(LEDGER + DAY)
    world.storage.fail_next(2, Killed(), after=after, lasting=True)
    world.kill_and_recover()
    assert len(world.ledger()) == (0 if after else 2)
    assert world.storage.writes[-1] == "ledger.forget"
    world.report()
    assert world.ledger() == {}
    assert len(world.tickets()) == 2


def test_a_parked_message_stands_for_the_days_of_its_job() -> None:
    """For ever, unless the job says otherwise."""
    expires = []
    for days in (0, 7):
        world = World(max_attempts=1, parked_days=days)
        world.refused = {"bad"}
        world.deliver(mail("bad"))
        world.report()
        (parked,), _ = world.storage.parked.page("support", limit=10)
        expires.append(parked.expires_at and parked.expires_at - parked.parked_at)
    assert expires == [None, timedelta(days=7)]
