"""What Graph can do with mail in each of the Microsoft clouds; where they are stands in `shared.signin.entra`."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.signin.entra import CLOUDS as ENTRA
from shared.signin.entra import CloudName


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud: tokens of one mean nothing in another."""

    #: Where Graph answers, without its version.
    root: str
    #: What a token is asked for.
    scope: str
    #: ``message: delta`` is offered: https://learn.microsoft.com/graph/api/message-delta
    delta: bool
    #: ``message: permanentDelete`` is offered: https://learn.microsoft.com/graph/api/message-permanentdelete
    permanent_delete: bool


CLOUDS: Mapping[CloudName, Cloud] = {
    name: Cloud(cloud.graph, cloud.graph_scope, delta=name != "china", permanent_delete=name == "global")
    for name, cloud in ENTRA.items()
}
