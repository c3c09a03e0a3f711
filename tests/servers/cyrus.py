"""Cyrus as a child of the test suite: the second server, beside Dovecot, that the connectors must get on with.

Its own config, ports, users and certificate; no system service, no leftovers. Courier would be another choice, but
the path on which it asks for users is compiled in, so that it cannot be had without a service of the system.
"""

import fcntl
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from types import TracebackType
from typing import ClassVar, Self

import pytest

from dev.child import Child, ChildFailed
from dev.ports import free_ports
from tests.servers.imap_host import ImapHost, User
from tests.servers.tls import Authority

_INSTALL = "apt-get install -y --no-install-recommends cyrus-imapd cyrus-pop3d"
_PROGRAMS = Path("/usr/lib/cyrus/bin")
_TRIES = 3

#: Every program needs its own -C: the one that the master was given is its own.
_SERVICES = """
START {{
  recover cmd="ctl_cyrusdb -C {conf} -r"
}}
SERVICES {{
  imap cmd="imapd -C {conf}" listen="{host}:{imap}"
  imaps cmd="imapd -s -C {conf}" listen="{host}:{imaps}" prefork=1
  pop3 cmd="pop3d -C {conf}" listen="{host}:{pop3}"
  pop3s cmd="pop3d -s -C {conf}" listen="{host}:{pop3s}" prefork=1
}}
EVENTS {{
}}
"""
_CONFIG = """
configdirectory: {folder}/state
partition-default: {folder}/mail
defaultpartition: default
cyrus_user: {owner}
servername: localhost
allowplaintext: yes
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {folder}/users
sasl_mech_list: PLAIN
tls_server_cert: {chain}
tls_server_key: {key}
autocreate_users: anyone
autocreate_quota: 0
popminpoll: 0
skiplist_unsafe: yes
"""


class _Users(ThreadingUnixStreamServer):
    """Answers, as Cyrus SASL's saslauthd would, whether a password is right: four counted texts, then OK or NO."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.passwords: dict[str, str] = {}
        super().__init__(str(path), type("_Bound", (_Asked,), {"users": self}))
        path.chmod(0o777)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()
        self._thread.join(timeout=10)


class _Asked(StreamRequestHandler):
    users: ClassVar[_Users]

    def handle(self) -> None:
        """One question: user, password, service, realm."""
        user, password, _, _ = (self.rfile.read(struct.unpack(">H", self.rfile.read(2))[0]).decode() for _ in range(4))
        answer = b"OK" if self.users.passwords.get(user) == password else b"NO"
        self.wfile.write(struct.pack(">H", len(answer)) + answer)


class Cyrus(ImapHost):
    """A running server. Leave the context to end it and to remove everything that it wrote."""

    def __init__(self) -> None:
        _ensure_installed()
        self._folder = Path(tempfile.mkdtemp(prefix="cyrus-"))
        self._folder.chmod(0o755)
        authority = Authority(self._folder)
        self.ca_file = authority.ca_file
        self._certificate = authority.issue()
        # Cyrus refuses to run as root: as root it takes the account that it came with.
        owner = pwd.getpwnam("cyrus") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._owner = owner.pw_name
        for name in ("state", "mail"):
            (self._folder / name).mkdir()
            os.chown(self._folder / name, owner.pw_uid, owner.pw_gid)
        self._users = _Users(self._folder / "users")
        try:
            self._child = self._start()
        except BaseException:
            self._users.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _start(self) -> Child:
        for left in reversed(range(_TRIES)):
            self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port = free_ports(4)
            conf, services = self._folder / "imapd.conf", self._folder / "cyrus.conf"
            places = {"folder": self._folder, "owner": self._owner, "conf": conf, "host": self.host}
            ports = {"imap": self.imap_port, "imaps": self.imaps_port, "pop3": self.pop3_port, "pop3s": self.pop3s_port}
            conf.write_text(_CONFIG.format(**places, chain=self._certificate.chain, key=self._certificate.key))
            services.write_text(_SERVICES.format(**places, **ports))
            command = [_PROGRAMS / "master", "-C", conf, "-M", services, "-p", self._folder / "pid"]
            child = Child("Cyrus", [str(part) for part in command])
            if self._listens(child):
                return child
            child.kill()
            if not left:
                raise ChildFailed(f"Cyrus did not start. Its last lines:\n{child.tail()}")
        raise AssertionError

    def _listens(self, child: Child) -> bool:
        """Whether every port is served; Cyrus has no line for a log that would say so."""
        pause, ports = threading.Event(), [self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port]
        for _ in range(500):
            try:
                socket.create_connection((self.host, ports[-1]), timeout=5).close()
                ports.pop()
            except OSError:
                pause.wait(0.02)
            if not ports or not child.running:
                break
        return not ports and child.running

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.stop()
        self._users.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_mailbox(self, *, password: str = "correct horse") -> User:  # noqa: S107 - of a test server
        """An empty mailbox that no other test has."""
        user = User(f"u{uuid.uuid4().hex[:12]}", password, "/")
        self._users.passwords[user.name] = password
        # The first IMAP4 session makes the mailbox.
        with self.session(user):
            return user


@pytest.fixture(scope="session")
def cyrus() -> Iterator[Cyrus]:
    """One server for the whole session."""
    with Cyrus() as server:
        yield server


def _ensure_installed() -> None:
    """Install Debian's Cyrus where it is missing and we may; else end the run with the command to type."""
    wanted = [_PROGRAMS / name for name in ("master", "imapd", "pop3d")]
    if all(program.exists() for program in wanted):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        # Workers of pytest-xdist take turns. RUNLEVEL=1 keeps the package from starting a service of the system.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        with (Path(tempfile.gettempdir()) / "install-cyrus.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for command in ("apt-get update", _INSTALL) if not wanted[0].exists() else ():
                subprocess.run(command.split(), check=False, stdout=subprocess.DEVNULL, env=quiet)
    if not all(program.exists() for program in wanted):
        pytest.fail(f"These tests need Cyrus. Run this once: sudo {_INSTALL}", pytrace=False)
