"""The kinds of mail server. Every module in this folder holds one: its settings, its Mailbox, and ``CONNECTOR``.

Importing a connector module is cheap by rule: it names its SDK only inside the functions that use it.
"""

from shared.connectors._reach import Approach, Found
from shared.connectors._registry import connector_for, connectors
from shared.connectors._sending import ByAppend, ByGraph
from shared.connectors._smtp import BySmtp, post_by_smtp

__all__ = ["Approach", "ByAppend", "ByGraph", "BySmtp", "Found", "connector_for", "connectors", "post_by_smtp"]
