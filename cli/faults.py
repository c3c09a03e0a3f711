"""What ends a command, and with which exit code."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; pipelines may rely on them."""

    DONE = 0
    #: Refused or failed: the sentence on stderr says why.
    FAILED = 1
    #: Wrong usage (click's own code).
    USAGE = 2
    #: Somebody changed a job between plan and apply: plan again.
    CHANGED_MEANWHILE = 3
    #: ``plan --exit-code``: there are differences.
    DIFFERENCES = 4


class CommandFault(Exception):
    """Ends the command with a sentence for people."""

    def __init__(self, sentence: str, *, code: Exit = Exit.FAILED) -> None:
        super().__init__(sentence)
        self.code = code
