"""What operators build alert rules on: log events whose names and meanings stay.

Each begins its line in the log with its name, and carries name and job as fields of their own where the log keeps
such (``event``, ``job``). Sentences name jobs, hosts and servers' answers, never a subject, a body or a secret.
"""

import logging
from enum import StrEnum
from typing import Self


class Event(StrEnum):
    """The names, each with its level and when it is written."""

    level: int
    when: str

    def __new__(cls, name: str, level: int, when: str) -> Self:
        """``name`` is the value; the others are attributes of the member."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.level = level
        member.when = when
        return member

    RUN_ENDED = "run_ended", logging.INFO, "the end of every run that found something due"
    JOB_FAILED = "job_failed", logging.ERROR, "a run ended with a fault; the sentence says what to do"
    JOB_FAILING = "job_failing", logging.ERROR, "three runs in a row have failed, or one at a defect of ours"
    JOB_PAUSED = "job_paused", logging.ERROR, "sign-in refused or config wrong: nothing goes on until a person acts"
    JOB_RECOVERED = "job_recovered", logging.WARNING, "a run went well after failed ones"
    JOB_OVERDUE = "job_overdue", logging.ERROR, "a job has been due for more than ten minutes"
    MAIL_WAITING = "mail_waiting", logging.ERROR, "a message has waited for its ticket longer than the job allows"
    CANARY_MISSING = "canary_missing", logging.ERROR, "a canary did not come back in time; told by each run meanwhile"
    CANARY_RETURNED = "canary_returned", logging.WARNING, "a canary came back after one had been missing"
    CANARY_UNSENT = "canary_unsent", logging.WARNING, "a canary could not be sent; the run itself is none the worse"
    ACKNOWLEDGEMENT_UNSENT = (
        "acknowledgement_unsent",
        logging.WARNING,
        "a sender was not told of the ticket",
    )
    MESSAGE_PARKED = "message_parked", logging.ERROR, "a message was given up on; its original is kept"
    TIMERS_UNREAD = (
        "timers_unread",
        logging.ERROR,
        "at start, storage did not tell the jobs in time; the sweep runs them",
    )
    SEED_UNUSABLE = "seed_unusable", logging.ERROR, "a job that the deployment brings cannot be made; the others are"
    TIMER_UNUSABLE = "timer_unusable", logging.ERROR, "a row of the job table cannot have a timer"
    REINDEX = "reindex", logging.INFO, "the app restarts for its timers, or the platform was told of them"
    REINDEX_OFF = "reindex_off", logging.INFO, "timers differ from the job table, and no restart is allowed by setting"
    REINDEX_REFUSED = "reindex_refused", logging.WARNING, "the platform did not do it; the sweep runs the jobs"
    SECRET_EXPIRING = "secret_expiring", logging.ERROR, "a secret or certificate ends within 30 days"
    SECRET_EXPIRED = "secret_expired", logging.ERROR, "a secret or certificate has ended; told once a day"
    SECRETS_UNCHECKED = "secrets_unchecked", logging.WARNING, "when secrets end could not be looked up"
    AUDIT_UNWRITTEN = "audit_unwritten", logging.ERROR, "a change was made whose audit record could not be written"
    HOUSEKEEPING = "housekeeping", logging.INFO, "what has expired was removed, once a day"
    HOUSEKEEPING_FAILED = "housekeeping_failed", logging.ERROR, "it could not be; it is tried again some minutes later"
    RUN_REQUEST_UNREADABLE = "run_request_unreadable", logging.ERROR, "something on the run queue is not ours"


def tell(
    log: logging.Logger, event: Event, sentence: str, *, job: str = "", level: int | None = None, trace: bool = False
) -> None:
    """Write ``event`` to ``log``. ``level``: where it is not the event's own; ``trace``: with the present exception."""
    about = f"job {job}: " if job else ""
    fields = {"event": event.value, "job": job}
    log.log(
        event.level if level is None else level, "%s: %s%s", event.value, about, sentence, exc_info=trace, extra=fields
    )
