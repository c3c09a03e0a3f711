"""Azure's exceptions, translated at the border: what failed, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from azure.core.exceptions import AzureError, ClientAuthenticationError, DeserializationError, HttpResponseError

from shared.errors import Unavailable

_ROLES = (
    "Give the app's identity the roles Storage Table Data Contributor, Storage Blob Data Owner and "
    "Storage Queue Data Contributor on the storage account."
)


@contextmanager
def storage_faults(doing: str) -> Iterator[None]:
    """Translate what Azure Storage raises while ``doing`` ("reading job 'support'")."""
    try:
        yield
    except ClientAuthenticationError as fault:
        raise Unavailable(f"Storage refused our sign-in while {doing}.", remedy=_ROLES) from fault
    except HttpResponseError as fault:
        known = getattr(fault, "error_code", None)
        code = getattr(known, "value", known) or fault.reason or "no reason given"
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


def _retry_after(fault: HttpResponseError) -> timedelta | None:
    header = str(getattr(fault.response, "headers", {}).get("Retry-After", ""))
    return timedelta(seconds=int(header)) if header.isdigit() else None
