"""What runs do with acknowledgements: who gets one, how often, when one is lost, and that nothing ever answers itself."""

import email.policy
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.message import Message as Read
from typing import Any, Literal

import pytest

from shared.acknowledgement import Acknowledge, acknowledgement
from shared.canary import Letter
from shared.errors import AuthFailed, ConfigInvalid, Unavailable
from shared.events import Event
from shared.mime import parse
from shared.model import Address, Health, RunOutcome
from shared.ports import PostRequest
from shared.routing import RoutingSettings
from tests.builders import NOW, make_message
from tests.run.test_standing import told
from tests.run.world import Killed, World, mail, reply

SEND = {"by": "smtp", "host": "smtp.example", "username": "support", "password_secret": "smtp"}
OURS, ANN = "support@mail.example", "ann@customer.example"
SENDERS = ("a@customer.example", "b@customer.example", "c@customer.example")


class AckWorld(World):
    """A world whose job acknowledges; what is posted is kept, and posting is a step."""

    def __init__(self, *, acknowledge: Mapping[str, Any] | None = None, **config: Any) -> None:
        super().__init__(acknowledge={"send": SEND, "sender": OURS, **(acknowledge or {})}, **config)
        self.sent: list[Letter] = []
        #: Raised by each posting.
        self.fault: Exception | None = None
        self.services = replace(self.services, post=self._post)

    def _post(self, request: PostRequest) -> None:
        with self.steps.step("post"):
            if self.fault:
                raise self.fault
            self.sent.append(request.letter)

    def recipients(self) -> list[str]:
        """Who was answered."""
        return [letter.recipient for letter in self.sent]


def read(letter: Letter) -> Read:
    """As another program reads it."""
    return message_from_bytes(letter.raw(), policy=email.policy.default)


def test_whoever_opens_a_ticket_is_told_which() -> None:
    """With the header fields of RFC 3834, the tag and the thread, and an envelope without sender; the record has it too."""
    world = AckWorld()
    world.deliver(mail("Printer"))
    report = world.report()
    assert (report.outcome, report.created, report.comments) == (RunOutcome.COMPLETED, 1, ())
    (letter,), (ticket,) = world.sent, world.tickets()
    assert letter.null_sender
    message = read(letter)
    expected = {
        "From": OURS,
        "To": ANN,
        "Subject": f"Auto: [{ticket.ticket_id}] Printer",
        "In-Reply-To": "<Printer@customer.example>",
        "References": "<Printer@customer.example>",
        "Auto-Submitted": "auto-replied",
        "X-Auto-Response-Suppress": "All",
        "X-Mail-Connector": "acknowledgement",
    }
    assert {name: message[name] for name in expected} == expected
    assert f'Hello Ann,\n\nyour message "Printer" has arrived and is ticket {ticket.ticket_id}.' in letter.text
    (why,) = world.storage.jobs._rows.whys.values()
    assert why.notes == (f"An acknowledgement goes to {ANN}, once.",)


def test_the_answer_to_it_joins_the_ticket_and_is_not_acknowledged() -> None:
    """By the tag alone, and by the thread alone; an hour later too, when the caps have room."""
    world = AckWorld()
    world.deliver(mail("Printer"))
    world.report()
    world.clock.advance(timedelta(hours=2))
    world.deliver(mail(f"Re: {world.sent[0].subject}"), reply("Also", to="Printer"))
    assert world.report().updated == 2
    assert len(world.sent) == 1


