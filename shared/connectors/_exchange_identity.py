"""One text for one Exchange mailbox and folder, by whichever protocol a job reaches it. Pure."""

import unicodedata

#: Standard folders by which a path may begin, without blanks: EWS and Graph both take these words in every language
#: (DistinguishedFolderId in the EWS reference; https://learn.microsoft.com/graph/api/resources/mailfolder).
_STANDARD = frozenset(
    {
        "archive",
        "clutter",
        "conversationhistory",
        "deleteditems",
        "drafts",
        "inbox",
        "junkemail",
        "outbox",
        "sentitems",
    }
)


def mailbox_identity(mailbox: str, folder: str) -> str:
    """What `ServerSettings.identity` gives for a mailbox and a folder path, whatever the spelling of either.

    Neither the protocol nor the server, the cloud or the account is part of it: a mailbox that moves from Exchange
    on-premises to Exchange Online, or a job that changes from EWS to Graph, keeps it. Address and object id of one
    mailbox, and a standard folder and its name in another language, cannot be told to be the same without asking.
    """
    first, *rest = [same for step in folder.split("/") if (same := _same(step))] or [""]
    standard = first.replace(" ", "")
    return f"exchange:{_same(mailbox)}/{'/'.join([standard if standard in _STANDARD else first, *rest])}"


def refused_target(mailbox: str, folder: str, move_to: str) -> str:
    """Why messages of ``folder`` cannot be moved to ``move_to``: a sentence, or empty where they can."""
    if move_to and mailbox_identity(mailbox, move_to) == mailbox_identity(mailbox, folder):
        return "move_to names the folder that the job itself integrates."
    return ""


def _same(text: str) -> str:
    """Exchange does not tell capitals apart."""
    return unicodedata.normalize("NFC", text).casefold().strip()
