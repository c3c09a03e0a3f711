"""An Exchange server's EWS endpoint, simulated: HTTPS on a socket, the sign-in, SOAP, and faults on script.

It knows nothing of the connector. Its rules come from the vendor's reference, cited where they are:
learn.microsoft.com/exchange/client-developer/web-service-reference/ews-reference-for-exchange.
"""

import socket
import ssl
import sys
import threading
import xml.etree.ElementTree as ET
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.servers.ews_accounts import Denied, Door, Person
from tests.servers.ews_items import Cut
from tests.servers.ews_operations import Caller, Operations
from tests.servers.ews_soap import (
    SOAP,
    TYPES,
    SoapFault,
    attributes,
    envelope,
    fault_body,
    local,
    schema_fault,
    tag,
)
from tests.servers.ews_store import Mailbox
from tests.servers.tls import HOST, Certificate

PATH = "/EWS/Exchange.asmx"
#: "RequestServerVersion": the schema versions, and the builds from which servers know them.
_VERSIONS = {
    "Exchange2007": (8, 0, 0),
    "Exchange2007_SP1": (8, 1, 0),
    "Exchange2010": (14, 0, 0),
    "Exchange2010_SP1": (14, 1, 0),
    "Exchange2010_SP2": (14, 2, 0),
    "Exchange2013": (15, 0, 0),
    "Exchange2013_SP1": (15, 0, 847),
    "Exchange2015": (15, 1, 0),
    "Exchange2016": (15, 1, 0),
}
_PAUSE = 0.02


@dataclass(frozen=True)
class Busy:
    """ErrorServerBusy as a SOAP fault, with the wait that it names, if any (ews-throttling-in-exchange)."""

    milliseconds: int | None = None