@pytest.mark.parametrize(
    ("headers", "config"),
    [
        pytest.param({"In_Reply_To": "<x@elsewhere.example>"}, {}, id="a reply"),
        pytest.param({"References": "<x@elsewhere.example>"}, {}, id="a reply by references"),
        pytest.param({"Auto_Submitted": "auto-replied"}, {"guards": {"auto_replies": "ticket"}}, id="automatic answer"),
        pytest.param({"Auto_Submitted": "auto-generated"}, {}, id="alarm"),
        pytest.param({"Precedence": "bulk"}, {}, id="bulk"),
        pytest.param({"List_Id": "<list.example>"}, {}, id="list"),
        pytest.param({"Return_Path": "<>"}, {}, id="empty return path"),
        pytest.param({"Return_Path": "<a b@customer.example>"}, {}, id="return path of nobody"),
        pytest.param({"Return_Path": "<bounces+7@lists.example>"}, {}, id="return path of a robot"),
        pytest.param({"sender": "noreply@shop.example"}, {}, id="nobody reads"),
        pytest.param({"sender": "MAILER-DAEMON@shop.example"}, {}, id="daemon"),
        pytest.param({"sender": "ann"}, {}, id="no address"),
        pytest.param({"sender": "änn@customer.example"}, {}, id="address not in ASCII"),
        pytest.param(
            {"Return_Path": "<=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3D0d=3D0abcc=3D3Ab=3F=3D=40x.example?=>"},
            {},
            id="return path that is decoded",
        ),
        pytest.param({"sender": OURS}, {}, id="own mail"),
        pytest.param({"Return_Path": f"<{OURS}>"}, {}, id="own return path"),
        pytest.param(
            {"Return_Path": "<desk@our.example>"}, {"guards": {"own_addresses": ["*@our.example"]}}, id="ours"
        ),
        pytest.param({"sender": "x@our.example"}, {"guards": {"own_addresses": ["*@our.example"]}}, id="rejected"),
        pytest.param({"X_Mail_Connector_Canary": "t=1"}, {}, id="a canary of somebody"),
        pytest.param({"X_Auto_Response_Suppress": "OOF, AutoReply"}, {}, id="asks for none"),
        pytest.param(
            {"Authentication_Results": "mx.example; dmarc=fail"},
            {"routing": {"authserv_id": "mx.example"}},
            id="forged",
        ),
    ],
)
def test_nobody_else_is_answered(headers: dict[str, str], config: dict[str, Any]) -> None:
    """While a person who writes in the same run is."""
    world = AckWorld(**config)
    world.deliver(mail("This"), mail("That", sender="bob@customer.example"))
    world.folder.messages[1].data = mail("This", **headers)
    assert world.report().errors == 0
    assert world.recipients() == ["bob@customer.example"]


def test_a_closed_tickets_reply_makes_a_ticket_and_no_acknowledgement() -> None:
    """It refers to a known ticket by its tag alone."""
    world = AckWorld()
    world.deliver(mail("Printer"))
    world.report()
    world.clock.advance(timedelta(hours=2))
    world.deliver(mail(f"[{world.tickets()[0].ticket_id}] again", sender="eve@elsewhere.example"))
    assert world.report().created == 1
    assert world.recipients() == [ANN]


def test_it_goes_to_the_return_path() -> None:
    """Where the receiving server wrote one (RFC 3834 section 4)."""
    world = AckWorld()
    world.deliver(mail("Printer", Return_Path="<Ann.Home@Customer.example>"))
    world.report()
    assert world.recipients() == ["ann.home@customer.example"]


def test_one_for_a_sender_and_an_hour_and_so_many_for_a_job() -> None:
    """Over several runs; each message has its ticket all the same."""
    world = AckWorld(acknowledge={"max_per_job": 3})
    world.deliver(*(mail(f"m{n}") for n in range(3)), *(mail(f"s{n}", sender=each) for n, each in enumerate(SENDERS)))
    assert world.report().created == 6
    assert world.recipients() == [ANN, *SENDERS[:2]]
    world.deliver(mail("again"))
    assert world.later(timedelta(minutes=59)).created == 1
    assert len(world.sent) == 3
    world.deliver(mail("once more"))
    assert world.later(timedelta(minutes=2)).created == 1
    assert world.recipients()[3:] == [ANN]


