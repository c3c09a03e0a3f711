"""Alert rules and workbook against what the code really writes."""

import json
import re
from datetime import UTC, datetime

from functions.running import ended_sentence
from shared.events import Event
from shared.model import RunOutcome, RunReport, Trigger
from tests.infra.bicep import BICEP, ROOT, load

#: The level at which a person has to know. These are said by another event as well, or need nobody.
_NOT_ALERTED = {"job_failed": "three of them in a row are job_failing"}


def _alerted() -> set[str]:
    return {alert["event"] for alert in load(BICEP / "modules" / "alerts.bicep").vars["events"]}


def test_rules_are_about_events_that_there_are() -> None:
    """A renamed event would leave a rule that never fires."""
    assert _alerted() - {event.value for event in Event} == set()


def test_every_error_has_a_rule_or_a_reason() -> None:
    """A new event of the level ERROR cannot be forgotten here."""
    errors = {event.value for event in Event if event.level >= 40}
    assert errors - _alerted() == set(_NOT_ALERTED)


def test_events_and_names_fit_the_queries() -> None:
    """Nothing in a name could end the string that stands in the query; actions have short names of 12 at most."""
    assert all(re.fullmatch(r"[a-z_]+", name) for name in _alerted())


def test_the_sweep_is_called_what_the_silent_rule_asks_for() -> None:
    """The rule looks for invocations of that function."""
    assert 'operation_Name == "sweep"' in load(BICEP / "modules" / "alerts.bicep").text
    assert '@app.function_name("sweep")' in (ROOT / "functions" / "sweep.py").read_text()


def test_the_workbook_reads_the_line_that_a_run_ends_with() -> None:
    """``parse`` of Kusto, as a regular expression, over the sentence that the code makes."""
    queries = [
        item["content"]["query"]
        for item in json.loads((BICEP / "workbook.json").read_text())["items"]
        if "query" in item["content"]
    ]
    parsing = {match[1] for query in queries if (match := re.search(r"\| parse message with (.*?)(?: \||$)", query))}
    (pattern,) = parsing
    parts = re.findall(r'"([^"]*)"|(\w+)(:long)?', pattern)
    expression = "".join(
        re.escape(text) if not name else f"(?P<{name}>{r'-?[0-9]+' if number else '.*?'})"
        for text, name, number in parts
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    report = RunReport(
        run_id="20260101T000000-1",
        job_id="support",
        job_name="Support",
        trigger=Trigger.TIMER,
        outcome=RunOutcome.COMPLETED,
        started=now,
        received=9,
        created=5,
        updated=3,
        rejected=1,
    )
    found = re.fullmatch(expression, f"{Event.RUN_ENDED}: job support: {ended_sentence(report)}")
    assert found
    assert found.groupdict() == {
        "job": "support",
        "run": "20260101T000000-1",
        "outcome": "completed",
        "received": "9",
        "created": "5",
        "updated": "3",
        "rejected": "1",
        "parked": "0",
        "errors": "0",
    }


def test_nothing_that_alarms_is_sampled_away() -> None:
    """Rules count lines of the log and invocations of the sweep, so the host must send all of both."""
    host = json.loads((ROOT / "host.json").read_text())
    excluded = host["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";")
    assert {"Trace", "Request", "Exception"} <= set(excluded)
