"""The EWS simulator refuses what Exchange refuses. Asked by hand here, without the connector and without exchangelib."""

import xml.etree.ElementTree as ET

import pytest
import requests
from requests.auth import HTTPBasicAuth

from tests.contract.mailbox import mail
from tests.servers.ews import Exchange
from tests.servers.ews_fixture import MAILBOX, OWNER, PASSWORD, exchange, exchange_authority
from tests.servers.ews_soap import ERRORS, MESSAGES, SOAP, TYPES
from tests.servers.ews_store import Item
from tests.servers.tls import Authority

__all__ = ["exchange", "exchange_authority"]

_SHAPE = "<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>{}</m:ItemShape>"
_INBOX = '<t:DistinguishedFolderId Id="inbox"/>'
_VIEW = '<m:IndexedPageItemView MaxEntriesReturned="{}" Offset="{}" BasePoint="Beginning"/>'
_UNREAD = (
    '<m:Restriction><t:IsEqualTo><t:FieldURI FieldURI="message:IsRead"/><t:FieldURIOrConstant>'
    '<t:Constant Value="false"/></t:FieldURIOrConstant></t:IsEqualTo></m:Restriction>'
)
_UPDATE = (
    '<m:UpdateItem ConflictResolution="{how}"{more}><m:ItemChanges><t:ItemChange><t:ItemId Id="{id}"{key}/><t:Updates>'
    '<t:SetItemField><t:FieldURI FieldURI="message:IsRead"/><t:Message><t:IsRead>true</t:IsRead></t:Message>'
    "</t:SetItemField></t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
)
_SAVE = ' MessageDisposition="SaveOnly"'


class Asker:
    """A client that says just what it is told."""

    def __init__(self, server: Exchange, authority: Authority) -> None:
        self._server = server
        self._authority = authority

    def ask(self, body: str, *, version: str = "Exchange2016", header: str = "") -> tuple[int, ET.Element]:
        """HTTP status and answer."""
        names = f'xmlns:s="{SOAP}" xmlns:t="{TYPES}" xmlns:m="{MESSAGES}"'
        text = (
            f'<s:Envelope {names}><s:Header><t:RequestServerVersion Version="{version}"/>{header}</s:Header>'
            f"<s:Body>{body}</s:Body></s:Envelope>"
        )
        answer = requests.post(
            self._server.url,
            text.encode(),
            headers={"Content-Type": "text/xml"},
            auth=HTTPBasicAuth(OWNER.encode(), PASSWORD.encode()),
            verify=str(self._authority.ca_file),
            timeout=10,
        )
        return answer.status_code, ET.fromstring(answer.content)  # noqa: S314 - from our own server

    def code(self, body: str, **options: str) -> str:
        """The first response code, of a fault or of a message."""
        _, root = self.ask(body, **options)
        return root.findtext(f".//{{{ERRORS}}}ResponseCode") or root.findtext(f".//{{{MESSAGES}}}ResponseCode") or ""


@pytest.fixture
def asker(exchange: Exchange, exchange_authority: Authority) -> Asker:
    """A client that says just what it is told."""
    return Asker(exchange, exchange_authority)


@pytest.fixture
def item(exchange: Exchange) -> Item:
    """One unread message."""
    return exchange.mailboxes[MAILBOX].deliver(mail("one"))


def find(*, page: int = 10, offset: int = 0, inside: str = "") -> str:
    """FindItem for unread messages in the Inbox."""
    shape, view = _SHAPE.format(inside), _VIEW.format(page, offset)
    parents = f"<m:ParentFolderIds>{_INBOX}</m:ParentFolderIds>"
    return f'<m:FindItem Traversal="Shallow">{shape}{view}{_UNREAD}{parents}</m:FindItem>'


def get(wanted: str) -> str:
    """GetItem."""
    return f'<m:GetItem>{_SHAPE.format("")}<m:ItemIds><t:ItemId Id="{wanted}"/></m:ItemIds></m:GetItem>'


def sync(rest: str) -> str:
    """SyncFolderItems of the Inbox."""
    return f"<m:SyncFolderItems>{_SHAPE.format('')}<m:SyncFolderId>{_INBOX}</m:SyncFolderId>{rest}</m:SyncFolderItems>"


