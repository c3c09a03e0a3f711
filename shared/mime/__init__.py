"""E-mail as it comes, to a `Message`: total (no bytes raise), bounded (`shared.mime.limits`), and pure."""

from shared.mime.parse import parse

__all__ = ["parse"]
