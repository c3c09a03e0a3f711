"""What stands against a disposition on an IMAP4 server: rights, flags that do not stay, no UIDPLUS."""

from collections.abc import Sequence

import pytest

from shared.model import Disposition
from shared.ports import Hindrance
from tests.connectors.imap_jobs import open_scripted
from tests.servers.scripted_imap import ScriptedImap, Step, opened, signed_in

READ, DELETED = Disposition(read=True), Disposition(deleted=True)
PURGED = Disposition(deleted=True, purge=True)


def told(disposition: Disposition, *talk: Step, capabilities: Sequence[str] = ()) -> list[Hindrance]:
    """What is told of ``disposition`` by a server that says these things once the folder has been opened."""
    with (
        ScriptedImap([*signed_in(*capabilities), opened(), *talk]) as server,
        open_scripted(server) as mailbox,
    ):
        return list(mailbox.hindrances(disposition))


def my_rights(letters: str) -> Step:
    """The answer to MYRIGHTS (RFC 4314 section 3.8)."""
    return Step('MYRIGHTS "?INBOX"?', f"* MYRIGHTS INBOX {letters}\r\n{{tag}} OK done\r\n")


@pytest.mark.parametrize(
    ("disposition", "letters", "lacking"),
    [
        (READ, "lrwte", ["'s'"]),
        (DELETED, "lrswe", ["'t'"]),
        (PURGED, "lrswt", ["'e'"]),
        (Disposition(read=True, deleted=True, purge=True), "lr", ["'s'", "'t'", "'e'"]),
    ],
)
def test_each_right_that_is_missing_is_named(disposition: Disposition, letters: str, lacking: list[str]) -> None:
    """By MYRIGHTS alone: nothing else has to be opened for that."""
    found = told(disposition, my_rights(letters), capabilities=("ACL", "UIDPLUS"))
    assert [one.always for one in found] == [True] * len(lacking)
    for one, letter in zip(found, lacking, strict=True):
        assert f"lacks the right {letter}" in one.what
        assert one.remedy


@pytest.mark.parametrize("letters", ["lrswted", "lrswd"])
def test_whoever_has_the_rights_is_asked_what_stays(letters: str) -> None:
    """The older right ``d`` is enough; the folder is left as it was opened, for reading."""
    talk = (my_rights(letters), opened(verb="SELECT"), opened())
    assert told(PURGED, *talk, capabilities=("ACL", "UIDPLUS")) == []


def test_a_server_that_does_not_tell_rights_is_asked_by_select() -> None:
    """READ-ONLY in the answer says it all."""
    select = opened(verb="SELECT")
    read_only = Step(select.expect, select.answer.replace("READ-WRITE", "READ-ONLY"))
    (found,) = told(READ, read_only, opened())
    assert found.always
    assert "can only be read" in found.what


@pytest.mark.parametrize(
    ("disposition", "flag"), [(READ, "\\Seen"), (DELETED, "\\Deleted"), (Disposition(read=True, deleted=True), "")]
)
def test_a_flag_that_does_not_stay_is_named(disposition: Disposition, flag: str) -> None:
    """PERMANENTFLAGS has what lasts beyond the session."""
    flags = {"\\Seen": "\\Deleted", "\\Deleted": "\\Seen"}.get(flag, "\\Seen \\Deleted")
    extra = f"* OK [PERMANENTFLAGS ({flags})] x\r\n"
    found = told(disposition, opened(verb="SELECT", extra=extra), opened())
    assert [flag in one.what and one.always for one in found] == ([True] if flag else [])


def test_a_purge_without_uidplus_is_told_as_what_may_wait() -> None:
    """It works while nobody else deletes in the folder, so it is no reason not to begin."""
    talk = (opened(verb="SELECT"), opened())
    (found,) = told(PURGED, *talk)
    assert not found.always
    assert "UIDPLUS" in found.what
    assert told(DELETED, *talk) == []


def test_an_answer_about_rights_that_makes_no_sense_is_not_believed() -> None:
    """SELECT decides then."""
    refused = Step("MYRIGHTS ", "{tag} NO not here\r\n")
    empty = Step("MYRIGHTS ", "{tag} OK done\r\n")
    for answer in (refused, empty):
        assert told(READ, answer, opened(verb="SELECT"), opened(), capabilities=("ACL",)) == []
