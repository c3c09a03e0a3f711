"""The OpenAPI document, and that the API is what it says."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from shared.api import app, views
from shared.api.faults import read_as
from shared.api.records import check_job
from shared.api.schedules import PreviewRequest
from shared.api.secrets import SecretRequest
from tests.api.test_parked import park
from tests.api.test_purged import purge
from tests.api.test_tickets import add
from tests.api.world import World, make_job
from tests.builders import make_attachment, make_report

MODELS: dict[str, type[BaseModel]] = {
    name: model
    for module in (views, *app._MODULES)
    for name, model in vars(module).items()
    if isinstance(model, type) and issubclass(model, BaseModel)
}


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    """The document as a client gets it."""
    found: dict[str, Any] = world.client.get("/api/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within ``value``."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    """Version, title, and a description, a name and a tag for every operation."""
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == "1.2.3"
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for _, path, operation in operations(document):
        assert operation["description"], path
        assert operation["tags"], path
        assert all(parameter.get("description") for parameter in operation.get("parameters", [])), path


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No schema names another that is not there."""
    references = {node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)}
    assert references
    for reference in references:
        here: Any = document
        for part in reference.removeprefix("#/").split("/"):
            here = here[part]


def test_every_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    """Problems are part of the description; only health has none."""
    for _, path, operation in operations(document):
        if path != "/api/health":
            assert "application/problem+json" in operation["responses"]["default"]["content"], path


def test_the_versions_of_a_job_are_described(document: dict[str, Any]) -> None:
    """Whoever reads a job is told of the ETag, whoever changes one of If-Match, 412 and 428."""
    job = document["paths"]["/api/jobs/{job_id}"]
    for method in ("get", "put", "patch"):
        assert "ETag" in job[method]["responses"]["200"]["headers"]
    for method in ("put", "patch"):
        assert {"412", "428"} <= set(job[method]["responses"])
        assert "if-match" in {parameter["name"] for parameter in job[method]["parameters"]}
    assert {"ETag", "Location"} <= set(document["paths"]["/api/jobs"]["post"]["responses"]["201"]["headers"])


def test_the_examples_are_right(document: dict[str, Any]) -> None:
    """What the document shows as a body is taken as one."""
    paths = document["paths"]

    def example(path: str, method: str) -> Any:
        return paths[path][method]["requestBody"]["content"]["application/json"]["example"]

    assert check_job(example("/api/jobs", "post")).id == "support"
    assert check_job(example("/api/jobs/{job_id}", "put"), job_id="support").id == "support"
    assert read_as(PreviewRequest, example("/api/schedules/preview", "post")).count == 3
    assert read_as(SecretRequest, example("/api/secrets/{name}", "put")).expires


def test_the_schema_of_a_job_refuses_what_the_api_refuses(document: dict[str, Any]) -> None:
    """Unknown fields are refused by the schema too, and only what has no default is required."""
    schemas = document["components"]["schemas"]
    assert schemas["Job"]["additionalProperties"] is False
    assert schemas["Imap4Settings"]["additionalProperties"] is False
    assert schemas["Job"]["required"] == ["id", "server"]


