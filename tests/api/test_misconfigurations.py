"""What the connection test says of each misconfiguration, over real servers; docs/connection-test.md says the same."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.ports import free_ports
from tests.api.connections import Elsewhere, failed, serve, tried
from tests.api.world import World
from tests.connectors.test_imap_oauth import READY, SaslImap, authenticating
from tests.servers.dovecot import Dovecot, dovecot
from tests.servers.entra import Entra, Scripted, entra, refusal
from tests.servers.ews import Exchange, Status
from tests.servers.ews_accounts import Person, token
from tests.servers.ews_fixture import MAILBOX, OWNER, PASSWORD, exchange, exchange_authority
from tests.servers.graph import Graph, graph
from tests.servers.imap_host import User
from tests.servers.scripted_imap import ScriptedImap, Step
from tests.servers.scripted_pop3 import ScriptedPop3
from tests.servers.scripted_pop3 import Step as PopStep
from tests.servers.scripted_pop3 import capable as pop_capable
from tests.servers.tls import Authority
from tests.signin.identities import SECRET, WRONG

__all__ = ["dovecot", "entra", "exchange", "exchange_authority", "graph"]

PAGE = Path(__file__).parents[2] / "docs" / "connection-test.md"
_PLAIN = {"security": "none", "allow_insecure": True}
_CLOSED = '{tag} OK [Error="UserDisabled" AuthResult=27 Proxy=X.PROD.OUTLOOK.COM:1993:SSL Service=Imap4] done.\r\n'


@dataclass
class Here:
    """The servers of one test, and the API in front of them."""

    world: World
    dovecot: Dovecot
    user: User
    exchange: Exchange
    graph: Graph
    entra: Entra
    authority: Authority
    stack: ExitStack

    def imap(self, **fields: Any) -> dict[str, Any]:
        """The INBOX on Dovecot."""
        usual = {"host": self.dovecot.host, "port": self.dovecot.imaps_port, "ca_file": str(self.dovecot.ca_file)}
        names = {"username": self.user.name, "password_secret": "support-mailbox"}
        return {"type": "imap4", **usual, **names, **fields}

    def ews(self, **fields: Any) -> dict[str, Any]:
        """The inbox on an Exchange server."""
        usual = {"mailbox": MAILBOX, "username": OWNER, "password_secret": "support-mailbox", "authentication": "basic"}
        place = {"service_url": self.exchange.url, "ca_file": str(self.authority.ca_file)}
        return {"type": "exchange", **usual, **place, **fields}

    def certified(self, **options: Any) -> dict[str, Any]:
        """A mailbox on an IMAP4 server that shows such a certificate, to two that come."""
        shown = self.authority.issue(**options)
        server = self.stack.enter_context(ScriptedImap([], [], tls=shown, at_once=True))
        return self.imap(host=server.host, port=server.port, ca_file=str(self.authority.ca_file))

    def online(self, api: str, **fields: Any) -> dict[str, Any]:
        """A mailbox in Exchange Online, with an app of a tenant of its own."""
        self.app = self.entra.register(secrets={SECRET: True, WRONG: False})
        sign_in = {
            "method": "client_secret",
            "tenant_id": self.app.tenant,
            "client_id": self.app.client_id,
            "client_secret": "support-mailbox",
        }
        return {"type": "exchange_online", "api": api, "mailbox": MAILBOX, "sign_in": sign_in, **fields}

    def by_graph(self, elsewhere: Elsewhere, secret: str = SECRET, **fields: Any) -> dict[str, Any]:
        """The answer of the test of a Graph job."""
        server = self.online("graph", endpoint=self.graph.root, **fields)
        serve(self.world, elsewhere, **{"support-mailbox": secret})
        return tried(self.world, server)

    def by_ews_online(self, tokens: Callable[[], str] = token) -> dict[str, Any]:
        """The answer of the test of a job by EWS in Exchange Online."""
        self.exchange.schemes = {"bearer"}
        self.exchange.people.setdefault("app", Person("", may_act_for={MAILBOX}))
        elsewhere = Elsewhere(exchange=self.exchange, authority=self.authority)
        elsewhere.tokens = tokens
        serve(self.world, elsewhere, **{"support-mailbox": SECRET})
        return tried(self.world, self.online("ews"))

    def by_password(self, server: dict[str, Any], password: str | None = None, **config: Any) -> dict[str, Any]:
        """The answer of the test of a job with a password."""
        right = PASSWORD if server["type"] == "exchange" else self.user.password
        serve(self.world, **{"support-mailbox": password or right})
        return tried(self.world, server, **config)

    def by_xoauth2(self, *talk: Step) -> dict[str, Any]:
        """The answer of the test of an IMAP4 job with a token, on a server that says these things."""
        server = self.stack.enter_context(SaslImap([], talk, greeting=READY))
        sign_in = self.online("graph")["sign_in"]
        serve(self.world, Elsewhere(entra=self.entra), **{"support-mailbox": SECRET})
        block = {"type": "imap4", "host": server.host, "port": server.port, "username": MAILBOX, "sign_in": sign_in}
        return tried(self.world, {**block, **_PLAIN})


def _refused(here: Here) -> dict[str, Any]:
    return here.by_password(here.imap(port=free_ports(1)[0]))


def _nowhere(here: Here) -> dict[str, Any]:
    here.dovecot.create_folder(here.user, "Support")
    return here.by_password(here.imap(folder="Suport"))


def _read_only(here: Here) -> dict[str, Any]:
    here.dovecot.make_read_only(here.user)
    return here.by_password(here.imap())


def _no_starttls(here: Here) -> dict[str, Any]:
    says = Step("CAPABILITY", "* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n")
    server = here.stack.enter_context(ScriptedImap([says]))
    return here.by_password(here.imap(host=server.host, port=server.port, security="starttls"))


def _locked(here: Here) -> dict[str, Any]:
    talk = [
        pop_capable("USER", "RESP-CODES"),
        PopStep("USER ", "+OK\r\n"),
        PopStep("PASS ", "-ERR [IN-USE] Locked\r\n"),
    ]
    server = here.stack.enter_context(ScriptedPop3([], talk))
    block = {"type": "pop3", "username": MAILBOX, "password_secret": "support-mailbox", **_PLAIN}
    return here.by_password({**block, "host": server.host, "port": server.port})


def _no_consent(here: Here) -> dict[str, Any]:
    server = here.online("graph", endpoint=here.graph.root)
    words = "The user or administrator has not consented to use the application."
    here.entra.script(here.app, Scripted(400, refusal("invalid_grant", 65001, words)))
    serve(here.world, Elsewhere(entra=here.entra, graph=here.graph), **{"support-mailbox": SECRET})
    return tried(here.world, server)


def _no_role(here: Here) -> dict[str, Any]:
    here.graph.new_mailbox(MAILBOX)
    elsewhere = Elsewhere(graph=here.graph)
    elsewhere.credential = here.graph.credential(roles=[])
    return here.by_graph(elsewhere)


def _only_read(here: Here) -> dict[str, Any]:
    here.graph.new_mailbox(MAILBOX)
    elsewhere = Elsewhere(graph=here.graph)
    elsewhere.credential = here.graph.credential(roles=["Mail.Read"])
    return here.by_graph(elsewhere)


def _out_of_scope(here: Here) -> dict[str, Any]:
    # Roles of RBAC for Applications are in no token.
    here.graph.service.denied.add(MAILBOX)
    return _no_role(here)


def _policy(here: Here) -> dict[str, Any]:
    here.graph.new_mailbox(MAILBOX)
    here.graph.service.denied.add(MAILBOX)
    return here.by_graph(Elsewhere(graph=here.graph))


def _graph_folder(here: Here) -> dict[str, Any]:
    store = here.graph.new_mailbox(MAILBOX)
    store.add_folder("Support", under=store.folder("inbox").id)
    return here.by_graph(Elsewhere(graph=here.graph), folder="Inbox/Suport")


def _ews_folder(here: Here) -> dict[str, Any]:
    mailbox = here.exchange.mailboxes[MAILBOX]
    mailbox.add_folder("Support", mailbox.inbox)
    return here.by_password(here.ews(folder="Inbox/Suport"))


def _ews_closed(here: Here) -> dict[str, Any]:
    here.exchange.script("GetFolder", Status(403))
    return here.by_ews_online()


def _ews_out_of_scope(here: Here) -> dict[str, Any]:
    here.exchange.people["app"] = Person("")
    return here.by_ews_online()


#: What is wrong, in the words of the page; the stage that finds it; and how it comes about.
WRONG_WAYS: list[tuple[str, str, Callable[[Here], dict[str, Any]]]] = [
    ("Unknown host name", "dns", lambda here: here.by_password(here.imap(host="imap.invalid", port=993))),
    ("Wrong port", "tcp", _refused),
    ("TLS on the plain port", "tls", lambda here: here.by_password(here.imap(port=here.dovecot.imap_port))),
    ("STARTTLS that the server does not have", "tls", _no_starttls),
    ("Certificate for another name", "tls", lambda here: here.by_password(here.certified(name="other.example.com"))),
    ("Expired certificate", "tls", lambda here: here.by_password(here.certified(expired=True))),
    ("Untrusted authority", "tls", lambda here: here.by_password(here.imap(ca_file=None))),
    (
        "CA file that is not there",
        "tls",
        lambda here: here.by_password(here.imap(ca_file="certificates/missing.pem")),
    ),
    ("Wrong password", "sign_in", lambda here: here.by_password(here.imap(), "wrong")),
    ("Secret that does not exist", "sign_in", lambda here: here.by_password(here.imap(password_secret="suport"))),
    ("POP3 mailbox in use", "sign_in", _locked),
    ("Wrong folder (IMAP4)", "folder", _nowhere),
    ("Folder that may only be read", "rights", _read_only),
    ("Wrong password (Exchange on-premises)", "sign_in", lambda here: here.by_password(here.ews(), "wrong")),
    (
        "Mailbox that the account may not open (Exchange on-premises)",
        "mailbox",
        lambda here: here.by_password(here.ews(mailbox="boss@example.com", access="delegate")),
    ),
    ("Wrong folder (Exchange on-premises)", "folder", _ews_folder),
    (
        "Client secret expired (AADSTS7000222)",
        "sign_in",
        lambda here: here.by_graph(Elsewhere(entra=here.entra, graph=here.graph), WRONG),
    ),
    ("Consent missing (AADSTS65001)", "sign_in", _no_consent),
    ("No permission for mail (Graph)", "mailbox", _no_role),
    ("Mailbox unknown in the tenant (Graph)", "mailbox", lambda here: here.by_graph(Elsewhere(graph=here.graph))),
    ("Mailbox outside the RBAC scope (Graph)", "mailbox", _out_of_scope),
    ("Mailbox left out by an application access policy (Graph)", "mailbox", _policy),
    ("Wrong folder (Graph)", "folder", _graph_folder),
    ("Mail.Read in the place of Mail.ReadWrite (Graph)", "rights", _only_read),
    (
        "IMAP switched off for the mailbox (Exchange Online)",
        "mailbox",
        lambda here: here.by_xoauth2(*authenticating(_CLOSED)),
    ),
    (
        "App not registered in Exchange Online (IMAP4)",
        "sign_in",
        lambda here: here.by_xoauth2(*authenticating("{tag} NO AUTHENTICATE failed.\r\n")),
    ),
    ("EWS not allowed for the app (Exchange Online)", "sign_in", _ews_closed),
    ("No permission for EWS (Exchange Online)", "sign_in", lambda here: here.by_ews_online(lambda: token(roles=[]))),
    ("Mailbox outside the RBAC scope (EWS)", "mailbox", _ews_out_of_scope),
]


@pytest.fixture
def microsoft(graph: Graph, entra: Entra) -> tuple[Graph, Entra]:
    """What is Microsoft's."""
    return graph, entra