@dataclass(frozen=True)
class Status:
    """An HTTP answer that is not SOAP."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"<html>no</html>"


@dataclass(frozen=True)
class CutOff:
    """The answer ends in its middle; with ``done`` the operation has been performed by then."""

    done: bool = False


@dataclass(frozen=True)
class Drip:
    """The answer comes octet by octet and has no end."""


Fault = Busy | Status | CutOff | Drip | SoapFault


@dataclass
class Page:
    """Something else on the same host; open ones want no sign-in."""

    answer: "Status | Drip"
    open: bool = False


@dataclass(frozen=True)
class Heard:
    """One request that got past the sign-in."""

    operation: str
    user: str
    acts_for: str
    agent: str
    body: str


@dataclass
class Exchange:
    """``with Exchange(certificate) as server``. Set what a test needs; change the mailboxes as another client would."""

    certificate: Certificate
    build: tuple[int, int, int] = (15, 1, 2507)
    schemes: set[str] = field(default_factory=lambda: {"basic", "ntlm"})
    #: EWSFindCountLimit; also how many changes come in one SyncFolderItems.
    page: int = 1_000
    #: Written behind the seconds of DateTimeReceived.
    fraction: str = ""
    people: dict[str, Person] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    #: Pages beside EWS, by their path.
    pages: dict[str, Page] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    #: How many requests came with a sign-in.
    sign_ins: int = 0
    #: How many TCP connections were made.
    connections: int = 0

    host = HOST

    def __post_init__(self) -> None:
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._defects: list[str] = []
        self._stop = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.chain, self.certificate.key)
        self._server = _Server(self, context)
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        """The EWS address."""
        return f"https://{self.host}:{self.port}{PATH}"

    def add_mailbox(self, address: str) -> Mailbox:
        """A mailbox that nobody may open yet."""
        return self.mailboxes.setdefault(address, Mailbox(address))

    def script(self, operation: str, *faults: Fault) -> None:
        """The next requests of ``operation`` get these answers, in this order, instead of theirs."""
        self._faults[operation].extend(faults)

    def clear_script(self) -> None:
        """Nothing is wrong any more."""
        self._faults.clear()

    def operations(self) -> list[str]:
        """The operations that were asked for, in order."""
        return [one.operation for one in self.heard]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(_PAUSE,), name="EWS", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        if not kind:
            assert not self._defects, self._defects

    # --- one request -------------------------------------------------------------------------------------------------

    def answer(self, handler: "_Handler", body: bytes) -> None:
        """Sign-in, SOAP, operation."""
        page = self.pages.get(handler.path)
        self.sign_ins += "Authorization" in handler.headers
        try:
            user = "" if page and page.open else handler.door.enter(handler.headers.get("Authorization", ""))
        except Denied as denied:
            return handler.send(401, b"", denied.headers)
        if page and isinstance(page.answer, Drip):
            return handler.drip(self._stop)
        if page and isinstance(page.answer, Status):
            return handler.send(page.answer.code, page.answer.body, page.answer.headers)
        if handler.path.lower() != PATH.lower():
            return handler.send(404, b"not here")
        if not handler.headers.get("Content-Type", "").startswith("text/xml"):
            return handler.send(415, b"text/xml only")
        try:
            self._operate(handler, body, user)
        except SoapFault as fault:
            # SOAP 1.1 section 6.2: a fault comes with HTTP 500.
            handler.send(500, self._wrap(fault_body(fault)))
        return None

    def _operate(self, handler: "_Handler", body: bytes, user: str) -> None:
        try:
            root = ET.fromstring(body)  # noqa: S314 - from our own client
        except ET.ParseError as exc:
            raise schema_fault(str(exc)) from exc
        operation, acts_for = self._open_envelope(root, user)
        name = local(operation)
        self.heard.append(Heard(name, user, acts_for, handler.headers.get("User-Agent", ""), body.decode()))
        fault = self._faults[name].popleft() if self._faults[name] else None
        if isinstance(fault, SoapFault):
            raise fault
        if isinstance(fault, Busy):
            wait = {} if fault.milliseconds is None else {"BackOffMilliseconds": str(fault.milliseconds)}
            raise SoapFault("ErrorServerBusy", "The server cannot service this request right now.", **wait)
        if isinstance(fault, Status):
            return handler.send(fault.code, fault.body, fault.headers)
        person = self.people.get(user, Person(""))
        caller = Caller(person.mailbox, frozenset(person.full_access), acts_for, person.may_write)
        if fault is None or (isinstance(fault, CutOff) and fault.done):
            work = Operations(self.mailboxes, caller, build=self.build, page=self.page, fraction=self.fraction)
            try:
                return handler.send(200, self._wrap(work.perform(operation)), cut=isinstance(fault, CutOff))
            except Cut:
                pass
        if isinstance(fault, Drip):
            return handler.drip(self._stop)
        return handler.send(200, self._wrap("<cut/>"), cut=True)

    def _open_envelope(self, root: ET.Element, user: str) -> tuple[ET.Element, str]:
        """The operation, and whose owner it acts as."""
        if root.tag != tag(SOAP, "Envelope"):
            raise schema_fault("SOAP 1.1 is spoken here.")
        header, body = root.find(tag(SOAP, "Header")), root.find(tag(SOAP, "Body"))
        if body is None or len(body) != 1:
            raise schema_fault("One operation at a time.")
        wanted = header.find(tag(TYPES, "RequestServerVersion")) if header is not None else None
        version = "" if wanted is None else attributes(wanted, "Version")["Version"]
        # RequestServerVersion: a version that the server does not know is refused.
        if version not in _VERSIONS or _VERSIONS[version] > self.build:
            raise SoapFault("ErrorInvalidServerVersion", "The specified server version is invalid.")
        acts_for = ""
        for part in header if header is not None else ():
            if part is wanted:
                continue
            if part.tag == tag(TYPES, "ExchangeImpersonation"):
                acts_for = self._impersonated(part, user)
            elif part.tag != tag(TYPES, "TimeZoneContext") or self.build < _VERSIONS["Exchange2010"]:
                raise schema_fault(f"The header has no {local(part)}.")
        if "bearer" in self.schemes and not acts_for:
            # An application has no mailbox: how-to-authenticate-an-ews-application-by-using-oauth.
            raise SoapFault("ErrorImpersonateUserDenied", "An application must act for somebody.")
        return body[0], acts_for

    def _impersonated(self, part: ET.Element, user: str) -> str:
        """ConnectingSID, one of its four forms, and the right to do so (ApplicationImpersonation)."""
        name = part.find(f"{tag(TYPES, 'ConnectingSID')}/*")
        if name is None or local(name) not in {"PrincipalName", "SID", "PrimarySmtpAddress", "SmtpAddress"}:
            raise SoapFault("ErrorInvalidExchangeImpersonationHeaderData")
        address = name.text or ""
        if address not in self.mailboxes:
            raise SoapFault("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")
        if user not in self.people or address not in self.people[user].may_act_for:
            raise SoapFault("ErrorImpersonateUserDenied", "The account may not impersonate the requested user.")
        return address

    def _wrap(self, body: str) -> bytes:
        known = [name for name, build in _VERSIONS.items() if build <= self.build]
        # Servers since 2016 name versions here that no request may name.
        version = "V2017_07_11" if self.build >= _VERSIONS["Exchange2016"] else "".join(known[-1:])
        return envelope(body, build=self.build, version=version)

    def note_defect(self, text: str) -> None:
        """Something in the simulator itself went wrong."""
        self._defects.append(text)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer in one piece; in two, each would wait for the other side's delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        exchange = self.server.exchange
        exchange.connections += 1
        self.door = Door(exchange.people, exchange.schemes, exchange.certificate.chain)

    def do_POST(self) -> None:
        """The only method that EWS knows."""
        length = int(self.headers.get("Content-Length", "0"))
        self.server.exchange.answer(self, self.rfile.read(length))

    def send(
        self,
        code: int,
        body: bytes,
        headers: Mapping[str, str] | tuple[tuple[str, str], ...] = (),
        *,
        cut: bool = False,
    ) -> None:
        """One answer; a cut one announces more than it gives."""
        self.send_response(code)
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def drip(self, stop: threading.Event) -> None:
        """Octet by octet until the other side has had enough."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.close_connection = True
        while not stop.wait(_PAUSE):
            self.wfile.write(b" ")
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, exchange: Exchange, context: ssl.SSLContext) -> None:
        self.exchange = exchange
        self._context = context
        super().__init__((HOST, 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connected, address = super().get_request()
        # The handshake is left to the thread of the connection.
        return self._context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the standard library's
        fault = sys.exc_info()[1]
        if not isinstance(fault, OSError):
            self.exchange.note_defect(repr(fault))
        with suppress(OSError):
            request.close()
