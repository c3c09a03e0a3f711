"""Jobs as files: validate, plan, apply, export, schema."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel

from cli import plan as planning
from cli import show
from cli.app import App, job_path, open_app
from cli.faults import CommandFault, Exit
from cli.files import JobFile, load, read, write
from cli.plan import Action, Change, Live
from cli.show import Output
from shared.jobs import Job

Url = Annotated[str, typer.Option(envvar="MAILCONNECTOR_URL", help="Where the app is.", show_default=False)]
Folder = Annotated[Path, typer.Argument(help="Folder with job files, or one of them.")]
Environment = Annotated[str, typer.Option("--env", help="Apply overlays/<env> beside the folder.", show_default=False)]
AsJson = Annotated[Output, typer.Option("--output", "-o", help="How to answer.")]

app = typer.Typer()


@app.command()
def validate(folder: Folder = Path("jobs"), environment: Environment = "", output: AsJson = Output.TEXT) -> None:
    """Check job files as the app would, without one."""
    found = _load(folder, environment)
    warnings = [f"{one.path}: {warning}" for one in found for warning in one.job.warnings()]
    if output is Output.JSON:
        show.as_json({"jobs": [one.job.id for one in found], "warnings": warnings})
        return
    for warning in warnings:
        typer.secho(warning, fg=typer.colors.YELLOW)
    typer.echo(f"{len(found)} job file(s) are right.")


@app.command()
def plan(
    folder: Folder = Path("jobs"),
    environment: Environment = "",
    url: Url = "",
    *,
    prune: Annotated[bool, typer.Option("--prune", help="Also delete jobs that no file describes.")] = False,
    save: Annotated[Path | None, typer.Option(help="Keep the plan in a file, for apply --plan.")] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 4 where there are differences.")] = False,
    output: AsJson = Output.TEXT,
) -> None:
    """Show what apply would change. Changes nothing."""
    with open_app(url) as live:
        changes = _changes(live, _load(folder, environment), prune=prune)
    if save:
        save.write_text(json.dumps(planning.to_json(changes), indent=2) + "\n", encoding="utf-8")
    if output is Output.JSON:
        show.as_json(planning.to_json(changes))
    else:
        show.planned(changes)
    if exit_code and _differ(changes):
        raise typer.Exit(Exit.DIFFERENCES)


@app.command()
def apply(
    folder: Folder = Path("jobs"),
    environment: Environment = "",
    url: Url = "",
    *,
    prune: Annotated[bool, typer.Option("--prune", help="Also delete jobs that no file describes.")] = False,
    kept: Annotated[Path | None, typer.Option("--plan", help="Do what a kept plan says, and nothing else.")] = None,
    output: AsJson = Output.TEXT,
) -> None:
    """Make the app's jobs what the files say. A job that somebody changed meanwhile is left alone, and said so."""
    with open_app(url) as live:
        changes = _kept(kept) if kept else _changes(live, _load(folder, environment), prune=prune)
        if output is Output.TEXT:
            show.planned(changes)
        refused = [fault for change in changes if (fault := _carry_out(live, change))]
    if output is Output.JSON:
        show.as_json(planning.to_json(changes))
    if refused:
        code = Exit.CHANGED_MEANWHILE if any(one.code is Exit.CHANGED_MEANWHILE for one in refused) else Exit.FAILED
        raise CommandFault("\n".join(map(str, refused)), code=code)
    if output is Output.TEXT and _differ(changes):
        typer.echo("Done.")


@app.command()
def export(
    folder: Folder = Path("jobs"),
    url: Url = "",
    *,
    form: Annotated[str, typer.Option("--format", help="yaml or json.")] = "yaml",
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write the app's jobs as files, without what is a default anyway."""
    if form not in ("yaml", "json"):
        raise CommandFault("--format takes yaml or json.", code=Exit.USAGE)
    folder.mkdir(parents=True, exist_ok=True)
    with open_app(url) as live:
        documents = list(live.pages("/jobs", limit=200))
    for document in documents:
        path = folder / f"{document['id']}.{form}"
        if path.exists() and not force:
            raise CommandFault(f"{path} is there already; --force writes over it.")
        write(path, essential(document))
        typer.echo(str(path))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a job file, for editors."""
    show.as_json(job_schema())


def job_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a job file. The id may be left out: the file's name has it."""
    found = Job.model_json_schema()
    found["required"] = [name for name in found["required"] if name != "id"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "A job of Mail Connector"}


def essential(document: dict[str, Any]) -> dict[str, Any]:
    """The job without its id, which the file's name says, and without what is left out anyway."""
    job = Job.model_validate({name: value for name, value in document.items() if name not in ("state", "warnings")})
    short = _short(job, job.model_dump(mode="json", by_alias=True))
    return {name: value for name, value in short.items() if name not in ("id", "schema_version")}


def _short(model: BaseModel, dumped: dict[str, Any]) -> dict[str, Any]:
    """What a reader of the document could not know: values that are no defaults, and what tells kinds apart."""
    found = {}
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), field.serialization_alias or name
        tells_kinds_apart = get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
        if tells_kinds_apart or value != field.get_default(call_default_factory=True, validated_data={}):
            found[key] = _shorter(value, dumped[key])
    return found


def _shorter(value: Any, dumped: Any) -> Any:
    if isinstance(value, BaseModel):
        return _short(value, dumped)
    if isinstance(value, list | tuple):
        return [_shorter(one, text) for one, text in zip(value, dumped, strict=True)]
    return dumped


def _load(folder: Path, environment: str) -> list[JobFile]:
    return load(folder, environment=environment, today=datetime.now(UTC).date())


def _changes(live: App, wanted: list[JobFile], *, prune: bool) -> list[Change]:
    documents = {one.job.id: one.document for one in wanted}
    there = {one["id"]: Live(one) for one in live.pages("/jobs", limit=200)}
    # A list carries no versions, so a job that would change is read once more, with its own.
    for change in planning.changes(documents, there, prune=prune):
        if change.action in (Action.UPDATE, Action.DELETE):
            answer = live.call("GET", job_path(change.job_id))
            there[change.job_id] = Live(answer.json(), answer.headers["ETag"])
    return planning.changes(documents, there, prune=prune)


def _kept(path: Path) -> list[Change]:
    try:
        return planning.from_json(read(path))
    except ValueError as fault:
        raise CommandFault(f"{path}: {fault}.") from fault


def _differ(changes: list[Change]) -> bool:
    return any(change.action is not Action.NOTHING for change in changes)


def _carry_out(live: App, change: Change) -> CommandFault | None:
    """One job; its refusal does not keep the others from theirs."""
    headers = {"If-Match": change.etag} if change.etag else {"If-None-Match": "*"}
    try:
        if change.action is Action.DELETE:
            live.call("DELETE", job_path(change.job_id), headers=headers)
        elif change.action is not Action.NOTHING:
            live.call("PUT", job_path(change.job_id), headers=headers, json=dict(change.document))
    except CommandFault as fault:
        return CommandFault(f"{change.job_id}: {fault}", code=fault.code)
    return None
