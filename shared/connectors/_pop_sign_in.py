"""Signing in to POP3 with a password or a token (RFC 1939 section 7, RFC 5034); refusals (RFC 2449, RFC 3206)."""

import hashlib
import re
from datetime import timedelta
from typing import Literal

from shared.connectors._pop_connection import Connection, Refusal
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.signin.mail import MailLogin

Authentication = Literal["auto", "plain", "user", "apop"]

#: What the greeting of a server that knows APOP ends in.
_TIMESTAMP = re.compile(r"<[^<>\s]+@[^<>\s]*>")


def sign_in(connection: Connection, username: str, password: str, *, secret: str, how: Authentication) -> None:
    """Sign in. ``secret`` is the name of the password. Raises `AuthFailed`, `ConfigInvalid` or `Unavailable`."""
    if not password or any(ord(mark) < 32 or ord(mark) == 127 for mark in password):
        raise ConfigInvalid(
            f"The secret {secret!r} holds no usable password: it is empty or has a control character in it.",
            remedy="Store it again without a line end.",
        )
    chosen = _offered(connection) if how == "auto" else how
    try:
        if chosen == "plain":
            connection.authenticate("PLAIN", lambda _: f"\0{username}\0{password}".encode())
        elif chosen == "apop":
            connection.ask("signing in", f"APOP {username} {_digest(connection, password)}")
        else:
            connection.ask("signing in", f"USER {username}")
            connection.ask("signing in", f"PASS {password}")
    except Refusal as refusal:
        # Some servers repeat the command that they refuse, so the refusal itself must not be seen.
        said = refusal.said.replace(password, "(the password)") or "no reason given"
        raise _meaning(connection, refusal, said, username=username, secret=secret) from None


def sign_in_by_token(connection: Connection, login: MailLogin) -> None:
    """AUTH XOAUTH2, with the token in a line of its own, which may be longer than a command (RFC 5034 section 4).

    Raises `AuthFailed`, `ConfigInvalid` or `Unavailable`.
    """
    if "XOAUTH2" not in connection.capabilities.get("SASL", ()):
        raise ConfigInvalid(
            f"{connection.address} takes no tokens (it does not offer SASL XOAUTH2), so none was sent.",
            remedy="Check host, and that the connection is secured by TLS; with another server use password_secret.",
        )
    dialogue = login.dialogue()
    try:
        said = connection.authenticate("XOAUTH2", dialogue.answer)
    except Refusal as refusal:
        if refusal.temporary:
            raise Unavailable(f"Mailbox {login.user!r} on {connection.address} is not available now.") from None
        raise login.refused(refusal.said, failure=dialogue.failure, address=connection.address) from None
    if closed := login.closed(said, address=connection.address):
        raise closed


def _offered(connection: Connection) -> Authentication:
    """SASL PLAIN where the server has it, since only that says how letters beyond ASCII travel; else USER."""
    offered = connection.capabilities
    if "PLAIN" in offered.get("SASL", ()):
        return "plain"
    if offered and "USER" not in offered:
        raise ConfigInvalid(
            f"{connection.address} takes no passwords on this connection, so none was sent.",
            remedy="Use security 'tls' or 'starttls'; a server that still says so wants another way to sign in.",
        )
    return "user"


def _digest(connection: Connection, password: str) -> str:
    found = _TIMESTAMP.search(connection.greeting)
    if not found:
        raise ConfigInvalid(
            f"{connection.address} does not offer APOP, so nothing was sent.",
            remedy="Leave authentication out, or set it to 'user' or 'plain'.",
        )
    # The protocol leaves no choice of the hash (RFC 1939 section 7).
    return hashlib.md5((found.group() + password).encode(), usedforsecurity=False).hexdigest()


def _meaning(connection: Connection, refusal: Refusal, said: str, *, username: str, secret: str) -> JobError:
    mailbox = f"mailbox {username!r} on {connection.address}"
    match refusal.response_code.partition("/")[0]:
        case "IN-USE":
            return Unavailable(
                f"Another session holds the {mailbox}: {said}.",
                remedy="Have nobody else fetch from it; a session that was cut off ends by itself within minutes.",
            )
        case "LOGIN-DELAY":
            seconds = next(iter(connection.capabilities.get("LOGIN-DELAY", ())), "")
            return Unavailable(
                f"{connection.address} does not let {username!r} sign in again so soon: {said}.",
                remedy="Have the job run less often than the server allows.",
                retry_after=timedelta(seconds=int(seconds)) if seconds.isdecimal() else None,
            )
        case _ if refusal.temporary:
            return Unavailable(f"The {mailbox} is not available now: {said}.")
        case "SYS":
            return ConfigInvalid(f"The {mailbox} cannot be opened: {said}.", remedy="Have the server's operators look.")
        case _:
            return AuthFailed(
                f"{connection.address} refused the sign-in of {username!r}: {said}.",
                remedy=f"Check the user name and the secret {secret!r}, and that POP3 is switched on for the account; "
                "some providers want an app password instead.",
            )
