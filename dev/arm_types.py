"""Which properties resources of Azure have, as published: ``make arm-types`` writes tests/infra/arm_types.json.

There is no package with the resource types of Bicep itself in the registries that this project uses. The management
SDKs on PyPI are generated from the same API descriptions, so their models say the same: the name of each property on
the wire, its type, whether the service wants it, whether it may be written, and the values of an enumeration. Only the
types that our templates reach are kept, so that no test has to install the SDKs.
"""

import enum
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
HOME = _ROOT / ".local" / "arm-types"
TARGET = _ROOT / "tests" / "infra" / "arm_types.json"

PACKAGES = (
    "azure-mgmt-applicationinsights==4.1.0",
    "azure-mgmt-authorization==4.0.0",
    "azure-mgmt-keyvault==14.1.0",
    "azure-mgmt-loganalytics==14.0.0",
    "azure-mgmt-monitor==7.0.0",
    "azure-mgmt-msi==7.1.0",
    "azure-mgmt-network==33.1.0",
    "azure-mgmt-privatedns==2.0.0",
    "azure-mgmt-storage==25.3.0",
    "azure-mgmt-web==11.0.1",
)

#: Resource type, and the models (module and class) that describe its body; more than one where an SDK splits them.
RESOURCES = {
    "Microsoft.Authorization/roleAssignments": [("authorization.v2022_04_01", "RoleAssignmentCreateParameters")],
    "Microsoft.Authorization/roleDefinitions": [("authorization.v2022_04_01", "RoleDefinition")],
    "Microsoft.Insights/actionGroups": [("monitor", "ActionGroupResource")],
    "Microsoft.Insights/components": [("applicationinsights.v2020_02_02", "ApplicationInsightsComponent")],
    "Microsoft.Insights/scheduledQueryRules": [("monitor", "ScheduledQueryRuleResource")],
    "Microsoft.Insights/workbooks": [("applicationinsights.v2023_06_01", "Workbook")],
    "Microsoft.KeyVault/vaults": [("keyvault", "VaultCreateOrUpdateParameters")],
    "Microsoft.ManagedIdentity/userAssignedIdentities": [("msi", "Identity")],
    "Microsoft.Network/privateDnsZones": [("privatedns", "PrivateZone")],
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": [("privatedns", "VirtualNetworkLink")],
    "Microsoft.Network/privateEndpoints": [("network", "PrivateEndpoint")],
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": [("network", "PrivateDnsZoneGroup")],
    "Microsoft.Network/virtualNetworks": [("network", "VirtualNetwork")],
    "Microsoft.Network/virtualNetworks/subnets": [("network", "Subnet")],
    "Microsoft.OperationalInsights/workspaces": [("loganalytics", "Workspace")],
    "Microsoft.Storage/storageAccounts": [("storage", "StorageAccountCreateParameters")],
    "Microsoft.Storage/storageAccounts/blobServices": [("storage", "BlobServiceProperties")],
    "Microsoft.Storage/storageAccounts/blobServices/containers": [("storage", "BlobContainer")],
    "Microsoft.Web/serverfarms": [("web", "AppServicePlan")],
    "Microsoft.Web/sites": [("web", "Site")],
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": [("web", "CsmPublishingCredentialsPoliciesEntity")],
    "Microsoft.Web/sites/config": [("web", "StringDictionary"), ("web", "SiteAuthSettingsV2")],
}

_PLAIN = {"str", "int", "bool", "float", "datetime", "date", "timedelta", "bytes", "object", "Any", "JSON"}


