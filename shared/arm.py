"""Azure Resource Manager, as far as we need it: restart our own site, and have its triggers read anew.

``POST {site}/restart`` answers 200, ``POST {site}/syncfunctiontriggers`` 204
(learn.microsoft.com/rest/api/appservice/web-apps/restart, .../sync-function-triggers). The identity needs the actions
``Microsoft.Web/sites/restart/action`` and ``Microsoft.Web/sites/syncfunctiontriggers/action`` on the site.
"""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from azure.core import PipelineClient
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest

from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

#: Resource Manager of the global cloud.
PUBLIC = "https://management.azure.com"

#: The first version that knows Flex Consumption; both actions are as old as the service.
_VERSION = "2024-04-01"

_SITE = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Web/sites/[^/]+(/slots/[^/]+)?", re.IGNORECASE
)
_CALLS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 30}
_SETTING = "MAILCONNECTOR_REINDEX_SITE"


class Site:
    """A function app by its resource id. Each call is one request; faults are `shared.errors`."""

    def __init__(self, resource_id: str, credential: "TokenCredential", *, arm_url: str = PUBLIC) -> None:
        self._id = resource_id.rstrip("/")
        self._url = arm_url.rstrip("/")
        policies = [UserAgentPolicy("mail-connector"), BearerTokenCredentialPolicy(credential, f"{self._url}/.default")]
        self._client: PipelineClient[Any, Any] = PipelineClient(self._url, policies=policies, **_CALLS)

    def restart(self) -> None:
        """Have every instance of the app start anew. This process ends soon after."""
        self._post("restart")

    def sync_triggers(self) -> None:
        """Have the platform read the app's triggers anew, so that it wakes the app for new timers.

        Soon after a restart this is refused for a while (400 with a fault of the host): that raises `Unavailable`.
        """
        self._post("syncfunctiontriggers")

    def _post(self, action: str) -> None:
        if not _SITE.fullmatch(self._id):
            raise ConfigInvalid(
                f"{_SETTING} is no resource id of a site.",
                remedy="Write /subscriptions/<id>/resourceGroups/<name>/providers/Microsoft.Web/sites/<name>.",
            )
        request = HttpRequest("POST", f"{self._url}{self._id}/{action}", params={"api-version": _VERSION})
        try:
            answer = self._client.send_request(request)
        except ClientAuthenticationError as fault:
            raise AuthFailed(
                f"The app's identity got no token for {self._url}.",
                remedy="Give the app a managed identity, or take the setting "
                f"{_SETTING} out. AzureWebJobsStorage__clientId names a user-assigned one.",
            ) from fault
        except AzureError as fault:
            raise Unavailable(f"{self._url} did not answer ({type(fault).__name__}).") from fault
        if answer.status_code not in (200, 202, 204):
            raise self._refusal(action, answer)

    def _refusal(self, action: str, answer: Any) -> JobError:
        status = answer.status_code
        said = f"Resource Manager answered {status} ({_code(answer)}) to {action}"
        match status:
            case 401:
                remedy = "MAILCONNECTOR_ARM_URL must be the Resource Manager of the cloud that the app is in."
                return AuthFailed(f"{said}.", remedy=remedy)
            case 403:
                remedy = f"Grant its identity Microsoft.Web/sites/{action}/action on the site."
                return AuthFailed(f"{said}: the app may not.", remedy=remedy)
            case 404:
                return ConfigInvalid(f"{said}.", remedy=f"{_SETTING} must name the site that this app is.")
            case _:
                wait = answer.headers.get("Retry-After", "")
                return Unavailable(f"{said}.", retry_after=timedelta(seconds=int(wait)) if wait.isdecimal() else None)


def _code(answer: Any) -> str:
    """The error's code; what else an answer says may name people and is left out."""
    try:
        body = answer.json()
        code = (body.get("error") or body).get("code") or body.get("Code")
    except (ValueError, AttributeError):
        code = None
    return code if isinstance(code, str) and re.fullmatch(r"\w{1,80}", code) else "no code"
