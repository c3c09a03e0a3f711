"""``mailconnector``."""

import sys

import typer

from cli import jobs, messages, work
from cli.faults import CommandFault

app = typer.Typer(
    help="Jobs of Mail Connector as files in git, and the app at work. MAILCONNECTOR_URL names the app; "
    "MAILCONNECTOR_KEY (a function key) or MAILCONNECTOR_AUDIENCE (Entra) signs in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(jobs.app)
app.add_typer(work.app)
app.add_typer(messages.app)


def main() -> None:
    """Run a command; a refusal is a sentence on stderr and an exit code."""
    try:
        app()
    except CommandFault as fault:
        typer.secho(str(fault), err=True, fg=typer.colors.RED)
        sys.exit(fault.code)


if __name__ == "__main__":
    main()
