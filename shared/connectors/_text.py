"""Texts that several protocols share, as pure functions."""


def header_of(message: bytes) -> bytes:
    """The header of a raw message with the empty line that ends it."""
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := message.find(mark)) >= 0]
    return message[: min(ends)] if ends else message


def readable(answer: object) -> str:
    """What a server said, fit for a sentence: one line, printable, at most 200 characters."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())[:200].rstrip(".")
