"""IMAP4 mailboxes with a password or a token: what a job says about one, and how it is opened."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from shared.canary import Letter
from shared.connectors._imap_connection import Connection, connect
from shared.connectors._imap_folder import open_folder
from shared.connectors._imap_mailbox import ImapMailbox
from shared.connectors._imap_marks import is_keyword
from shared.connectors._imap_text import normal_folder
from shared.connectors._mail_server import MailServerSettings, token_login
from shared.model import Disposition
from shared.ports import Connector, Opening, OpenRequest
from shared.signin.entra import CLOUDS, Cloud, CloudName
from shared.signin.google import GOOGLE, Google


class Imap4Settings(MailServerSettings):
    """An IMAP4rev1 server (RFC 3501), a user, and one of that user's folders."""

    ports: ClassVar[tuple[int, int]] = (993, 143)
    starttls: ClassVar[Literal["imap4", "pop3"]] = "imap4"

    type: Literal["imap4"]
    folder: str = Field(
        default="INBOX", min_length=1, max_length=1000, description="Subfolders as INBOX/Support or INBOX.Support."
    )

    def identity(self) -> str:
        """See `ServerSettings.identity`."""
        user = self.user.replace("%", "%25").replace("/", "%2F")
        return f"imap4:{self.place}/{user}/{normal_folder(self.folder)}"

    def refuses(self, disposition: Disposition) -> str:
        """See `ServerSettings.refuses`."""
        if disposition.category and not is_keyword(disposition.category):
            return (
                'category: a keyword of IMAP4 is one word of ASCII letters, digits and signs, none of ( ) { % * " \\ ].'
            )
        if disposition.move_to and normal_folder(disposition.move_to) == normal_folder(self.folder):
            return "move_to names the folder that the job itself integrates."
        return ""

    def warnings(self) -> tuple[str, ...]:
        """See `ServerSettings.warnings`."""
        return self.exposed("token and all mail" if self.sign_in else "password and all mail")


def _sign_in(
    connection: Connection, *, request: OpenRequest, clouds: Mapping[CloudName, Cloud], google: Google
) -> None:
    settings: Imap4Settings = request.settings
    request.begins(Opening.SIGN_IN)
    if login := token_login(request, "IMAP4", clouds=clouds, google=google):
        connection.sign_in_by_token(login)
    else:
        secret = str(settings.password_secret)
        connection.sign_in(settings.username, request.secrets.get(secret), secret=secret)
    request.begins(Opening.MAILBOX)
    connection.enter()
    request.begins(Opening.FOLDER)


def _dialler(request: OpenRequest, clouds: Mapping[CloudName, Cloud], google: Google) -> Callable[[], Connection]:
    """What gives a connection that has signed in."""
    settings: Imap4Settings = request.settings
    return partial(
        connect,
        host=settings.host,
        port=settings.effective_port,
        security=settings.security,
        ca_file=settings.ca_file,
        deadline=request.deadline,
        prove=partial(_sign_in, request=request, clouds=clouds, google=google),
    )


def open_mailbox(
    request: OpenRequest, *, clouds: Mapping[CloudName, Cloud] = CLOUDS, google: Google = GOOGLE
) -> ImapMailbox:
    """Connect, sign in and open the folder for reading. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`."""
    settings: Imap4Settings = request.settings
    dial = _dialler(request, clouds, google)
    return ImapMailbox(dial, folder=settings.folder, job_id=request.job_id, identity=settings.identity())


def post(
    request: OpenRequest, letter: Letter, *, clouds: Mapping[CloudName, Cloud] = CLOUDS, google: Google = GOOGLE
) -> None:
    """See `Connector.post`: APPEND into the job's own folder (RFC 3501 section 6.3.11), by a connection apart."""
    connection = _dialler(request, clouds, google)()
    try:
        folder = open_folder(connection, request.settings.folder, writable=False)
        connection.ask("putting the canary into the folder", connection.client.append, folder.name, letter.raw())
    finally:
        connection.close()


CONNECTOR = Connector(
    kind="imap4", settings=Imap4Settings, open=open_mailbox, keeps_bytes=True, post=post, posts_by="append"
)