def test_every_operation_is_what_the_document_says(world: World, document: dict[str, Any]) -> None:
    """Each operation is called once: its answer has a described status, and the body that is described for it."""
    world.create()
    park(world, 1, 2, 3)
    purge(world, 4, 5, 6)
    world.storage.jobs.note(make_report())
    ticket = add(world, attachments=(make_attachment(),))
    entry = world.client.get(f"/api/tickets/{ticket}").json()["entries"][0]["id"]
    job = "/api/jobs/support"
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "list_jobs": ("/api/jobs", {}),
        "create_job": ("/api/jobs", {"json": make_job(id="second")}),
        "read_job": (job, {}),
        "put_job": (job, {"json": make_job(name="Put"), "headers": {"If-Match": "*"}}),
        "patch_job": (job, {"json": {"name": "Patched"}, "headers": {"If-Match": "*"}}),
        "disable_job": (f"{job}/disable", {}),
        "enable_job": (f"{job}/enable", {}),
        "test_job": (f"{job}/test", {}),
        "run_job_now": (f"{job}/run", {}),
        "list_runs": (f"{job}/runs", {}),
        "read_run": (f"{job}/runs/run-1", {}),
        "list_parked": (f"{job}/parked", {}),
        "read_parked": (f"{job}/parked/parked-1", {}),
        "read_raw": (f"{job}/parked/parked-1/raw", {}),
        "retry_parked": (f"{job}/parked/parked-1/retry", {}),
        "retry_many": (f"{job}/parked/retry", {"json": {"ids": ["parked-2"]}}),
        "list_all_parked": ("/api/parked", {}),
        "discard_many": (f"{job}/parked/discard", {"json": {"reason": "nothing like it"}}),
        "discard_parked": (f"{job}/parked/parked-3", {}),
        "list_purged": (f"{job}/purged", {}),
        "read_purged": (f"{job}/purged/purged-4", {}),
        "read_purged_raw": (f"{job}/purged/purged-4/raw", {}),
        "reprocess_purged": (f"{job}/purged/purged-4/reprocess", {}),
        "reprocess_many": (f"{job}/purged/reprocess", {"json": {"ids": ["purged-5"]}}),
        "discard_purged": (f"{job}/purged/purged-6", {}),
        "preview_schedule": ("/api/schedules/preview", {"json": {"schedule": {}}}),
        "list_tickets": ("/api/tickets", {}),
        "read_ticket": (f"/api/tickets/{ticket}", {}),
        "read_attachment": (f"/api/tickets/{ticket}/entries/{entry}/attachments/0", {}),
        "close_ticket": (f"/api/tickets/{ticket}/close", {}),
        "reopen_ticket": (f"/api/tickets/{ticket}/reopen", {}),
        "merge_ticket": (f"/api/tickets/{ticket}/merge", {"json": {"into": add(world, 9)}}),
        "list_audit": ("/api/audit", {}),
        "list_secrets": ("/api/secrets", {}),
        "put_secret": ("/api/secrets/box", {"json": {"value": "x"}}),
        "delete_secret": ("/api/secrets/box", {}),
        "list_alarms": ("/api/alarms", {}),
        "dry_run_job": (f"{job}/dry-run", {}),
        "replay_message": (f"{job}/replay", {"json": {"purged": "purged-4"}}),
        "why": ("/api/messages/why?day=2026-11-23", {}),
        "read_health": ("/api/health", {}),
        "delete_job": (job, {}),
    }
    described = {operation["operationId"]: (method, operation) for method, _, operation in operations(document)}
    assert set(calls) == set(described)
    for name, (path, request) in calls.items():
        method, operation = described[name]
        answer = world.client.request(method, path, **request)
        assert answer.is_success, (name, answer.text)
        check_answer(answer, operation)


def check_answer(answer: httpx.Response, operation: dict[str, Any]) -> None:
    """The answer is one that ``operation`` describes: status, headers, media type and body."""
    described = operation["responses"][str(answer.status_code)]
    for name in set(described.get("headers", {})) - {"Link"}:
        assert name in answer.headers
    if "content" not in described:
        assert answer.content == b""
        return
    ((media_type, content),) = described["content"].items()
    if "$ref" not in content["schema"]:
        assert answer.content
        return
    assert answer.headers["content-type"] == media_type
    model = MODELS[content["schema"]["$ref"].rpartition("/")[2]]
    model.model_validate_json(answer.content)


def test_the_web_framework_waits_for_the_first_request() -> None:
    """Importing the package, as the Functions worker does, loads no FastAPI: timers start without it."""
    code = "import sys, shared.api; print(sorted({'fastapi', 'starlette', 'uvicorn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
