"""A second, different IMAP4 and POP3 server: Cyrus, from the distribution's packages, but not installed.

Debian's Cyrus and Dovecot cannot be installed side by side. So its packages, and the libraries that this machine lacks,
are downloaded and unpacked into ``.local/cyrus`` once, and run from there as an ordinary process.
"""

import fcntl
import os
import pwd
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from dev.child import Child, ChildFailed
from dev.ports import free_ports
from tests.servers.imap_host import ImapHost, User
from tests.servers.tls import Authority

HOME = Path(__file__).resolve().parents[2] / ".local" / "cyrus"
_PACKAGES = ("cyrus-imapd", "cyrus-pop3d", "sasl2-bin", "libsasl2-modules")
#: What of their dependencies a server without mail delivery needs, besides what every machine has.
_NEEDED = re.compile(r"cyrus-(imapd|pop3d|common)|sasl2-bin|lib(?!c6|gcc|stdc)[a-z0-9.+-]+")
_BINARIES = HOME / "usr" / "lib" / "cyrus" / "bin"
_TRIES = 3
#: Who may change what mailboxes allow.
_ADMIN = User("cyrus", "an admin's own", "/")

_IMAPD = """\
configdirectory: {folder}/config
defaultpartition: default
partition-default: {folder}/spool
cyrus_user: {user}
admins: cyrus
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {folder}/mux
sasl_mech_list: PLAIN
allowplaintext: yes
virtdomains: userid
unixhierarchysep: yes
autocreate_quota: 0
autocreate_users: anyone
autocreate_post: yes
expunge_mode: immediate
delete_mode: immediate
tls_server_cert: {chain}
tls_server_key: {key}
tls_server_ca_file: {ca_file}
"""

_SERVICES = """\
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {folder}/imapd.conf -r"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {folder}/imapd.conf" listen="{host}:{imap}" prefork=0
  imaps cmd="{bin}/imapd -s -C {folder}/imapd.conf" listen="{host}:{imaps}" prefork=0
  pop3 cmd="{bin}/pop3d -C {folder}/imapd.conf" listen="{host}:{pop3}" prefork=0
  pop3s cmd="{bin}/pop3d -s -C {folder}/imapd.conf" listen="{host}:{pop3s}" prefork=0
}}
EVENTS {{
}}
"""


