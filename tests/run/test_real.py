"""The whole way of a message over Dovecot and Azurite: what the suites over fakes cannot know."""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from email.message import EmailMessage
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dev.azurite import Azurite
from dev.ports import free_ports
from shared.errors import MessageError, Refused, Unavailable
from shared.ledger import Stage
from shared.model import Delivered, Delivery, Health, Pick, RunOutcome, RunReport, TicketSummary, Trigger
from shared.ports import Mailbox, OpenRequest, Target, TargetRequest
from shared.run import run_job
from shared.targets.table import TableTarget
from tests.contract.storage import race
from tests.crash.poison import POISON, parse_unless_poison
from tests.run.real import Real, subject_of
from tests.run.world import Killed, mail, reply
from tests.servers.dovecot import Dovecot
from tests.servers.tls import Authority

EVERYTHING = {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True}
PICTURE = bytes(range(256)) * 40


@pytest.fixture
def real(dovecot: Dovecot, azurite: Azurite, prefix: str) -> Real:
    """A mailbox and empty storage."""
    return Real(dovecot, azurite, prefix)


def with_picture(name: str) -> bytes:
    """A message with an attachment."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@customer.example", "support@mail.example", name
    message["Message-ID"] = f"<{name}@customer.example>"
    message.set_content("See the picture.")
    message.add_attachment(PICTURE, maintype="image", subtype="png", filename="Grüße.png")
    return message.as_bytes()


def test_messages_become_tickets(real: Real) -> None:
    """A question, a picture, two replies, our own mail and a broken one; others' mail stays; the next run finds nothing."""
    real.job(on_success=EVERYTHING)
    real.deliver(mail("Read by a person"), flags=r"\Seen")
    real.deliver(mail("Deleted by a person"), flags=r"\Deleted")
    real.deliver(
        mail("Printer"),
        with_picture("Screen"),
        reply("Re: Printer", to="Printer"),
        mail("Loop", X_Mail_Connector="support"),
        b"Subject: Broken\r\nFrom: (c):\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\xff\xfe\r\n",
    )
    report = real.run()
    counts = (report.created, report.updated, report.rejected, report.purged, report.in_box, report.errors)
    assert (report.outcome, counts) == (RunOutcome.COMPLETED, (3, 1, 1, 4, 7, 0))
    assert real.flags() == {"Read by a person": r"\Seen", "Deleted by a person": r"\Deleted", "Loop": ""}
    assert real.tables.subjects() == ["Broken", "Printer", "Screen"]
    by_subject = {row["subject"]: row["ticket_id"] for row in real.tables.rows("tickets", "ticket:")}
    printer = real.storage.tickets.ticket(by_subject["Printer"])
    assert printer is not None
    assert [entry.subject for entry in printer.entries] == ["Printer", "Re: Printer"]
    screen = real.storage.tickets.ticket(by_subject["Screen"])
    assert screen is not None
    found = real.storage.tickets.attachment(screen.ticket_id, screen.entries[0].entry_id, 0)
    assert found is not None
    assert (found[0].name, b"".join(found[1])) == ("Grüße.png", PICTURE)
    again = real.later()
    assert (again.received, again.created, again.errors) == (0, 0, 0)


@pytest.mark.parametrize(("read", "deleted", "purge"), list(product([False, True], repeat=3)))
def test_the_three_check_boxes(real: Real, *, read: bool, deleted: bool, purge: bool) -> None:
    r"""\Seen, \Deleted and UID EXPUNGE, each as configured, seen by another client; the neighbour stays as it was."""
    real.job(on_success={"mark_as_read": read, "mark_as_deleted": deleted, "purge_deleted_at_end_of_session": purge})
    real.deliver(mail("Neighbour"), flags=r"\Deleted \Flagged")
    real.deliver(mail("Printer"))
    assert real.run().created == 1
    marks = " ".join([r"\Deleted"] * deleted + [r"\Seen"] * read)
    assert real.flags() == {"Neighbour": r"\Deleted \Flagged"} | ({} if deleted and purge else {"Printer": marks})
    assert real.later().created == 0
    assert real.tables.subjects() == ["Printer"]


