"""What a `webhook` target sends and how it takes an answer; the contract of every target is in test_webhook_contract."""

import base64
import hashlib
import hmac
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.api.records import check_job
from shared.errors import AuthFailed, ConfigInvalid, MessageError, Refused, Unavailable, Unreachable
from shared.model import Delivered
from shared.ports import Target
from shared.targets import target_for
from shared.targets._presets import preset, preset_names
from shared.targets._webhook_calls import Where
from shared.targets._webhook_target import WebhookTarget
from shared.targets.webhook import WebhookSettings, open_target
from tests.builders import NOW, make_attachment, make_message
from tests.contract.target_world import ids, new, reply
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage
from tests.servers.tls import Authority
from tests.servers.tracker import TOKEN, Tracker, tracker_block
from tests.servers.web_api import ApiAnswer, ApiRequest, WebApi
from tests.targets.requests import make_target_request

SECRETS = {
    "tracker_token": TOKEN,
    "signing": "whsec_" + base64.b64encode(b"k" * 24).decode(),
    "client": "cl1ent-s3cret",
}


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    """A tracker without tickets."""
    with Tracker() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    """The time of the test."""
    return FakeClock(NOW)


@pytest.fixture
def storage(clock: FakeClock) -> FakeStorage:
    """Empty storage."""
    return FakeStorage(clock)


def _open(storage: FakeStorage, clock: FakeClock, block: dict[str, Any]) -> Target:
    return open_target(make_target_request(WebhookSettings.model_validate(block), storage, clock=clock, **SECRETS))


class _Waits:
    """A target that notes for how long it would wait, and lets that time pass."""

    def __init__(self, storage: FakeStorage, clock: FakeClock, block: dict[str, Any]) -> None:
        settings = WebhookSettings.model_validate(block)
        self.waited: list[float] = []
        self._clock = clock
        self.target = WebhookTarget(
            make_target_request(settings, storage, clock=clock, **SECRETS),
            settings.program,
            where_of(settings),
            values=settings.all_values,
            pause=self._pause,
        )

    def _pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        self._clock.advance(timedelta(seconds=seconds))


def where_of(settings: WebhookSettings, **changes: Any) -> Where:
    """Where such settings lead."""
    given: dict[str, Any] = {
        "url": settings.url,
        "sign_in": settings.sign_in,
        "secret_headers": settings.secret_headers,
        "signature_secret": settings.signature_secret,
        "idempotency_header": settings.idempotency_header,
        "allow_private": settings.allow_private,
        "ca_file": settings.ca_file,
        "timeout": float(settings.timeout_seconds),
    }
    return Where(**{**given, **changes})


# --- what is sent ------------------------------------------------------------------------------------------------------


