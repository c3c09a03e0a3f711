"""What the EWS simulator reads of shapes, ids and restrictions, and how it writes items and folders."""

import base64
import binascii
import email
import email.message
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import parseaddr

from tests.servers.ews_soap import (
    TYPES,
    ItemFault,
    attributes,
    children,
    choice,
    el,
    local,
    schema_fault,
    tag,
    txt,
)
from tests.servers.ews_store import Folder, Item, Mailbox

#: "FieldURI" in the reference: an enumeration, of which these are known here. In the order of types.xsd.
_ITEM_FIELDS = (
    "item:ParentFolderId",
    "item:ItemClass",
    "item:Subject",
    "item:DateTimeReceived",
    "item:Size",
    "item:Categories",
    "item:InternetMessageHeaders",
    "item:DateTimeSent",
    "extended",
    "message:From",
    "message:InternetMessageId",
    "message:IsRead",
)
#: "FindItem returns only a subset": property-sets-and-response-shapes-in-ews-in-exchange.
_GET_ITEM_ONLY = frozenset({"item:InternetMessageHeaders"})
_FROM_HEADER = frozenset({"item:InternetMessageHeaders", "message:From", "message:InternetMessageId"})
_FOLDER_FIELDS = ("folder:DisplayName", "folder:TotalCount", "folder:EffectiveRights")


@dataclass
class Shape:
    """Which properties are wanted."""

    fields: set[str] = field(default_factory=set)
    extended: list[dict[str, str]] = field(default_factory=list)
    mime: bool = False


class Cut(Exception):
    """The connection is to end in the middle of the answer."""


def extended_uri(element: ET.Element) -> dict[str, str]:
    """ExtendedFieldURI: a property set and a name or number, or a tag; and a type ("ExtendedFieldURI")."""
    found = attributes(element, "PropertySetId?", "PropertyName?", "PropertyTag?", "PropertyType")
    choice(found["PropertyType"], "String", "Integer", "Binary", "Boolean", "SystemTime")
    if ("PropertySetId" in found) != ("PropertyName" in found) or ("PropertySetId" in found) == (
        "PropertyTag" in found
    ):
        raise ItemFault("ErrorInvalidExtendedProperty")
    return found


def item_shape(element: ET.Element, *, whole: bool) -> Shape:
    """ItemShape. Only GetItem (``whole``) may ask for the MIME and for what FindItem cannot give."""
    parts = children(element, "BaseShape", "IncludeMimeContent?", "BodyType?", "AdditionalProperties?", namespace=TYPES)
    choice(parts["BaseShape"].text or "", "IdOnly", "Default", "AllProperties")
    shape = Shape(mime="IncludeMimeContent" in parts and parts["IncludeMimeContent"].text == "true")
    for one in parts.get("AdditionalProperties", ()):
        if one.tag == tag(TYPES, "FieldURI"):
            shape.fields.add(choice(attributes(one, "FieldURI")["FieldURI"], *_ITEM_FIELDS))
        elif one.tag == tag(TYPES, "ExtendedFieldURI"):
            shape.extended.append(extended_uri(one))
        else:
            raise schema_fault(f"AdditionalProperties has no {local(one)}.")
    if not whole and (shape.mime or shape.fields & _GET_ITEM_ONLY):
        raise ItemFault("ErrorInvalidPropertyRequest")
    return shape


def folder_shape(element: ET.Element) -> set[str]:
    """FolderShape: the properties that are wanted."""
    parts = children(element, "BaseShape", "AdditionalProperties?", namespace=TYPES)
    choice(parts["BaseShape"].text or "", "IdOnly", "Default", "AllProperties")
    return {
        choice(attributes(one, "FieldURI")["FieldURI"], *_FOLDER_FIELDS)
        for one in parts.get("AdditionalProperties", ())
    }


def write_folder(folder: Folder, mailbox: Mailbox, wanted: set[str], *, may_write: bool) -> str:
    """A folder with what is wanted, in the schema's order."""
    total = sum(item.folder is folder for item in mailbox.items.values())
    yes_no = "true" if may_write else "false"
    rights = [txt(f"t:{name}", yes_no) for name in ("CreateContents", "Delete", "Modify")]
    written = {
        "folder:DisplayName": txt("t:DisplayName", folder.name),
        "folder:TotalCount": txt("t:TotalCount", str(total)),
        "folder:EffectiveRights": el("t:EffectiveRights", *rights, txt("t:Read", "true")),
    }
    parts = [written[name] for name in _FOLDER_FIELDS if name in wanted]
    return el(f"t:{folder.kind}", el("t:FolderId", Id=folder.id, ChangeKey="AQAAAA=="), *parts)


def item_id(item: Item) -> str:
    """ItemId."""
    return el("t:ItemId", Id=item.id, ChangeKey=item.change_key)


