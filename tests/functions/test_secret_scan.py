"""No secret is found anywhere: every endpoint, the log, every table, blob and queue, after everything went well and wrong.

::

    marked secrets in a key vault      jobs that work, that are refused,        every endpoint, well and badly
    (stored over the API), keys of     whose servers and targets repeat         asked; the vault away, forbidden,
    storage and of the identity        in their answers what they were sent     a secret disabled

Each place is also shown to be looked at: something that is no secret is found there.
"""

import base64
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from dev.azurite import Azurite
from dev.host.process import PROJECT, HostProcess
from dev.mailserver import MailServer
from dev.ports import free_ports
from tests.servers.entra import IDENTITY_HEADER, Entra, entra
from tests.servers.key_vault import KeyVault, Refusal
from tests.signin.identities import new_pair

__all__ = ["entra"]

SUBJECT = "Found in every place"
AT_NEW_YEAR = {
    "pattern": {"type": "yearly", "month": "january", "day": 1},
    "frequency": {"type": "once", "at": "04:00"},
}
JSON_TOKEN = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.")


@dataclass
class Scene:
    """What was driven, and all that it left, by place."""

    secrets: dict[str, str]
    places: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, set[int]] = field(default_factory=dict)


def forms(secret: str) -> set[str]:
    """How a secret may be written somewhere: as it is, in URLs, in JSON, and in base64 wherever it begins there."""
    octets = secret.encode()
    shifted = (base64.b64encode(b"\0" * shift + octets).decode()[4 if shift else 0 : -4] for shift in range(3))
    found = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], octets.hex(), *shifted}
    return {form for form in found if len(form) >= 8}


def leaks(scene: Scene) -> list[tuple[str, str, str]]:
    """Place, secret and what stands around it, for each secret that is found; and tokens, whosever they are."""
    found = [
        (place, name, text[max(0, at - 60) : at + 20])
        for place, text in scene.places.items()
        for name, secret in scene.secrets.items()
        for form in forms(secret)
        if (at := text.find(form)) >= 0
    ]
    return found + [
        (place, "a token", match[0][:20]) for place, text in scene.places.items() for match in JSON_TOKEN.finditer(text)
    ]


def test_the_scan_finds_what_is_there() -> None:
    """Within other text, in a header of basic authentication, in a URL, as a token."""
    secret = "Zx81/marked+secret=mailbox"
    written = {
        "plain": f"the password {secret} is wrong",
        "basic": "Basic " + base64.b64encode(f"support:{secret}".encode()).decode(),
        "plain sasl": base64.b64encode(f"\0someone\0{secret}".encode()).decode(),
        "url": "https://x/?code=" + quote(secret, safe=""),
        "token": "Bearer eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL3gifQ.c2ln",
        "nothing": "Basic " + base64.b64encode(b"support:another").decode(),
    }
    assert {place for place, _, _ in leaks(Scene({"box": secret}, written))} == set(written) - {"nothing"}


def test_no_secret_is_found_anywhere(scene: Scene) -> None:
    """And no token of the app's identity."""
    assert leaks(scene) == []


def test_every_place_was_looked_at(scene: Scene) -> None:
    """Something that is no secret is found in each; every endpoint was asked, and the API itself met no defect."""
    assert set(scene.places) == {"answers", "log", "events", "tables", "blobs", "queues"}
    for place in ("answers", "tables", "blobs", "queues"):
        assert SUBJECT in scene.places[place], place
    for words in ("run_ended", "job_paused", "key vault", "job wrong", "job echo", "secret_expiring: job online"):
        assert words in scene.places["log"], words
    assert "run_queue" in scene.places["events"]
    assert all(scene.statuses.values())
    assert not {500} & set().union(*scene.statuses.values())