@pytest.fixture
def here(
    world: World,
    dovecot: Dovecot,
    exchange: Exchange,
    exchange_authority: Authority,
    microsoft: tuple[Graph, Entra],
) -> Iterator[Here]:
    """Everything that may be wrong."""
    with ExitStack() as stack:
        user = dovecot.new_mailbox()
        exchange.add_mailbox("boss@example.com")
        yield Here(world, dovecot, user, exchange, *microsoft, exchange_authority, stack)


def _on_paper(here: Here, text: str) -> str:
    """As the page says it: names in the place of what is another one in each test."""
    app = getattr(here, "app", None)
    names = {
        here.exchange.url: "https://mail.example.com/EWS/Exchange.asmx",
        here.exchange.url.split("/")[2]: "mail.example.com",
        here.graph.root: "https://graph.microsoft.com",
        here.entra.url.removeprefix("https://"): "login.microsoftonline.com",
        here.user.name: "support@example.com",
        **({app.client_id: "<client id>", app.tenant: "<tenant id>"} if app else {}),
    }
    for real, shown in names.items():
        text = text.replace(real, shown)
    text = re.sub(r"127\.0\.0\.1:\d+", "mail.example.com:<port>", text).replace("127.0.0.1", "mail.example.com")
    text = re.sub(r"signed by '[^']*'", "signed by '<authority>'", text)
    return (
        re.sub(r"\d{4}-\d\d-\d\d(?= to |\.$)|(?<=to )\d{4}-\d\d-\d\d", "<date>", text) if "valid from" in text else text
    )


