"""One message among a hundred that kills whoever reads it: nobody else is lost, and it ends parked with its reason."""

import json
import sys
import uuid
from pathlib import Path

from dev.azurite import Azurite
from dev.child import Child
from shared.api.records import check_job, save
from shared.storage import open_storage
from shared.storage.open import utc_now
from tests.run.poison import POISON
from tests.run.real import Tables, job_document, subject_of
from tests.run.world import mail
from tests.servers.dovecot import Dovecot

_ROOT = Path(__file__).resolve().parents[2]


def test_a_message_that_kills_its_readers_is_parked(dovecot: Dovecot, azurite: Azurite) -> None:
    """Two workers die of it, in ever smaller company. Then it is read apart, which only kills its reader, and parked."""
    user, prefix = dovecot.new_mailbox(), f"t{uuid.uuid4().hex[:12]}"
    letters = [mail(f"m{number}") for number in range(100)]
    letters[40] = letters[40].replace(b"Subject:", POISON + b"\r\nSubject:")
    dovecot.append(user, "INBOX", letters)
    storage = open_storage(connection_string=azurite.connection_string, prefix=prefix)
    document = job_document(dovecot, user, enabled=False, on_success={"mark_as_read": True}, max_attempts=3)
    save(storage.jobs, check_job(document), before=None, now=utc_now())
    given = {
        "connection_string": azurite.connection_string,
        "prefix": prefix,
        "job_id": "support",
        "password": user.password,
        "lease_seconds": "1.5",
    }
    codes: list[int] = []
    while len(codes) < 5 and codes[-1:] != [0]:
        start = "from tests.run.poison import main; main()"
        worker = Child("the worker", [sys.executable, "-c", start, json.dumps(given)], cwd=_ROOT)
        codes.append(worker.wait(timeout=120))
        worker.kill()
    assert codes == [1, 1, 0]
    tables = Tables(azurite, prefix)
    assert {row["subject"] for row in tables.rows("tickets", "ticket:")} == {f"m{n}" for n in range(100) if n != 40}
    assert len(tables.rows("tickets", "ticket:")) == 99
    (parked,), _ = storage.parked.page("support", limit=9)
    assert parked.reason == "Reading it stopped a process of its own (exit status 1)."
    assert (parked.attempts, parked.subject, parked.has_raw) == (3, "", True)
    assert b"".join(storage.parked.raw("support", parked.parked_id) or ()) == letters[40]
    unread = [subject_of(one.data) for one in dovecot.messages(user) if r"\Seen" not in one.flags]
    assert unread == ["m40"]
