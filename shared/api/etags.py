"""Conditional requests on jobs (RFC 9110 sections 8.8.3 and 13.1). A job's ETag is its revision in quotes.

It covers the config, not the state: a run that ends changes nothing that an administrator could overwrite.
"""

import re

from shared.api.problems import PRECONDITION_FAILED, PRECONDITION_REQUIRED, Problem
from shared.model import JobRecord

_TAG = re.compile(r'(W/)?"([^"]*)"')


def etag(record: JobRecord) -> str:
    """The value of the ETag header."""
    return f'"{record.revision}"'


def matches(header: str, record: JobRecord, *, weak: bool = False) -> bool:
    """Whether ``header`` (of If-Match, or with ``weak`` of If-None-Match) names the job as it is stored."""
    if header.strip() == "*":
        return True
    return any(tag == record.revision and (weak or not prefix) for prefix, tag in _TAG.findall(header))


def check_match(if_match: str | None, record: JobRecord) -> None:
    """Raise the 412 problem when If-Match was sent and names another version."""
    if if_match is not None and not matches(if_match, record):
        raise Problem(
            PRECONDITION_FAILED,
            f"Job {record.job_id!r} has been changed since you read it: its ETag is {etag(record)} now. "
            "Read it again, and make your change to what it says now.",
            headers={"ETag": etag(record)},
        )


def require_match(if_match: str | None, record: JobRecord) -> None:
    """As `check_match`, and raise the 428 problem when If-Match was not sent."""
    if if_match is None:
        raise Problem(
            PRECONDITION_REQUIRED,
            f"Job {record.job_id!r} exists. To change it, send the ETag that you got with it in an If-Match header.",
            headers={"ETag": etag(record)},
        )
    check_match(if_match, record)
