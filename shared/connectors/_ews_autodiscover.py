"""Asking a mail domain where its EWS is: the POX form of Autodiscover, which every Exchange server since 2007 speaks.

learn.microsoft.com/exchange/client-developer/web-service-reference/pox-autodiscover-web-service-reference-for-exchange.
Written out here because exchangelib's own way keeps a file of answers for the whole machine, and knows neither a CA
file nor an end to its waiting. Plain HTTP and DNS records, which anybody in between can write, are not asked.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urljoin
from xml.sax.saxutils import escape

from exchangelib.errors import EWSError
from exchangelib.util import ParseError, to_xml
from requests import Response, Session
from spnego.exceptions import SpnegoError
from urllib3.exceptions import HTTPError

from shared.connectors._dial import tls_context
from shared.connectors._ews_account import Account
from shared.connectors._ews_faults import HttpAnswer, job_fault
from shared.connectors._ews_http import Line, new_session
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from shared.ports import Deadline

#: Seconds for one question.
_QUESTION = 30.0
#: The vendor's own bound (RedirectUrl (POX)).
_REDIRECTS = 10
_FAULTS = (EWSError, SpnegoError, HTTPError, OSError, ValueError, LookupError, TypeError)

_REQUEST = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>'
    "<EMailAddress>{mailbox}</EMailAddress><AcceptableResponseSchema>"
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
    "</AcceptableResponseSchema></Request></Autodiscover>"
)


def places(mailbox: str) -> list[str]:
    """Where the answer may be, best first."""
    domain = mailbox.rpartition("@")[2].lower()
    return [f"https://{host}/autodiscover/autodiscover.xml" for host in (f"autodiscover.{domain}", domain)]


def service_url(account: Callable[..., Account], asked: Sequence[str], deadline: Deadline) -> str:
    """The EWS address of the mailbox. ``account`` makes one for a ``service_url``.

    Raises `AuthFailed` at the first refusal, lest trying lock the account; else `ConfigInvalid` or `Unavailable`.
    """
    mailbox: str = account(service_url=asked[0]).mailbox
    todo, seen, faults = list(asked), set[str](), list[JobError]()
    while todo and len(seen) < _REDIRECTS:
        place = todo.pop(0)
        if place in seen or not place.startswith("https://"):
            continue
        seen.add(place)
        try:
            answer = _Question(account(service_url=place), deadline).ask(mailbox)
        except AuthFailed:
            raise
        except JobError as fault:
            faults.append(fault)
            continue
        found = _text(answer, "EwsUrl")
        if found.startswith("https://"):
            return found
        if other := _text(answer, "RedirectAddr"):
            mailbox, todo = other, [*places(other), *todo]
        elif other := _text(answer, "RedirectUrl"):
            todo.insert(0, other)
        else:
            faults.append(ConfigInvalid(f"{place} knows no EWS address for {mailbox}."))
    away = [fault for fault in faults if isinstance(fault, Unavailable)]
    what = f"Autodiscover found no EWS address for {mailbox}: {' '.join(fault.what for fault in faults)}".rstrip(" :")
    raise (Unavailable if len(away) == len(faults) else ConfigInvalid)(what, remedy="Set service_url instead.")


class _Question:
    def __init__(self, account: Account, deadline: Deadline) -> None:
        self._account = account
        self._deadline = deadline

    def ask(self, mailbox: str) -> Any:
        """The answer as XML. The password is sent only to a server that asks for it as Exchange does."""
        line = Line()
        session = new_session(self._account, tls_context(self._account.ca_file), line)
        password, session.auth = session.auth, None
        body = _REQUEST.format(mailbox=escape(mailbox)).encode()
        try:
            response = self._post(session, line, body)
            if response.status_code == 401:
                session.auth = password
                response = self._post(session, line, body)
            if response.is_redirect:
                target = urljoin(self._account.service_url, response.headers["Location"])
                return to_xml(f"<Redirect><RedirectUrl>{escape(target)}</RedirectUrl></Redirect>".encode()).getroot()
            if response.status_code != 200:
                raise self._fault(HttpAnswer(response))
            return to_xml(response.content).getroot()
        except ParseError as exc:
            raise ConfigInvalid(f"{self._account.service_url} does not answer as Autodiscover does.") from exc
        finally:
            session.close()
            line.close()

    def _post(self, session: Session, line: Line, body: bytes) -> Response:
        limit = min(_QUESTION, self._deadline.left.total_seconds())
        if limit <= 0:
            raise Unavailable(f"The time of the run was up before asking {self._account.host}.")
        alarm = threading.Timer(limit, line.cut)
        alarm.daemon = True
        alarm.start()
        try:
            return session.post(self._account.service_url, data=body, timeout=limit, allow_redirects=False)
        except _FAULTS as exc:
            raise self._fault(exc) from exc
        finally:
            alarm.cancel()

    def _fault(self, fault: Exception) -> JobError:
        return job_fault(fault, self._account, "asking for the address of EWS", signed_in=False)


def _text(answer: Any, name: str) -> str:
    """The first element of that name, in whatever namespace."""
    found = next((one for one in answer.iter() if str(one.tag).rpartition("}")[2] == name), None)
    return "" if found is None else (found.text or "").strip()
