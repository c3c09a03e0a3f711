"""What reads mail: the standard library's two policies beside ours, over the corpus; ratios, and how often each fails.

Others are measured too where they are installed (fast-mail-parser, mail-parser): they are no dependencies of ours.
"""

import email
import email.policy
import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shared.mime import parse

MAIL = Path(__file__).parents[2] / "tests" / "data" / "mail"
ROUNDS = 5
SMALL = 5_000
FIELDS = ("From", "To", "Cc", "Subject", "Date", "Message-ID", "References", "Content-Type")


def compat32(raw: bytes) -> None:
    """Everything that a ticket needs, read without decoding: words, addresses, charsets are still to be done."""
    message = email.message_from_bytes(raw)
    for name in FIELDS:
        message.get(name)
    for part in message.walk():
        part.get_filename()
        part.get_payload(decode=True)


def default(raw: bytes) -> None:
    """The same with the newer policy, which decodes headers and texts."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for name in FIELDS:
        str(message.get(name))
    for part in message.walk():
        part.get_filename()
        if part.get_content_maintype() == "text":
            part.get_content()
        else:
            part.get_payload(decode=True)


def others() -> Iterator[tuple[str, Callable[[bytes], Any]]]:
    """What is installed besides."""
    for module, function in (("fast_mail_parser", "parse_email"), ("mailparser", "parse_from_bytes")):
        try:
            yield module, getattr(importlib.import_module(module), function)
        except ImportError:
            continue


def main() -> None:
    """Print a line for each."""
    mails = [raw for path in sorted(MAIL.glob("*.eml")) if len(raw := path.read_bytes()) <= SMALL]
    print(f"{len(mails)} mails of the corpus, {sum(map(len, mails)) // len(mails):,} octets on average")
    print(f"{'parser':22} {'a second':>9} {'ratio':>6} {'raises':>7}")
    reference = 0.0
    readers: list[tuple[str, Callable[[bytes], Any]]] = [
        ("shared.mime", parse),
        ("compat32", compat32),
        ("policy.default", default),
        *others(),
    ]
    for name, read in readers:
        read(mails[0])
        raised = 0
        begun = time.process_time()
        for _ in range(ROUNDS):
            for raw in mails:
                try:
                    read(raw)
                except Exception:  # noqa: BLE001 - that is counted
                    raised += 1
        took = (time.process_time() - begun) / (ROUNDS * len(mails))
        reference = reference or took
        print(f"{name:22} {1 / took:9,.0f} {took / reference:6.2f} {raised // ROUNDS:7}")


if __name__ == "__main__":
    main()
