"""One POP3 connection: commands and answers, in sync, within time limits (RFC 1939, RFC 2449, RFC 2595, RFC 5034).

Not over poplib: it ends a message's lines as it likes, takes a lost connection for a refusal, and knows neither AUTH
nor commands in flight.
"""

import base64
import ssl
from collections.abc import Callable, Mapping, Sequence

from shared.connectors._dial import Line, tls_context
from shared.connectors._pop_text import Body, capabilities_in, code_in, is_temporary, read_body
from shared.connectors._text import readable
from shared.errors import ConfigInvalid, Unavailable
from shared.ports import Deadline

#: With TLS and without.
PORTS = (995, 110)
#: Seconds for a polite goodbye.
_GOODBYE = 5.0
#: Octets of a status line (RFC 2449 section 4 allows 512), and of a listing of all messages.
_LONGEST_STATUS, _LONGEST_LISTING = 8_192, 64_000_000
#: Commands that are sent before their answers, where the server announces PIPELINING (RFC 2449 section 6.6).
_IN_FLIGHT = 20
#: How often a server may ask back within one sign-in.
_CHALLENGES = 5


class Refusal(Unavailable):
    """The server answered -ERR. Whoever knows what it means catches it; the connection goes on."""

    def __init__(self, what: str, *, said: str) -> None:
        super().__init__(what)
        #: What the server said: one readable line.
        self.said = said
        self.response_code = code_in(said)

    @property
    def temporary(self) -> bool:
        """Whether the server says that it would answer otherwise later."""
        return is_temporary(self.response_code)


