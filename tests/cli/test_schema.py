"""The schema that editors read; ``make check`` runs this, since every change of a job changes it."""

import json
from pathlib import Path

import jsonschema
import pytest

from cli.jobs import job_schema
from tests.api.world import make_job

ROOT = Path(__file__).resolve().parents[2]


def test_the_published_schema_is_that_of_the_code() -> None:
    """docs/job.schema.json: ``mailconnector schema`` wrote it. It takes what the app takes."""
    published = json.loads((ROOT / "docs" / "job.schema.json").read_text())
    assert published == job_schema()
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(make_job(), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(make_job(shedule={}), published)