class Refusing:
    """The ``table`` target, which does not take what is called Bad."""

    batch: ClassVar[int] = TableTarget.batch

    def __init__(self, inner: Target) -> None:
        self._inner = inner

    def look_up(self, ticket_ids: Collection[str]) -> Mapping[str, TicketSummary]:
        """See `Target.look_up`."""
        return self._inner.look_up(ticket_ids)

    def apply(self, deliveries: Sequence[Delivery]) -> Sequence[Delivered | MessageError]:
        """See `Target.apply`."""
        return [
            Refused("The target does not take this.") if one.message.subject == "Bad" else self._inner.apply([one])[0]
            for one in deliveries
        ]


def test_a_parked_message_comes_back_from_its_kept_copy(real: Real) -> None:
    """Parked with its bytes; then it leaves the mailbox, a person has it retried, and it becomes a ticket."""

    def refusing(request: TargetRequest) -> Target:
        return Refusing(TableTarget(request.tickets))

    real.job(max_attempts=2)
    real.deliver(mail("Good"), mail("Bad"))
    usual, real.services = real.services, replace(real.services, open_target=refusing)
    assert real.run().errors == 1
    assert real.later().parked == 1
    assert real.flags() == {"Good": r"\Seen", "Bad": ""}
    (parked,), _ = real.storage.parked.page("support", limit=9)
    raw = real.storage.parked.raw("support", parked.parked_id)
    assert raw is not None
    assert b"".join(raw) == mail("Bad")
    real.dovecot.expunge(real.user, 2)
    real.services = usual
    assert real.storage.parked.retry("support", parked.parked_id)
    assert real.later().created == 1
    assert real.tables.subjects() == ["Bad", "Good"]
    assert real.tables.rows("jobs", "parked:") == []


def test_new_messages_are_followed_by_a_cursor(real: Real) -> None:
    """With `pick: new`, read by a person or not, each once; the next listing begins where this one ended."""
    real.job(pick=Pick.NEW, on_success={})
    real.deliver(mail("Unread"))
    real.deliver(mail("Read"), flags=r"\Seen")
    assert real.run().created == 2
    first = real.record().state.cursor
    real.deliver(mail("Third"))
    report = real.later()
    assert (report.received, report.created) == (1, 1)
    assert first
    assert real.record().state.cursor != first
    assert real.tables.subjects() == ["Read", "Third", "Unread"]


def test_a_uidvalidity_that_changes_makes_no_second_ticket_of_read_mail(real: Real) -> None:
    """The folder was made anew: its messages have new identities; what was read stays read, what is new is taken."""
    real.job(server={"folder": "Work"})
    real.dovecot.create_folder(real.user, "Work")
    real.dovecot.append(real.user, "Work", mail("Old"))
    assert real.run().created == 1
    with real.dovecot.session(real.user) as client:
        client.delete("Work")
    real.dovecot.create_folder(real.user, "Work")
    real.dovecot.append(real.user, "Work", mail("New"))
    assert real.later().created == 1
    assert real.tables.subjects() == ["New", "Old"]


def test_many_hands_claim_an_occurrence_once(real: Real) -> None:
    """Sixteen threads on real storage: one of them runs, and the others end at once."""
    real.job()
    real.deliver(mail("Printer"))
    results = race(16, lambda _: run_job("support", Trigger.TIMER, real.services))
    assert [type(result) for result in results if result is not None] == [RunReport]
    assert real.tables.subjects() == ["Printer"]
    assert len(real.tables.rows("jobs", "run:")) == 1


def test_a_run_that_breaks_off_renews_its_lease_no_more(real: Real) -> None:
    """However it ended: whoever comes next does not wait for a run that is not there."""
    real.job()

    def die(request: OpenRequest) -> Mailbox:
        raise Killed

    with pytest.raises(Killed):
        run_job("support", Trigger.TIMER, replace(real.services, open_mailbox=die))
    for thread in threading.enumerate():
        if thread.name == "lease of support":
            thread.join(timeout=10)
            assert not thread.is_alive()


