"""How long to wait before trying again. Pure: the caller brings the fault, the count and the chance."""

from datetime import timedelta

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable

_MINUTE = timedelta(minutes=1)

#: (first pause, longest pause) of a job, by the first class that fits. It doubles with each failure in a row.
_PAUSES: dict[type[JobError], tuple[timedelta, timedelta]] = {
    # Too many refused sign-ins lock accounts, so these start slow.
    AuthFailed: (15 * _MINUTE, 360 * _MINUTE),
    ConfigInvalid: (5 * _MINUTE, 60 * _MINUTE),
    JobError: (_MINUTE, 30 * _MINUTE),
}


def job_pause(fault: JobError, failures: int, *, chance: float) -> timedelta:
    """The pause before a job's next try after ``failures`` (at least 1) in a row.

    ``chance`` in [0, 1) spreads jobs that failed together: up to a fifth more. What the other side asks for
    (Retry-After) is always honoured.
    """
    first, longest = next(pauses for kind, pauses in _PAUSES.items() if isinstance(fault, kind))
    pause = min(longest, first * (1 << min(failures - 1, 20)))
    asked = fault.retry_after if isinstance(fault, Unavailable) and fault.retry_after else timedelta(0)
    return max(pause, asked) * (1 + chance / 5)


def message_pause(attempts: int) -> timedelta:
    """The pause before a message's next try after ``attempts`` (at least 1) of them: 1, 2, 4 minutes, up to an hour."""
    return min(60 * _MINUTE, _MINUTE * (1 << min(attempts - 1, 20)))
