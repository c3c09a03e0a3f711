"""Dovecot as a child of the test suite: its own config, ports, users and certificate; no system service, no leftovers.

Another suite uses it by ``from tests.servers.dovecot import dovecot``: a fixture, one server per pytest process.
"""

import fcntl
import grp
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from dev.child import Child, ChildFailed
from dev.ports import free_ports
from tests.servers.imap_host import ImapHost, Stored, User
from tests.servers.tls import Authority

__all__ = ["Dovecot", "Stored", "User", "dovecot"]

_INSTALL = "apt-get install -y dovecot-imapd dovecot-pop3d"
_TRIES = 3

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
listen = {host}
protocols = imap pop3
default_internal_user = {service_user}
default_internal_group = {service_group}
default_login_user = {login_user}
default_client_limit = 200
default_vsz_limit = 0
first_valid_uid = {uid}
mail_max_userip_connections = 100
auth_failure_delay = 0
auth_cache_size = 0
mail_location = maildir:~/mail:LAYOUT=fs
mailbox_list_index = no
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
mail_plugins = acl
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users/%u
}}
userdb {{
  driver = passwd-file
  args = {folder}/users/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
plugin {{
  acl = vfile
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"""


class Dovecot(ImapHost):
    """A running server. Leave the context to end it and to remove everything that it wrote."""

    def __init__(self) -> None:
        _ensure_installed()
        self._folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self._folder.chmod(0o755)
        authority = Authority(self._folder)
        self.ca_file = authority.ca_file
        self._certificate = authority.issue()
        (self._folder / "users").mkdir()
        # Dovecot refuses mail of root: as root it is kept by the account that Dovecot itself came with.
        self._owner = pwd.getpwnam("dovecot") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._child = self._start()

    def _start(self) -> Child:
        for left in reversed(range(_TRIES)):
            self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port = free_ports(4)
            config = self._folder / "dovecot.conf"
            config.write_text(self._config())
            child = Child("Dovecot", [_program(), "-F", "-c", str(config)])
            try:
                child.wait_for("starting up for", timeout=30)
            except ChildFailed:
                child.kill()
                if not left:
                    shutil.rmtree(self._folder, ignore_errors=True)
                    raise
            else:
                return child
        raise AssertionError

    def _config(self) -> str:
        root = os.geteuid() == 0
        return _CONFIG.format(
            folder=self._folder,
            host=self.host,
            service_user=self._owner.pw_name,
            service_group=grp.getgrgid(self._owner.pw_gid).gr_name,
            login_user="dovenull" if root else self._owner.pw_name,
            uid=self._owner.pw_uid,
            chain=self._certificate.chain,
            key=self._certificate.key,
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
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """The last lines that the server wrote."""
        return self._child.tail(50)

    def new_mailbox(self, *, separator: str = "/", password: str = "correct horse") -> User:  # noqa: S107 - of a test server
        """An empty mailbox that no other test has; ``separator`` is the one between its folders' names."""
        user = User(f"u{uuid.uuid4().hex[:12]}@example.com", password, separator)
        home = self._home(user)
        home.mkdir(parents=True)
        os.chown(home, self._owner.pw_uid, self._owner.pw_gid)
        # One file for each user: Dovecot looks at most once a second whether a file has changed.
        entry = self._folder / "users" / user.name
        extra = f"userdb_namespace/inbox/separator={separator}"
        ids = f"{self._owner.pw_uid}:{self._owner.pw_gid}"
        entry.write_text(f"{user.name}:{{PLAIN}}{password}:{ids}::{home}::{extra}\n", encoding="utf-8")
        return user

    def make_read_only(self, user: User) -> None:
        """From now on the user may read the INBOX but change nothing in it."""
        with self.session(user) as client:
            client.select("INBOX")
        (self._home(user) / "mail" / "dovecot-acl").write_text("owner lr\n")

    def _home(self, user: User) -> Path:
        return self._folder / "home" / user.name


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """One server for the whole session. Never stop it: a test that needs to starts a `Dovecot` of its own."""
    with Dovecot() as server:
        yield server


def _program() -> str:
    """The path of the server program, or an empty text. A person's PATH often lacks the folder where it is."""
    return shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


def _ensure_installed() -> None:
    """Install Debian's Dovecot where it is missing and we may; else end the run with the command to type."""
    if _program():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        # Workers of pytest-xdist take turns. RUNLEVEL=1 keeps the package from starting a service of the system.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        with (Path(tempfile.gettempdir()) / "install-dovecot.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for command in () if _program() else ("apt-get update", _INSTALL):
                subprocess.run(command.split(), check=False, stdout=subprocess.DEVNULL, env=quiet)
    if not _program():
        pytest.fail(f"These tests need Dovecot. Run this once: sudo {_INSTALL}", pytrace=False)