def write_item(item: Item, shape: Shape, *, fraction: str = "") -> str:
    """An item in the element that belongs to its class, its parts in the schema's order."""
    if shape.mime and item.mime.startswith("Error"):
        raise ItemFault(item.mime)
    if shape.mime and item.mime == "cut":
        raise Cut
    parts = []
    if shape.mime and item.mime == "fine":
        parts.append(el("t:MimeContent", base64.b64encode(item.made_anew).decode(), CharacterSet="UTF-8"))
    parts.append(item_id(item))
    message = email.message_from_bytes(item.delivered) if shape.fields & _FROM_HEADER else email.message.Message()
    moment = f"{item.received:%Y-%m-%dT%H:%M:%S}{fraction}Z"
    writers: dict[str, Callable[[], str]] = {
        "item:ParentFolderId": lambda: el("t:ParentFolderId", Id=item.folder.id, ChangeKey="AQAAAA=="),
        "item:ItemClass": lambda: txt("t:ItemClass", item.item_class),
        "item:Subject": lambda: txt("t:Subject", item.subject),
        "item:DateTimeReceived": lambda: txt("t:DateTimeReceived", moment),
        "item:Size": lambda: txt("t:Size", str(item.size)),
        "item:Categories": lambda: (
            el("t:Categories", *(txt("t:String", name) for name in item.categories)) if item.categories else ""
        ),
        "item:InternetMessageHeaders": lambda: el(
            "t:InternetMessageHeaders",
            *(el("t:InternetMessageHeader", _plain(text), HeaderName=name) for name, text in message.items()),
        ),
        "item:DateTimeSent": lambda: txt("t:DateTimeSent", moment),
        "extended": lambda: "".join(_extended(item, uri) for uri in shape.extended),
        "message:From": lambda: _sender(str(message.get("From", ""))),
        "message:InternetMessageId": lambda: txt("t:InternetMessageId", str(message.get("Message-ID", ""))),
        "message:IsRead": lambda: txt("t:IsRead", "true" if item.read else "false"),
    }
    wanted = shape.fields | {"extended"}
    parts += [writers[name]() for name in _ITEM_FIELDS if name in wanted and _has(item, name)]
    return el(f"t:{item.kind}", *parts)


def _plain(text: str) -> str:
    return str(text).replace("&", "&amp;").replace("<", "&lt;")


def _has(item: Item, name: str) -> bool:
    return not name.startswith("message:") or item.kind in {
        "Message",
        "MeetingRequest",
        "MeetingCancellation",
        "MeetingResponse",
    }


def _sender(text: str) -> str:
    name, address = parseaddr(text)
    return (
        el("t:From", el("t:Mailbox", txt("t:Name", name or address), txt("t:EmailAddress", address))) if address else ""
    )


def _extended(item: Item, uri: dict[str, str]) -> str:
    value = item.properties.get((uri.get("PropertySetId", ""), uri.get("PropertyName", "")))
    return "" if value is None else el("t:ExtendedProperty", el("t:ExtendedFieldURI", **uri), txt("t:Value", value))


def read_ids(element: ET.Element) -> list[tuple[str, str]]:
    """ItemIds: (id, change key or empty)."""
    found = []
    for one in element:
        if one.tag != tag(TYPES, "ItemId"):
            raise schema_fault(f"ItemIds has no {local(one)}.")
        named = attributes(one, "Id", "ChangeKey?")
        found.append((named["Id"], named.get("ChangeKey", "")))
    if not found:
        raise schema_fault("ItemIds is empty.")
    return found


def check_id(text: str) -> None:
    """Ids are base64 (ErrorInvalidIdMalformed)."""
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ItemFault("ErrorInvalidIdMalformed") from None


def matches(item: Item, restriction: ET.Element) -> bool:
    """One search expression ("Restriction"): And, Or, IsEqualTo, IsGreaterThanOrEqualTo."""
    kind = local(restriction)
    if kind in {"And", "Or"}:
        if len(restriction) < 2:
            raise schema_fault(f"{kind} wants two expressions at least.")
        return (all if kind == "And" else any)(matches(item, one) for one in restriction)
    if kind not in {"IsEqualTo", "IsGreaterThanOrEqualTo"} or len(restriction) != 2:
        raise schema_fault(f"There is no search expression {kind} here.")
    path, wanted = restriction
    constant = wanted.find(tag(TYPES, "Constant"))
    if wanted.tag != tag(TYPES, "FieldURIOrConstant") or constant is None:
        raise schema_fault("An expression compares with a constant.")
    value, found = constant.attrib["Value"], _value(item, path)
    if kind == "IsEqualTo":
        return found is not None and found == value
    return found is not None and found >= value


def _value(item: Item, path: ET.Element) -> str | None:
    if path.tag == tag(TYPES, "ExtendedFieldURI"):
        uri = extended_uri(path)
        return item.properties.get((uri.get("PropertySetId", ""), uri.get("PropertyName", "")))
    name = choice(attributes(path, "FieldURI")["FieldURI"], "message:IsRead", "item:DateTimeReceived", "item:Subject")
    known = {
        "message:IsRead": "true" if item.read else "false",
        "item:DateTimeReceived": f"{item.received:%Y-%m-%dT%H:%M:%SZ}",
        "item:Subject": item.subject,
    }
    return known[name] if _has(item, name) else None


def in_order(items: Sequence[Item], order: ET.Element | None) -> list[Item]:
    """SortOrder by DateTimeReceived; without one, the newest comes first, as it does in a real Inbox."""
    if order is None:
        return sorted(items, key=lambda item: item.received, reverse=True)
    (one,) = order
    direction = choice(attributes(one, "Order")["Order"], "Ascending", "Descending")
    choice(attributes(one[0], "FieldURI")["FieldURI"], "item:DateTimeReceived")
    return sorted(items, key=lambda item: item.received, reverse=direction == "Descending")
