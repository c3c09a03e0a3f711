"""Exchange Online mailboxes by Microsoft Graph: what a job says about one, and how it is opened."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from shared.canary import Letter
from shared.connectors._dial import https_endpoint
from shared.connectors._exchange_identity import mailbox_identity, refused_target
from shared.connectors._graph_clouds import CLOUDS
from shared.connectors._graph_text import steps_of, well_known
from shared.model import Disposition
from shared.ports import Connector, Endpoint, Mailbox, Opening, OpenRequest, Secrets, ServerSettings
from shared.signin import entra
from shared.signin.entra import AnyEntraSignIn, CloudName, EntraSignIn

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.connectors._graph_client import Client, Pause

#: An SMTP address or user principal name, or the object id of a user.
_MAILBOX = re.compile(r"[^@\s/\\]+@[^@\s/\\]+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class ExchangeOnlineGraphSettings(ServerSettings):
    """A mailbox in Exchange Online, a user's or a shared one, and one of its folders."""

    type: Literal["exchange_online"]
    api: Literal["graph"] = Field(default="graph", description="Microsoft Graph: the recommended way.")
    mailbox: str = Field(
        min_length=3, max_length=320, description="Primary SMTP address, user principal name or object id."
    )
    folder: str = Field(
        default="Inbox",
        min_length=1,
        max_length=1000,
        description="Inbox, Inbox/Support, ...: English names of standard folders work in every language.",
    )
    cloud: CloudName = Field(default="global", description="usgov is GCC High, usgovhigh is DoD; GCC is global.")
    sign_in: EntraSignIn
    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://(127\.0\.0\.1|localhost)(:\d{1,5})?$",
        description="A Graph simulator on this very machine, for tests and demos; tokens go nowhere else.",
    )

    @field_validator("mailbox")
    @classmethod
    def _one_mailbox(cls, mailbox: str) -> str:
        if not mailbox.isprintable() or not _MAILBOX.fullmatch(mailbox):
            raise ValueError("Give the mailbox as an SMTP address, a user principal name or an object id.")
        return mailbox

    @field_validator("folder")
    @classmethod
    def _one_folder(cls, folder: str) -> str:
        steps = steps_of(folder)
        if not folder.isprintable() or not steps:
            raise ValueError("Give the folder as a path of names, like Inbox/Support.")
        if len(steps) == 1 and well_known(steps[0]) == "deleteditems":
            raise ValueError("Deleted Items cannot be integrated: it is where jobs put what they mark as deleted.")
        return folder

    def identity(self) -> str:
        """See `ServerSettings.identity`. Address and object id of one mailbox cannot be told to be the same."""
        first, *rest = steps_of(self.folder)
        return mailbox_identity(self.mailbox, "/".join([well_known(first) or first, *rest]))

    def secret_names(self) -> frozenset[str]:
        """See `ServerSettings.secret_names`."""
        return self.sign_in.secret_names()

    def address(self) -> str:
        """See `ServerSettings.address`."""
        return self.mailbox if "@" in self.mailbox else ""

    def endpoint_to_reach(self) -> Endpoint:
        """See `ServerSettings.endpoint_to_reach`."""
        return https_endpoint(self.endpoint or CLOUDS[self.cloud].root)

    def refuses(self, disposition: Disposition) -> str:
        """See `ServerSettings.refuses`."""
        return refused_target(self.mailbox, self.folder, disposition.move_to)

    def warnings(self) -> tuple[str, ...]:
        """See `ServerSettings.warnings`."""
        if self.endpoint:
            return (f"This job talks to {self.endpoint}, not to Exchange Online.",)
        return ()


def _credential(sign_in: AnyEntraSignIn, secrets: Secrets, cloud: CloudName) -> "TokenCredential":
    return entra.credential_for(sign_in, secrets, entra.CLOUDS[cloud])


def open_mailbox(
    request: OpenRequest,
    *,
    credential: "Callable[[AnyEntraSignIn, Secrets, CloudName], TokenCredential]" = _credential,
    pause: "Pause | None" = None,
) -> Mailbox:
    """Sign in and find the folder. Raises `ConfigInvalid`, `AuthFailed` or `Unavailable`.

    ``credential`` gives what tokens come from, ``pause`` waits that many seconds (default: ``asyncio.sleep``).
    """
    from shared.connectors._graph_mailbox import GraphMailbox

    settings: ExchangeOnlineGraphSettings = request.settings
    client = _client(request, credential, pause)
    cloud = CLOUDS[settings.cloud]
    return GraphMailbox(client, cloud, folder=settings.folder, job_id=request.job_id, identity=settings.identity())


def _client(
    request: OpenRequest,
    credential: "Callable[[AnyEntraSignIn, Secrets, CloudName], TokenCredential]",
    pause: "Pause | None" = None,
) -> "Client":
    from shared.connectors._graph_client import Client

    settings: ExchangeOnlineGraphSettings = request.settings
    cloud = CLOUDS[settings.cloud]
    request.begins(Opening.SIGN_IN)
    token_credential = credential(settings.sign_in, request.secrets, settings.cloud)
    place = replace(cloud, root=settings.endpoint) if settings.endpoint else cloud
    return Client(
        place.root,
        cloud.scope,
        token_credential,
        mailbox=settings.mailbox,
        deadline=request.deadline,
        begins=request.begins,
        **({"pause": pause} if pause else {}),
    )


def post(
    request: OpenRequest,
    letter: Letter,
    *,
    credential: "Callable[[AnyEntraSignIn, Secrets, CloudName], TokenCredential]" = _credential,
) -> None:
    """See `Connector.post`: sendMail from the mailbox, without a copy in Sent Items.

    Needs Mail.Send. https://learn.microsoft.com/graph/api/user-sendmail; of header fields Graph takes at most five,
    whose names begin with ``x-``: https://learn.microsoft.com/graph/api/resources/internetmessageheader. So what
    answers another message goes as MIME (https://learn.microsoft.com/graph/outlook-send-mime-message), which leaves a
    copy in Sent Items.
    """
    client = _client(request, credential)
    try:
        client.send_mail(letter.raw() if letter.answers else _as_json(letter))
    finally:
        client.close()


def _as_json(letter: Letter) -> dict[str, Any]:
    message: dict[str, Any] = {
        "subject": letter.subject,
        "body": {"contentType": "text", "content": letter.text},
        "toRecipients": [{"emailAddress": {"address": letter.recipient}}],
        "internetMessageHeaders": [
            {"name": name, "value": value} for name, value in letter.headers.items() if name.lower().startswith("x-")
        ],
    }
    if letter.sender != letter.recipient:
        message["from"] = {"emailAddress": {"address": letter.sender}}
    return {"message": message, "saveToSentItems": False}


CONNECTOR = Connector(
    kind="exchange_online", settings=ExchangeOnlineGraphSettings, open=open_mailbox, post=post, posts_by="graph"
)