def _entry(title: str, found: dict[str, str]) -> str:
    """What the page has for one misconfiguration."""
    lines = [f"### {title}", "", f"Stage `{found['name']}`.", "", f"> {found['cause']}", ">", f"> {found['remedy']}"]
    if found["detail"]:
        lines += [">", f"> ({found['detail']})"]
    return "\n".join([*lines, ""])


@pytest.mark.parametrize(("title", "where", "try_it"), WRONG_WAYS, ids=[title for title, _, _ in WRONG_WAYS])
def test_each_misconfiguration_is_told_as_the_page_says(
    here: Here, title: str, where: str, try_it: Callable[[Here], dict[str, Any]]
) -> None:
    """The stage, the cause, and what to do; no secret is in the answer."""
    answer = try_it(here)
    found = failed(answer, where)
    assert found["cause"]
    assert found["remedy"]
    for secret in (SECRET, WRONG, PASSWORD, here.user.password):
        assert secret not in str(answer)
    told = {key: _on_paper(here, str(found[key])) for key in ("name", "cause", "remedy", "detail")}
    assert _entry(title, told) in PAGE.read_text()


def test_the_page_lists_nothing_else() -> None:
    """What is not tried here is not promised there."""
    page = PAGE.read_text().partition("## What it says")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.*)$", page, re.MULTILINE) == [title for title, _, _ in WRONG_WAYS]
