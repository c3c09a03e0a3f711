"""The OpenAPI 3.1 document. Bodies are read and answers are made by hand, so each endpoint says here what they are."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.api.body import JSON, MERGE_PATCH
from shared.api.problems import KINDS, MEDIA_TYPE, Kind
from shared.api.views import ProblemView

Described = dict[int | str, dict[str, Any]]

_PREFIX = "#/components/schemas/"
#: Every model that `answers` and `takes` were told of.
_answered: set[type[BaseModel]] = set()
_taken: set[type[BaseModel]] = set()

_HEADERS: Mapping[str, Any] = {
    "ETag": {"description": "The version of the config, for If-Match.", "schema": {"type": "string"}},
    "Location": {"description": "The address of what was made.", "schema": {"type": "string"}},
    "Link": {"description": 'The next page, rel="next" (RFC 8288).', "schema": {"type": "string"}},
}


def answers(
    status: int,
    model: type[BaseModel] | None,
    description: str,
    *,
    headers: tuple[str, ...] = (),
    media_type: str = JSON,
) -> Described:
    """Describe one answer; join several by ``|``. Without a model, a media type other than JSON is bytes."""
    described: dict[str, Any] = {"description": description}
    if headers:
        described["headers"] = {name: _HEADERS[name] for name in headers}
    if model is not None:
        _answered.add(model)
        described["content"] = {media_type: {"schema": {"$ref": _PREFIX + model.__name__}}}
    elif media_type != JSON:
        described["content"] = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {status: described}


def fails(*kinds: Kind) -> Described:
    """Describe the problems that an endpoint may answer with, beside those that every endpoint may."""
    by_status: dict[int | str, list[Kind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    described = {
        status: _problem(" ".join(f"{kind.title} (`{kind.name}`)" for kind in same))
        for status, same in by_status.items()
    }
    return {**described, "default": _problem("Any other problem.")}


def takes(
    model: type[BaseModel], example: Mapping[str, Any], *, patch: bool = False, required: bool = True
) -> dict[str, Any]:
    """Describe the body of a request, for ``openapi_extra``."""
    _taken.add(model)
    schema = (
        {"type": "object", "description": "A JSON merge patch (RFC 7396): null puts a field back to its default."}
        if patch
        else {"$ref": _PREFIX + model.__name__}
    )
    media_type = MERGE_PATCH if patch else JSON
    return {
        "requestBody": {"required": required, "content": {media_type: {"schema": schema, "example": dict(example)}}}
    }


def complete(document: dict[str, Any], *, entra: bool = False) -> dict[str, Any]:
    """Add to FastAPI's document what it cannot know: the models, and how callers sign in (``entra``, or by key)."""
    wanted = sorted(_answered | {ProblemView}, key=lambda model: model.__name__)
    asked = sorted(_taken, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [*((model, "serialization") for model in wanted), *((model, "validation") for model in asked)],
        ref_template=_PREFIX + "{model}",
    )
    components = document.setdefault("components", {})
    components["schemas"] = schemas["$defs"]
    key = {"type": "apiKey", "in": "header", "name": "x-functions-key", "description": "A key of the app."}
    token = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of Microsoft Entra."}
    components["securitySchemes"] = {"token": token} if entra else {"key": key}
    document["security"] = [{name: []} for name in components["securitySchemes"]]
    document["x-problem-types"] = [{"type": kind.uri, "status": kind.status, "title": kind.title} for kind in KINDS]
    return document


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": _PREFIX + "ProblemView"}}}}
