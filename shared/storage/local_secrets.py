"""Secrets for local use: from the environment, or from a JSON file. In Azure they come from Key Vault."""

import json
from collections.abc import Mapping
from pathlib import Path

from shared.errors import ConfigInvalid

_PREFIX = "MAILCONNECTOR_SECRET_"


class LocalSecrets:
    """See `shared.ports.Secrets`. Read anew each time, so that a changed file counts at once."""

    def __init__(self, environment: Mapping[str, str], file: str) -> None:
        self._environment = environment
        self._file = file

    def get(self, name: str) -> str:
        """See the port."""
        variable = _PREFIX + name.upper().replace("-", "_")
        value = self._environment.get(variable) or self._in_file().get(name)
        if value:
            return value
        raise ConfigInvalid(
            f"There is no secret {name!r}.",
            remedy=f"Set {variable} in the environment, or name a JSON file with it in MAILCONNECTOR_SECRETS_FILE.",
        )

    def _in_file(self) -> Mapping[str, str]:
        if not self._file:
            return {}
        try:
            found = json.loads(Path(self._file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            raise ConfigInvalid(
                f"The secrets file {self._file!r} cannot be read.", remedy='It must hold {"name": "value"} as JSON.'
            ) from fault
        if not isinstance(found, dict):
            return {}
        return {str(key): str(value) for key, value in found.items() if value is not None}
