"""What becomes of one message: screened, its references looked up, routed. Changes nothing anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.jobs import Job
from shared.model import Decision, Message, Verdict
from shared.ports import Target, Threads
from shared.routing import Circumstances, refers_to, route, screen


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, and everything that was asked on the way to it."""

    decision: Decision
    verdicts: tuple[Verdict, ...]


class Judge:
    """Decides by one job's settings, with what its target and the threads know."""

    def __init__(self, job: Job, target: Target, threads: Threads) -> None:
        self._job = job
        self._target = target
        self._threads = threads
        self._of_this_run: dict[str, str] = {}

    def remember(self, tickets: Mapping[str, str]) -> None:
        """Keep ``{Message-ID: ticket id}`` in mind, so that it need not be asked for."""
        for message_id, ticket_id in tickets.items():
            self._of_this_run.setdefault(message_id, ticket_id)

    def judge(self, message: Message, received: datetime) -> Judgement:
        """Create, modify or reject, and why. Raises what `Target.look_up` and `Threads.find` raise."""
        settings = self._job.routing
        screened = screen(message, self._job.rules, Circumstances(received, settings.authserv_id))
        if screened.rejected:
            return Judgement(screened.rejected, screened.verdicts)
        reference = refers_to(message, settings)
        threads = self._find_threads(reference.message_ids)
        wanted = {*reference.ticket_ids, *threads.values()}
        tickets = self._target.look_up(wanted) if wanted else {}
        decision = route(message, settings, reference=reference, threads=threads, tickets=tickets, screened=screened)
        return Judgement(decision, screened.verdicts)

    def _find_threads(self, message_ids: Sequence[str]) -> Mapping[str, str]:
        """The ticket of the first Message-ID that has one: the nearest relative decides."""
        scope = self._job.target.scope()
        for message_id in message_ids:
            ticket_id = self._of_this_run.get(message_id) or self._threads.find(scope, [message_id]).get(message_id)
            if ticket_id:
                return {message_id: ticket_id}
        return {}
