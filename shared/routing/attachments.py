"""Which attachments reach the ticket. What is left out is never left out silently: the ticket says what, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import Field

from shared.model import Attachment, Message
from shared.ports import Settings
from shared.routing.patterns import Likes, like

_MB: Final = 1024 * 1024
#: Sentences about what was left out; the last of more says how many more.
_SENTENCES: Final = 20

#: More than a signature's picture has; larger ones are not dropped as repeated.
_PICTURE_BYTES: Final = 200 * 1024


class AttachmentSettings(Settings):
    """What is taken. A pattern with a slash is compared with types, another one with names: ``image/*``, ``*.exe``.

    A type is what the mail declares and also what the content shows: a program that calls itself a PDF is both.
    """

    allow: Likes = Field(default=(), description="Only these. Left out: all.")
    deny: Likes = Field(default=(), description="These never, even if allowed.")
    max_file_mb: float | None = Field(default=None, gt=0, description="Of one attachment.")
    max_total_mb: float | None = Field(default=None, gt=0, description="Of those of one message together.")
    max_count: int | None = Field(default=None, ge=0, description="Of those of one message.")
    drop_sha256: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        default=(), max_length=200, description="Contents to leave out, such as the logo of one's own signature."
    )
    drop_repeated_pictures: bool = Field(
        default=True, description="Of a small picture that one message has several times, take one."
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """The message with the attachments that are taken, and a sentence for each that is not."""

    message: Message
    notes: tuple[str, ...] = ()


def take(message: Message, settings: AttachmentSettings) -> Taken:
    """Leave out what the job does not want, in the order of the message: the first ones that fit are taken."""
    left_out: list[str] = []
    taken: list[Attachment] = []
    for one in message.attachments:
        reason = _reason(one, taken, settings)
        if reason is None:
            taken.append(one)
        else:
            left_out.append(f"The attachment {one.name} ({_size(len(one.data))}) was left out: {reason}.")
    if not left_out:
        return Taken(message)
    if len(left_out) > _SENTENCES:
        left_out[_SENTENCES - 1 :] = [f"{len(left_out) - _SENTENCES + 1} more attachments were left out."]
    return Taken(replace(message, attachments=tuple(taken)), tuple(left_out))


def _reason(one: Attachment, taken: Sequence[Attachment], settings: AttachmentSettings) -> str | None:
    for test in (_content, _kind, _amount):
        if reason := test(one, taken, settings):
            return reason
    return None


_Test = Callable[[Attachment, Sequence[Attachment], AttachmentSettings], str | None]


def _content(one: Attachment, taken: Sequence[Attachment], settings: AttachmentSettings) -> str | None:
    if settings.drop_sha256 and one.sha256 in settings.drop_sha256:
        return "its content is one of those to leave out (drop_sha256)"
    small_picture = one.content_type.startswith("image/") and len(one.data) <= _PICTURE_BYTES
    if settings.drop_repeated_pictures and small_picture:
        # One that the text refers to by an id of its own has to be there under that id.
        alike = (other for other in taken if other.data == one.data)
        same = next((other for other in alike if other.content_id == one.content_id or not one.inline), None)
        if same:
            return f"it is the same picture as {same.name}"
    return None


def _kind(one: Attachment, _: Sequence[Attachment], settings: AttachmentSettings) -> str | None:
    if not (settings.allow or settings.deny):
        return None
    types = [one.content_type]
    if any("/" in pattern for pattern in (*settings.allow, *settings.deny)) and (shown := _shown_type(one.data)):
        types.append(shown)
    for pattern in settings.deny:
        compared = types if "/" in pattern else [one.name]
        if found := next((each for each in compared if like(pattern, each)), None):
            what = "its name" if found == one.name else f"its type {found}"
            return f"{what} is denied ({pattern})"
    if settings.allow and not any(
        like(pattern, types[-1] if "/" in pattern else one.name) for pattern in settings.allow
    ):
        return f"neither its name nor its type {types[-1]} is allowed"
    return None


def _amount(one: Attachment, taken: Sequence[Attachment], settings: AttachmentSettings) -> str | None:
    size = len(one.data)
    if settings.max_file_mb is not None and size > settings.max_file_mb * _MB:
        return f"it is over the limit of {settings.max_file_mb:g} MB"
    total = sum(len(other.data) for other in taken)
    if settings.max_total_mb is not None and size + total > settings.max_total_mb * _MB:
        return f"together with those before it, it is over the limit of {settings.max_total_mb:g} MB for a message"
    if settings.max_count is not None and len(taken) >= settings.max_count:
        return f"a message may bring {settings.max_count}"
    return None


def _shown_type(data: bytes) -> str | None:
    """What the first octets show, whatever the mail declares; None where they show nothing."""
    import filetype

    found: str | None = filetype.guess_mime(data[:8192])
    return found


def _size(octets: int) -> str:
    if octets < _MB:
        return f"{max(octets, 1) / 1024:.1f} KB" if octets else "0 KB"
    return f"{octets / _MB:.1f} MB"
