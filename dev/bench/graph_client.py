"""What the ways into msgraph-sdk cost a job's first run: time to import, to the first answer, and memory.

``python -m dev.bench.graph_client [rounds]``. Each way runs in a fresh interpreter against the simulator of the tests:
the generated client, its request builders taken from their own modules, and the request adapter alone, which is what
the connector uses. Linux only: memory is read from /proc.
"""

import subprocess
import sys
from collections import defaultdict
from statistics import median

from tests.servers.graph import Graph

_ADDRESS = "support@example.com"

#: What is the same for all: a signed-in adapter of the SDK. Each way then gets its first page of unread messages.
_COMMON = """
import asyncio, sys, time
began = time.perf_counter()
def used():
    # Not ru_maxrss: that begins with what the parent had.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
start = used()
root, address, token = sys.argv[1:]
from azure.core.credentials import AccessToken
class Fixed:
    def get_token(self, *scopes, **options):
        return AccessToken(token, int(time.time()) + 3600)
chosen = "receivedDateTime ge 1900-01-01T00:00:00Z and isRead eq false"
"""
_ADAPTER = """
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph.graph_request_adapter import GraphRequestAdapter
def adapter():
    sign_in = AzureIdentityAuthenticationProvider(Fixed(), scopes=["https://graph.microsoft.com/.default"],
                                                  allowed_hosts=["127.0.0.1"])
    made = GraphRequestAdapter(sign_in)
    made.base_url = root + "/v1.0"
    return made
"""
_REPORT = """
imported = time.perf_counter() - began
loop = asyncio.new_event_loop()
times = []
for _ in range(2):
    mark = time.perf_counter()
    assert loop.run_until_complete(first()) == 50
    times.append(time.perf_counter() - mark)
print(imported, *times, used() - start, len(sys.modules))
"""

_WAYS = {
    "GraphServiceClient": _COMMON
    + _ADAPTER
    + """
from msgraph import GraphServiceClient
client = GraphServiceClient(request_adapter=adapter())
async def first():
    from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import MessagesRequestBuilder
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    wanted = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
        filter=chosen, orderby=["receivedDateTime"], select=["id", "receivedDateTime"], top=100)
    page = await client.users.by_user_id(address).mail_folders.by_mail_folder_id("inbox").messages.get(
        RequestConfiguration(query_parameters=wanted))
    return len(page.value)
"""
    + _REPORT,
    "one request builder": _COMMON
    + _ADAPTER
    + """
from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import MessagesRequestBuilder
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.api_client_builder import register_default_deserializer
from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory
register_default_deserializer(JsonParseNodeFactory)
made = adapter()
async def first():
    wanted = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
        filter=chosen, orderby=["receivedDateTime"], select=["id", "receivedDateTime"], top=100)
    builder = MessagesRequestBuilder(made, {"user%2Did": address, "mailFolder%2Did": "inbox"})
    return len((await builder.get(RequestConfiguration(query_parameters=wanted))).value)
"""
    + _REPORT,
    "request adapter (ours)": _COMMON
    + """
from datetime import UTC, datetime, timedelta
from shared.connectors._graph_client import Client
from shared.connectors._graph_text import facts_query
from shared.ports import Deadline
deadline = Deadline(datetime.now(UTC) + timedelta(minutes=5), lambda: datetime.now(UTC))
client = Client(root, "https://graph.microsoft.com/.default", Fixed(), mailbox=address, deadline=deadline)
path = f"/users/{address}/mailFolders/inbox/messages" + facts_query(filter=chosen, orderby="receivedDateTime", top=100)
class Loop:
    def run_until_complete(self, work):
        work.close()
        return sum(len(page["value"]) for page in client.pages(path, "listing"))
asyncio.new_event_loop = Loop
async def first():
    return 0
"""
    + _REPORT,
}


def main(rounds: int) -> None:
    """Print the medians."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    with Graph() as graph:
        store = graph.new_mailbox(_ADDRESS)
        for _ in range(50):
            store.deliver(None)
        for _ in range(rounds):
            for way, program in _WAYS.items():
                command = [sys.executable, "-c", program, graph.root, _ADDRESS, graph.tokens.mint()]
                asked = subprocess.run(command, capture_output=True, text=True, check=True)
                found[way].append([float(part) for part in asked.stdout.split()])
    print(f"{'':24}{'import s':>10}{'1st call s':>12}{'2nd call s':>12}{'MB':>8}{'modules':>9}")
    for way, runs in found.items():
        imported, first, second, memory, modules = (median(column) for column in zip(*runs, strict=True))
        print(f"{way:24}{imported:10.2f}{first:12.2f}{second:12.3f}{memory:8.0f}{modules:9.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
