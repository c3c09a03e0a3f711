"""What became of each message of a soak, from what was found outside of the app. Pure.

It knows what was sent, and under which handling it may have been handled: a job whose handling is changed meanwhile has
several, of which a message's original shows one that was in force between its arrival and its ticket.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

#: What a run that was under way when the handling changed may still do by the old one.
OVERLAP = timedelta(minutes=2)


class Sort(StrEnum):
    """What a message is, and so what it must become."""

    QUESTION = "question"
    #: Answers a question of the same mailbox.
    REPLY = "reply"
    #: Bears our own mark, so it is rejected.
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that was put into a mailbox. Its subject tells it apart."""

    subject: str
    sort: Sort
    arrived: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """What originals become of which a ticket was made, from when the change was asked for until it was replaced."""

    end: str
    begins: datetime
    ends: datetime | None = None

    def may_count(self, arrived: datetime, decided: datetime) -> bool:
        """Whether a run that took a message up between these instants may have had this version."""
        return self.begins <= decided and (self.ends is None or self.ends + OVERLAP >= arrived)


@dataclass(frozen=True, slots=True)
class Found:
    """One job's share of what is there in the end: tables by the storage SDK, the mailbox as another client sees it."""

    #: The subject of each ticket.
    tickets: Sequence[str]
    #: The subject of each entry of a ticket, and when it was added.
    entries: Sequence[tuple[str, datetime]]
    #: The subject of each parked message.
    parked: Sequence[str]
    #: What the ledger has open.
    open: Sequence[str]
    #: subject -> "read", "deleted", both or ""; without those that are gone.
    originals: Mapping[str, str]
    #: Whether a run holds the mailbox, or the sweep would start one.
    held: bool = False


@dataclass
class Verdict:
    """What is wrong with one job in the end, as sentences; nothing, as it should be."""

    name: str
    messages: int
    #: Tickets and entries beyond a ticket's first one.
    created: int = 0
    modified: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    #: Originals that are as no version of the job wants them.
    wrong: list[str] = field(default_factory=list)
    #: Replies that became a ticket of their own.
    apart: list[str] = field(default_factory=list)
    #: Seconds from a message's arrival to its ticket, in the order of arrival.
    delays: list[tuple[datetime, float]] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All of them."""
        groups = {
            "lost": self.lost,
            "doubled": self.doubled,
            "stuck": self.stuck,
            "original": self.wrong,
            "apart": self.apart,
        }
        return [f"{self.name}: {group}: {one}" for group, sentences in groups.items() for one in sentences]


def judge(name: str, sent: Sequence[Sent], versions: Sequence[Version], rejected: str, found: Found) -> Verdict:
    """Compare. ``rejected`` is what the original of a rejected message becomes."""
    verdict = Verdict(name, len(sent), created=len(found.tickets), modified=len(found.entries) - len(found.tickets))
    tickets, entries = Counter(found.tickets), Counter(subject for subject, _ in found.entries)
    added = dict(found.entries)
    parked = set(found.parked)
    for one in sent:
        due = int(one.sort is not Sort.OWN)
        if entries[one.subject] < due and one.subject not in parked:
            verdict.lost.append(f"no ticket has {one.subject!r}")
        if entries[one.subject] > due:
            verdict.doubled.append(f"{entries[one.subject]} entries for {one.subject!r}, {due} due")
        if one.sort is Sort.REPLY and tickets[one.subject]:
            verdict.apart.append(f"{one.subject!r} has a ticket of its own")
        if one.sort is Sort.QUESTION and tickets[one.subject] != entries[one.subject]:
            verdict.doubled.append(f"{tickets[one.subject]} tickets for {one.subject!r}")
        if one.subject in added:
            verdict.delays.append((one.arrived, (added[one.subject] - one.arrived).total_seconds()))
        wanted = _wanted(one, versions, rejected, added.get(one.subject))
        shown = found.originals.get(one.subject, "gone")
        if wanted and shown not in wanted:
            ends = " or ".join(repr(end) for end in sorted(wanted))
            verdict.wrong.append(f"{one.subject!r} is {shown or 'untouched'!r}, not {ends}")
    unknown = (set(tickets) | set(entries) | parked) - {one.subject for one in sent}
    verdict.doubled += [f"nobody sent {subject!r}" for subject in sorted(unknown)]
    verdict.stuck += [f"parked: {subject!r}" for subject in found.parked]
    verdict.stuck += [f"open in the ledger: {item}" for item in found.open]
    if found.held:
        verdict.stuck.append("the job is still held or due")
    verdict.delays.sort()
    return verdict


def _wanted(one: Sent, versions: Iterable[Version], rejected: str, decided: datetime | None) -> set[str]:
    """What its original may be; nothing where it is lost, which is said already."""
    if one.sort is Sort.OWN:
        return {rejected}
    return {version.end for version in versions if decided and version.may_count(one.arrived, decided)}