def test_old_mail_is_not_acknowledged() -> None:
    """A job that is let loose on a full mailbox answers nobody who wrote last year."""
    world = AckWorld(pick="unread")
    world.folder.deliver(mail("Old"), received=world.clock() - timedelta(hours=25))
    world.deliver(mail("New", sender="bob@customer.example"))
    assert world.report().created == 2
    assert world.recipients() == ["bob@customer.example"]


def test_one_that_stays_unread_is_acknowledged_once() -> None:
    """Though ``reprocess`` makes a ticket of it in each run."""
    world = AckWorld(reprocess=True, on_success={})
    world.deliver(mail("Printer"))
    assert (world.report().created, world.later(timedelta(hours=2)).created) == (1, 1)
    assert len(world.sent) == 1


def test_a_job_without_one_posts_nothing() -> None:
    """Off by default."""
    world = AckWorld()
    world.deliver(mail("Printer"))
    plain = World()
    plain.services = replace(plain.services, post=world.services.post)
    plain.deliver(mail("Printer"))
    assert plain.report().created == 1
    assert world.sent == []


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        (Unavailable("The mail server is away."), 1),
        (AuthFailed("The mail server refused the password."), 1),
        (ConfigInvalid("The mail server takes no mail for this address."), 3),
        (RuntimeError("A defect."), 4),
    ],
)
def test_a_fault_while_sending_harms_no_run(fault: Exception, tries: int, caplog: pytest.LogCaptureFixture) -> None:
    """It completes without errors, the originals are marked, and it says so; no account is locked by trying on and on."""
    caplog.set_level(logging.INFO)
    world = AckWorld()
    world.fault = fault
    world.deliver(*(mail(f"m{n}", sender=each) for n, each in enumerate((*SENDERS, ANN))))
    report = world.report()
    assert (report.outcome, report.created, report.errors) == (RunOutcome.COMPLETED, 4, 0)
    assert set(world.flags().values()) == {"seen"}
    assert world.state().health is Health.HEALTHY
    assert world.steps.taken.count("post") == tries
    assert told(caplog) == [Event.ACKNOWLEDGEMENT_UNSENT] * tries
    assert report.comments[0].startswith("An acknowledgement could not be sent: ")
    world.fault = None
    world.later()
    assert world.sent == []


def test_sending_takes_a_minute_of_a_run_at_most() -> None:
    """A server that is slow each time does not keep originals from being marked."""
    world = AckWorld()
    world.deliver(*(mail(f"m{n}", sender=f"p{n}@customer.example") for n in range(8)))

    def slowly(step: str, _uids: Sequence[int]) -> None:
        world.clock.advance(timedelta(seconds=15 * (step == "post")))

    world.steps.after = slowly
    report = world.report()
    assert (report.created, len(world.sent)) == (8, 4)
    assert report.comments == (
        "An acknowledgement was not sent, since an earlier one of this run could not be, or they took too long. (4 times)",
    )


@pytest.mark.parametrize("what", ["write before", "write after", "step before", "step after"])
def test_a_kill_costs_one_acknowledgement_and_never_sends_two(what: str) -> None:
    """At every write and every step of a run over three messages: one ticket each, one answer each, or one too few."""
    late, killed = what.endswith("after"), 0
    for nth in range(1, 80):
        world = AckWorld()
        world.deliver(*(mail(f"m{n}", sender=each) for n, each in enumerate(SENDERS)))
        (world.storage if what.startswith("write") else world.steps).fail_next(nth, Killed(), after=late)
        with suppress(Killed):
            world.report()
            break
        killed += 1
        world.recover()
        # Within the hour of the caps, and after the lease.
        world.later(timedelta(minutes=20))
        world.later(timedelta(minutes=20))
        assert len(world.tickets()) == 3
        assert set(world.flags().values()) == {"seen"}
        assert len(world.recipients()) == len(set(world.recipients()))
        assert len(world.sent) >= 2
    assert killed > 10


