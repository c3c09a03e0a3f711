"""One conversation with an EWS endpoint through exchangelib: SOAP, versions and error codes are its part.

exchangelib keeps protocols, adapters and time limits in classes, shares them between threads, and waits as long as it
likes. So each job has a protocol of its own here, nothing is tried again below `Wire.ask`, and every wait has an end.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from exchangelib.account import Identity
from exchangelib.configuration import Configuration
from exchangelib.credentials import DELEGATE, IMPERSONATION
from exchangelib.errors import EWSError, ResponseMessageError, TransportError
from exchangelib.ewsdatetime import UTC
from exchangelib.protocol import FailFast, Protocol
from exchangelib.services.common import EWSAccountService
from exchangelib.transport import NOAUTH
from exchangelib.util import is_xml
from exchangelib.version import EXCHANGE_2013_SP1, Version
from requests import Response, Session
from spnego.exceptions import SpnegoError
from urllib3.exceptions import HTTPError

from shared.connectors._dial import tls_context
from shared.connectors._ews_account import Account
from shared.connectors._ews_faults import Busy, HttpAnswer, is_denial, is_job_fault, job_fault
from shared.connectors._ews_http import Line, new_session
from shared.connectors._ews_network import Lost
from shared.errors import Unavailable
from shared.ports import Deadline, Opening

#: Seconds: for a TCP connection to come up; for a server to say nothing; for one exchange as a whole.
_CONNECT, _SILENCE, _EXCHANGE = 30.0, 60.0, 240.0
#: Seconds: the first wait where a busy server names none, or says "0"; and all waits of one request together.
_FIRST_WAIT, _PATIENCE = 1.0, 45.0

#: What exchangelib, and the libraries below it, raise when an exchange fails.
_FAULTS = (EWSError, SpnegoError, HTTPError, OSError, ValueError, LookupError, TypeError)

# The SDK's debug log holds whole answers, mail included.
logging.getLogger("exchangelib.util.xml").setLevel(logging.WARNING)


class _Strict(FailFast):  # type: ignore[misc] # the SDK is untyped
    """Every answer that is not EWS is told by its status; the SDK would put its body into the error."""

    def raise_response_errors(self, response: Response) -> None:
        if response.status_code != 200 and not (response.status_code == 500 and is_xml(response.content)):
            raise HttpAnswer(response)


class _Protocol(Protocol):  # type: ignore[misc] # the SDK is untyped
    #: Seconds that the SDK writes into an error where the server named no wait.
    RETRY_WAIT = _FIRST_WAIT

    def __init__(self, account: Account, line: Line) -> None:
        self._account = account
        self._context = tls_context(account.ca_file)
        self._line = line
        # Every server since 2013 SP1 knows this version; for an older one the SDK finds its own.
        version = Version(EXCHANGE_2013_SP1, "Exchange2013_SP1")
        super().__init__(
            config=Configuration(
                service_endpoint=account.service_url,
                auth_type=NOAUTH,
                version=version,
                retry_policy=_Strict(),
                max_connections=1,
            )
        )

    def create_session(self) -> Session:
        session: Any = new_session(self._account, self._context, self._line)
        session.session_id = random.randint(10_000, 99_999)  # noqa: S311 (names a session in the SDK's debug log)
        session.usage_count = 0
        return session  # type: ignore[no-any-return] # what the SDK adds to it is its own


class _Operation(EWSAccountService):  # type: ignore[misc] # the SDK is untyped
    """Answers with one element, or one exception, for each response message."""

    ERRORS_TO_CATCH_IN_RESPONSE = (TransportError,)

    @classmethod
    def _get_elements_in_container(cls, container: Any) -> list[Any]:
        return [container]

    @classmethod
    def _get_soap_parts(cls, response: Response) -> Any:
        # The SDK would read the answer octet by octet.
        return super()._get_soap_parts(SimpleNamespace(iter_content=lambda: response.content))


class Wire:
    """``ask`` is all. ``pause`` waits for so many seconds; ``begins`` as in `OpenRequest`."""

    def __init__(
        self,
        account: Account,
        deadline: Deadline,
        *,
        pause: Callable[[float], object] = time.sleep,
        begins: Callable[[Opening], None] = lambda _: None,
    ) -> None:
        self.account = account
        self._deadline = deadline
        self._pause = pause
        self._begins = begins
        self._line = Line()
        self._signed_in = False
        # Past the metaclass, which would hand out the protocol of another job with the same address.
        self._protocol: Any = type.__call__(_Protocol, account, self._line)
        self._box = SimpleNamespace(
            protocol=self._protocol,
            version=self._protocol.config.version,
            access_type=IMPERSONATION if account.impersonates else DELEGATE,
            identity=Identity(smtp_address=account.mailbox),
            primary_smtp_address=account.mailbox,
            default_timezone=UTC,
        )

    @property
    def suppresses_receipts(self) -> bool:
        """Whether the server can be told not to send read receipts (Exchange 2013 SP1)."""
        return bool(self._box.version.build >= EXCHANGE_2013_SP1)

    def ask(self, doing: str, operation: str, payload: Any) -> list[Any]:
        """One request: an element for each response message, or the SDK's exception for what went wrong with that one.

        ``doing`` says in a sentence what is going on. A busy server is asked again after the wait that it names, as
        long as that is short. Raises `Unavailable`, `AuthFailed` or `ConfigInvalid`.
        """
        waited, wait = 0.0, _FIRST_WAIT
        while True:
            try:
                return self._exchange(doing, operation, payload)
            except Busy as busy:
                asked = busy.retry_after.total_seconds() if busy.retry_after else 0.0
                wait = max(wait, asked)
                if waited + wait > _PATIENCE or wait >= self._deadline.left.total_seconds():
                    raise Unavailable(busy.what, remedy=busy.remedy, retry_after=timedelta(seconds=wait)) from busy
                self._pause(wait)
                waited, wait = waited + wait, wait * 2

    def _exchange(self, doing: str, operation: str, payload: Any) -> list[Any]:
        limit = self._limit(doing)
        self._protocol.TIMEOUT = (min(_CONNECT, limit), min(_SILENCE, limit))
        # Here, where its own faults pass: a token may have to be fetched.
        self.account.credential()
        late = threading.Event()
        alarm = threading.Timer(limit, self._cut, [late])
        alarm.daemon = True
        alarm.start()
        service = type(operation, (_Operation,), {"SERVICE_NAME": operation})(account=self._box)
        try:
            answers = list(service._get_elements(payload=payload))  # noqa: SLF001 - made for subclasses
        except _FAULTS as exc:
            if late.is_set():
                raise Lost(f"{self.account.host} did not finish {doing} in time.") from exc
            if isinstance(exc, ResponseMessageError):
                self._begins(Opening.MAILBOX)  # whoever was not let in gets no answer of EWS
            raise job_fault(exc, self.account, doing, signed_in=self._signed_in) from exc
        finally:
            alarm.cancel()
        self._signed_in = True
        self._begins(Opening.MAILBOX)
        for answer in answers:
            if isinstance(answer, Exception) and is_job_fault(answer):
                raise job_fault(answer, self.account, doing, signed_in=True) from answer
        if not all(is_denial(answer) for answer in answers):
            self._begins(Opening.FOLDER)
        return answers

    def _limit(self, doing: str) -> float:
        left = self._deadline.left.total_seconds()
        if left <= 0:
            raise Unavailable(f"The time of the run was up before {doing} ({self.account.host}).")
        return min(_EXCHANGE, left)

    def _cut(self, late: threading.Event) -> None:
        late.set()
        self._line.cut()

    def close(self) -> None:
        """Let go of the connection. Never raises."""
        self._protocol.close()
        self._line.close()
