"""Dovecot as a child of the test suite: its own config, ports, users and certificate; no system service, no leftovers.

Another suite uses it by ``from tests.servers.dovecot import dovecot``: a fixture, one server per pytest process.
"""

import fcntl
import grp
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs

import pytest

from dev.child import Child, ChildFailed
from dev.ports import free_ports
from tests.servers.imap_host import ImapHost, User
from tests.servers.tls import HOST, Authority

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
auth_mechanisms = plain xoauth2
passdb {{
  driver = passwd-file
  mechanisms = plain
  args = scheme=PLAIN {folder}/users/%u
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
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

#: Tokens are checked by asking (RFC 7662): doc.dovecot.org/2.3/configuration_manual/authentication/oauth2.
_OAUTH2 = """
introspection_mode = post
introspection_url = {url}
force_introspection = yes
username_attribute = email
active_attribute = active
active_value = true
"""


class Introspection:
    """The endpoint that Dovecot asks what a token is worth (RFC 7662 section 2)."""

    def __init__(self) -> None:
        #: Each tells the mailbox that a token opens, or None for a token that it does not know or no longer trusts.
        self.judges: list[Callable[[str], str | None]] = []
        self._server = ThreadingHTTPServer((HOST, 0), type("_Bound", (_Introspected,), {"endpoint": self}))
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_port}/introspect"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def answer(self, token: str) -> dict[str, Any]:
        """What is told of the token."""
        mailbox = next(filter(None, (judge(token) for judge in self.judges)), None)
        return {"active": True, "email": mailbox} if mailbox else {"active": False}

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)


class _Introspected(BaseHTTPRequestHandler):
    endpoint: ClassVar[Introspection]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing."""

    def do_POST(self) -> None:
        """One token."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        data = json.dumps(self.endpoint.answer(form["token"][0])).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Dovecot(ImapHost):
    """A running server. Leave the context to end it and to remove everything that it wrote."""

    def __init__(self) -> None:
        ensure_installed()
        self._folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self._folder.chmod(0o755)
        authority = Authority(self._folder)
        self.ca_file = authority.ca_file
        self._certificate = authority.issue()
        (self._folder / "users").mkdir()
        # Dovecot refuses mail of root: as root it is kept by the account that Dovecot itself came with.
        self._owner = pwd.getpwnam("dovecot") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._introspection = Introspection()
        (self._folder / "oauth2.conf").write_text(_OAUTH2.format(url=self._introspection.url))
        try:
            self._child = self._start()
        except BaseException:
            self._introspection.close()
            raise

    def _start(self) -> Child:
        for left in reversed(range(_TRIES)):
            self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port = free_ports(4)
            config = self._folder / "dovecot.conf"
            config.write_text(self._config())
            child = Child("Dovecot", [program(), "-F", "-c", str(config)])
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
        self._introspection.close()
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

    @contextmanager
    def trusting(self, judge: Callable[[str], str | None]) -> Iterator[None]:
        """Meanwhile XOAUTH2 takes the tokens for which ``judge`` tells a mailbox, for that mailbox."""
        self._introspection.judges.append(judge)
        try:
            yield
        finally:
            self._introspection.judges.remove(judge)

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


def program() -> str:
    """The path of the server program, or an empty text where it, or one of its two protocols, is missing."""
    # A person's PATH often lacks the folder where it is.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    server, config = shutil.which("dovecot", path=path), shutil.which("doveconf", path=path)
    if not server or not config:
        return ""
    asked = subprocess.run([config, "-dh", "libexec_dir"], capture_output=True, text=True, check=False)
    parts = Path(asked.stdout.strip())
    return server if all((parts / protocol).exists() for protocol in ("imap", "pop3")) else ""


def ensure_installed() -> None:
    """Install Debian's Dovecot where it is missing and we may; else end the run with the command to type."""
    if program():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        # Workers of pytest-xdist take turns. RUNLEVEL=1 keeps the package from starting a service of the system.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        with (Path(tempfile.gettempdir()) / "install-dovecot.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for command in () if program() else ("apt-get update", _INSTALL):
                subprocess.run(command.split(), check=False, stdout=subprocess.DEVNULL, env=quiet)
    if not program():
        pytest.fail(f"These tests need Dovecot. Run this once: sudo {_INSTALL}", pytrace=False)