@pytest.fixture(scope="module")
def scene(azurite: Azurite, entra: Entra, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The scenario above, once."""
    folder = tmp_path_factory.mktemp("scan")
    pair = new_pair(days=10)
    secrets = {
        "box": "Zx81-marked-mailbox-password",
        "wrong": "Zx82-marked-wrong-password",
        "echoed": "Zx83-marked-echoed-password",
        "hook": "Zx84-marked-webhook-header",
        "basic": "Zx85-marked-basic-password",
        "signature": "whsec_" + base64.b64encode(b"Zx86-marked-signature-key").decode(),
        "unused": "Zx87-marked/unused+secret=",
    }
    with ExitStack() as stack:
        vault = stack.enter_context(KeyVault(entra, folder / "vault"))
        mail = stack.enter_context(MailServer(password=secrets["box"]))
        imap = stack.enter_context(repeating_imap())
        hook = stack.enter_context(repeating_http())
        (folder / "both.pem").write_text(vault.ca_file.read_text() + Path(str(entra.cloud.ca_file)).read_text())
        entra.identities[""] = "tenant-of-the-app"
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "MAILCONNECTOR_PREFIX": "secretscan",
            "MAILCONNECTOR_KEY_VAULT_URI": vault.url,
            "MAILCONNECTOR_KEY_VAULT_CACHE_SECONDS": "0.001",
            **entra.environment,
            "REQUESTS_CA_BUNDLE": str(folder / "both.pem"),
        }
        host = HostProcess(PROJECT, settings=settings, events=folder / "events")
        stack.enter_context(host)
        scene = Scene({**secrets, "certificate": pair.pem().splitlines()[3]})
        driver = Driver(host, stack.enter_context(httpx.Client(base_url=host.url, timeout=60)), scene)
        driver.store({**secrets, "certificate": pair.pem()})
        jobs = configs(mail, imap, hook)
        driver.save(jobs)
        driver.run([*jobs][:-1])
        driver.sweep()
        driver.ask_badly()
        vault.store("box", secrets["box"], enabled=False)
        driver.run(["queued"])
        vault.granted.clear()
        driver.run(["queued"])
        driver.ask("GET", "/api/secrets")
        driver.ask("PUT", "/api/secrets/box", {"value": secrets["box"]})
        vault.granted.add("get")
        vault.script += [Refusal(503, "ServiceUnavailable", "Away.")] * 3
        driver.run(["queued"])
        driver.ask_everything()
        host.stop()
        scene.places |= {"log": host.output(500), "events": (folder / "events").read_text()}
    scene.places |= stored(azurite.connection_string)
    key = dict(part.split("=", 1) for part in azurite.connection_string.split(";") if "=" in part)["AccountKey"]
    scene.secrets |= {"storage key": key, "identity header": IDENTITY_HEADER}
    assert len(scene.places["log"].splitlines()) < 500, "the beginning of the log is lost"
    return scene


class Driver:
    """A client that keeps every answer."""

    def __init__(self, host: HostProcess, client: httpx.Client, scene: Scene) -> None:
        self._host = host
        self._client = client
        self._scene = scene
        scene.places["answers"] = ""
        self._runs = 0

    def ask(self, method: str, path: str, body: Any = None, *, name: str = "", **headers: str) -> httpx.Response:
        """One request; its answer is kept whole."""
        answer = self._client.request(method, path, json=body, headers=headers)
        self._scene.places["answers"] += f"{method} {path.partition('?')[0]}\n{answer.headers}\n{answer.text}\n"
        if name:
            self._scene.statuses.setdefault(name, set()).add(answer.status_code)
        return answer

    def store(self, secrets: dict[str, str]) -> None:
        """Put every secret into the vault over the API, and badly as well."""
        for name, value in secrets.items():
            assert self.ask("PUT", f"/api/secrets/{name}", {"value": value}).status_code == 200
        everything = list(secrets.values())
        self.ask("PUT", "/api/secrets/box", {"value": everything, "note": everything, "expires": everything[0]})
        self.ask("PUT", "/api/secrets/box", everything)
        self.ask("GET", "/api/secrets")

    def save(self, jobs: dict[str, dict[str, Any]]) -> None:
        """Store the jobs, and try them with the secret written into the config."""
        for job_id, config in jobs.items():
            answer = self.ask("PUT", f"/api/jobs/{job_id}", {"schedule": AT_NEW_YEAR, **config})
            assert answer.status_code == 201, answer.text
            server = {**config["server"], "password": self._scene.secrets["box"], "folder": self._scene.secrets}
            self.ask("PUT", f"/api/jobs/{job_id}", {**config, "server": server}, **{"If-Match": "*"})

    def run(self, jobs: list[str]) -> None:
        """Test and run each, and wait for the ends of the runs."""
        for job_id in jobs:
            if job_id in {"wrong", "echo", "based"}:
                self.ask("POST", f"/api/jobs/{job_id}/test", name="test_job")
            assert self.ask("POST", f"/api/jobs/{job_id}/run").status_code == 202
        self._runs += len(jobs)
        self._host.wait_for(
            lambda event: event["event"] == "ended" and event["function"] == "run_queue", count=self._runs, timeout=60
        )

    def sweep(self) -> None:
        """One sweep: it looks at what ends soon, and tidies up."""
        self.ask("POST", "/admin/functions/sweep")
        self._host.wait_for(lambda event: event["event"] == "ended" and event["function"] == "sweep")

    def ask_badly(self) -> None:
        """Secrets where none belong: in the query, in a key, in a body that is no JSON."""
        for secret in (self._scene.secrets["box"], self._scene.secrets["unused"]):
            self.ask("GET", f"/api/jobs?code={quote(secret)}", **{"x-functions-key": secret})
            self.ask("GET", f"/api/nothing?code={quote(secret)}", Authorization=f"Bearer {secret}")
            self.ask("GET", f"/api/jobs?limit=0&code={quote(secret)}")
            half = self._client.post(
                "/api/jobs", content=f'{{"password": "{secret}",', headers={"Content-Type": "application/json"}
            )
            self._scene.places["answers"] += half.text

    def ask_everything(self) -> None:
        """Every endpoint of the document, with what there is in its address, and with a body that has a secret in it."""
        ids = {"job_id": "good", "name": "unused", "run_id": "", "ticket_id": "", "entry_id": "", "position": "0"}
        ids["run_id"] = self.ask("GET", "/api/jobs/good/runs").json()["items"][0]["id"]
        ids["ticket_id"] = self.ask("GET", "/api/tickets?job_id=good").json()["items"][0]["id"]
        ids["entry_id"] = self.ask("GET", f"/api/tickets/{ids['ticket_id']}").json()["entries"][0]["id"]
        secret = self._scene.secrets["box"]
        paths = self.ask("GET", "/api/openapi.json").json()["paths"]
        operations = [(method, path, each) for path, item in paths.items() for method, each in item.items()]
        for method, path, operation in sorted(operations, key=lambda each: each[0] == "delete"):
            address = re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1]) or "x", path)
            bodies = [None, {"password": secret, "value": {"token": secret}, "server": secret}]
            for body in bodies if "requestBody" in operation else bodies[:1]:
                self.ask(method.upper(), address, body, name=operation["operationId"], **{"If-Match": "*"})


def configs(mail: MailServer, imap: int, hook: int) -> dict[str, dict[str, Any]]:
    """Jobs that work, and jobs that fail in every way in which a secret takes part. The last one cannot be run here."""
    box = {"type": "imap4", "host": mail.host, "port": mail.port, "username": mail.user, "ca_file": str(mail.ca_file)}
    for folder in ("good", "hooked", "based", "queued"):
        with mail.client(None) as client:
            client.create_folder(folder)
        text = "This is the text. " * (1 if folder == "queued" else 5_000)
        head = f"From: ann@customer.example\r\nSubject: {SUBJECT}\r\nMessage-ID: <{folder}@customer.example>\r\n"
        mail.append(f"{head}\r\n{SUBJECT} {text}\r\n".encode(), folder=folder)
    local = {"host": "127.0.0.1", "username": "echo", "security": "none", "allow_insecure": True}
    step = {"request": {"path": "/tickets", "json": {"title": "{{ message.subject }}"}}, "keep": {"ticket_id": "$.id"}}
    webhook = {
        "type": "webhook",
        "url": f"http://127.0.0.1:{hook}",
        "allow_private": True,
        "create": [{**step, "repeatable": True}],
        "modify": [{"request": step["request"], "repeatable": True}],
    }
    basic = {"method": "basic", "username": "support", "password_secret": "basic"}
    return {
        "good": {"server": {**box, "folder": "good", "password_secret": "box"}},
        "queued": {
            "server": {**box, "folder": "queued", "password_secret": "box"},
            "target": {"type": "queue", "queue": "secretscan-events"},
            "on_success": {"mark_as_deleted": True, "purge_deleted_at_end_of_session": True},
            "soft_purge_days": 5,
        },
        "wrong": {"server": {**box, "folder": "wrong", "password_secret": "wrong"}},
        "echo": {"server": {**local, "type": "imap4", "port": imap, "password_secret": "echoed"}},
        "pop": {"server": {**local, "type": "pop3", "port": imap, "password_secret": "echoed"}},
        "hooked": {
            "server": {**box, "folder": "hooked", "password_secret": "box"},
            "target": {**webhook, "secret_headers": {"X-Api-Key": "hook"}, "signature_secret": "signature"},
        },
        "based": {
            "server": {**box, "folder": "based", "password_secret": "box"},
            "target": {**webhook, "sign_in": basic, "url": f"http://127.0.0.1:{hook}/denied"},
        },
        "exchange": {
            "server": {
                "type": "exchange",
                "service_url": f"https://127.0.0.1:{free_ports(1)[0]}/EWS/Exchange.asmx",
                "mailbox": "a@corp.example",
                "username": "CORP\\a",
                "password_secret": "wrong",
            }
        },
        "online": {
            "server": {
                "type": "exchange_online",
                "mailbox": "b@corp.example",
                "sign_in": {
                    "method": "certificate",
                    "tenant_id": "t",
                    "client_id": "c",
                    "certificate_secret": "certificate",
                },
            }
        },
    }


@contextmanager
def repeating_imap() -> Iterator[int]:
    """A server that refuses every sign-in and says to the client what it was sent: IMAP4, and POP3 as far as it goes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(connection: socket.socket) -> None:
            with connection, connection.makefile("rwb") as stream, suppress(OSError):
                stream.write(b"* OK +OK ready\r\n")
                stream.flush()
                for line in stream:
                    tag, _, rest = line.strip().partition(b" ")
                    if rest == b"CAPABILITY":
                        stream.write(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + b" OK done\r\n")
                    else:
                        stream.write(tag + b" NO [AUTHENTICATIONFAILED] cannot do " + line.strip() + b"\r\n")
                    stream.flush()

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def repeating_http() -> Iterator[int]:
    """A system whose refusals begin with what it was signed in with; 401 below /denied, else 500."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = [self.headers[name] for name in ("X-Api-Key", "Authorization") if name in self.headers]
            data = json.dumps({"error": f"refused: {' '.join(sent)}"}).encode()
            self.send_response(401 if "denied" in self.path else 500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def stored(connection_string: str) -> dict[str, str]:
    """Everything in the account that this app put there: rows, blobs, queue messages (as they are and decoded)."""
    tables = blobs = queues = ""
    with TableServiceClient.from_connection_string(connection_string) as service:
        for table in service.list_tables():
            if table.name.startswith("secretscan"):
                tables += "\n".join(str(dict(row)) for row in service.get_table_client(table.name).list_entities())
    with BlobServiceClient.from_connection_string(connection_string) as service:
        for container in service.list_containers():
            client = service.get_container_client(container.name)
            for blob in client.list_blobs() if container.name.startswith("secretscan") else ():
                blobs += f"{blob.name}\n{client.download_blob(blob.name).readall().decode('latin-1')}\n"
    with QueueServiceClient.from_connection_string(connection_string) as service:
        for queue in service.list_queues():
            if queue.name.startswith("secretscan"):
                for message in service.get_queue_client(queue.name).peek_messages(32):
                    queues += f"{message.content}\n{base64.b64decode(message.content).decode('utf-8', 'replace')}\n"
    return {"tables": tables, "blobs": blobs, "queues": queues}
