"""Azure's exceptions, translated at the border: what failed, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, DeserializationError, HttpResponseError

from shared.errors import Unavailable

_ROLES = (
    "Give the app's identity the roles Storage Table Data Contributor, Storage Blob Data Owner and "
    "Storage Queue Data Contributor on the storage account."
)

#: What the SDKs let through when they stumble over an answer: of their parsers, of a stream that breaks off.
_STUMBLES = (ValueError, TypeError, AttributeError, LookupError, OSError, SyntaxError)


class Answers:
    """What was answered to the calls within, by storage or by something in its place; takes each as their hook."""

    def __init__(self) -> None:
        self._all: list[Any] = []

    def __call__(self, answer: Any) -> None:
        """Keep one."""
        self._all.append(answer)

    @property
    def some(self) -> bool:
        """Whether there was any."""
        # Not the truth of the object itself: the SDKs call no hook that is false.
        return bool(self._all)

    def close(self) -> None:
        """Give their connections back to the pool; one that was not read to its end would keep its own."""
        for answer in self._all:
            answer.http_response.close()


@contextmanager
def storage_faults(doing: str) -> Iterator[Answers]:
    """Translate what Azure Storage raises while ``doing`` ("reading job 'support'").

    Gives what the calls within take as ``raw_response_hook``. It tells a fault of what was answered, by storage or
    by something in its place, from one of ours: nothing can be amiss with an answer before there is one.
    """
    answers = Answers()
    try:
        yield answers
    except ClientAuthenticationError as fault:
        raise Unavailable(f"Storage refused our sign-in while {doing}.", remedy=_ROLES) from fault
    except HttpResponseError as fault:
        known = getattr(fault, "error_code", None)
        code = getattr(known, "value", known) or fault.reason or "no reason given"
        if fault.status_code is None:
            raise _unreadable(doing, fault, answers) from fault
        if fault.status_code == 403:
            raise Unavailable(f"Storage refused access while {doing} ({code}).", remedy=_ROLES) from fault
        raise Unavailable(
            f"Storage answered {fault.status_code} ({code}) while {doing}.",
            remedy="It is tried again by itself; nothing is lost.",
            retry_after=_retry_after(fault),
        ) from fault
    except (AzureError, DeserializationError) as fault:
        raise Unavailable(
            f"Storage did not answer while {doing} ({type(fault).__name__}).",
            remedy="It is tried again by itself; nothing is lost. If it lasts, check the storage account's network "
            "rules and the app's storage settings.",
        ) from fault
    except _STUMBLES as fault:
        if not answers.some:
            raise
        raise _unreadable(doing, fault, answers) from fault


def _unreadable(doing: str, fault: Exception, answers: Answers) -> Unavailable:
    answers.close()
    return Unavailable(
        f"What storage answered while {doing} cannot be read ({type(fault).__name__}).",
        remedy="It is tried again by itself; nothing is lost. If it lasts, look for a proxy in between that answers in "
        "its place.",
    )


def _retry_after(fault: HttpResponseError) -> timedelta | None:
    header = str(getattr(fault.response, "headers", {}).get("Retry-After", ""))
    return timedelta(seconds=int(header)) if header.isdigit() else None
