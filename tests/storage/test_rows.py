"""Every noun of the jobs table comes back from its row as it went in, and every row is one that Azure takes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.ledger import LedgerEntry, Stage
from shared.model import (
    Action,
    Disposition,
    JobRecord,
    MessageKey,
    MessageRef,
    ParkedMessage,
    PurgedMessage,
    RunOutcome,
    RunReport,
    Trigger,
)
from shared.storage.keys import write_time
from shared.storage.limits import TRANSACTION_BYTES, check_entity, utf16_units, wire_bytes
from shared.storage.rows import (
    config_columns,
    key_ranges,
    keys,
    lease_columns,
    ledger_key,
    read_entry,
    read_job,
    read_parked,
    read_purged,
    read_run,
    write_due,
    write_entry,
    write_parked,
    write_purged,
    write_run,
)
from tests.builders import NOW, make_entry, make_key, make_purged, make_record, make_ref, make_report

#: What can be stored as it is: text without lone surrogates.
texts = st.text(max_size=80)
#: Far too long for a property, and as expensive as text can be.
endless = st.text(st.sampled_from("aé日😀\n"), min_size=1, max_size=20).map(lambda part: part * 4_000)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants naive bounds)
counts = st.integers(0, 2**31 - 1)
dispositions = st.builds(Disposition, read=st.booleans(), deleted=st.booleans(), purge=st.booleans())
job_ids = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)

entries = st.builds(
    LedgerEntry,
    key=st.builds(MessageKey, job_id=job_ids, mailbox=texts, item=texts, generation=counts),
    handle=texts,
    stage=st.sampled_from(Stage),
    attempts=counts,
    run_id=texts,
    ticket_id=texts,
    action=st.none() | st.sampled_from(Action),
    disposition=dispositions,
    message_id=texts,
    sha256=texts,
    reason=texts,
    retry_at=st.none() | instants,
    kept=st.booleans(),
    kept_until=st.none() | instants,
    copy=texts,
)


@given(entries)
def test_a_ledger_entry_comes_back(entry: LedgerEntry) -> None:
    """Every field, whatever its text."""
    row = write_entry(entry, NOW)
    check_entity(row)
    assert read_entry(row, entry.key.job_id, entry.key.mailbox) == entry
    assert row["open"] == entry.open


def test_99_ledger_entries_fit_into_a_transaction() -> None:
    """However much their mail says, and with the row that carries the lease."""
    endless = "日" * 40_000
    entry = make_entry(message_id=endless, reason=endless, key=make_key(mailbox=endless), handle="h" * 500)
    row = write_entry(entry, NOW)
    check_entity(row)
    fence = {
        **keys("support", "job:support"),
        **lease_columns("run", "timer", token="t" * 32, fence=7, now=NOW, lasts=timedelta(seconds=90)),
    }
    assert 99 * wire_bytes(row) + wire_bytes(fence) < TRANSACTION_BYTES
    listing = write_purged(
        make_purged(reason=endless, subject=endless, sender=endless, message_id=endless, key=entry.key)
    )
    check_entity(listing)
    assert 49 * (wire_bytes(row) + wire_bytes(listing)) + wire_bytes(fence) < TRANSACTION_BYTES


records = st.builds(
    JobRecord,
    job_id=job_ids,
    config=texts | endless,
    revision=texts,
    ncrontab=texts,
    enabled=st.booleans(),
    mailbox=texts,
    state=st.builds(lambda created, due: replace(make_record().state, created=created, next_due=due), instants, st.none() | instants),
    name=texts,
    etag=st.just("etag"),
)  # fmt: skip


@given(records)
def test_a_job_comes_back(record: JobRecord) -> None:
    """The config octet for octet, however long; when it was made; and when it is due, or that it never is."""
    row: dict[str, Any] = {
        **keys(record.job_id, f"job:{record.job_id}"),
        **config_columns(record),
        "created": write_time(record.state.created),
        "next_due": write_due(record.state.next_due),
    }
    check_entity(row)
    assert read_job({**row, "etag": "etag"}) == record


@given(instants)
def test_a_job_that_is_never_due_sorts_behind_every_due_one(instant: datetime) -> None:
    """The sweep compares texts."""
    assert write_due(instant) < write_due(None)


reports = st.builds(
    RunReport,
    run_id=texts,
    job_id=job_ids,
    job_name=texts,
    trigger=st.sampled_from(Trigger),
    outcome=st.sampled_from(RunOutcome),
    started=instants,
    ended=st.none() | instants,
    **dict.fromkeys(("created", "updated", "received", "in_box", "rejected", "parked", "purged", "errors"), counts),
    comments=st.lists(st.from_regex(r"[A-Za-zé日😀.]{1,20}( [a-z.]{1,10}){0,5}", fullmatch=True), max_size=50).map(
        tuple
    ),
)


@given(reports)
def test_a_run_record_comes_back(report: RunReport) -> None:
    """Every column of the incoming-mail log, and every sentence."""
    row = write_run(report)
    check_entity(row)
    assert read_run(row, report.job_id) == report


@given(st.lists(texts | endless, max_size=70))
def test_a_run_record_takes_any_comments(comments: list[str]) -> None:
    """One line each, cut where they are endless; of too many the last line tells how many were left out."""
    row = write_run(make_report(comments=tuple(comments)))
    check_entity(row)
    lines = row["comments"].split("\n") if comments else []
    assert len(lines) == min(len(comments), 50)
    assert all(utf16_units(line) <= 500 for line in lines)
    if len(comments) > 50:
        assert lines[-1] == f"... and {len(comments) - 49} more like these."


parked_messages = st.builds(
    ParkedMessage,
    parked_id=texts,
    job_id=job_ids,
    item=texts,
    mailbox=texts,
    reason=texts,
    parked_at=instants,
    attempts=counts,
    size=counts,
    subject=texts,
    sender=texts,
    message_id=texts,
    has_raw=st.booleans(),
)


@given(parked_messages, endless)
def test_a_parked_message_comes_back(parked: ParkedMessage, long: str) -> None:
    """Every field; and what mail has made endless is cut, not refused."""
    assert read_parked(write_parked(parked), parked.job_id) == parked
    cut = write_parked(replace(parked, reason=long, subject=long, sender=long, message_id=long))
    check_entity(cut)
    assert long.startswith(read_parked(cut, parked.job_id).subject)


purged_messages = st.builds(
    PurgedMessage,
    purged_id=texts,
    key=st.builds(MessageKey, job_id=job_ids, mailbox=texts, item=texts, generation=counts),
    purged_at=instants,
    expires_at=instants,
    size=counts,
    sha256=texts,
    ticket_id=texts,
    reason=texts,
    subject=texts,
    sender=texts,
    message_id=texts,
    blob=texts,
    offset=counts,
)


@given(purged_messages)
def test_a_purged_message_comes_back(purged: PurgedMessage) -> None:
    """Every field, and where its bytes are."""
    row = write_purged(purged)
    check_entity(row)
    assert read_purged(row, purged.key.job_id) == purged


def test_a_row_from_before_soft_purge_is_read() -> None:
    """An app that is updated goes on with the ledger that it has."""
    row = write_entry(make_entry(), NOW)
    del row["copy"], row["kept_until"]
    assert read_entry(row, "support", make_entry().key.mailbox) == make_entry()


@given(
    st.lists(st.integers(1, 5_000), max_size=60, unique=True),
    st.lists(st.text("abc/", max_size=4), max_size=120, unique=True),
)
def test_every_message_lies_in_one_of_the_ranges(uids: list[int], others: list[str]) -> None:
    """Numbered and other ids mixed: what is looked for is covered, and no numbered range holds more than one answer."""
    refs = [make_ref(uid) for uid in uids] + [MessageRef(make_key(item=item), item) for item in others]
    ranges = key_ranges(refs)
    assert all(any(low <= ledger_key(ref.key) <= high for low, high in ranges) for ref in refs)
    spans = [int(high[-10:]) - int(low[-10:]) for low, high in ranges if low != high and low[-10:].isdigit() and high[-10:].isdigit()]  # fmt: skip
    assert all(span < 1_000 for span in spans)


def test_a_whole_mailbox_is_a_few_ranges() -> None:
    """2,500 neighbours: three requests; as many ids without order: one."""
    assert len(key_ranges([make_ref(uid) for uid in range(1, 2_501)])) == 3
    assert len(key_ranges([MessageRef(make_key(item=f"AAMk{uid:x}"), "h") for uid in range(1, 2_501)])) == 1
