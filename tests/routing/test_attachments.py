"""Which attachments reach the ticket, and that it says what does not."""

from typing import Any

import pytest

from shared.model import Attachment
from shared.routing import AttachmentSettings, take
from tests.builders import make_attachment, make_message

PDF = make_attachment("offer.pdf", b"%PDF-1.4 " + b"x" * 2000, content_type="application/pdf")
PROGRAM = make_attachment("invoice.pdf", b"MZ" + bytes(300), content_type="application/pdf")
TEXT = make_attachment("notes.txt", b"Paper jam." * 100)
LOGO = make_attachment("logo.png", b"\x89PNG\r\n\x1a\n" + bytes(50), content_type="image/png")
LOGO_AGAIN = make_attachment("logo-2.png", LOGO.data, content_type="image/png")
SHOWN = make_attachment("logo-3.png", LOGO.data, content_type="image/png", content_id="a@b", inline=True)
EMPTY = make_attachment("empty.txt", b"")


def taken(*attachments: Attachment, **config: Any) -> tuple[list[str], tuple[str, ...]]:
    """The names of those that are taken, and what is said of the others."""
    answer = take(make_message(attachments=attachments), AttachmentSettings.model_validate(config))
    return [one.name for one in answer.message.attachments], answer.notes


def test_all_are_taken_by_default() -> None:
    """Without settings nothing is left out but a picture that is there already, and nothing is said."""
    message = make_message(attachments=(PDF, PROGRAM, TEXT, LOGO, SHOWN, EMPTY))
    assert take(message, AttachmentSettings()) == take(message, AttachmentSettings(max_count=99))
    assert take(message, AttachmentSettings()).message is message


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"deny": ["*.PDF"]}, "its name is denied (*.PDF)"),
        (
            {"deny": ["application/x-msdownload"]},
            "its type application/x-msdownload is denied (application/x-msdownload)",
        ),
        ({"deny": ["application/pdf"]}, "its type application/pdf is denied (application/pdf)"),
        ({"allow": ["*.txt"]}, "neither its name nor its type application/pdf is allowed"),
        ({"allow": ["application/pdf"]}, "neither its name nor its type application/x-msdownload is allowed"),
        ({"allow": ["*.pdf"], "deny": ["invoice*"]}, "its name is denied (invoice*)"),
        ({"max_file_mb": 0.0001}, "it is over the limit of 0.0001 MB"),
        ({"max_total_mb": 0.0001}, "together with those before it, it is over the limit of 0.0001 MB for a message"),
        ({"max_count": 0}, "a message may bring 0"),
        ({"drop_sha256": [PROGRAM.sha256]}, "its content is one of those to leave out (drop_sha256)"),
    ],
)
def test_what_is_left_out_is_named_with_the_reason(config: dict[str, Any], reason: str) -> None:
    """A program that calls itself a PDF, by each setting that can keep it away."""
    assert taken(PROGRAM, **config) == ([], (f"The attachment invoice.pdf (0.3 KB) was left out: {reason}.",))


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"deny": ["application/x-msdownload", "*.txt"]}, ["offer.pdf", "logo.png"]),
        ({"allow": ["image/*"]}, ["logo.png"]),
        ({"allow": ["*.pdf", "image/*"]}, ["offer.pdf", "invoice.pdf", "logo.png"]),
        ({"max_count": 2}, ["offer.pdf", "invoice.pdf"]),
        ({"max_total_mb": 0.003}, ["offer.pdf", "invoice.pdf", "logo.png", "empty.txt"]),
        ({"max_file_mb": 0.001}, ["invoice.pdf", "notes.txt", "logo.png", "empty.txt"]),
    ],
)
def test_what_fits_is_taken(config: dict[str, Any], names: list[str]) -> None:
    """In the order of the message; one that does not fit keeps none away that comes after it and does."""
    assert taken(PDF, PROGRAM, TEXT, LOGO, EMPTY, **config)[0] == names


def test_a_repeated_picture_is_taken_once() -> None:
    """Unless the text shows it under an id of its own, or the job wants them all."""
    names, notes = taken(LOGO, LOGO_AGAIN, SHOWN, TEXT, TEXT)
    assert names == ["logo.png", "logo-3.png", "notes.txt", "notes.txt"]
    assert notes == ("The attachment logo-2.png (0.1 KB) was left out: it is the same picture as logo.png.",)
    assert taken(LOGO, LOGO_AGAIN, drop_repeated_pictures=False)[1] == ()


def test_many_are_counted() -> None:
    """A mail of a thousand denied files is told in twenty sentences."""
    many = [make_attachment(f"{number}.exe") for number in range(100)]
    names, notes = taken(*many, deny=["*.exe"])
    assert names == []
    assert len(notes) == 20
    assert notes[-1] == "81 more attachments were left out."
