"""Restarting a site through the real azure-identity, against a Resource Manager that refuses as the real one does."""

from datetime import timedelta

import pytest

from dev.ports import free_ports
from shared.arm import Site
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable
from tests.reindex.conftest import site_of
from tests.servers.arm import SITE, Arm
from tests.servers.entra import Entra


class NoToken:
    """See `azure.core.credentials.TokenCredential`: whatever is asked, a token of nobody."""

    def get_token(self, *scopes: str, **options: object) -> object:  # noqa: ARG002 - the protocol's
        """See the protocol."""
        from azure.core.credentials import AccessToken

        return AccessToken("a.b.c", 4_000_000_000)


def test_restart_and_sync_are_asked_for(in_azure: Arm, entra: Entra) -> None:
    """One request each, with a token for this Resource Manager and no other."""
    site = site_of(in_azure)
    site.restart()
    site.sync_triggers()
    assert in_azure.done == ["restart", "syncfunctiontriggers"]
    assert entra.asked[-1] == ("msi", {"api-version": "2019-08-01", "resource": in_azure.url})


def test_a_site_may_be_written_in_any_case_and_be_a_slot(in_azure: Arm) -> None:
    """The portal shows it one way, the tools another."""
    site_of(in_azure, SITE.replace("resourceGroups", "resourcegroups") + "/").restart()
    with pytest.raises(ConfigInvalid, match="404"):
        site_of(in_azure, f"{SITE}/slots/staging").restart()


@pytest.mark.parametrize(
    "text", ["mail-connector", f"{SITE}/functions/x", "https://x", SITE.replace("/sites/", "/serverfarms/")]
)
def test_what_is_no_site_is_not_asked_for(in_azure: Arm, text: str) -> None:
    """And the sentence says how it is written."""
    with pytest.raises(ConfigInvalid, match=r"/providers/Microsoft\.Web/sites/<name>"):
        site_of(in_azure, text).restart()
    assert in_azure.asked == []


def test_a_missing_permission_is_named(in_azure: Arm) -> None:
    """By the action that has to be granted."""
    in_azure.granted.discard("restart")
    with pytest.raises(AuthFailed, match=r"Microsoft\.Web/sites/restart/action") as caught:
        site_of(in_azure).restart()
    assert "AuthorizationFailed" in str(caught.value)
    assert "object id" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "headers", "wait"),
    [
        (409, "Conflict", {}, None),
        (429, "TooManyRequests", {"Retry-After": "17"}, timedelta(seconds=17)),
        (503, "ServiceUnavailable", {"Retry-After": "soon"}, None),
        (400, "BadRequest", {}, None),
    ],
)
def test_what_passes_by_itself_is_unavailable(
    in_azure: Arm, status: int, code: str, headers: dict[str, str], wait: timedelta | None
) -> None:
    """A deployment that goes on, throttling, a host that starts: with how long to wait where that is said; asked once."""
    in_azure.script.append((status, code, headers))
    with pytest.raises(Unavailable, match=code) as caught:
        site_of(in_azure).sync_triggers()
    assert caught.value.retry_after == wait
    assert len(in_azure.asked) == 1


def test_a_token_of_another_cloud(in_azure: Arm) -> None:
    """The setting that chooses the cloud is named."""
    with pytest.raises(AuthFailed, match="MAILCONNECTOR_ARM_URL"):
        Site(SITE, NoToken(), arm_url=in_azure.url).restart()  # type: ignore[arg-type]


def test_no_identity(in_azure: Arm, entra: Entra) -> None:
    """The app has none, or not the one that is named."""
    entra.identities.clear()
    with pytest.raises(AuthFailed, match="managed identity"):
        site_of(in_azure).restart()
    assert in_azure.asked == []


def test_nobody_answers(in_azure: Arm) -> None:
    """A network that lets nothing out."""
    (port,) = free_ports(1)
    with pytest.raises(JobError, match="did not answer"):
        Site(SITE, NoToken(), arm_url=f"https://127.0.0.1:{port}").restart()  # type: ignore[arg-type]
