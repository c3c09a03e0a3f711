"""What the templates of a `webhook` job know of a message."""

import base64
from functools import partial
from typing import Any

from shared.model import Address, Attachment, Create, Delivery
from shared.ports import Outbox
from shared.targets._outside import apart, has_requester
from shared.targets._templates import Lazy


def context_of(delivery: Delivery, outbox: Outbox, item: int | None) -> dict[str, Any]:
    """Plain data. Base64 and links are made when a template asks for them: most ask for one of them at most."""
    message, decision = delivery.message, delivery.decision
    attachments = [_attachment(delivery, outbox, one, index) for index, one in enumerate(message.attachments)]
    return {
        "message": {
            "subject": message.subject or "(no subject)",
            "text": message.text,
            **apart(message),
            "html": message.html or "",
            "sender": _address(message.sender),
            "reply_to": [_address(one) for one in message.reply_to],
            "to": [_address(one) for one in message.to],
            "cc": [_address(one) for one in message.cc],
            "date": message.date.isoformat() if message.date else "",
            "received": delivery.received.isoformat() if delivery.received else "",
            "message_id": message.message_id or "",
            "defects": list(message.defects),
            "size": message.size,
        },
        "attachments": attachments,
        "attachment": attachments[item] if item is not None else {},
        "job": delivery.key.job_id,
        "key": delivery.key.digest[:40],
        "links": list(decision.links) if isinstance(decision, Create) else [],
        "evidence": list(decision.evidence),
        "fields": dict(decision.fields),
        "notes": list(decision.notes),
        "requester": _address(message.sender if has_requester(delivery) else None),
    }


def _address(address: Address | None) -> dict[str, str]:
    return {"email": address.email, "name": address.name or address.email} if address else {"email": "", "name": ""}


def _attachment(delivery: Delivery, outbox: Outbox, attachment: Attachment, index: int) -> Lazy:
    digest = delivery.key.digest
    return Lazy(
        {
            "index": index,
            "name": attachment.name,
            # The same name in another message is another file: what was sent is found again by this one.
            "unique_name": _unique(attachment.name, digest[:8]),
            "content_type": attachment.content_type,
            "size": len(attachment.data),
            "sha256": attachment.sha256,
            "content_id": attachment.content_id or "",
            "inline": attachment.inline,
            "data": attachment.data,
        },
        base64=lambda: base64.b64encode(attachment.data).decode(),
        url=partial(outbox.keep, f"{digest}/{attachment.sha256}", attachment.data),
    )


def _unique(name: str, mark: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{mark}.{ending}" if dot and stem else f"{name}-{mark}"
