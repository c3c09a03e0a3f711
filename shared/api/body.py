"""Reads a JSON body, strictly: what is ambiguous is refused rather than guessed at."""

import json
from collections import Counter
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from shared.api.problems import BODY_MALFORMED, BODY_TOO_LARGE, CONTENT_TYPE, Problem

#: Octets. A config that says everything is a hundredth of it, and it fits into one row of the job table.
MAX_BODY = 256 * 1024

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


async def _json(request: Request) -> Any:
    return await _read(request, JSON)


async def _merge_patch(request: Request) -> Any:
    return await _read(request, MERGE_PATCH, JSON)


async def _json_or_nothing(request: Request) -> Any:
    chunked = "transfer-encoding" in request.headers
    if not chunked and request.headers.get("content-length", "0").strip() == "0":
        return None
    return await _read(request, JSON)


#: The body of a request, parsed (RFC 8259).
JsonBody = Annotated[Any, Depends(_json)]
#: The same where a body may be left out; None then.
OptionalJsonBody = Annotated[Any, Depends(_json_or_nothing)]
#: The same, for PATCH (RFC 7396).
MergePatchBody = Annotated[Any, Depends(_merge_patch)]


async def _read(request: Request, *accepted: str) -> Any:
    sent = request.headers.get("content-type", "")
    if sent.partition(";")[0].strip().lower() not in accepted:
        raise Problem(
            CONTENT_TYPE,
            f"The body must be JSON, sent with the header Content-Type: {accepted[0]}.",
            headers={"Accept-Patch" if request.method == "PATCH" else "Accept": ", ".join(accepted)},
        )
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise Problem(BODY_TOO_LARGE, f"The body is over {MAX_BODY // 1024} KiB.", headers={"Connection": "close"})
    return _parse(bytes(data))


def _parse(data: bytes) -> Any:
    if not data.strip():
        raise Problem(BODY_MALFORMED, "The body is empty; it must be a JSON object.")
    try:
        text = data.decode("utf-8-sig")  # some editors and shells put a byte order mark in front
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
        # Half a surrogate pair is JSON by its grammar, but no text that could be stored.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise Problem(BODY_MALFORMED, f"The body is not UTF-8: see octet {error.start}.") from error
    except UnicodeEncodeError as error:
        raise Problem(BODY_MALFORMED, "The body has a \\u escape that is half a character.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem(BODY_MALFORMED, f"The body is not JSON: {error.msg}, {where}.") from error
    except RecursionError as error:
        raise Problem(BODY_MALFORMED, "The body is nested too deeply.") from error
    except ValueError as error:
        raise Problem(BODY_MALFORMED, f"The body is not JSON as it should be: {error}") from error
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number.")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = sorted(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"The field {', '.join(twice)} is there twice in one object.")
    return found