class Passwords:
    """What Cyrus asks for passwords: the protocol of saslauthd, counted strings on a local socket (cyrus-sasl, mux)."""

    def __init__(self, path: Path) -> None:
        self.known: dict[str, str] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o666)
        self._listener.listen(64)
        threading.Thread(target=self._serve, name="passwords", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                asking, _ = self._listener.accept()
            except OSError:
                return
            with asking, asking.makefile("rwb") as stream:
                login, password, _, realm = (self._string(stream.read) for _ in range(4))
                expected = self.known.get(login) or self.known.get(f"{login}@{realm}")
                answer = b"OK" if expected and expected == password else b"NO"
                stream.write(struct.pack(">H", len(answer)) + answer)

    @staticmethod
    def _string(read: Callable[[int], bytes]) -> str:
        (length,) = struct.unpack(">H", read(2))
        return read(length).decode()


class Cyrus(ImapHost):
    """A running server. Leave the context to end it and to remove everything that it wrote."""

    def __init__(self) -> None:
        ensure_unpacked()
        self._folder = Path(tempfile.mkdtemp(prefix="cyrus-"))
        self._folder.chmod(0o755)
        for name in ("config/socket", "spool"):
            (self._folder / name).mkdir(parents=True)
        authority = Authority(self._folder)
        self.ca_file = authority.ca_file
        self._certificate = authority.issue()
        self._passwords = Passwords(self._folder / "mux")
        self._passwords.known[_ADMIN.name] = _ADMIN.password
        # It refuses to serve as root; "mail" is an account that every Debian has.
        self._user = "mail" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            for path in (self._folder, *self._folder.rglob("*")):
                shutil.chown(path, self._user)
        try:
            self._child = self._start()
        except BaseException:
            self._passwords.close()
            raise

    def _start(self) -> Child:
        libraries = sorted({str(path.parent) for path in HOME.rglob("*.so*")})
        env = {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(libraries),
            "SASL_PATH": str(next(HOME.rglob("sasl2/libplain.so"), HOME).parent),
        }
        for left in reversed(range(_TRIES)):
            self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port = free_ports(4)
            files = {"imapd.conf": _IMAPD, "cyrus.conf": _SERVICES}
            for name, text in files.items():
                (self._folder / name).write_text(self._filled(text))
            program = [str(_BINARIES / "master"), "-D", "-p", f"{self._folder}/pid"]
            arguments = ["-C", f"{self._folder}/imapd.conf", "-M", f"{self._folder}/cyrus.conf"]
            child = Child("Cyrus", [*program, *arguments], env=env)
            try:
                self._wait(child)
            except ChildFailed:
                child.kill()
                if not left:
                    shutil.rmtree(self._folder, ignore_errors=True)
                    raise
            else:
                return child
        raise AssertionError

    def _wait(self, child: Child) -> None:
        """Until it greets. It opens its sockets before it tells anything."""
        for _ in range(300):
            if not child.running:
                break
            with suppress(OSError), socket.create_connection((self.host, self.imap_port), timeout=10) as line:
                if line.recv(4) == b"* OK":
                    return
            threading.Event().wait(0.05)
        raise ChildFailed(f"Cyrus does not greet. Its last lines:\n{child.tail()}")

    def _filled(self, text: str) -> str:
        return text.format(
            folder=self._folder,
            bin=_BINARIES,
            host=self.host,
            user=self._user,
            chain=self._certificate.chain,
            key=self._certificate.key,
            ca_file=self.ca_file,
            imap=self.imap_port,
            imaps=self.imaps_port,
            pop3=self.pop3_port,
            pop3s=self.pop3s_port,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.stop()
        self._passwords.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """The last lines that the server wrote."""
        return self._child.tail(50)

    def new_mailbox(self, *, password: str = "correct horse") -> User:  # noqa: S107 - of a test server
        """An empty mailbox that no other test has; Cyrus makes it at the first sign-in."""
        user = User(f"u{uuid.uuid4().hex[:12]}@example.com", password, "/")
        self._passwords.known[user.name] = password
        with self.session(user):
            pass
        return user

    def make_read_only(self, user: User) -> None:
        """From now on the user may read the INBOX but change nothing in it (RFC 4314)."""
        with self.session(_ADMIN) as client:
            kind, told = client.setacl(f"user/{user.name}", user.name, "lr")
            assert kind == "OK", told


@pytest.fixture(scope="session")
def cyrus() -> Iterator[Cyrus]:
    """One server for the whole session. Never stop it."""
    with Cyrus() as server:
        yield server


def unpacked() -> bool:
    """Whether it is there."""
    return (HOME / "unpacked").exists()


def ensure_unpacked() -> None:
    """Download and unpack Cyrus where it is missing; else end the run with what to do."""
    if unpacked():
        return
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if unpacked():
            return
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            pytest.fail("These tests need Cyrus from Debian's or Ubuntu's packages: run them there.", pytrace=False)
        if os.geteuid() == 0:
            subprocess.run(["apt-get", "update"], check=False, capture_output=True)
        with tempfile.TemporaryDirectory(dir=HOME) as folder:
            command = ["apt-get", "download", *_packages()]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            packages = list(Path(folder).glob("*.deb"))
            if done.returncode or not packages:
                pytest.fail(f"Cyrus cannot be downloaded: {done.stderr}", pytrace=False)
            for package in packages:
                subprocess.run(["dpkg-deb", "-x", str(package), str(HOME)], check=True)
        (HOME / "unpacked").touch()


def _packages() -> list[str]:
    """Their own libraries, and what apt would install for those."""
    install = ["apt-get", "install", "--print-uris", "-qq", "--no-install-recommends", *_PACKAGES]
    missing = [line.split()[1].partition("_")[0] for line in _told(install) if line.startswith("'")]
    direct = [line.split()[-1] for line in _told(["apt-cache", "depends", "cyrus-common", *_PACKAGES])]
    return sorted({name for name in (*_PACKAGES, *missing, *direct) if _NEEDED.fullmatch(name)})


def _told(command: list[str]) -> list[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()
