"""Whatever comes in place of storage's answer, of any service, is storage being away: never a defect, never a message's fault."""

import re
from collections.abc import Callable

import pytest

from shared.errors import Unavailable
from shared.model import RunRequest, Trigger
from shared.storage.blobs import Container
from shared.storage.open import Account
from shared.storage.run_queue import StorageRunQueue
from shared.storage.table import Table, Write
from tests.storage.http import Answer, answering

_QUICK = {"retry_total": 0}
_MULTIPART = "multipart/mixed; boundary=batchresponse_1"

#: What a relay, a proxy or a broken connection make of an answer.
ODD: dict[str, Answer] = {
    "a page": Answer(200, b"<html>Please sign in</html>", Content_Type="text/html"),
    "a page, as if done": Answer(202, b"<html>Please sign in</html>", Content_Type="text/html"),
    "a page, as if made": Answer(201, b"<html>Please sign in</html>", Content_Type="text/html"),
    "nothing": Answer(200),
    "other JSON": Answer(200, b'{"value": 3}', Content_Type="application/json"),
    "a list": Answer(200, b"[1, 2]", Content_Type="application/json"),
    "no octets of a batch": Answer(202, b"", Content_Type=_MULTIPART),
    "half a batch": Answer(202, b"--batchresponse_1\r\nContent-Type: multi", Content_Type=_MULTIPART),
    "noise in a batch": Answer(202, b"--batchresponse_1\r\n\xff\x00\r\n--batchresponse_1--", Content_Type=_MULTIPART),
    "half an answer": Answer(200, b'{"value": [{"Partit', Content_Type="application/json").broken_off(10),
    "half an answer to a batch": Answer(202, b"--batchresponse_1\r\nConte", Content_Type=_MULTIPART).broken_off(10),
}


def read(account: Account) -> object:
    """One row."""
    return Table(account.tables(**_QUICK).get_table_client("jobs")).get("p", "r")


def read_all(account: Account) -> object:
    """A range of rows."""
    return list(Table(account.tables(**_QUICK).get_table_client("jobs")).rows("p", "a", "b"))


def write(account: Account) -> object:
    """A transaction."""
    row = {"PartitionKey": "p", "RowKey": "r"}
    return Table(account.tables(**_QUICK).get_table_client("jobs")).write(Write("insert", row), Write("put", row))


def store(account: Account) -> object:
    """A blob."""
    Container(lambda: account.blobs(**_QUICK).get_container_client("copies")).put("a/b", b"data")
    return None


def fetch(account: Account) -> object:
    """A blob back."""
    return Container(lambda: account.blobs(**_QUICK).get_container_client("copies")).read("a/b")


def queue(account: Account) -> object:
    """A message for the queue."""
    client = account.queue("runs", **_QUICK)
    StorageRunQueue(lambda: client).put(RunRequest("support", "run", Trigger.MANUAL))
    return None


CALLS: tuple[Callable[[Account], object], ...] = (read, read_all, write, store, fetch, queue)


@pytest.mark.parametrize("call", CALLS)
def test_an_odd_answer_is_no_answer(call: Callable[[Account], object]) -> None:
    """Each of them is told as such, and nothing takes it for what it is not."""
    # Storage says no more to a blob that it took than this.
    odd = {name: one for name, one in ODD.items() if call is not store or one.status != 201}
    said = list(odd.values())
    with answering(lambda nth: said[nth - 1]) as account:
        for name in odd:
            with pytest.raises(Unavailable) as caught:
                pytest.fail(f"{call.__name__} took {name} for an answer: {call(account)!r}")
            assert re.match(r"What storage answered while|Storage (answered 20|did not answer)", caught.value.what)


def test_a_row_that_cannot_be_written_is_a_defect_of_ours() -> None:
    """Before there is an answer, nothing can be wrong with it."""
    with answering(lambda _: Answer(200)) as account, pytest.raises(TypeError):
        Table(account.tables(**_QUICK).get_table_client("jobs")).write(
            Write("insert", {"PartitionKey": "p", "RowKey": "r", "value": object()})
        )
