"""Finding the EWS address through the mail domain."""

from functools import partial

import pytest

from shared.connectors._ews_account import Account
from shared.connectors._ews_autodiscover import places, service_url
from shared.connectors.ews import open_mailbox
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from tests.connectors.ews_jobs import request, settings_of
from tests.servers.ews import Drip, Exchange, Page, Status
from tests.servers.ews_fixture import MAILBOX, OWNER, PASSWORD, exchange, exchange_authority
from tests.servers.tls import Authority

__all__ = ["exchange", "exchange_authority"]

_PATH = "/autodiscover/autodiscover.xml"
_NAMES = 'xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"'


def answer(inside: str) -> Status:
    """A POX answer with this in its Account."""
    text = (
        '<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">'
        f"<Response {_NAMES}><Account><AccountType>email</AccountType>{inside}</Account></Response></Autodiscover>"
    )
    return Status(200, body=text.encode())


def settings_answer(url: str) -> Status:
    """The one that everybody hopes for."""
    return answer(f"<Action>settings</Action><Protocol><Type>EXPR</Type><EwsUrl>{url}</EwsUrl></Protocol>")


def find(server: Exchange, authority: Authority, *paths: str, password: str = PASSWORD, seconds: float = 20) -> str:
    """Ask the simulator at these paths."""
    account = partial(
        Account,
        mailbox=MAILBOX,
        authentication="basic",
        credential=lambda: password,
        access="own",
        username=OWNER,
        sign_in_remedy="Check it.",
        ca_file=str(authority.ca_file),
    )
    base = f"https://{server.host}:{server.port}"
    return service_url(account, [base + path for path in paths or (_PATH,)], request(None, seconds=seconds).deadline)


def test_two_places_are_asked_over_https_alone() -> None:
    """The one made for it first; the domain's web site has no business with the password, and is asked last."""
    assert places("Support@Example.com") == [
        "https://autodiscover.example.com/autodiscover/autodiscover.xml",
        "https://example.com/autodiscover/autodiscover.xml",
    ]


def test_the_address_is_found(exchange: Exchange, exchange_authority: Authority) -> None:
    """After a sign-in, at the first place that has it."""
    exchange.pages[_PATH] = Page(settings_answer(exchange.url))
    assert find(exchange, exchange_authority, "/nothing", _PATH) == exchange.url


@pytest.mark.parametrize("how", ["url", "status"])
def test_a_redirect_is_followed(exchange: Exchange, exchange_authority: Authority, how: str) -> None:
    """Either kind, to another HTTPS address."""
    target = f"https://{exchange.host}:{exchange.port}/there"
    inside = f"<Action>redirectUrl</Action><RedirectUrl>{target}</RedirectUrl>"
    exchange.pages[_PATH] = Page(answer(inside) if how == "url" else Status(302, (("Location", target),)))
    exchange.pages["/there"] = Page(settings_answer("https://mail.example.com/EWS/Exchange.asmx"))
    assert find(exchange, exchange_authority) == "https://mail.example.com/EWS/Exchange.asmx"


def test_another_address_is_looked_up_in_its_own_domain(exchange: Exchange, exchange_authority: Authority) -> None:
    """A mailbox that is known elsewhere by another name."""
    exchange.pages[_PATH] = Page(answer("<Action>redirectAddr</Action><RedirectAddr>a@moved.invalid</RedirectAddr>"))
    with pytest.raises(Unavailable, match=r"for a@moved\.invalid.* autodiscover\.moved\.invalid cannot be resolved"):
        find(exchange, exchange_authority)


def test_a_job_asks_the_domain_of_its_mailbox() -> None:
    """With autodiscover set, opening the mailbox begins there."""
    settings = settings_of(service_url=None, autodiscover=True, mailbox="support@nowhere.invalid")
    with pytest.raises(Unavailable, match=r"autodiscover\.nowhere\.invalid cannot be resolved"):
        open_mailbox(request(settings))


@pytest.mark.parametrize(
    "inside",
    [
        "<RedirectUrl>http://127.0.0.1/there</RedirectUrl>",
        "<EwsUrl>http://127.0.0.1/EWS/Exchange.asmx</EwsUrl>",
        "<Error><ErrorCode>500</ErrorCode></Error>",
    ],
)
def test_nothing_leads_out_of_https(exchange: Exchange, exchange_authority: Authority, inside: str) -> None:
    """An answer without a usable address is none; what to do is to set it by hand."""
    exchange.pages[_PATH] = Page(answer(inside))
    with pytest.raises(JobError, match="found no EWS address") as caught:
        find(exchange, exchange_authority)
    assert "Set service_url" in caught.value.remedy


def test_a_circle_of_redirects_has_an_end(exchange: Exchange, exchange_authority: Authority) -> None:
    """Each place is asked once, and ten at most."""
    base = f"https://{exchange.host}:{exchange.port}"
    for number in range(30):
        exchange.pages[f"/r{number}"] = Page(answer(f"<RedirectUrl>{base}/r{number + 1}</RedirectUrl>"))
    with pytest.raises(JobError, match="found no EWS address"):
        find(exchange, exchange_authority, "/r0")
    assert exchange.connections <= 10


def test_a_web_site_never_sees_the_password(exchange: Exchange, exchange_authority: Authority) -> None:
    """A page that asks for no sign-in gets none: the request without a password comes first."""
    exchange.pages[_PATH] = Page(Status(200, body=b"<html><body>Welcome</body></html>"), open=True)
    with pytest.raises(ConfigInvalid, match="knows no EWS address"):
        find(exchange, exchange_authority)
    assert exchange.sign_ins == 0


def test_a_wrong_password_is_tried_once(exchange: Exchange, exchange_authority: Authority) -> None:
    """Not at every place in turn: that would lock the account."""
    exchange.pages[_PATH] = exchange.pages["/other"] = Page(settings_answer(exchange.url))
    with pytest.raises(AuthFailed):
        find(exchange, exchange_authority, _PATH, "/other", password="another")
    assert exchange.sign_ins == 1


def test_nobody_there_is_for_another_time(exchange_authority: Authority) -> None:
    """When no place answers at all, the network may be to blame."""
    with Exchange(exchange_authority.issue()) as server:
        pass
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        find(server, exchange_authority)
    assert "Set service_url" in caught.value.remedy


def test_a_slow_place_is_cut_off(exchange: Exchange, exchange_authority: Authority) -> None:
    """The run's time is not spent on it."""
    exchange.pages[_PATH] = Page(Drip(), open=True)
    with pytest.raises(Unavailable):
        find(exchange, exchange_authority, seconds=1)