class Connection:
    """Once the connection is lost, every call raises `Unavailable`. A `Refusal` leaves it as it was."""

    def __init__(self, host: str, port: int, deadline: Deadline) -> None:
        self._line = Line(host, port, deadline, ports=PORTS)
        self.address = self._line.address
        self.greeting = ""
        #: Empty where the server does not know CAPA.
        self.capabilities: Mapping[str, tuple[str, ...]] = {}

    def greet(self, context: ssl.SSLContext | None) -> None:
        """Hear the greeting, with TLS from the first octet where ``context`` is given."""
        with self._line.exchange("greeting"):
            if context:
                self._line.secure(context)
            self.greeting = self.hear("greeting")
        self.ask_capabilities()

    def secure(self, context: ssl.SSLContext, *, required: bool) -> None:
        """STLS. Where it is not ``required`` and not offered, go on in plain text; where offered, it must work."""
        if "STLS" in self.capabilities:
            with self._line.exchange("starting TLS"):
                self._line.send(b"STLS\r\n")
                self.hear("starting TLS")
                self._line.secure(context)
            # Whatever was said in plain text may have been changed on the way (RFC 2595 section 4).
            self.ask_capabilities()
        elif required:
            raise ConfigInvalid(
                f"{self.address} does not offer STARTTLS (STLS), so nothing secret was sent.",
                remedy="Use security 'tls' with the TLS port (995), or have STLS enabled on the server.",
            )

    def ask_capabilities(self) -> None:
        """What the server can do; asked again after TLS and after the sign-in, which may change it."""
        try:
            self.capabilities = capabilities_in(self.ask_listing("asking for capabilities", "CAPA"))
        except Refusal as refusal:
            if refusal.temporary:
                raise
            self.capabilities = {}

    def ask(self, doing: str, command: str) -> str:
        """The words of the answer. ``doing`` says in a sentence what is going on."""
        with self._line.exchange(doing):
            self._line.send(f"{command}\r\n".encode())
            return self.hear(doing)

    def ask_listing(self, doing: str, command: str) -> bytes:
        """The lines of the answer."""
        with self._line.exchange(doing):
            self._line.send(f"{command}\r\n".encode())
            self.hear(doing)
            listing = self.hear_body(keep=_LONGEST_LISTING)
        if len(listing.data) < listing.size:
            raise self._line.lose("it gave an answer without end")
        return listing.data

    def ask_many(self, doing: str, commands: Sequence[str], hear: Callable[[int], None]) -> None:
        """Send ``commands``, some ahead where the server allows it, and have ``hear`` read each answer, in their order.

        ``hear`` gets the index of the command and reads all of its answer; it keeps refusals to itself.
        """
        if not commands:
            return
        ahead = _IN_FLIGHT if "PIPELINING" in self.capabilities else 1
        sent = 0
        with self._line.exchange(doing):
            for index in range(len(commands)):
                if sent < len(commands) and sent - index <= ahead // 2:
                    more = commands[sent : index + ahead]
                    self._line.send("".join(f"{command}\r\n" for command in more).encode())
                    sent += len(more)
                hear(index)

    def authenticate(self, mechanism: str, respond: Callable[[bytes], bytes]) -> str:
        """Sign in by SASL (RFC 5034): ``respond`` gives the answer to each challenge, the first of which is empty.

        Every response waits for its challenge, so that no line gets too long for the server.
        """
        doing = "signing in"
        with self._line.exchange(doing):
            self._line.send(f"AUTH {mechanism}\r\n".encode())
            for _ in range(_CHALLENGES):
                status, said = self._status()
                if status != "+":
                    return self._judged(doing, status, said)
                try:
                    response = respond(base64.b64decode(said, validate=True))
                except ValueError:
                    break
                self._line.send(base64.b64encode(response) + b"\r\n")
            raise self._line.lose("it asked what makes no sense")

    def hear(self, doing: str) -> str:
        """The words of the next answer, within an exchange. Raises `Refusal`."""
        return self._judged(doing, *self._status())

    def hear_body(self, *, keep: int) -> Body:
        """The rest of a multi-line answer, of which at most ``keep`` octets are kept."""
        try:
            return read_body(self._line.reader, keep=keep)
        except EOFError:
            raise self._line.lose("the server closed it") from None

    def quit(self) -> None:
        """QUIT: all that was marked as deleted is removed (RFC 1939 section 6). Raises `Refusal` or `Unavailable`."""
        self.ask("committing the deletions", "QUIT")

    def close(self, *, politely: bool = False) -> None:
        """Hang up, which commits nothing; ``politely`` only where there is nothing to commit. Never raises."""
        if politely and not self._line.lost:
            try:
                with self._line.exchange("saying goodbye", seconds=_GOODBYE):
                    self._line.send(b"QUIT\r\n")
                    self._status()
            except (Unavailable, ConfigInvalid):
                pass
        self._line.close()

    def _status(self) -> tuple[str, str]:
        line = self._line.reader.readline(_LONGEST_STATUS)
        if not line:
            raise self._line.lose("the server closed it")
        status, _, said = line.decode("utf-8", "replace").strip().partition(" ")
        if not line.endswith(b"\n") or status not in {"+OK", "-ERR", "+"}:
            # Whatever it is, it may be part of a message.
            raise self._line.lose("it gave an answer that makes no sense")
        return status, said

    def _judged(self, doing: str, status: str, said: str) -> str:
        if status == "+OK":
            return said
        if status == "+":
            raise self._line.lose("it gave an answer that makes no sense")
        said = readable(said)
        raise Refusal(f"{self.address} refused {doing}: {said or 'no reason given'}.", said=said)


def connect(
    *, host: str, port: int, security: str, ca_file: str | None, deadline: Deadline, prove: Callable[[Connection], None]
) -> Connection:
    """A connection in the wanted security mode on which ``prove`` has signed in. Nothing stays open when it raises."""
    context = tls_context(ca_file) if security != "none" else None
    connection = Connection(host, port, deadline)
    try:
        connection.greet(context if security == "tls" else None)
        if context and security != "tls":
            connection.secure(context, required=security == "starttls")
        prove(connection)
        connection.ask_capabilities()
    except BaseException:
        connection.close()
        raise
    return connection
