"""How the Graph simulator reads a message that is to be sent, and what Exchange makes of it."""

import base64
import binascii
import email.policy
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import format_datetime, getaddresses
from typing import Any

from tests.servers.graph_odata import GraphError

#: Of https://learn.microsoft.com/graph/api/resources/message what this simulator sends.
_PROPERTIES = frozenset({"subject", "body", "toRecipients", "from", "internetMessageHeaders"})
_MOST_HEADERS = 5


def written(message: Mapping[str, Any], mailbox: str) -> tuple[str, list[str], bytes]:
    """Sender, recipients, and the message as it travels."""
    for name in message.keys() - _PROPERTIES:
        raise GraphError(400, "RequestBodyRead", f"This simulator sends no message with {name!r}.")
    recipients = [_address(one) for one in message.get("toRecipients", ())]
    if not recipients:
        raise GraphError(400, "ErrorInvalidRecipients", "At least one recipient is not valid, .")
    body = message.get("body", {"contentType": "text", "content": ""})
    if set(body) != {"contentType", "content"} or str(body["contentType"]).lower() not in {"text", "html"}:
        raise GraphError(400, "RequestBodyRead", "Requested value was not found in 'bodyType'.")
    sender = _address(message["from"]) if "from" in message else mailbox
    fields = [
        ("From", sender),
        ("To", ", ".join(recipients)),
        ("Subject", str(message.get("subject", ""))),
        ("Date", format_datetime(datetime.now(UTC))),
        ("Message-ID", f"<{uuid.uuid4().hex}@prod.outlook.example>"),
        *_custom(message.get("internetMessageHeaders", ())),
        ("Content-Type", f"text/{'html' if body['contentType'] == 'html' else 'plain'}; charset=utf-8"),
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return sender, recipients, f"{head}\r\n{body['content']}".encode()


def written_as_mime(body: bytes) -> tuple[str, list[str], bytes]:
    """The same of a message in base64: https://learn.microsoft.com/graph/outlook-send-mime-message."""
    try:
        raw = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise GraphError(
            400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
        ) from error
    message = message_from_bytes(raw, policy=email.policy.default)
    recipients = [address for _, address in getaddresses(message.get_all("To", [])) if address]
    if not recipients or not all("@" in address for address in recipients):
        raise GraphError(400, "ErrorInvalidRecipients", "At least one recipient is not valid, .")
    return getaddresses(message.get_all("From", ["nobody"]))[0][1], recipients, raw


def _custom(headers: Any) -> list[tuple[str, str]]:
    """https://learn.microsoft.com/graph/api/resources/internetmessageheader: names begin with x-; few of them."""
    found = [(str(one["name"]), str(one["value"])) for one in headers]
    if len(found) > _MOST_HEADERS:
        message = f"Maximum number of headers in one message should be less than or equal to {_MOST_HEADERS}."
        raise GraphError(400, "InvalidInternetMessageHeaderCollection", message)
    for name, value in found:
        if not name.lower().startswith("x-"):
            message = f"The internet message header name '{name}' should start with 'x-' or 'X-'."
            raise GraphError(400, "InvalidInternetMessageHeader", message)
        if "\n" in value or "\r" in value:
            raise GraphError(400, "InvalidInternetMessageHeader", f"The value of '{name}' has a line end in it.")
    return found


def _address(recipient: Mapping[str, Any]) -> str:
    """https://learn.microsoft.com/graph/api/resources/recipient."""
    address = str(recipient.get("emailAddress", {}).get("address", ""))
    if "@" not in address:
        raise GraphError(400, "ErrorInvalidRecipients", f"At least one recipient is not valid, {address}.")
    return address
