"""One job on each kind of mail server: what is sent to it, and what of that is found in the end."""

import json
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.run.real import Tables
from tests.run.world import mail, reply
from tests.servers.counterparts import Counterpart, Counterparts
from tests.servers.wire import Wire
from tests.soak.judge import Found, Sent, Sort, Version

#: Exchange Online by EWS is at a fixed address, and the same wire as Exchange on-premises.
KINDS = ("imap4", "pop3", "ews", "graph", "spool")

_EVERY_MINUTE = {"frequency": {"type": "interval", "every": 1, "unit": "minutes"}}
#: Handlings that a job changes between, and what each makes of an original.
HANDLINGS: Mapping[str, Mapping[str, bool]] = {
    "read": {"mark_as_read": True},
    "deleted read": {"mark_as_read": True, "mark_as_deleted": True},
    "gone": {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True},
}
_SORTS = (Sort.QUESTION,) * 7 + (Sort.REPLY,) * 2 + (Sort.OWN,)
#: Now and then a message is large, so that a cut falls into it and memory shows what is kept.
_LARGE_EACH, _LARGE, _SMALL = 40, 400_000, 2_000


def now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


@dataclass
class Box:
    """A mailbox, the wire before it, and the job on it."""

    kind: str
    mailbox: Counterpart
    #: None where there is no wire to cut.
    wire: Wire | None
    job_id: str
    #: The ``server`` block, by way of the wire.
    block: Mapping[str, Any]
    sent: list[Sent] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    #: Held by whoever sends.
    sending: threading.Lock = field(default_factory=threading.Lock)

    @property
    def document(self) -> dict[str, Any]:
        """The config that the job begins with."""
        config = {"schedule": _EVERY_MINUTE, **self.mailbox.handling}
        if self.changeable:
            config["on_success"] = HANDLINGS[self.mailbox.ends["ticket"]]
        return {"name": f"Soak {self.kind}", "server": self.block, **config}

    @property
    def changeable(self) -> bool:
        """Whether its handling is a choice: POP3 leaves none."""
        return bool(self.mailbox.handling)

    def begin(self) -> None:
        """The first version counts from now on."""
        self.versions = [Version(self.mailbox.ends["ticket"], now())]

    def change(self, end: str, asked: datetime) -> None:
        """A change of the handling was asked for then, and is certain by now."""
        last = self.versions[-1]
        self.versions[-1:] = [replace(last, ends=now()), Version(end, asked)]

    def send(self, chance: random.Random, count: int = 1) -> None:
        """Put ``count`` messages into the mailbox, one after another: questions, replies, our own."""
        for _ in range(count):
            number = len(self.sent) + 1
            subject = f"{self.job_id} {number:05}"
            questions = [one.subject for one in self.sent[-20:] if one.sort is Sort.QUESTION]
            sort = chance.choice(_SORTS) if questions else Sort.QUESTION
            if sort is Sort.REPLY:
                question = chance.choice(questions)
                data = reply(subject, to=question, sender=_sender(question))
            else:
                mark = {"X_Mail_Connector": "1"} if sort is Sort.OWN else {}
                data = mail(subject, sender=_sender(subject), **mark)
            size = chance.randrange(_LARGE if not chance.randrange(_LARGE_EACH) else _SMALL)
            data += b"".join(b"%060x\r\n" % chance.getrandbits(240) for _ in range(size // 62))
            arrived = now()
            self.mailbox.deliver(data)
            self.sent.append(Sent(subject, sort, arrived))

    def found(self, tables: Tables, *, held: bool) -> Found:
        """What is there, from outside."""
        where = f"subject ge '{self.job_id} ' and subject lt '{self.job_id}!'"
        entries = tables.rows("tickets", "entry:", where=where)
        ledger = tables.rows("jobs", f"msg:{self.job_id}:")
        return Found(
            tickets=[row["subject"] for row in tables.rows("tickets", "ticket:", where=where)],
            entries=[(row["subject"], datetime.fromisoformat(row["added"])) for row in entries],
            parked=[row["subject"] for row in tables.rows("jobs", f"parked:{self.job_id}:")],
            open=[f"{row['item']} ({row['stage']})" for row in ledger if row["open"]],
            originals=self.mailbox.originals(),
            held=held,
        )


def _sender(question: str) -> str:
    """Everybody asks one question, and adds to it."""
    return f"{question.replace(' ', '-')}@customer.example"


def make_boxes(servers: Counterparts) -> list[Box]:
    """One for each kind. Graph's job signs in as an app in Azure does: with the identity that the host offers."""
    made = []
    for kind in KINDS:
        mailbox = servers.new(kind)
        wire = Wire("127.0.0.1", mailbox.port) if mailbox.port else None
        block = mailbox.block
        if wire:
            servers.behind(wire.port, kind)
            block = json.loads(json.dumps(block).replace(str(mailbox.port), str(wire.port)))
        if kind == "graph":
            block["sign_in"] = {"method": "managed_identity"}
        made.append(Box(kind, mailbox, wire, f"soak-{kind}", block))
    return made
