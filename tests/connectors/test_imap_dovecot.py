"""What is IMAP's own, on Dovecot: the ways to connect, folders, UIDVALIDITY, rights."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import AuthFailed, ConfigInvalid, MessageGone
from shared.model import Disposition, Pick, Picking
from tests.connectors.imap_jobs import open_dovecot, ref_to
from tests.servers.dovecot import Dovecot
from tests.servers.imap_host import User

UNREAD = Picking(Pick.UNREAD, since=datetime(2026, 1, 1, tzinfo=UTC))
BOTH = Disposition(read=True, deleted=True)
MAIL = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def user(dovecot: Dovecot) -> User:
    """An empty mailbox."""
    return dovecot.new_mailbox()


@pytest.mark.parametrize("security", ["tls", "starttls", "starttls_if_available", "none"])
def test_each_security_mode_reaches_the_mailbox(dovecot: Dovecot, user: User, security: str) -> None:
    """All four list the message that is there."""
    dovecot.append(user, "INBOX", MAIL)
    port = dovecot.imaps_port if security == "tls" else dovecot.imap_port
    ca_file = None if security == "none" else str(dovecot.ca_file)
    with open_dovecot(dovecot, user, port=port, security=security, allow_insecure=True, ca_file=ca_file) as mailbox:
        assert len(mailbox.candidates(UNREAD).refs) == 1


@pytest.mark.parametrize("password", ["with space", 'quo"te\\s', "pässwörd€", "{0}*(%)"])
def test_any_password_is_sent_as_it_is(dovecot: Dovecot, password: str) -> None:
    """Quotes, blanks and letters beyond ASCII are no trouble."""
    user = dovecot.new_mailbox(password=password)
    with open_dovecot(dovecot, user) as mailbox:
        assert mailbox.candidates(UNREAD).refs == ()


def test_a_wrong_password_names_user_and_secret_but_not_itself(dovecot: Dovecot, user: User) -> None:
    """The sentence says whom the server refused and which secret to look at."""
    wrong = User(user.name, "wrong-password", "/")
    with pytest.raises(AuthFailed) as caught:
        open_dovecot(dovecot, wrong)
    assert user.name in str(caught.value)
    assert "'mailbox'" in str(caught.value)
    assert "wrong-password" not in str(caught.value)


@pytest.mark.parametrize(("separator", "stored"), [("/", "Team/Support"), (".", "Team.Support")])
@pytest.mark.parametrize("spelling", ["Team/Support", "Team.Support"])
def test_either_delimiter_finds_the_folder(dovecot: Dovecot, separator: str, stored: str, spelling: str) -> None:
    """Whichever the server uses and whichever the person typed."""
    user = dovecot.new_mailbox(separator=separator)
    dovecot.create_folder(user, stored)
    dovecot.append(user, stored, [MAIL, MAIL])
    with open_dovecot(dovecot, user, folder=spelling) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        assert len(refs) == 2
        assert [one.error for one in mailbox.dispose(refs[:1], BOTH)] == [None]
    assert [bool(one.flags) for one in dovecot.messages(user, stored)] == [True, False]


@pytest.mark.parametrize(
    "spelling", ["Entwürfe & Ähnliches", "Entw&APw-rfe &- &AMQ-hnliches", "Entwu\u0308rfe & Ähnliches"]
)
def test_folder_names_beyond_ascii_work(dovecot: Dovecot, user: User, spelling: str) -> None:
    """As a person writes them, decomposed, or as they travel (modified UTF-7)."""
    dovecot.create_folder(user, "Entw&APw-rfe &- &AMQ-hnliches")
    dovecot.append(user, "Entw&APw-rfe &- &AMQ-hnliches", MAIL)
    with open_dovecot(dovecot, user, folder=spelling) as mailbox:
        assert len(mailbox.candidates(UNREAD).refs) == 1


def test_an_unknown_folder_lists_those_that_exist(dovecot: Dovecot, user: User) -> None:
    """The person can choose from the sentence."""
    dovecot.create_folder(user, "Team/Support")
    with pytest.raises(ConfigInvalid) as caught:
        open_dovecot(dovecot, user, folder="Team/Suport")
    assert "no folder 'Team/Suport'" in caught.value.what
    assert "'Team/Support'" in caught.value.remedy
    assert "'INBOX'" in caught.value.remedy


def test_refs_of_an_earlier_uidvalidity_are_never_acted_on(dovecot: Dovecot, user: User) -> None:
    """A folder that was made anew has other messages under the same UIDs: the old refs are gone, the new mail is safe."""
    dovecot.create_folder(user, "Team")
    dovecot.append(user, "Team", [MAIL, MAIL])
    with open_dovecot(dovecot, user, folder="Team") as mailbox:
        listed = mailbox.candidates(Picking(Pick.NEW, since=datetime.now(UTC) - timedelta(hours=1)))
    with dovecot.session(user) as client:
        client.delete("Team")
        client.create("Team")
    dovecot.append(user, "Team", [MAIL, MAIL], r"\Deleted")
    dovecot.append(user, "Team", MAIL)
    before = dovecot.messages(user, "Team")
    with open_dovecot(dovecot, user, folder="Team") as mailbox:
        fetched = list(mailbox.fetch(listed.refs, max_bytes=1_000))
        assert [type(one.error) for one in fetched] == [MessageGone] * 2
        assert [type(one.error) for one in mailbox.dispose(listed.refs, BOTH)] == [MessageGone] * 2
        assert [one.error for one in mailbox.purge(listed.refs)] == [None] * 2
        again = mailbox.candidates(
            Picking(Pick.NEW, since=datetime.now(UTC) - timedelta(hours=1), cursor=listed.cursor)
        )
        assert len(again.refs) == 1
    assert dovecot.messages(user, "Team") == before


def test_messages_of_an_earlier_uidvalidity_may_come_back(dovecot: Dovecot, user: User) -> None:
    """They do, under the same keys, when a folder that was renamed away gets its name back: so they count as there."""
    dovecot.create_folder(user, "Team")
    dovecot.append(user, "Team", MAIL)
    with open_dovecot(dovecot, user, folder="Team") as mailbox:
        (ref,) = mailbox.candidates(UNREAD).refs
    with dovecot.session(user) as client:
        client.rename("Team", "Elsewhere")
        client.create("Team")
    with open_dovecot(dovecot, user, folder="Team") as mailbox:
        assert mailbox.candidates(UNREAD).refs == ()
        assert mailbox.still_there([ref]) == {ref.key}
    with dovecot.session(user) as client:
        client.delete("Team")
        client.rename("Elsewhere", "Team")
    with open_dovecot(dovecot, user, folder="Team") as mailbox:
        assert mailbox.candidates(UNREAD).refs == (ref,)


def test_refs_of_another_folder_are_never_acted_on(dovecot: Dovecot, user: User) -> None:
    """When a job's folder is changed, what the ledger still holds of the old one names nobody in the new one."""
    dovecot.append(user, "INBOX", MAIL)
    with open_dovecot(dovecot, user) as mailbox:
        (ref,) = mailbox.candidates(UNREAD).refs
        era, uid = (int(part) for part in ref.key.item.split("."))
        own = ref_to(mailbox, uid, uidvalidity=era)
    foreign = type(own)(type(own.key)("job", own.key.mailbox + "/Old", own.key.item), own.handle)
    with open_dovecot(dovecot, user) as mailbox:
        assert [type(one.error) for one in mailbox.dispose([foreign, own], BOTH)] == [MessageGone, type(None)]
        assert [type(one.error) for one in mailbox.fetch([foreign], max_bytes=100)] == [MessageGone]
        assert [one.error for one in mailbox.purge([foreign])] == [None]
    assert len(dovecot.messages(user)) == 1


