"""The app at work: run, runs, test, parked, tail."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli import show
from cli.app import App, job_path, open_app
from cli.jobs import AsJson, Url
from cli.show import Output

JobId = Annotated[str, typer.Argument(help="The job.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="How many.")]

#: Between two looks, in seconds.
_PAUSE = 2.0

app = typer.Typer()


@app.command()
def run(
    job: JobId,
    url: Url = "",
    *,
    wait: Annotated[bool, typer.Option(help="Wait for its end; a run that failed ends the command with 1.")] = True,
    output: AsJson = Output.TEXT,
) -> None:
    """Run a job now, also a disabled one."""
    with open_app(url) as live:
        run_id = live.call("POST", job_path(job, "run")).json()["run_id"]
        found = live.get(job_path(job, "runs", run_id))
        while wait and found["ended"] is None:
            time.sleep(_PAUSE)
            found = live.get(job_path(job, "runs", run_id))
    if output is Output.JSON:
        show.as_json(found)
    else:
        typer.echo(show.run_line(found))
    if found["outcome"] == "failed":
        raise typer.Exit(1)


@app.command()
def runs(job: JobId, url: Url = "", limit: Limit = 10, *, follow: Follow = False, output: AsJson = Output.TEXT) -> None:
    """What runs of a job did, newest last."""
    with open_app(url) as live:
        latest = list(reversed(live.get(job_path(job, "runs"), limit=limit)["items"]))
        if output is Output.JSON:
            show.as_json(latest)
            return
        for one in latest:
            typer.echo(show.run_line(one))
        if follow:
            _follow(live, [job], {_stand(one) for one in latest})


@app.command()
def tail(url: Url = "") -> None:
    """What runs of all jobs do, as they do it, until Ctrl-C."""
    with open_app(url) as live:
        jobs = [one["id"] for one in live.pages("/jobs", limit=200)]
        seen = {_stand(one) for job in jobs for one in live.get(job_path(job, "runs"), limit=5)["items"]}
        _follow(live, jobs, seen)


@app.command("test")
def try_connection(job: JobId, url: Url = "", output: AsJson = Output.TEXT) -> None:
    """Try a job's connection, stage by stage. Nothing is changed in the mailbox."""
    with open_app(url) as live:
        found = live.call("POST", job_path(job, "test")).json()
    if output is Output.JSON:
        show.as_json(found)
    else:
        head = ("stage", "outcome", "detail", "cause", "what to do")
        show.table(
            [[one[name] for name in ("name", "outcome", "detail", "cause", "remedy")] for one in found["stages"]], head
        )
    if not found["ok"]:
        raise typer.Exit(1)


@app.command()
def parked(
    job: JobId,
    url: Url = "",
    *,
    retry: Annotated[bool, typer.Option("--retry", help="Let the next run take all of them up again.")] = False,
    output: AsJson = Output.TEXT,
) -> None:
    """The messages of a job that were given up on, with the reasons."""
    with open_app(url) as live:
        found = list(live.pages(job_path(job, "parked"), limit=200))
        if retry and found:
            live.call("POST", job_path(job, "parked", "retry"), json={"ids": [one["id"] for one in found]})
    if output is Output.JSON:
        show.as_json(found)
        return
    show.table([(one["id"], one["parked_at"], one["sender"], one["subject"], one["reason"]) for one in found], _PARKED)
    if retry:
        typer.echo(f"The next run takes up {len(found)} message(s) again.")


_PARKED = ("id", "parked", "sender", "subject", "reason")


def _follow(live: App, jobs: list[str], seen: set[Any]) -> None:
    """Print what is new or has changed, until somebody has seen enough."""
    try:
        _watch(live, jobs, seen, time.sleep)
    except KeyboardInterrupt:
        return


def _watch(live: App, jobs: list[str], seen: set[Any], pause: Callable[[float], None]) -> None:
    while True:
        for job in jobs:
            for one in reversed(live.get(job_path(job, "runs"), limit=5)["items"]):
                if _stand(one) not in seen:
                    seen.add(_stand(one))
                    typer.echo(show.run_line(one))
        pause(_PAUSE)


def _stand(run: Any) -> tuple[str, str, str]:
    return run["job_id"], run["id"], run["outcome"]