def test_what_is_right_is_answered(asker: Asker, item: Item) -> None:
    """So that the refusals below mean something."""
    status, root = asker.ask(find())
    assert status == 200
    assert [one.get("Id") for one in root.iter(f"{{{TYPES}}}ItemId")] == [item.id]
    assert asker.code(get(item.id)) == "NoError"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (find(inside='<t:AdditionalProperties><t:FieldURI FieldURI="item:Colour"/></t:AdditionalProperties>'), "ErrorSchemaValidation"),
        (find(inside="<t:Colour>red</t:Colour>"), "ErrorSchemaValidation"),
        (find(page=0), "ErrorSchemaValidation"),
        (find().replace(_UNREAD, "").replace("</m:ParentFolderIds>", f"</m:ParentFolderIds>{_UNREAD}"), "ErrorSchemaValidation"),
        (find(inside="<t:IncludeMimeContent>true</t:IncludeMimeContent>"), "ErrorInvalidPropertyRequest"),
        (find().replace("inbox", "archive"), "ErrorFolderNotFound"),
        (find().replace("inbox", "in-box"), "ErrorSchemaValidation"),
        (get("!"), "ErrorInvalidIdMalformed"),
        (get("AAAA"), "ErrorItemNotFound"),
        ('<m:EmptyFolder DeleteType="HardDelete" DeleteSubFolders="false"/>', "ErrorInvalidRequest"),
        (sync("<m:MaxChangesReturned>513</m:MaxChangesReturned>"), "ErrorSchemaValidation"),
        (sync("<m:SyncState>AAAA</m:SyncState><m:MaxChangesReturned>5</m:MaxChangesReturned>"), "ErrorInvalidSyncStateData"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_refused(asker: Asker, item: Item, body: str, code: str) -> None:
    """Unknown properties and elements, wrong order, numbers out of bounds, ids that are none, other operations."""
    assert asker.code(body) == code


@pytest.mark.parametrize(
    ("how", "more", "key", "code"),
    [
        ("AlwaysOverwrite", _SAVE, "", "NoError"),
        ("AlwaysOverwrite", "", "", "ErrorMessageDispositionRequired"),
        ("AutoResolve", _SAVE, "", "ErrorChangeKeyRequiredForWriteOperations"),
        ("NeverOverwrite", _SAVE, ' ChangeKey="AAAA"', "ErrorIrresolvableConflict"),
        ("Sometimes", _SAVE, "", "ErrorSchemaValidation"),
    ],
)
def test_a_change_wants_what_the_real_one_wants(
    asker: Asker, item: Item, *, how: str, more: str, key: str, code: str
) -> None:
    """A disposition, and the change key unless conflicts are always overwritten."""
    assert asker.code(_UPDATE.format(how=how, more=more, key=key, id=item.id)) == code
    assert item.read is (code == "NoError")


def test_versions_that_a_server_does_not_have_are_refused(exchange: Exchange, asker: Asker, item: Item) -> None:
    """As a SOAP fault with HTTP 500; what came with a later version is unknown to an older server."""
    assert asker.code(find(), version="Exchange2099") == "ErrorInvalidServerVersion"
    assert asker.ask(find(), version="Exchange2099")[0] == 500
    exchange.build = (14, 3, 123)
    assert asker.code(find()) == "ErrorInvalidServerVersion"
    assert asker.code(find(), version="Exchange2010_SP2") == "NoError"
    update = _UPDATE.format(how="AlwaysOverwrite", more=_SAVE + ' SuppressReadReceipts="true"', key="", id=item.id)
    assert asker.code(update, version="Exchange2010_SP2") == "ErrorSchemaValidation"


def test_acting_for_somebody_wants_the_right_to(exchange: Exchange, asker: Asker) -> None:
    """For each mailbox; one that does not exist is told apart."""
    exchange.add_mailbox("boss@example.com")

    def act_for(address: str) -> str:
        inside = f"<t:ConnectingSID><t:SmtpAddress>{address}</t:SmtpAddress></t:ConnectingSID>"
        return f"<t:ExchangeImpersonation>{inside}</t:ExchangeImpersonation>"

    assert asker.code(find(), header=act_for("boss@example.com")) == "ErrorImpersonateUserDenied"
    assert asker.code(find(), header=act_for("nobody@example.com")) == "ErrorNonExistentMailbox"
    exchange.people[OWNER].may_act_for.add("boss@example.com")
    assert asker.code(find(), header=act_for("boss@example.com")) == "NoError"


def test_an_id_ends_with_a_move(exchange: Exchange, asker: Asker, item: Item) -> None:
    """The answer has the new one; the old one names nothing any more."""
    old = item.id
    to = '<m:ToFolderId><t:DistinguishedFolderId Id="deleteditems"/></m:ToFolderId>'
    _, root = asker.ask(f'<m:MoveItem>{to}<m:ItemIds><t:ItemId Id="{old}"/></m:ItemIds></m:MoveItem>')
    (new,) = [one.get("Id") for one in root.iter(f"{{{TYPES}}}ItemId")]
    assert new == item.id != old
    assert asker.code(get(old)) == "ErrorItemNotFound"
    assert asker.code(get(item.id)) == "NoError"


def test_an_offset_slides_when_messages_leave_the_view(exchange: Exchange, asker: Asker) -> None:
    """Who marks what a page gave before asking for the next passes over as many: this is why ids come first."""
    box = exchange.mailboxes[MAILBOX]
    for number in range(10):
        box.deliver(mail(f"m{number}"))
    seen = 0
    while True:
        _, root = asker.ask(find(page=2, offset=seen))
        ids = [one.get("Id", "") for one in root.iter(f"{{{TYPES}}}ItemId")]
        if not ids:
            break
        for one in ids:
            asker.ask(_UPDATE.format(how="AlwaysOverwrite", more=_SAVE, key="", id=one))
        seen += len(ids)
    assert sum(not item.read for item in box.items.values()) == 4
