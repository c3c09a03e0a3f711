"""E-mail as it comes, to a `Message`: total (no bytes raise), bounded (`shared.mime.limits`), and pure."""

from shared.mime.parse import parse
from shared.mime.replies import Sections, sections

__all__ = ["Sections", "parse", "sections"]
