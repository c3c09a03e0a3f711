"""Which jobs have a timer of their own, and having the platform register timers anew once the table asks for others.

::

    a sweep meets a due job whose timer this process has not registered
    the next sweeps, before they queue anything
      read the job table            which timers are wanted, and whether a run goes on
      have they stood long enough?  who saves ten jobs one after the other wants one restart
      does a run go on anywhere?    then the next sweep looks again
      take the turn                 one conditional write: nobody else asks for half an hour
      restart                       ends this process and every other
    the first sweep of a process that registered other timers than the platform was last told of
      sync the triggers             until it went through: a host that has only begun to start refuses it

The sync is the new process's, not the old one's: the old one is killed while it waits, and the new one knows what there
is to be synced. Timers of jobs that were disabled or deleted are no reason to restart: they find nothing due.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from shared.errors import MailConnectorError, Unavailable
from shared.events import Event, tell
from shared.model import Clock, DueJob, TimerColumns
from shared.schedule.ncrontab import NCrontab
from shared.storage.timer_table import TimerNote, TimerTable

_log = logging.getLogger(__name__)

#: So long the wanted timers must have stood.
STANDS = timedelta(minutes=2)
#: So long nobody asks again.
PAUSE = timedelta(minutes=30)
#: A refused sync is tried again after so long, then twice as long, up to `PAUSE`.
_AGAIN = timedelta(minutes=1)

#: A name that the platform refuses would leave the app without any function at all.
_JOB_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")

_SWEPT = "The sweep runs the jobs whose timers are missing, within a minute of their time."


class Site(Protocol):
    """The app as the platform has it; see `shared.arm.Site`."""

    def restart(self) -> None: ...  # noqa: D102 - the type says it

    def sync_triggers(self) -> None: ...  # noqa: D102 - the type says it


def timers_for(jobs: Iterable[TimerColumns], most: int, complain: Callable[[str], None]) -> dict[str, str]:
    """``{job id: expression}`` of the jobs that get a timer: of those enabled the first ``most`` in order of their ids.

    Rows that cannot have one are told to ``complain``, a sentence each.
    """
    usable = {(job.job_id, job.ncrontab) for job in jobs if job.enabled and job.ncrontab and _usable(job, complain)}
    return dict(sorted(usable)[:most])


def _usable(job: TimerColumns, complain: Callable[[str], None]) -> bool:
    try:
        NCrontab.parse(job.ncrontab)
    except ValueError as fault:
        complain(f"row {job.job_id!r} of the job table gets no timer: {fault}")
        return False
    if not _JOB_ID.fullmatch(job.job_id):
        complain(f"row {job.job_id!r} of the job table is no job id.")
        return False
    return True


class Reindexing:
    """What one process knows of its timers, from sweep to sweep. For one thread at a time, as the sweep is.

    Costs no request while every due job has its timer, but one read at a process's first sweep.
    """

    def __init__(
        self, registered: Mapping[str, str], most: int, table: TimerTable, site: Site | None, clock: Clock
    ) -> None:
        self._registered = dict(registered)
        self._most = most
        self._table = table
        self._site = site
        self._clock = clock
        self._digest = digest_of(registered)
        self._differs = False
        self._synced = False
        self._refused = 0
        #: Nothing has to be looked at before.
        self._look_at = self._sync_at = datetime.min.replace(tzinfo=clock().tzinfo)
        self._said: set[str] = set()

    def notice(self, job: DueJob) -> None:
        """Look at a job that is due, whether this process has its timer, or no room for it."""
        full = len(self._registered) >= self._most and job.job_id > max(self._registered, default="")
        if self._registered.get(job.job_id) != job.ncrontab and not full:
            self._differs = True

    def step(self) -> bool:
        """Do what is to be done at this sweep; whether the app now restarts. Never raises for what others do wrong."""
        if self._site is None:
            if self._differs:
                self._say(
                    Event.REINDEX_OFF,
                    f"the job table asks for other timers than were registered when this process started. {_SWEPT} To "
                    "have the app restarted for them, set MAILCONNECTOR_REINDEX_SITE.",
                )
            return False
        try:
            self._sync(self._site)
            return self._restart(self._site)
        except MailConnectorError as fault:
            self._say(Event.REINDEX_REFUSED, f"{fault} {_SWEPT}")
            return False

    def _sync(self, site: Site) -> None:
        now = self._clock()
        if self._synced or now < self._sync_at:
            return
        note = self._table.note()
        if note.synced == self._digest:
            self._synced = True
            return
        if self._wanted()[0] != self._registered:
            # What this process registered is old already, or was never read: not worth telling the platform.
            self._synced = self._differs = True
            return
        self._sync_at = now + min(PAUSE, _AGAIN * 2**self._refused)
        self._refused += 1
        site.sync_triggers()
        self._synced = True
        # Where somebody else wrote meanwhile, a later process syncs once more: harmless.
        self._table.write(replace(note, synced=self._digest))
        tell(_log, Event.REINDEX, f"the platform was told of {len(self._registered)} timers of jobs.")

    def _restart(self, site: Site) -> bool:
        now = self._clock()
        if not self._differs or now < self._look_at:
            return False
        taken = self._take_turn(now)
        if taken is None:
            return False
        try:
            site.restart()
        except Unavailable as fault:
            if fault.retry_after and fault.retry_after > PAUSE:
                self._look_at = now + fault.retry_after
                self._table.write(replace(taken, not_before=self._look_at))
            raise
        tell(_log, Event.REINDEX, "the app restarts, so that its jobs have the timers that the job table asks for.")
        return True

    def _take_turn(self, now: datetime) -> TimerNote | None:
        """The note that says that we ask for the restart, once it is time for that and nobody else does."""
        note = self._table.note()
        if note.not_before and note.not_before > now:
            self._look_at = note.not_before
            return None
        wanted, running = self._wanted()
        if wanted == self._registered:
            self._differs = False
            return None
        if note.wanted != digest_of(wanted) or note.since is None:
            note = replace(note, wanted=digest_of(wanted), since=now)
            self._table.write(note)
        if now - (note.since or now) < STANDS:
            self._look_at = (note.since or now) + STANDS
            return None
        if running:
            return None
        self._look_at = now + PAUSE
        return self._table.write(replace(note, not_before=self._look_at))

    def _wanted(self) -> tuple[dict[str, str], int]:
        jobs, running = self._table.read()
        return timers_for(jobs, self._most, lambda _: None), running

    def _say(self, event: Event, sentence: str) -> None:
        """Once for each process: what holds is not news every half hour."""
        if sentence not in self._said:
            self._said.add(sentence)
            tell(_log, event, sentence)


def digest_of(timers: Mapping[str, str]) -> str:
    """What two sets of timers have in common if they are the same, and only then."""
    return sha256("\n".join(f"{job} {text}" for job, text in sorted(timers.items())).encode()).hexdigest()