def test_each_request_has_a_key_of_its_own(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """The same at every try, another for every request; looking needs none."""
    files = (make_attachment("a.txt"), make_attachment("b.txt"))
    block = tracker_block(tracker.url, files="multipart")
    (ticket,) = ids(_open(storage, clock, block).apply([new(1, make_message(1, attachments=files))]))
    ids(_open(storage, clock, block).apply([reply(2, ticket)]))
    _open(storage, clock, block).look_up([ticket])
    keys = [one.headers.get("idempotency-key") for one in tracker.requests]
    first, second = new(1).key.digest, new(2).key.digest
    assert keys == [f"{first}-0", f"{first}-1.0", f"{first}-1.1", f"{second}-0", None]


def test_a_refused_request_that_is_tried_again_is_another_one(
    tracker: Tracker, storage: FakeStorage, clock: FakeClock
) -> None:
    """A server that remembers its answer by Idempotency-Key must not repeat a refusal that has been mended."""
    tracker.refuses.add("Printer 1 is on fire")
    block = tracker_block(tracker.url)
    for _ in range(2):
        (answer,) = _open(storage, clock, block).apply([new(1)])
        assert isinstance(answer, Refused)
    tracker.refuses.clear()
    ids(_open(storage, clock, block).apply([new(1)]))
    keys = [one.headers["idempotency-key"].rpartition("-0")[2] for one in tracker.requests]
    assert keys == ["", "-1", "-2"]


def test_a_lost_answer_is_asked_for_before_anything_is_done_again(
    tracker: Tracker, storage: FakeStorage, clock: FakeClock
) -> None:
    """One POST that took effect, one search, no second POST; without a loss there is no search."""
    block = tracker_block(tracker.url)
    tracker.fuse.light(2)
    with pytest.raises(Unavailable):
        _open(storage, clock, block).apply([new(1)])
    tracker.fuse.put_out()
    assert len(tracker.tickets) == 1
    (ticket,) = ids(_open(storage, clock, block).apply([new(1)]))
    ids(_open(storage, clock, block).apply([reply(2, ticket)]))
    assert [(one.method, one.path) for one in tracker.requests] == [
        ("POST", "/tickets"),
        ("GET", "/tickets"),
        ("POST", "/tickets/uuid-1/notes"),
    ]


def test_a_search_that_may_lag_is_waited_for(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """Nothing is made again before the search had its time; then it is."""
    block = tracker_block(tracker.url)
    block["create"][0]["lookup"]["lag_seconds"] = 120
    tracker.fuse.light(1)
    with pytest.raises(Unavailable):
        _open(storage, clock, block).apply([new(1)])
    tracker.fuse.put_out()
    with pytest.raises(Unavailable) as told:
        _open(storage, clock, block).apply([new(1)])
    assert told.value.retry_after == timedelta(seconds=120)
    clock.advance(timedelta(seconds=120))
    ids(_open(storage, clock, block).apply([new(1)]))
    assert [one.method for one in tracker.requests] == ["POST", "GET", "GET", "POST"]


def test_requests_are_signed_as_standard_webhooks_has_it(
    tracker: Tracker, storage: FakeStorage, clock: FakeClock
) -> None:
    """The receiver computes the same HMAC over id, time and body."""
    ids(_open(storage, clock, tracker_block(tracker.url, signature_secret="signing")).apply([new(1)]))
    (request,) = tracker.requests
    name, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert int(stamp) == NOW.timestamp()
    signed = hmac.new(b"k" * 24, f"{name}.{stamp}.".encode() + request.body, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"


def test_attachments_by_link(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """The text names a blob that holds the file; nothing is stored that no template asks for."""
    block = tracker_block(tracker.url, files="none")
    ids(_open(storage, clock, block).apply([new(1, make_message(1, attachments=(make_attachment(),)))]))
    assert storage.outbox.blobs == {}
    block["create"][0]["request"]["json"]["text"] = (
        "{% for one in attachments %}{{ one.name }}: {{ one.url }}{% endfor %}"
    )
    ids(_open(storage, clock, block).apply([new(2, make_message(2, attachments=(make_attachment(),)))]))
    name, url = tracker.tickets[2].notes[0].text.split(": ")
    assert (name, storage.outbox.blobs[url]) == ("printer.txt", b"Paper jam.")


_PAGE = ApiAnswer(200, None, {"Content-Type": "text/html"}, raw=b"<html>Please sign in</html>")


def test_a_page_in_place_of_a_list_is_not_an_empty_one(
    tracker: Tracker, storage: FakeStorage, clock: FakeClock
) -> None:
    """Whether a create whose answer was lost had happened stays open: nothing is created on such a word."""
    target = _open(storage, clock, tracker_block(tracker.url))
    tracker.instead = ApiAnswer(502)
    with pytest.raises(Unavailable):
        target.apply([new(1)])
    tracker.requests.clear()
    tracker.instead = _PAGE
    with pytest.raises(Unavailable, match="something else than JSON"):
        target.apply([new(1)])
    assert [one.method for one in tracker.requests] == ["GET"]
    tracker.instead = None
    ids(target.apply([new(1)]))
    assert len(tracker.tickets) == 1


def test_a_page_in_place_of_a_ticket_is_not_a_missing_one(
    tracker: Tracker, storage: FakeStorage, clock: FakeClock
) -> None:
    """Its reply would become a ticket of its own."""
    target = _open(storage, clock, tracker_block(tracker.url))
    (ticket,) = ids(target.apply([new(1)]))
    tracker.instead = _PAGE
    with pytest.raises(Unavailable, match="something else than JSON"):
        target.look_up([ticket])


@pytest.mark.parametrize("ticket", ["../admin", "1/../2", "1?x=y", "a b", "", "-1"])
def test_no_ticket_id_leaves_its_place(tracker: Tracker, storage: FakeStorage, clock: FakeClock, ticket: str) -> None:
    """What cannot be an id is not asked for at all."""
    target = _open(storage, clock, tracker_block(tracker.url))
    assert target.look_up([ticket]) == {}
    (answer,) = target.apply([reply(1, ticket)])
    assert isinstance(answer, Refused)
    assert tracker.requests == []


def test_what_a_template_puts_into_a_path_stays_in_its_segment(
    tracker: Tracker, storage: FakeStorage, clock: FakeClock
) -> None:
    """Every value is percent-encoded there, and a header stays one line."""
    block = tracker_block(tracker.url)
    block["create"][0]["request"] |= {"path": "/x/{{ message.subject }}/y", "headers": {"X-S": "{{ message.subject }}"}}
    _open(storage, clock, block).apply([new(1, make_message(1, subject="a/../b?c=d#e%\r\nX-Evil: ä"))])
    (request,) = tracker.requests
    assert request.raw_path == "/x/a%2F..%2Fb%3Fc%3Dd%23e%25%0D%0AX-Evil%3A%20%C3%A4/y"
    assert request.headers["x-s"] == "a/../b?c=d#e%?X-Evil: ?"
    assert "x-evil" not in request.headers


# --- how an answer is taken --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 415, 422])
def test_a_refusal_is_that_messages(tracker: Tracker, storage: FakeStorage, clock: FakeClock, status: int) -> None:
    """With what the other side said, and no secret that it repeats."""
    tracker.instead = ApiAnswer(status, {"error": "title: too long", "echo": TOKEN})
    (answer,) = _open(storage, clock, tracker_block(tracker.url)).apply([new(1)])
    assert isinstance(answer, Refused)
    assert f"answered {status}" in str(answer)
    assert "title: too long" in str(answer)
    assert TOKEN not in str(answer)


@pytest.mark.parametrize("status", [408, 412, 429, 500, 502, 503, 504])
def test_a_fault_over_there_is_no_messages(
    tracker: Tracker, storage: FakeStorage, clock: FakeClock, status: int
) -> None:
    """The run ends, and comes back when it was told to."""
    tracker.instead = ApiAnswer(status, None, {"Retry-After": "3600"})
    with pytest.raises(Unavailable) as told:
        _open(storage, clock, tracker_block(tracker.url)).apply([new(1)])
    assert told.value.retry_after == timedelta(hours=1)


@pytest.mark.parametrize("status", [429, 503])
def test_a_short_wait_is_waited_for(tracker: Tracker, storage: FakeStorage, clock: FakeClock, status: int) -> None:
    """As long as it said, three times at most, and only where the run has the time."""
    tracker.instead = ApiAnswer(status, None, {"Retry-After": "7"})
    waits = _Waits(storage, clock, tracker_block(tracker.url))
    with pytest.raises(Unavailable):
        waits.target.apply([new(1)])
    assert waits.waited == [7.0, 7.0]
    assert len(tracker.requests) == 3
    clock.advance(timedelta(minutes=4, seconds=20))
    with pytest.raises(Unavailable):
        waits.target.apply([new(1)])
    assert waits.waited == [7.0, 7.0]


def test_a_refused_sign_in_ends_the_run(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """It is wrong for every message."""
    tracker.authorization = "Bearer another"
    with pytest.raises(AuthFailed, match="401"):
        _open(storage, clock, tracker_block(tracker.url)).apply([new(1)])


def test_an_id_that_is_not_where_it_should_be(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """The run ends with what to correct; the ticket that was made is found afterwards and not made again."""
    block = tracker_block(tracker.url)
    block["create"][0]["keep"]["ticket_id"] = "$.number"
    with pytest.raises(ConfigInvalid, match="ticket_id"):
        _open(storage, clock, block).apply([new(1)])
    ids(_open(storage, clock, tracker_block(tracker.url)).apply([new(1)]))
    assert len(tracker.tickets) == 1


def test_nobody_at_home(storage: FakeStorage, clock: FakeClock) -> None:
    """A port at which nobody listens."""
    with Tracker() as gone:
        url = gone.url
    with pytest.raises(Unreachable):
        _open(storage, clock, tracker_block(url)).apply([new(1)])


def test_certificates_are_checked(tmp_path: Path, storage: FakeStorage, clock: FakeClock) -> None:
    """By name, against the CA of the job; another one is not trusted, and says what to set."""
    authority = Authority(tmp_path)
    certificate = authority.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    with Tracker(tls=context) as tracker:
        block = tracker_block(tracker.url)
        with pytest.raises(ConfigInvalid, match="ca_file"):
            _open(storage, clock, block).apply([new(1)])
        ids(_open(storage, clock, {**block, "ca_file": str(authority.ca_file)}).apply([new(1)]))


def test_the_time_is_up(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """A run that has no time left asks for nothing."""
    target = _open(storage, clock, tracker_block(tracker.url))
    clock.advance(timedelta(minutes=5))
    with pytest.raises(Unavailable):
        target.apply([new(1)])
    assert tracker.requests == []


# --- signing in --------------------------------------------------------------------------------------------------------


class _Issuer(WebApi):
    """Gives tokens: by client credentials, or for a session."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.refuses = False

    def answer(self, request: ApiRequest) -> ApiAnswer:
        if self.refuses:
            return ApiAnswer(400, {"error": "invalid_client"})
        self.count += 1
        if request.path == "/session":
            assert request.headers["authorization"] == "user_token cl1ent-s3cret"
            return ApiAnswer(200, {"session_token": f"token-{self.count}"})
        assert request.form["grant_type"] == "client_credentials"
        if "client_secret" not in request.form:
            assert request.headers["authorization"] == f"Basic {base64.b64encode(b'me:cl1ent-s3cret').decode()}"
        return ApiAnswer(200, {"access_token": f"token-{self.count}", "expires_in": 3600, "token_type": "Bearer"})


def _oauth2(issuer: _Issuer, **changes: Any) -> dict[str, Any]:
    return {
        "method": "oauth2",
        "token_url": f"{issuer.url}/token",
        "client_id": "me",
        "client_secret": "client",
        **changes,
    }


@pytest.mark.parametrize("client_auth", ["basic", "body"])
def test_client_credentials(tracker: Tracker, storage: FakeStorage, clock: FakeClock, client_auth: str) -> None:
    """One token for many requests and many runs; one that is refused is asked for anew, once."""
    with _Issuer() as issuer:
        block = tracker_block(tracker.url, sign_in=_oauth2(issuer, client_auth=client_auth))
        tracker.authorization = "Bearer token-1"
        ids(_open(storage, clock, block).apply([new(1), new(2)]))
        ids(_open(storage, clock, block).apply([new(3)]))
        assert issuer.count == 1
        tracker.authorization = "Bearer token-2"
        ids(_open(storage, clock, block).apply([new(4)]))
        assert issuer.count == 2
        tracker.authorization = "Bearer nobody"
        with pytest.raises(AuthFailed):
            _open(storage, clock, block).apply([new(5)])
        assert issuer.count == 3


def test_no_token(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """The job is told what the authority said, and never the secret."""
    with _Issuer() as issuer:
        issuer.refuses = True
        block = tracker_block(tracker.url, sign_in=_oauth2(issuer))
        with pytest.raises(AuthFailed, match="invalid_client") as told:
            _open(storage, clock, block).apply([new(1)])
        assert "cl1ent" not in str(told.value)
        issuer.refuses, issuer.instead = False, ApiAnswer(503)
        with pytest.raises(Unavailable):
            _open(storage, clock, block).apply([new(1)])
    assert tracker.requests == []


class _WithSession(Tracker):
    """A tracker that signs people in itself."""

    issuer: _Issuer

    def answer(self, request: ApiRequest) -> ApiAnswer:
        if request.path == "/session":
            return self.issuer.answer(request)
        assert request.headers["x-app"] == "cl1ent-s3cret"
        if request.headers.get("session-token") != "token-1":
            return ApiAnswer(401)
        self.authorization = request.headers.get("authorization", "")
        return super().answer(
            ApiRequest(
                request.method,
                request.raw_path,
                request.query,
                {**request.headers, "authorization": self.authorization},
                request.body,
            )
        )


def test_a_session(storage: FakeStorage, clock: FakeClock) -> None:
    """Begun once, with a secret header beside it."""
    with _WithSession() as tracker:
        tracker.issuer = _Issuer()
        sign_in = {"method": "session", "path": "/session", "prefix": "user_token ", "secret": "client"}
        block = tracker_block(tracker.url, sign_in=sign_in, secret_headers={"X-App": "client"})
        ids(_open(storage, clock, block).apply([new(1), new(2)]))
        assert [one.path for one in tracker.requests] == ["/session", "/tickets", "/tickets"]


def test_user_and_password(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """RFC 7617; a key may stand in the user's place."""
    tracker.authorization = f"Basic {base64.b64encode(f'{TOKEN}:X'.encode()).decode()}"
    sign_in = {"method": "basic", "username_secret": "tracker-token", "password_secret": "x"}
    settings = WebhookSettings.model_validate(tracker_block(tracker.url, sign_in=sign_in))
    target = open_target(make_target_request(settings, storage, clock=clock, x="X", **SECRETS))
    ids(target.apply([new(1)]))


def test_other_jobs_do_not_pay_for_it() -> None:
    """Neither the templates nor the HTTP client are imported by jobs with another target (a fresh interpreter)."""
    question = "import sys, shared.jobs; print({'liquid', 'httpx', 'httpcore'} & set(sys.modules))"
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "set()"


# --- settings ----------------------------------------------------------------------------------------------------------


def _faults(**changes: Any) -> str:
    with pytest.raises(ValidationError) as told:
        WebhookSettings.model_validate({**tracker_block("https://tracker.example/api"), **changes})
    return str(told.value)


def test_what_is_wrong_is_told_when_the_config_is_saved() -> None:
    """Addresses, templates, paths and steps; each with what to do."""
    assert "no preset 'nothing'" in _faults(preset="nothing")
    assert "url" in _faults(url="ftp://x")
    assert "url" in _faults(url="https://user:pass@x/")
    assert "create and modify" in _faults(create=[])
    assert "ticket_id" in _faults(create=[{"request": {"path": "/x"}}])
    assert "begin with $" in _faults(create=[{"request": {"path": "/x"}, "keep": {"ticket_id": "id"}}])
    step: dict[str, Any] = {"keep": {"ticket_id": "$.id"}}
    assert "cannot be read" in _faults(create=[{**step, "request": {"path": "/{{ x"}}])
    assert "No template knows mesage" in _faults(create=[{**step, "request": {"path": "/{{ mesage.text }}"}}])
    assert "Begin the path" in _faults(create=[{**step, "request": {"path": "x"}}])
    assert "one of json" in _faults(create=[{**step, "request": {"path": "/x", "json": {}, "form": {}}}])
    assert "GET has no body" in _faults(create=[{**step, "request": {"path": "/x", "method": "GET", "json": {}}}])
    assert "$each" in _faults(create=[{**step, "request": {"path": "/x", "json": {"$every": "x"}}}])
    assert "name of a secret" in _faults(sign_in={"method": "header", "secret": "p@ss word"})


def test_the_same_address_is_the_same_scope() -> None:
    """However it is written: jobs on one system continue each other's threads."""
    one, other = (
        WebhookSettings.model_validate(tracker_block(url))
        for url in ("https://A.example/api/", "https://a.example/api")
    )
    assert one.scope() == other.scope() == "webhook:https://a.example/api"
    assert one.secret_names() == {"tracker-token"}
    assert target_for(one).kind == "webhook"


def test_what_could_double_or_be_read_is_warned_of() -> None:
    """A step that can be asked about, or repeated, and an encrypted way are as they should be."""
    safe = tracker_block("https://a.example", files="uploads")
    assert WebhookSettings.model_validate(safe).warnings() == ()
    del safe["create"][-1]["lookup"]
    doubling, readable = WebhookSettings.model_validate({**safe, "url": "http://a.example"}).warnings()
    assert "create (2)" in doubling
    assert "Idempotency-Key" in doubling
    assert "https" in readable


def test_each_target_of_a_job_is_warned_of() -> None:
    """The one for all mail, and those that rules choose."""
    server = {"type": "imap4", "host": "mail.example", "username": "support", "password_secret": "box"}
    block = tracker_block("http://a.example")
    job = check_job({"id": "support", "server": server, "target": block, "targets": {"sales": block}})
    assert len([one for one in job.warnings() if "http://" in one]) == 2


def test_no_preset_is_warned_of() -> None:
    """Every preset can be asked whether a request was done, wherever one could be doubled."""
    for name in preset_names():
        steps = [*preset(name).create, *preset(name).modify]
        assert all(step.lookup or step.repeatable or step.request.method == "GET" for step in steps), name


def test_settings_survive_storage() -> None:
    """A stored job is read as it was saved."""
    block = tracker_block("https://a.example", files="multipart")
    settings = WebhookSettings.model_validate(block)
    assert WebhookSettings.model_validate_json(settings.model_dump_json(by_alias=True)) == settings
    assert json.loads(settings.model_dump_json(by_alias=True))["create"][0]["request"]["json"]


def test_errors_name_no_secret(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """A secret that is not there is named, and nothing is sent."""
    settings = WebhookSettings.model_validate(tracker_block(tracker.url))
    target = open_target(make_target_request(settings, storage, clock=clock))
    with pytest.raises(ConfigInvalid, match="tracker-token"):
        target.apply([new(1)])
    assert tracker.requests == []


def test_a_template_that_fails_is_that_messages_fault(tracker: Tracker, storage: FakeStorage, clock: FakeClock) -> None:
    """The others go on, and the sentence says which target block to change."""
    block = tracker_block(tracker.url)
    block["create"][0]["request"]["json"]["n"] = {
        "$json": "{% if message.subject == 'S2' %}no json{% else %}1{% endif %}"
    }
    deliveries = [new(uid, make_message(uid, subject=f"S{uid}")) for uid in (1, 2, 3)]
    first, failed, third = _open(storage, clock, block).apply(deliveries)
    assert isinstance(failed, MessageError)
    assert "template" in str(failed)
    assert isinstance(first, Delivered)
    assert isinstance(third, Delivered)