class Types:
    """The models reached so far, by name: ``{property: {"type": ..., "required": bool, "read_only": bool}}``."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}
        self.enums: dict[str, list[str]] = {}

    def add(self, module: Any, name: str) -> str:
        """Follow a model and all that it names; its name here."""
        known = f"{module.__name__.removeprefix('azure.mgmt.').removesuffix('.models')}.{name}"
        if known in self.models or known in self.enums:
            return known
        model = getattr(module, name)
        if inspect.isclass(model) and issubclass(model, enum.Enum):
            self.enums[known] = sorted(str(member.value) for member in model)
            return known
        found: dict[str, Any] = {}
        self.models[known] = found
        for wire, kind, required, read_only in _fields(model):
            place = found
            # The older SDKs write nested properties as a path.
            *parents, last = wire.split(".") if not wire.startswith("@") else [wire]
            for parent in parents:
                place = place.setdefault(parent, {"properties": {}}).setdefault("properties", {})
            place[last] = {"type": self._type(module, kind)}
            if required:
                place[last]["required"] = True
            if read_only:
                place[last]["read_only"] = True
        return known

    def _type(self, module: Any, kind: str) -> Any:
        """A type as models of either kind write it: a model's name, a list, a map or ``plain``."""
        kind = _simplified(kind)
        if match := re.fullmatch(r"(?:list)?\[(.*)\]", kind):
            return [self._type(module, match[1])]
        if match := re.fullmatch(r"(?:dict\[str, ?(.*)\]|\{(.*)\})", kind):
            return {"*": self._type(module, match[1] or match[2])}
        name = kind.rpartition(".")[2]
        if name in _PLAIN or not hasattr(module, name):
            return "plain"
        return self.add(module, name)


def _simplified(kind: str) -> str:
    """Without quotation marks, forward references and the words that only say that a value may be left out."""
    kind = re.sub(r"ForwardRef\(([^)]*)\)", r"\1", kind).replace("typing.", "").replace("List[", "list[")
    kind = re.sub(r"[\"' ]", "", kind.replace("Dict[", "dict["))
    while match := re.fullmatch(r"(?:Optional|Required)\[(.*)\]", kind):
        kind = match[1]
    if match := re.fullmatch(r"Union\[(?:str,)?(.*?)(?:,NoneType)?\]", kind):
        kind = match[1]
    return kind


def _fields(model: Any) -> list[tuple[str, str, bool, bool]]:
    """Name on the wire, type, required, read-only of every property."""
    if old := getattr(model, "_attribute_map", None):
        rules = getattr(model, "_validation", {})
        return [
            (
                field["key"].replace("\\\\.", "."),
                field["type"],
                rules.get(attribute, {}).get("required", False),
                rules.get(attribute, {}).get("readonly", False),
            )
            for attribute, field in old.items()
        ]
    found = {}
    for base in reversed(model.__mro__):
        for attribute, kind in getattr(base, "__annotations__", {}).items():
            rest = vars(base).get(attribute)
            if rest is None or not hasattr(rest, "_rest_name_input"):
                continue
            visible = getattr(rest, "_visibility", None) or []
            found[attribute] = (
                rest._rest_name_input or attribute,  # noqa: SLF001 (generated code offers no other way)
                str(kind),
                not re.search(r"Optional\[|NoneType", str(kind)) and visible != ["read"],
                visible == ["read"],
            )
    return list(found.values())


def main() -> int:
    """Install the SDKs apart from the app's, walk their models, write the table."""
    print(f"Installing {len(PACKAGES)} management SDKs (once, about 50 MB) ...", flush=True)
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", HOME, *PACKAGES], check=True)
    sys.path.insert(0, str(HOME))
    # The namespace packages that are imported already know the app's own folder only.
    for name in [name for name in sys.modules if name == "azure" or name.startswith("azure.")]:
        del sys.modules[name]
    types = Types()
    resources = {
        resource: [types.add(importlib.import_module(f"azure.mgmt.{module}.models"), name) for module, name in models]
        for resource, models in RESOURCES.items()
    }
    table = {"packages": PACKAGES, "resources": resources, "models": types.models, "enums": types.enums}
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    print(f"{len(types.models)} models, {len(types.enums)} enumerations: {TARGET.relative_to(_ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
