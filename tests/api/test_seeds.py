"""Jobs that come with the deployment."""

import json
import logging
from typing import Any

import pytest

from dev.azurite import Azurite
from shared.api.seeds import plant
from shared.storage import open_storage
from shared.storage.open import Account, utc_now
from shared.storage.seeds import TableSeeds
from shared.storage.table import Table
from tests.api.world import make_job


class Place:
    """The job store and the memory of seeds, on Azurite."""

    def __init__(self, connection: str, prefix: str) -> None:
        self.jobs = open_storage(connection_string=connection, prefix=prefix).jobs
        tables = Account(connection_string=connection).tables()
        self.seeds = TableSeeds(Table(tables.get_table_client(f"{prefix}jobs")))

    def plant(self, *jobs: Any) -> None:
        """A start of the app with these jobs in its settings."""
        plant(json.dumps(jobs), self.jobs, self.seeds, utc_now)

    def ids(self) -> list[str]:
        """The jobs that there are."""
        return [record.job_id for record in self.jobs.page(limit=50)[0]]


@pytest.fixture
def place(azurite: Azurite, prefix: str) -> Place:
    """Nothing stored yet."""
    return Place(azurite.connection_string, prefix)


def test_each_is_made_once(place: Place) -> None:
    """A deleted one does not come back, a changed one keeps the change, a new one is added."""
    place.plant(make_job(id="a"), make_job(id="b"))
    assert place.ids() == ["a", "b"]
    place.jobs.delete("a")
    place.plant(make_job(id="a"), make_job(id="b", description="as of the second deployment"), make_job(id="c"))
    assert place.ids() == ["b", "c"]
    kept = place.jobs.read("b")
    assert kept
    assert json.loads(kept.config)["description"] == ""


def test_a_kill_between_job_and_memory_makes_no_second(place: Place) -> None:
    """The job is there and nobody remembers: it is left as it is, and remembered."""

    class Forgetful:
        """Is killed before it can remember."""

        known = staticmethod(place.seeds.known)

        def remember(self, job_id: str) -> None:
            raise KeyboardInterrupt(job_id)

    with pytest.raises(KeyboardInterrupt):
        plant(json.dumps([make_job(id="a")]), place.jobs, Forgetful(), utc_now)
    before = place.jobs.read("a")
    place.plant(make_job(id="a", description="changed"))
    assert place.jobs.read("a") == before
    assert place.seeds.known() == {"a"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ('{"id": "a"}', "no array"),
        ('[{"id": "a", "server": {"type": "imap4"}}]', "/server/"),
        ("[7]", "/"),
    ],
)
def test_what_is_wrong_is_said(place: Place, caplog: pytest.LogCaptureFixture, text: str, words: str) -> None:
    """As an event, and without a word of what stands in the setting besides."""
    with caplog.at_level(logging.ERROR):
        plant(text, place.jobs, place.seeds, utc_now)
    (record,) = caplog.records
    assert record.getMessage().startswith("seed_unusable: ")
    assert words in record.getMessage()
    assert place.ids() == []


def test_one_that_is_wrong_stops_no_other(place: Place) -> None:
    """Nor one whose mailbox another has; once it is mended, it is made."""
    other = make_job(id="again", server=make_job(id="a")["server"])
    place.plant({"id": "bad"}, make_job(id="a"), other, make_job(id="z"))
    assert place.ids() == ["a", "z"]
    place.plant(make_job(id="bad"), make_job(id="a"))
    assert place.ids() == ["a", "bad", "z"]
