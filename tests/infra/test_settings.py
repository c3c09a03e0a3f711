"""App settings: what the deployment writes, the code reads; what the code reads is written or documented."""

import re

from tests.infra.bicep import BICEP, ROOT, load

_TEMPLATES = ("main", "modules/site-premium")

#: Read by the platform, not by us. learn.microsoft.com/azure/azure-functions/functions-app-settings
_OF_THE_PLATFORM = {
    "AzureWebJobsStorage__credential",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID",
}


def _written() -> set[str]:
    texts = [load(BICEP / f"{name}.bicep").text for name in _TEMPLATES]
    return {
        name for text in texts for name in re.findall(r"^\s+([A-Z][A-Za-z]*_\w+|AzureWebJobs\w+):", text, re.MULTILINE)
    }


def _read() -> set[str]:
    code = "\n".join(path.read_text() for path in (ROOT / "functions").glob("*.py"))
    found = set(re.findall(r'env\.get\("(MAILCONNECTOR_[A-Z_]+)"', code))
    return found | {f"AzureWebJobsStorage{part}" for part in re.findall(r"\{storage\}(__\w+)", code)}


def test_what_is_written_is_read() -> None:
    """By the code or by the platform."""
    assert len(_written()) > 10
    assert _written() - _OF_THE_PLATFORM - _read() == set()


def test_what_is_read_is_documented() -> None:
    """In the operators' page, by its name."""
    page = (ROOT / "docs" / "operations.md").read_text()
    assert {name for name in _read() if name.startswith("MAILCONNECTOR_") and name not in page} == set()
