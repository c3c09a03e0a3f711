"""What a target is opened with, in tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.errors import ConfigInvalid
from shared.model import Clock
from shared.ports import Deadline, TargetRequest, TargetSettings
from shared.storage.open import utc_now
from tests.contract.storage import Storage


@dataclass(frozen=True, slots=True)
class GivenSecrets:
    """See `shared.ports.Secrets`."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def get(self, name: str) -> str:
        """See the port."""
        if name not in self.values:
            raise ConfigInvalid(f"There is no secret {name!r}.", remedy="Store it under this name.")
        return self.values[name]


def make_target_request(
    settings: TargetSettings, storage: Storage, *, clock: Clock = utc_now, **secrets: str
) -> TargetRequest:
    """A request of the job ``support``, which has five minutes left. ``secrets`` with underscores for hyphens."""
    return TargetRequest(
        job_id="support",
        settings=settings,
        secrets=GivenSecrets({name.replace("_", "-"): value for name, value in secrets.items()}),
        tickets=storage.tickets,
        receipts=storage.receipts,
        outbox=storage.outbox,
        deadline=Deadline(clock() + timedelta(minutes=5), clock),
    )