def test_a_read_only_folder_can_be_listed_but_says_so_when_marked(dovecot: Dovecot, user: User) -> None:
    """Listing needs no right to write; the first marking explains what is missing, and nothing was changed."""
    dovecot.append(user, "INBOX", MAIL)
    dovecot.make_read_only(user)
    with open_dovecot(dovecot, user) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        assert len(list(mailbox.fetch(refs, max_bytes=100))) == 1
        with pytest.raises(ConfigInvalid, match="only be read"):
            mailbox.dispose(refs, BOTH)
    assert [one.flags for one in dovecot.messages(user)] == [frozenset()]


def test_marks_and_purge_leave_other_flags_alone(dovecot: Dovecot, user: User) -> None:
    r"""``\Flagged`` and ``\Answered`` stay; a message that only a person deleted stays."""
    dovecot.append(user, "INBOX", [MAIL, MAIL], r"\Flagged \Answered")
    dovecot.append(user, "INBOX", MAIL, r"\Deleted")
    with open_dovecot(dovecot, user) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        mailbox.dispose(refs[:1], Disposition(read=True))
        mailbox.dispose(refs[1:], BOTH)
        mailbox.purge(refs[1:])
    assert [sorted(one.flags) for one in dovecot.messages(user)] == [
        [r"\Answered", r"\Flagged", r"\Seen"],
        [r"\Deleted"],
    ]


def test_no_line_of_mail_and_no_password_is_logged(
    dovecot: Dovecot, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even with every logger at its most talkative."""
    caplog.set_level(logging.DEBUG)
    dovecot.append(user, "INBOX", MAIL)
    with open_dovecot(dovecot, user) as mailbox:
        refs = mailbox.candidates(UNREAD).refs
        assert [one.raw.data for one in mailbox.fetch(refs, max_bytes=100) if one.raw] == [MAIL]
        mailbox.dispose(refs, BOTH)
    assert user.password not in caplog.text
    assert "hello" not in caplog.text
