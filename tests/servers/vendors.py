"""Stand-ins of the systems that have presets: the part of each API that is used.

They follow what was read of the vendors' pages and sources, which the presets name; docs/target-webhook.md says what of it
could not be read. What a stand-in does not know it answers with 500 and counts as a fault of the test.
"""

import html
import re

from tests.servers.vendor import Vendor
from tests.servers.vendors_hosted import Freshdesk, Jira, ServiceNow
from tests.servers.vendors_own import Alloy, Glpi, RequestTracker, Zammad

VENDORS: tuple[type[Vendor], ...] = (Alloy, Freshdesk, Glpi, Jira, RequestTracker, ServiceNow, Zammad)


def plain(text: str) -> str:
    """What a person wrote, of what the presets make of it: without the sender's line, markup and reference."""
    if text.startswith("<p>"):
        paragraphs = re.findall(r"<p>(.*?)</p>", text, re.DOTALL)
        return html.unescape(re.sub(r"<br ?/?>\n?", "\n", paragraphs[1]))
    text = re.sub(r"\n\n[\[(]\w+[\])]$", "", text)
    return re.sub(r"^From .* <.*>\n\n", "", text)
