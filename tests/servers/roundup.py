"""Roundup, a real issue tracker that other people wrote (roundup-tracker.org), with its REST interface, on SQLite.

::

    with Roundup(folder) as roundup:
        roundup.url, roundup.user, roundup.password
        roundup.issues()      # as its database has them, past its interface
"""

import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from configparser import ConfigParser
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dev.child import Child
from dev.ports import free_ports

PASSWORD = "admin-of-the-tracker-42"

#: Its own server will not run as root, which builds often are; this is its WSGI application on Python's server.
_SERVER = """
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from roundup.cgi.wsgi_handler import RequestDispatcher

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass

home, port = sys.argv[1:]
server = make_server("127.0.0.1", int(port), RequestDispatcher(home), Server, Handler)
print("ready", flush=True)
server.serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of an issue; ``files`` by name."""

    content: str
    files: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue with its messages, oldest first."""

    title: str
    status: str
    messages: tuple[Said, ...]


class Roundup:
    """One tracker. A context manager; it dies with us."""

    user = "admin"
    password = PASSWORD

    def __init__(self, folder: Path) -> None:
        self._home = folder / "tracker"
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}/rest"

    def __enter__(self) -> Self:
        self._admin("install", "classic", "sqlite")
        self._configure(
            tracker={"web": f"http://127.0.0.1:{self._port}/"},
            mail={"domain": "tracker.example", "host": "127.0.0.1", "debug": str(self._home / "outgoing.mail")},
            # Half a second for each check of a password, and a limit on calls, are for people who try passwords.
            main={"password_pbkdf2_default_rounds": "10000"},
            web={"api_calls_per_interval": "0"},
        )
        self._admin("initialise", PASSWORD)
        self._child = Child(
            "roundup", [sys.executable, "-W", "ignore", "-c", _SERVER, str(self._home), str(self._port)]
        )
        self._child.wait_for("ready", timeout=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.stop()

    def issues(self) -> Mapping[str, Issue]:
        """By id; read from its database and its files."""
        with closing(sqlite3.connect(self._home / "db" / "db", timeout=30)) as db:
            return {
                str(number): Issue(str(title), str(status), self._messages(db, number))
                for number, title, status in db.execute(
                    "select i.id, i._title, s._name from _issue i left join _status s on s.id = i._status "
                    "where i.__retired__ = 0 order by i.id"
                )
            }

    def resolve(self, issue: str) -> None:
        """Close an issue, as people do there."""
        self._admin("set", f"issue{issue}", "status=resolved")

    def _messages(self, db: sqlite3.Connection, issue: int) -> tuple[Said, ...]:
        rows = db.execute("select linkid from issue_messages where nodeid = ? order by linkid", (issue,)).fetchall()
        return tuple(Said(self._content("msg", row[0]).decode(), self._files(db, row[0])) for row in rows)

    def _files(self, db: sqlite3.Connection, message: int) -> tuple[tuple[str, bytes], ...]:
        rows = db.execute(
            "select f._name, f.id from msg_files m join _file f on f.id = m.linkid where m.nodeid = ?", (message,)
        ).fetchall()
        return tuple(sorted((str(name), self._content("file", number)) for name, number in rows))

    def _content(self, kind: str, number: int) -> bytes:
        return (self._home / "db" / "files" / kind / str(number // 1000) / f"{kind}{number}").read_bytes()

    def _configure(self, **sections: Mapping[str, str]) -> None:
        path = self._home / "config.ini"
        config = ConfigParser(interpolation=None)
        config.read(path)
        config.read_dict(sections)
        with path.open("w") as file:
            config.write(file)

    def _admin(self, *command: str) -> None:
        program = [sys.executable, "-W", "ignore", "-m", "roundup.scripts.roundup_admin", "-i", str(self._home)]
        done = subprocess.run(
            [*program, *command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"roundup-admin {command[0]}: {done.stdout}{done.stderr}"
