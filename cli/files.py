"""Job files: one job in each, YAML or JSON, with overlays for environments.

::

    jobs/support.yaml            the job; its name is the job's id
    jobs/sales.json
    overlays/test/support.yaml   what is different in the environment "test": a JSON merge patch (RFC 7396)

An overlay without its job, a file that is no job and a field written twice are faults: nothing is guessed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from cli.faults import CommandFault
from shared.api.faults import FaultsFound
from shared.api.records import check_job, merge
from shared.jobs import Job

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class JobFile:
    """One job as its file and overlays say it."""

    path: Path
    job: Job

    @property
    def document(self) -> dict[str, Any]:
        """The job with every default filled in: what the app would show."""
        return self.job.model_dump(mode="json", by_alias=True)


def load(
    folder: Path, *, environment: str = "", overlays: Path | None = None, today: date | None = None
) -> list[JobFile]:
    """The jobs of a folder, or of one file, in the order of their ids. Raises `CommandFault` with every fault."""
    patches = _overlays(overlays or folder.parent / "overlays", environment) if environment else {}
    found: list[JobFile] = []
    faults: list[str] = []
    for path in _job_files(folder):
        try:
            document = read(path)
            if patch := patches.pop(path.stem, None):
                document = merge(document, read(patch))
            found.append(JobFile(path, check_job(document, job_id=path.stem, today=today)))
        except FaultsFound as wrong:
            faults += [f"{path}: {fault.pointer or '/'}: {fault.detail}" for fault in wrong.faults]
        except CommandFault as fault:
            faults.append(str(fault))
    faults += [f"{path}: there is no job {name!r} for this overlay." for name, path in patches.items()]
    faults += _shared_mailboxes(found)
    if faults:
        raise CommandFault("\n".join(faults))
    return sorted(found, key=lambda one: one.job.id)


def read(path: Path) -> Any:
    """What a YAML or JSON file holds. Raises `CommandFault`."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_once)
        return yaml.load(text, Loader=_Strict)  # noqa: S506 (a SafeLoader that is stricter)
    except OSError as fault:
        raise CommandFault(f"{path}: cannot be read: {fault.strerror}.") from fault
    except (ValueError, yaml.YAMLError) as fault:
        raise CommandFault(f"{path}: {' '.join(str(fault).split())}") from fault


def write(path: Path, document: Mapping[str, Any]) -> None:
    """A job file, in the order of the document."""
    if path.suffix == ".json":
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100)
        path.write_text(text, encoding="utf-8")


def _job_files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise CommandFault(f"{folder}: there is no such folder.")
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if not files:
        raise CommandFault(f"{folder}: there is no job file (*.yaml, *.yml, *.json) in it.")
    names: dict[str, Path] = {}
    for path in files:
        if other := names.get(path.stem):
            raise CommandFault(f"{path}: {other.name} is the same job. Keep one of them.")
        names[path.stem] = path
    return files


def _overlays(folder: Path, environment: str) -> dict[str, Path]:
    place = folder / environment
    if not place.is_dir():
        raise CommandFault(f"{place}: there is no such folder for the environment {environment!r}.")
    return {path.stem: path for path in sorted(place.iterdir()) if path.suffix in _SUFFIXES}


def _shared_mailboxes(found: list[JobFile]) -> list[str]:
    """The app refuses a second job on a mailbox; better before anything is applied."""
    mailboxes: dict[str, JobFile] = {}
    faults = []
    for one in found:
        first = mailboxes.setdefault(one.job.server.identity(), one)
        if first is not one:
            faults.append(f"{one.path}: {first.path.name} integrates the same mailbox and folder.")
    return faults


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} is written twice")
    return document


class _Strict(yaml.SafeLoader):
    """YAML in which a field written twice is a fault, and a date or time of day stays the text that it is."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Any]:
    return _once(
        [
            (str(loader.construct_object(key, deep=True)), loader.construct_object(value, deep=True))
            for key, value in node.value
        ]
    )


_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 reads 08:30 as a number of base 60, and 2026-11-01 as a date; jobs write both as text.
_Strict.yaml_implicit_resolvers = {
    first: [one for one in resolvers if not one[0].endswith((":timestamp", ":int"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Strict.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
