"""SOAP 1.1 as EWS speaks it: reading requests as strictly as its schema does, and writing answers."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"


class SoapFault(Exception):
    """The whole request fails. ``values`` are the ``t:Value`` of MessageXml, by name."""

    def __init__(self, code: str, text: str = "", **values: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text or code
        self.values = values


class ItemFault(Exception):
    """One response message says Error with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def schema_fault(why: str) -> SoapFault:
    """The request does not fit messages.xsd or types.xsd: ErrorSchemaValidation (ResponseCode)."""
    return SoapFault("ErrorSchemaValidation", f"The request failed schema validation: {why}")


def tag(namespace: str, name: str) -> str:
    """A name as ElementTree writes it."""
    return f"{{{namespace}}}{name}"


def local(element: ET.Element) -> str:
    """The name without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: ET.Element, *names: str, namespace: str = MESSAGES) -> dict[str, ET.Element]:
    """The children by name: only these, each once, in this order; ``Name?`` may be left out (xs:sequence)."""
    found: dict[str, ET.Element] = {}
    allowed = [name.rstrip("?") for name in names]
    last = -1
    for child in element:
        name = local(child)
        if child.tag != tag(namespace, name) or name not in allowed or allowed.index(name) <= last:
            raise schema_fault(f"{local(element)} has no {name} at this place.")
        last = allowed.index(name)
        found[name] = child
    for name in names:
        if not name.endswith("?") and name not in found:
            raise schema_fault(f"{local(element)} lacks {name}.")
    return found


def attributes(element: ET.Element, *names: str) -> dict[str, str]:
    """The attributes: only these; ``Name?`` may be left out."""
    allowed = {name.rstrip("?") for name in names}
    if extra := set(element.attrib) - allowed:
        raise schema_fault(f"{local(element)} has no attribute {extra.pop()}.")
    for name in names:
        if not name.endswith("?") and name not in element.attrib:
            raise schema_fault(f"{local(element)} lacks the attribute {name}.")
    return dict(element.attrib)


def choice(text: str, *allowed: str) -> str:
    """An enumeration's value."""
    if text not in allowed:
        raise schema_fault(f"{text!r} is not one of {', '.join(allowed)}.")
    return text


def number(text: str, low: int, high: int) -> int:
    """A whole number within bounds."""
    if not text.isdecimal() or not low <= int(text) <= high:
        raise schema_fault(f"{text!r} is not within {low} and {high}.")
    return int(text)


def el(name: str, *inside: str, **attrs: str) -> str:
    """An element as text; ``inside`` is XML already."""
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attrs.items())
    return f"<{name}{written}>{''.join(inside)}</{name}>"


def txt(name: str, text: str) -> str:
    """An element with text, which is escaped."""
    return el(name, escape(text))


def response(operation: str, messages: Sequence[str | ItemFault]) -> str:
    """The body of an answer: a response message for each."""
    made = []
    for message in messages:
        name = f"m:{operation}ResponseMessage"
        if isinstance(message, ItemFault):
            text = txt("m:MessageText", "Something about this one is wrong.") + txt("m:ResponseCode", message.code)
            made.append(el(name, text, txt("m:DescriptiveLinkKey", "0"), ResponseClass="Error"))
        else:
            made.append(el(name, txt("m:ResponseCode", "NoError"), message, ResponseClass="Success"))
    return el(f"m:{operation}Response", el("m:ResponseMessages", *made))


def fault_body(fault: SoapFault) -> str:
    """A SOAP fault with its details (ews-throttling-in-exchange shows one)."""
    values = "".join(el("t:Value", escape(text), Name=name) for name, text in fault.values.items())
    detail = (
        f'<e:ResponseCode xmlns:e="{ERRORS}">{fault.code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{ERRORS}">{escape(fault.text)}</e:Message>'
    ) + (el("t:MessageXml", values) if values else "")
    code = f'<faultcode xmlns:a="{TYPES}">a:{fault.code}</faultcode>'
    return el("s:Fault", code, txt("faultstring", fault.text), el("detail", detail))


def envelope(body: str, *, build: tuple[int, int, int], version: str) -> bytes:
    """The whole answer, with the server's version in its header."""
    major, minor, number_ = map(str, build)
    info = el(
        "t:ServerVersionInfo",
        MajorVersion=major,
        MinorVersion=minor,
        MajorBuildNumber=number_,
        MinorBuildNumber="1",
        Version=version,
    )
    names = {"xmlns:s": SOAP, "xmlns:t": TYPES, "xmlns:m": MESSAGES}
    return f'<?xml version="1.0" encoding="utf-8"?>{el("s:Envelope", el("s:Header", info), el("s:Body", body), **names)}'.encode()
