"""Fixtures of this suite."""

from tests.servers.entra import entra
from tests.servers.google_token import google

__all__ = ["entra", "google"]
