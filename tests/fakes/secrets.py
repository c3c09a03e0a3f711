"""Secrets in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.errors import ConfigInvalid, Unavailable
from shared.model import SecretInfo


@dataclass
class FakeSecrets:
    """See `shared.ports.SecretStore`. Names are kept as they were first written."""

    values: dict[str, str] = field(default_factory=dict)
    away: bool = False
    #: By name; None for never.
    expires: dict[str, datetime | None] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """See the port."""
        self._answer()
        found = self._named(name)
        if found is None:
            raise ConfigInvalid(f"There is no secret {name!r}.", remedy="Store it in the vault.")
        return self.values[found]

    def known(self) -> Sequence[SecretInfo]:
        """See the port."""
        self._answer()
        return [SecretInfo(name, self.expires.get(name)) for name in sorted(self.values)]

    def put(self, name: str, value: str, *, expires: datetime | None) -> SecretInfo:
        """See the port."""
        self._answer()
        kept = self._named(name) or name
        self.values[kept] = value
        self.expires[kept] = expires
        return SecretInfo(kept, expires)

    def delete(self, name: str) -> bool:
        """See the port."""
        self._answer()
        found = self._named(name)
        return found is not None and self.values.pop(found) is not None

    def _named(self, name: str) -> str | None:
        return next((known for known in self.values if known.lower() == name.lower()), None)

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("The vault does not answer.")
