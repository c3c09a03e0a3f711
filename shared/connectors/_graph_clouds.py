"""The Microsoft clouds that hold Exchange Online mailboxes, and what Graph can do in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CloudName = Literal["global", "usgov", "usgovhigh", "china"]


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud: tokens of one mean nothing in another."""

    #: Where tokens come from.
    authority: str
    #: Where Graph answers, without its version.
    root: str
    #: ``message: delta`` is offered: https://learn.microsoft.com/graph/api/message-delta
    delta: bool
    #: ``message: permanentDelete`` is offered: https://learn.microsoft.com/graph/api/message-permanentdelete
    permanent_delete: bool

    @property
    def scope(self) -> str:
        """What a token is asked for."""
        return f"{self.root}/.default"


#: https://learn.microsoft.com/graph/deployments: usgov is GCC High (L4), usgovhigh is DoD (L5); GCC is global.
CLOUDS: Mapping[CloudName, Cloud] = {
    "global": Cloud("https://login.microsoftonline.com", "https://graph.microsoft.com", True, True),
    "usgov": Cloud("https://login.microsoftonline.us", "https://graph.microsoft.us", True, False),
    "usgovhigh": Cloud("https://login.microsoftonline.us", "https://dod-graph.microsoft.us", True, False),
    "china": Cloud("https://login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn", False, False),
}
