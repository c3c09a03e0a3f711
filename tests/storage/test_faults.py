"""Whatever storage answers becomes a sentence of ours, with what to do, and without a secret."""

from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime

import pytest
from azure.core.exceptions import ClientAuthenticationError

from dev.ports import free_ports
from shared.errors import Unavailable
from shared.storage.faults import storage_faults
from shared.storage.open import Account
from shared.storage.table import Table
from tests.builders import NOW
from tests.storage.http import KEY, Answer, account_at, answering, silent


def ask(account: Account) -> Unavailable:
    """Read a row, once and without patience: the fault that comes of it."""
    tables = account.tables(retry_total=0, connection_timeout=0.5, read_timeout=0.5)
    with pytest.raises(Unavailable) as caught:
        Table(tables.get_table_client("jobs")).get("p", "r")
    assert caught.value.__cause__ is not None
    assert KEY not in str(caught.value)
    return caught.value


def error(code: str) -> bytes:
    """The body that Table Storage sends with a fault."""
    return f'{{"odata.error": {{"code": "{code}", "message": {{"lang": "en-US", "value": "No."}}}}}}'.encode()


@pytest.mark.parametrize("status", [400, 409, 412, 429, 500, 503])
def test_an_answer_that_is_no_success_is_named(status: int) -> None:
    """Status, reason and what was being done."""
    with answering(lambda _: Answer(status, error("ServerBusy"))) as account:
        fault = ask(account)
    assert fault.what == f"Storage answered {status} (ServerBusy) while reading row 'r' of jobs."
    assert "nothing is lost" in fault.remedy


@pytest.mark.parametrize(("status", "code"), [(401, "InvalidAuthenticationInfo"), (403, "AuthorizationFailure")])
def test_a_refused_identity_names_the_roles(status: int, code: str) -> None:
    """The one thing that a person can do about it."""
    with answering(lambda _: Answer(status, error(code))) as account:
        fault = ask(account)
    assert fault.what.startswith("Storage refused")
    assert "Storage Table Data Contributor" in fault.remedy


def test_a_token_that_cannot_be_had_names_the_roles() -> None:
    """The identity itself fails, before any request."""
    with (
        pytest.raises(Unavailable, match="Storage refused our sign-in while asking") as caught,
        storage_faults("asking"),
    ):
        raise ClientAuthenticationError("No identity.")
    assert "Storage Table Data Contributor" in caught.value.remedy


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", timedelta(seconds=7)), ("", None), (format_datetime(NOW), None), ("-5", None), ("1e3", None)],
)
def test_what_storage_asks_for_is_honoured(header: str, expected: timedelta | None) -> None:
    """Retry-After in seconds (RFC 9110 section 10.2.3); anything else is as good as none."""
    with answering(lambda _: Answer(503, error("ServerBusy"), Retry_After=header)) as account:
        assert ask(account).retry_after == expected


@pytest.fixture(params=["refused", "silent", "half an answer", "no answer at all"])
def away(request: pytest.FixtureRequest) -> Iterator[Account]:
    """Ways not to answer."""
    if request.param == "refused":
        yield account_at(*free_ports(1))
    else:
        words = {
            "silent": b"",
            "half an answer": b"HTTP/1.1 200 OK\r\nContent-",
            "no answer at all": b"\x00\xff\r\n\r\n",
        }
        with silent(words[request.param]) as account:
            yield account


def test_no_answer_names_what_to_check(away: Account) -> None:
    """Refused, silent, cut off or babbling: away, and worth another try."""
    fault = ask(away)
    assert fault.what.startswith("Storage did not answer while reading row 'r' of jobs")
    assert "network rules" in fault.remedy


def test_a_body_that_is_no_json_is_no_defect_of_ours() -> None:
    """A proxy's page in the place of storage's answer: storage is away, and nothing else breaks."""
    page = b"<html>Please sign in</html>"
    with answering(lambda _: Answer(200, page, Content_Type="text/html")) as account:
        ask(account)


def test_a_fault_of_our_own_stays_what_it_is() -> None:
    """Only what the SDK raises is translated."""
    with pytest.raises(ZeroDivisionError), storage_faults("dividing"):
        _ = 1 // 0
