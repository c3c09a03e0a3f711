"""The ways to send that need no settings of their own, as a ``send`` block names them beside `BySmtp`."""

from typing import Literal

from shared.ports import Settings


class ByAppend(Settings):
    """IMAP4 APPEND into the job's own folder: shows that runs find mail, but nothing of its way to the mailbox."""

    by: Literal["append"]


class ByGraph(Settings):
    """Microsoft Graph sendMail from the job's own mailbox, with the sign-in of the job."""

    by: Literal["graph"]
