"""What becomes of messages: why, dry-run, replay."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import show
from cli.app import job_path, open_app
from cli.faults import CommandFault, Exit
from cli.files import load
from cli.jobs import AsJson, Url
from cli.show import Output
from cli.work import JobId

app = typer.Typer()


@app.command()
def why(
    message_id: Annotated[str, typer.Argument(help="A Message-ID.")] = "",
    url: Url = "",
    *,
    ticket: Annotated[str, typer.Option(help="Or a ticket.")] = "",
    sender: Annotated[str, typer.Option(help="Or a sender's address, with --day.")] = "",
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="In UTC; today unless given.")] = None,
    job: Annotated[str, typer.Option(help="Only messages of this job.")] = "",
    output: AsJson = Output.TEXT,
) -> None:
    """Why a message became what it is, or nothing."""
    asked = {
        "message_id": message_id,
        "ticket": ticket,
        "sender": sender,
        "day": day and f"{day:%Y-%m-%d}",
        "job_id": job,
    }
    if not (message_id or ticket or sender or day):
        raise CommandFault("Ask by Message-ID, --ticket, --sender or --day.", code=Exit.USAGE)
    with open_app(url) as live:
        found = live.get("/messages/why", **{name: value for name, value in asked.items() if value})
    if output is Output.JSON:
        show.as_json(found)
        return
    typer.secho(found["answer"], bold=True)
    for one in found["items"]:
        _tell(one, at=one["decided"])


@app.command("dry-run")
def dry_run(
    job: JobId,
    url: Url = "",
    *,
    file: Annotated[Path | None, typer.Option("--file", help="Try this job file, without storing it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many messages are looked at.")] = 20,
    output: AsJson = Output.TEXT,
) -> None:
    """What a run would do with the mailbox as it is now. Changes nothing, anywhere."""
    given = {"json": load(file)[0].document} if file else {}
    with open_app(url) as live:
        found = live.call("POST", job_path(job, "dry-run"), params={"limit": limit}, **given).json()
    if output is Output.JSON:
        show.as_json(found)
        return
    for one in found["messages"]:
        _tell(one, at=one["received"])
    for comment in found["comments"]:
        typer.secho(comment, fg=typer.colors.YELLOW)
    typer.echo(
        f"{len(found['messages'])} of {found['candidates']} candidate(s) looked at, {found['in_box']} in the folder."
    )


@app.command()
def replay(
    job: JobId,
    mail: Annotated[Path | None, typer.Argument(help="A message as a file (.eml).")] = None,
    url: Url = "",
    *,
    parked: Annotated[str, typer.Option(help="Or the id of a parked message.")] = "",
    purged: Annotated[str, typer.Option(help="Or the id of a purged one.")] = "",
    output: AsJson = Output.TEXT,
) -> None:
    """Take a message through a job's rules as they are today, and say what differs from what was done."""
    if sum(map(bool, (mail, parked, purged))) != 1:
        raise CommandFault("Name one message: a file, --parked or --purged.", code=Exit.USAGE)
    if mail:
        try:
            given: dict[str, Any] = {"content": mail.read_bytes(), "headers": {"Content-Type": "message/rfc822"}}
        except OSError as fault:
            raise CommandFault(f"{mail}: cannot be read: {fault.strerror}.") from fault
    else:
        given = {"json": {"parked": parked} if parked else {"purged": purged}}
    with open_app(url) as live:
        found = live.call("POST", job_path(job, "replay"), **given).json()
    if output is Output.JSON:
        show.as_json(found)
    else:
        _tell(found, at=found["received"])


def _tell(one: Any, *, at: str | None) -> None:
    typer.secho(f"{at or ''}  {one['sender']}  {one['subject']}", bold=True)
    typer.echo(f"  {one['sentence']}")
    for verdict in one["asked"]:
        if verdict["matched"]:
            typer.echo(f"  {verdict['kind']} {verdict['name']}: {verdict['evidence']}")
    for sentence in (*one["evidence"], *one["notes"]):
        typer.echo(f"  {sentence}")
    for sentence in one.get("difference", ()):
        typer.secho(f"  otherwise than before: {sentence}", fg=typer.colors.YELLOW)
