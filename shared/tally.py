"""What a run counts and says while it goes, and the report that it makes of it."""

from dataclasses import dataclass, field
from datetime import datetime

from shared.model import Action, RunOutcome, RunReport, Trigger


@dataclass(slots=True)
class Tally:
    """Counts of one run, in the words of the incoming-mail log."""

    run_id: str
    job_id: str
    job_name: str
    trigger: Trigger
    started: datetime
    created: int = 0
    updated: int = 0
    received: int = 0
    in_box: int = 0
    rejected: int = 0
    parked: int = 0
    purged: int = 0
    errors: int = 0
    _comments: dict[str, int] = field(default_factory=dict)

    def say(self, sentence: str) -> None:
        """Note a sentence for people; saying it again only counts."""
        self._comments[sentence] = self._comments.get(sentence, 0) + 1

    def delivered(self, action: Action) -> None:
        """A ticket was created or modified."""
        if action is Action.CREATED:
            self.created += 1
        else:
            self.updated += 1

    def failed(self, sentence: str) -> None:
        """One message, or the run as a whole, did not work out."""
        self.errors += 1
        self.say(sentence)

    def report(self, outcome: RunOutcome, ended: datetime) -> RunReport:
        """The record of the run."""
        return RunReport(
            run_id=self.run_id,
            job_id=self.job_id,
            job_name=self.job_name,
            trigger=self.trigger,
            outcome=outcome,
            started=self.started,
            ended=ended,
            created=self.created,
            updated=self.updated,
            received=self.received,
            in_box=self.in_box,
            rejected=self.rejected,
            parked=self.parked,
            purged=self.purged,
            errors=self.errors,
            comments=tuple(
                sentence if times == 1 else f"{sentence} ({times} times)" for sentence, times in self._comments.items()
            ),
        )
