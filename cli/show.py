"""How answers look on a terminal. Colour only where somebody looks at one."""

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import typer

from cli.plan import Action, Change


class Output(StrEnum):
    """``--output``."""

    TEXT = "text"
    JSON = "json"


_SIGNS = {
    Action.CREATE: ("+", typer.colors.GREEN),
    Action.UPDATE: ("~", typer.colors.YELLOW),
    Action.DELETE: ("-", typer.colors.RED),
}


def as_json(value: Any) -> None:
    """One document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def planned(changes: Sequence[Change]) -> None:
    """Each job that would change, field by field, and a sentence that counts."""
    for change in changes:
        if change.action is Action.NOTHING:
            continue
        sign, colour = _SIGNS[change.action]
        typer.secho(f"{sign} {change.job_id}", fg=colour, bold=True)
        for one in change.differences:
            typer.echo(f"    {one.pointer}: {_value(one.before)} -> {_value(one.after)}")
    typer.echo(summary(changes))


def summary(changes: Iterable[Change]) -> str:
    """How many of each."""
    counts = dict.fromkeys(Action, 0)
    for change in changes:
        counts[change.action] += 1
    return (
        f"{counts[Action.CREATE]} to create, {counts[Action.UPDATE]} to change, {counts[Action.DELETE]} to delete, "
        f"{counts[Action.NOTHING]} as they are."
    )


def table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> None:
    """Columns as wide as they have to be."""
    texts = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in texts) for column in range(len(head))]
    for number, line in enumerate(texts):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        typer.secho(text, bold=number == 0)


def run_line(run: Any) -> str:
    """One run in one line."""
    counts = ", ".join(
        f"{run[name]} {name}" for name in ("created", "updated", "rejected", "parked", "errors") if run[name]
    )
    comments = "".join(f"\n    {comment}" for comment in run["comments"])
    return f"{run['started']}  {run['job_id']}  {run['outcome']}  {run['trigger']}  {counts or 'nothing new'}{comments}"


def _value(value: Any) -> str:
    return "(nothing)" if value is None else json.dumps(value, ensure_ascii=False)


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())