def test_each_end_of_a_message_has_its_own_folder_and_marks(real: Real) -> None:
    """Done ones are moved, rejected ones flagged, and what is given up on is moved out of the way with its copy kept."""
    for folder in ("Done", "Failed"):
        real.dovecot.create_folder(real.user, folder)
    real.job(
        max_attempts=1,
        on_success={"mark_as_read": True, "category": "Ticket", "move_to": "Done"},
        on_reject={"flag": True},
        on_error={"move_to": "Failed"},
    )
    real.deliver(mail("Printer"), mail("Loop", X_Mail_Connector="1"), mail("Bad", **{POISON.replace("-", "_"): "1"}))
    services = replace(real.services, parse=parse_unless_poison)
    report = run_job("support", Trigger.TIMER, services)
    assert report is not None
    assert (report.created, report.rejected, report.parked) == (1, 1, 1)
    assert real.flags() == {"Loop": r"\Flagged"}
    (done,) = real.dovecot.messages(real.user, "Done")
    (failed,) = real.dovecot.messages(real.user, "Failed")
    assert (subject_of(done.data), sorted(done.flags)) == ("Printer", ["Ticket", r"\Seen"])
    assert (subject_of(failed.data), failed.flags) == ("Bad", frozenset())
    assert real.later().received == 0


# --- faults that a person must see ------------------------------------------------------------------------------------


def broken(real: Real, folder: Path) -> dict[str, tuple[dict[str, Any], Health, str]]:
    """Ways in which a server block can be wrong: how the job stands then, and what its record must name."""
    (nobody,) = free_ports(1)
    stranger = Authority(folder)
    return {
        "password": ({"username": "nobody@example.com"}, Health.PAUSED, "nobody@example.com"),
        "folder": ({"folder": "No/Such"}, Health.PAUSED, "No/Such"),
        "secret": ({"password_secret": "lost"}, Health.PAUSED, "lost"),
        "away": ({"port": nobody}, Health.DELAYED, str(nobody)),
        "certificate": ({"ca_file": str(stranger.ca_file)}, Health.PAUSED, "certificate"),
    }


@pytest.mark.parametrize("fault", ["password", "folder", "secret", "away", "certificate"])
def test_a_fault_of_the_mailbox_is_told_in_one_sentence(real: Real, fault: str, tmp_path: Path) -> None:
    """The run record says what failed and what to do; the job backs off; no secret is in it."""
    server, health, named = broken(real, tmp_path)[fault]
    real.job(server=server)
    report = real.run()
    assert (report.outcome, report.errors) == (RunOutcome.FAILED, 1)
    (comment,) = report.comments
    assert named in comment
    assert comment.count(". ") >= 1
    assert real.user.password not in comment
    state = real.record().state
    assert (state.health, state.failures, state.last_error) == (health, 1, comment)
    assert run_job("support", Trigger.TIMER, real.services) is None


def test_storage_may_go_away_in_the_middle(dovecot: Dovecot, prefix: str) -> None:
    """It stops between two batches and comes back: nothing is lost, nothing is doubled, every original is disposed of."""
    names = [f"m{number}" for number in range(250)]
    with Azurite() as storage:
        real = Real(dovecot, storage, prefix)
        real.job(on_success={"mark_as_read": True})
        real.deliver(*(mail(name) for name in names))
        real.requests.at("write threads", 2, storage.stop)
        with pytest.raises(Unavailable):
            real.run()
        storage.start()
        reports = [real.later() for _ in range(3)]
        assert reports[-1].received == 0
        assert real.tables.subjects() == sorted(names)
        assert set(real.flags().values()) == {r"\Seen"}
        assert real.tables.rows("jobs", "parked:") == []
        entries = real.storage.jobs.read("support")
        assert entries is not None
        assert not entries.state.unfinished


def test_what_the_ledger_says_is_what_the_mailbox_shows(real: Real) -> None:
    """After a run every row of the ledger is done, with its ticket, its action and its disposition."""
    real.job(on_success={"mark_as_read": True, "mark_as_deleted": True})
    real.deliver(mail("Printer"), reply("Re: Printer", to="Printer"))
    real.run()
    rows = sorted(real.tables.rows("jobs", "msg:"), key=lambda row: row["item"])
    (ticket,) = real.tables.rows("tickets", "ticket:")
    shown = [(row["stage"], row["action"], row["disposition"], row["ticket_id"], row["attempts"]) for row in rows]
    assert shown == [
        (Stage.DONE, "created", "read+deleted", ticket["ticket_id"], 1),
        (Stage.DONE, "modified", "read+deleted", ticket["ticket_id"], 1),
    ]
    assert set(real.flags().values()) == {r"\Deleted \Seen"}
