"""What becomes of one message: screened, its references looked up, routed. Changes nothing anywhere."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.jobs import Job
from shared.model import Create, Decision, JobState, Message, Modify, Reject, TicketStatus, TicketSummary, Verdict
from shared.ports import Threads
from shared.routing import Circumstances, Reference, conversation, refers_to, route, screen, take
from shared.routing.nature import ANSWERS, nature_of
from shared.routing.traffic import Traffic, alike, by_program, by_sender, by_ticket

#: `Target.look_up` of the job's target of a name; the empty name is that of its own.
LookUp = Callable[[str, Collection[str]], Mapping[str, TicketSummary]]

#: How often a ticket may have been merged into another one; whoever merges further is not followed.
_MERGES = 5


def read_traffic(job: Job, state: JobState, now: datetime) -> Traffic:
    """What came lately, as the last run left it."""
    return Traffic(state.traffic, now, timedelta(minutes=job.guards.window_minutes))


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, and everything that was asked on the way to it."""

    decision: Decision
    #: What the target is to have of it: without the attachments that the job does not take.
    message: Message
    verdicts: tuple[Verdict, ...]
    #: The name of the target that gets it; empty for the job's own.
    target: str = ""


class Judge:
    """Decides by one job's settings, with what its target and the threads know."""

    def __init__(self, job: Job, look_up: LookUp, threads: Threads, traffic: Traffic | None = None) -> None:
        """``look_up`` asks the job's targets; ``traffic`` is what came lately, where that is known."""
        self._job = job
        self._traffic = traffic or Traffic("", datetime(1970, 1, 1, tzinfo=UTC), timedelta(days=1))
        self._ask = look_up
        self._threads = threads
        #: Ticket ids by target scope and Message-ID.
        self._of_this_run: dict[tuple[str, str], str] = {}

    def remember(self, tickets: Mapping[str, str], target: str = "") -> None:
        """Keep ``{Message-ID: ticket id}`` in mind, so that it need not be asked for."""
        scope = self._job.target_settings(target).scope()
        for message_id, ticket_id in tickets.items():
            self._of_this_run.setdefault((scope, message_id), ticket_id)

    def names_of(self, message: Message, decision: Decision) -> tuple[str, ...]:
        """Under which names a later message may refer to this one: its Message-ID, an Outlook conversation."""
        begins = isinstance(decision, Create) and self._job.routing.outlook_threads
        return tuple(filter(None, (message.message_id, conversation(message) if begins else None)))

    def judge(self, message: Message, received: datetime) -> Judgement:
        """Create, modify or reject, and why. Raises what `Target.look_up` and `Threads.find` raise."""
        job, settings = self._job, self._job.routing
        counts = self._traffic.count(by_sender(message)), self._traffic.count(by_program(message))
        circumstances = Circumstances(received, settings.authserv_id, *counts)
        screened = screen(message, job.guards, job.rules, circumstances, job.extract)
        if screened.rejected:
            return Judgement(screened.rejected, message, screened.verdicts)
        taken = take(message, job.attachments)
        screened = replace(screened, notes=(*screened.notes, *taken.notes))
        reference = refers_to(message, settings)
        target, threads, tickets = self._find(reference, screened.target)
        decision = route(message, settings, reference=reference, threads=threads, tickets=tickets, screened=screened)
        decision = self._within_limits(message, decision, target)
        if target and not isinstance(decision, Reject):
            decision = replace(decision, evidence=(*decision.evidence, f"It goes to the target {target!r}."))
        self._traffic.expect(self._keys(message, decision, target))
        return Judgement(decision, taken.message, screened.verdicts, target)

    def _find(self, reference: Reference, chosen: str) -> tuple[str, Mapping[str, str], Mapping[str, TicketSummary]]:
        """The target that has what the message refers to, the chosen one first; its threads and its tickets.

        Where none has any, the chosen one: that is where a new ticket goes.
        """
        others = ["", *self._job.targets]
        for name in dict.fromkeys((chosen, *others)):
            threads = self._find_threads(name, reference.message_ids)
            tickets = self._look_up(name, {*reference.ticket_ids, *threads.values()})
            if threads or tickets:
                return name, threads, tickets
        return chosen, {}, {}

    def settle(self, message: Message, decision: Decision, ticket_id: str, target: str = "") -> None:
        """The message is in this ticket now: from here on it counts."""
        self._traffic.settle(self._keys(message, decision, target, ticket_id), ticket_id)

    def waits_for_a_ticket(self, message: Message) -> bool:
        """Whether ``message`` may have to join the ticket of one that is alike, which is not made yet."""
        return self._job.guards.fold_after is not None and self._traffic.waits(alike(message))

    def _within_limits(self, message: Message, decision: Decision, target: str) -> Decision:
        """Fold what is alike into one ticket, and keep a ticket from growing without end."""
        guards = self._job.guards
        within = f"within {guards.window_minutes} minutes"
        if isinstance(decision, Create) and guards.fold_after is not None:
            number, ticket_id = self._traffic.count(alike(message)), self._traffic.ticket(alike(message))
            ticket = (
                self._look_up(target, {ticket_id}).get(ticket_id) if ticket_id and number >= guards.fold_after else None
            )
            if ticket and ticket.status is TicketStatus.OPEN:
                sender = message.sender.email if message.sender else "a sender without a name"
                note = (
                    f"This is number {number + 1} of messages alike from {sender} {within}: it was added to the ticket "
                    f"of the one before (fold_after: {guards.fold_after})."
                )
                decision = Modify(ticket_id, (*decision.evidence[:-1], note), decision.fields, (note, *decision.notes))
        if isinstance(decision, Modify) and guards.max_per_ticket is not None:
            number = self._traffic.count(by_ticket(decision.ticket_id, target))
            if number >= guards.max_per_ticket:
                reason = (
                    f"Ticket {decision.ticket_id} has had {number} messages {within}, and takes no more "
                    f"(max_per_ticket: {guards.max_per_ticket})."
                )
                return Reject(reason, decision.evidence)
        return decision

    def _keys(self, message: Message, decision: Decision, target: str, ticket_id: str = "") -> list[str]:
        """Under which keys a message counts: only those that a setting asks for."""
        if isinstance(decision, Reject):
            return []
        guards = self._job.guards
        ticket_id = ticket_id or (decision.ticket_id if isinstance(decision, Modify) else "")
        counted = {
            by_sender(message): guards.max_per_sender,
            by_program(message): guards.max_automatic if nature_of(message)[0] in ANSWERS else None,
            alike(message): guards.fold_after,
            by_ticket(ticket_id, target): guards.max_per_ticket if ticket_id else None,
        }
        return [key for key, setting in counted.items() if setting is not None]

    def _look_up(self, target: str, wanted: Collection[str]) -> Mapping[str, TicketSummary]:
        """What the target knows of these tickets, and of those into which they were merged."""
        found: dict[str, TicketSummary] = {}
        for _ in range(_MERGES):
            wanted = {ticket_id for ticket_id in wanted if ticket_id not in found}
            if not wanted:
                break
            found.update(self._ask(target, wanted))
            wanted = {ticket.merged_into for ticket in found.values() if ticket.merged_into}
        return found

    def _find_threads(self, target: str, message_ids: Sequence[str]) -> Mapping[str, str]:
        """The ticket of the first Message-ID that has one: the nearest relative decides."""
        scope = self._job.target_settings(target).scope()
        for message_id in message_ids:
            ticket_id = self._of_this_run.get((scope, message_id)) or self._threads.find(scope, [message_id]).get(
                message_id
            )
            if ticket_id:
                return {message_id: ticket_id}
        return {}
