"""Whether the platform asks for a key: not where it has checked a token already, and in every other case."""

import pytest
from azure.functions import AuthLevel

from functions.http_api import auth_level
from functions.settings import read_settings

FLAG = "WEBSITE_AUTH_ENABLED"


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, AuthLevel.FUNCTION),
        ({FLAG: "True"}, AuthLevel.FUNCTION),
        ({"MAILCONNECTOR_AUTH": "entra"}, AuthLevel.FUNCTION),
        ({"MAILCONNECTOR_AUTH": "entra", FLAG: "False"}, AuthLevel.FUNCTION),
        ({"MAILCONNECTOR_AUTH": "entra", FLAG: "True"}, AuthLevel.ANONYMOUS),
    ],
    ids=str,
)
def test_a_key_is_asked_for_unless_a_token_was(settings: dict[str, str], level: AuthLevel) -> None:
    """The setting alone takes no key away."""
    assert auth_level(read_settings(settings)) is level
