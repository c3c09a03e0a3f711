"""What the host reads from host.json, from local.settings.json and from an env file.

https://learn.microsoft.com/azure/azure-functions/functions-host-json
"""

import json
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any


class HostFault(RuntimeError):
    """The app cannot be hosted as it is; one sentence for each fault."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """``extensions.queues`` of host.json, with the defaults of the real host."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    #: How long a message whose function failed stays hidden.
    visibility_timeout: timedelta = timedelta(0)
    max_polling_interval: timedelta = timedelta(minutes=1)
    #: ``base64`` or ``none``.
    message_encoding: str = "base64"


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What matters to us of host.json."""

    #: None: unbounded.
    function_timeout: timedelta | None = timedelta(minutes=30)
    route_prefix: str = "api"
    queues: QueueOptions = field(default_factory=QueueOptions)


def read_host_json(path: Path) -> HostOptions:
    """The options of a host.json. Raises `HostFault`."""
    document = _read_json(path)
    extensions = document.get("extensions", {})
    queues = extensions.get("queues", {})
    batch_size = int(queues.get("batchSize", 16))
    default = HostOptions()
    return HostOptions(
        function_timeout=_timeout(document.get("functionTimeout"), default.function_timeout),
        route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")).strip("/"),
        queues=QueueOptions(
            batch_size=batch_size,
            new_batch_threshold=int(queues.get("newBatchThreshold", batch_size // 2)),
            max_dequeue_count=int(queues.get("maxDequeueCount", 5)),
            visibility_timeout=_span(queues.get("visibilityTimeout", "00:00:00")),
            max_polling_interval=_span(queues.get("maxPollingInterval", "00:01:00")),
            message_encoding=str(queues.get("messageEncoding", "base64")).lower(),
        ),
    )


def load_settings(environment: MutableMapping[str, str], local_settings: Path, env_file: Path | None) -> None:
    """Put ``Values`` of local.settings.json and the lines of an env file into ``environment``.

    What is there already wins, then the env file, then local.settings.json. Neither file need exist, but an
    ``env_file`` that was asked for must.
    """
    if env_file is not None:
        _fill(environment, _read_env(env_file))
    if local_settings.exists():
        _fill(environment, _read_json(local_settings).get("Values", {}))


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """``text`` with every ``%NAME%`` replaced by that setting, as the host does in schedules and queue names."""

    def setting(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environment:
            raise HostFault(f"The setting {name} is not set: put it into local.settings.json or the environment.")
        return environment[name]

    return re.sub(r"%([^%]+)%", setting, text)


def _fill(environment: MutableMapping[str, str], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        environment.setdefault(name, str(value))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as exc:
        raise HostFault(f"{path.name} is missing in {path.parent}: name the folder of the app with --app-dir.") from exc
    except ValueError as exc:
        raise HostFault(f"{path} is not JSON: {exc}.") from exc
    if not isinstance(document, dict):
        raise HostFault(f"{path} is not a JSON object.")
    return document


def _read_env(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as exc:
        raise HostFault(f"The env file {path} does not exist.") from exc
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _timeout(text: object, default: timedelta | None) -> timedelta | None:
    if text is None:
        return default
    return None if text == "-1" else _span(text)


def _span(text: object) -> timedelta:
    # .NET TimeSpan, the part of it that host.json files use: [d.]hh:mm:ss
    match = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+):(\d+)", str(text))
    if not match:
        raise HostFault(f"{text!r} in host.json is not a time span: write hh:mm:ss.")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
