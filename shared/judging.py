"""What becomes of one message: screened, its references looked up, routed. Changes nothing anywhere."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.jobs import Job
from shared.model import Create, Decision, Message, TicketSummary, Verdict
from shared.ports import Threads
from shared.routing import Circumstances, conversation, refers_to, route, screen, take

#: See `Target.look_up`.
LookUp = Callable[[Collection[str]], Mapping[str, TicketSummary]]

#: How often a ticket may have been merged into another one; whoever merges further is not followed.
_MERGES = 5


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, and everything that was asked on the way to it."""

    decision: Decision
    #: What the target is to have of it: without the attachments that the job does not take.
    message: Message
    verdicts: tuple[Verdict, ...]


class Judge:
    """Decides by one job's settings, with what its target and the threads know."""

    def __init__(self, job: Job, look_up: LookUp, threads: Threads) -> None:
        """``look_up`` is that of the job's target."""
        self._job = job
        self._ask = look_up
        self._threads = threads
        self._of_this_run: dict[str, str] = {}

    def remember(self, tickets: Mapping[str, str]) -> None:
        """Keep ``{Message-ID: ticket id}`` in mind, so that it need not be asked for."""
        for message_id, ticket_id in tickets.items():
            self._of_this_run.setdefault(message_id, ticket_id)

    def names_of(self, message: Message, decision: Decision) -> tuple[str, ...]:
        """Under which names a later message may refer to this one: its Message-ID, an Outlook conversation."""
        begins = isinstance(decision, Create) and self._job.routing.outlook_threads
        return tuple(filter(None, (message.message_id, conversation(message) if begins else None)))

    def judge(self, message: Message, received: datetime) -> Judgement:
        """Create, modify or reject, and why. Raises what `Target.look_up` and `Threads.find` raise."""
        job, settings = self._job, self._job.routing
        circumstances = Circumstances(received, settings.authserv_id)
        screened = screen(message, job.guards, job.rules, circumstances, job.extract)
        if screened.rejected:
            return Judgement(screened.rejected, message, screened.verdicts)
        taken = take(message, job.attachments)
        screened = replace(screened, notes=(*screened.notes, *taken.notes))
        reference = refers_to(message, settings)
        threads = self._find_threads(reference.message_ids)
        tickets = self._look_up({*reference.ticket_ids, *threads.values()})
        decision = route(message, settings, reference=reference, threads=threads, tickets=tickets, screened=screened)
        return Judgement(decision, taken.message, screened.verdicts)

    def _look_up(self, wanted: Collection[str]) -> Mapping[str, TicketSummary]:
        """What the target knows of these tickets, and of those into which they were merged."""
        found: dict[str, TicketSummary] = {}
        for _ in range(_MERGES):
            wanted = {ticket_id for ticket_id in wanted if ticket_id not in found}
            if not wanted:
                break
            found.update(self._ask(wanted))
            wanted = {ticket.merged_into for ticket in found.values() if ticket.merged_into}
        return found

    def _find_threads(self, message_ids: Sequence[str]) -> Mapping[str, str]:
        """The ticket of the first Message-ID that has one: the nearest relative decides."""
        scope = self._job.target.scope()
        for message_id in message_ids:
            ticket_id = self._of_this_run.get(message_id) or self._threads.find(scope, [message_id]).get(message_id)
            if ticket_id:
                return {message_id: ticket_id}
        return {}