@pytest.mark.parametrize(
    "lost",
    [(), ("X-Mail-Connector",), ("X-Mail-Connector", "Auto-Submitted")],
    ids=["as it is", "without our mark", "without the mark of a program"],
)
@pytest.mark.parametrize("auto_replies", ["reply", "ticket"])
def test_two_of_our_jobs_do_not_answer_each_other(lost: tuple[str, ...], auto_replies: str) -> None:
    """A message from the one's address to the other's: one acknowledgement, and it is over, even where servers cut fields."""
    guards = {"guards": {"auto_replies": auto_replies}}
    worlds = {one: AckWorld(acknowledge={"sender": one}, **guards) for one in (OURS, "sales@mail.example")}
    worlds[OURS].deliver(mail("Hello", sender="sales@mail.example"))
    handed = dict.fromkeys(worlds, 0)
    for _ in range(6):
        for world in worlds.values():
            world.later(timedelta(hours=2))
        for name, world in worlds.items():
            for letter in world.sent[handed[name] :]:
                raw = b"".join(
                    line
                    for line in letter.raw().splitlines(keepends=True)
                    if not line.startswith(tuple(f"{field}:".encode() for field in lost))
                )
                worlds[letter.recipient].deliver(b"Return-Path: <>\r\n" + raw)
            handed[name] = len(world.sent)
    assert handed == {OURS: 1, "sales@mail.example": 0}


# --- what it says ----------------------------------------------------------------------------------------------------


def written(
    by: Literal["graph", "smtp"] = "smtp",
    *,
    routing: RoutingSettings | None = None,
    subject: str = "Hi",
    **changes: Any,
) -> Letter:
    """The acknowledgement of a message."""
    given = {"send": SEND if by == "smtp" else {"by": by}, **changes.pop("settings", {})}
    return acknowledgement(
        make_message(subject=subject, **changes),
        "T-1",
        Acknowledge.model_validate(given),
        routing or RoutingSettings(),
        sender=OURS,
        recipient=ANN,
        number="7",
        now=NOW,
    )


@pytest.mark.parametrize(
    "evil",
    [
        "Hi\r\nBcc: all@example.com",
        "Hi\nBcc: all@example.com\n\nBuy",
        "=?utf-8?q?Hi=0D=0ABcc=3A_all=40example=2Ecom?=",
        "Hi\u2028Bcc: all@example.com",
        "Hi\x00\x0bBcc: all@example.com",
        "\ud800 Bcc: all@example.com",
        "{tag}{text}{name}",
        "ü" * 5_000,
    ],
)
def test_a_message_cannot_write_into_the_header(evil: str) -> None:
    """Nor into the template: whatever subject, name and Message-ID say, the same fields are there, once each."""
    letter = written(subject=evil, sender=Address(ANN, evil), message_id=f"<{evil}@x.example>")
    message = read(letter)
    assert sorted(set(message.keys())) == sorted(message.keys())
    assert set(message.keys()) <= {
        "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
        "X-Auto-Response-Suppress", "X-Mail-Connector", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    }  # fmt: skip
    assert message["To"] == ANN
    assert letter.raw().isascii()
    assert max(map(len, letter.raw().splitlines())) <= 998
    assert parse(letter.raw()).subject == letter.subject


def test_words_that_have_to_be_encoded_are_short_and_read_as_they_were() -> None:
    """At most 75 characters each (RFC 2047 section 2); the text is readable in any alphabet."""
    letter = written(
        subject="Der Drucker im zweiten Stock brennt, kommen Sie bitte schnell, größte Not " * 2,
        settings={"text": "Grüße, {name}"},
    )
    raw = letter.raw()
    words = [word for word in raw.split() if word.startswith(b"=?")]
    assert words
    assert max(map(len, words)) <= 75
    assert (parse(raw).subject, parse(raw).text.strip()) == (letter.subject, "Grüße, Ann")


def test_the_tag_is_that_of_the_routing() -> None:
    """With its own prefix and suffix."""
    letter = written(routing=RoutingSettings(tag_prefix="MessageID:", tag_suffix="#"))
    assert letter.subject == "Auto: MessageID:T-1# Hi"
