"""The contract of `shared.ports.Threads`."""

from tests.contract.storage import Storage, race
from tests.contract.test_ledger import AWKWARD


class TestThreads:
    """`find` and `remember`."""

    def test_finds_what_was_remembered(self, storage: Storage) -> None:
        """Known Message-IDs give their tickets; unknown ones are left out."""
        storage.threads.remember("table", {"<1@a>": "T1", "<2@a>": "T2"})
        assert storage.threads.find("table", ["<2@a>", "<3@a>", "<1@a>", "<2@a>"]) == {"<1@a>": "T1", "<2@a>": "T2"}

    def test_nothing_is_no_fault(self, storage: Storage) -> None:
        """Asking for nothing, remembering nothing, and asking before anything was remembered are quiet."""
        assert storage.threads.find("table", []) == {}
        assert storage.threads.find("table", ["<1@a>"]) == {}
        storage.threads.remember("table", {})
        assert storage.threads.find("table", ["<1@a>"]) == {}

    def test_first_ticket_stays(self, storage: Storage) -> None:
        """A Message-ID belongs to the first ticket it was remembered with."""
        storage.threads.remember("table", {"<1@a>": "T1"})
        storage.threads.remember("table", {"<1@a>": "T2"})
        assert storage.threads.find("table", ["<1@a>"]) == {"<1@a>": "T1"}

    def test_known_among_new_hides_none(self, storage: Storage) -> None:
        """Message-IDs that are remembered together with a known one are remembered all the same."""
        storage.threads.remember("table", {f"<{number}@a>": "old" for number in range(0, 250, 50)})
        storage.threads.remember("table", {f"<{number}@a>": "new" for number in range(250)})
        found = storage.threads.find("table", [f"<{number}@a>" for number in range(250)])
        assert found == {f"<{number}@a>": "new" if number % 50 else "old" for number in range(250)}

    def test_remembers_many(self, storage: Storage) -> None:
        """A run of 300 messages is remembered at once and found again at once."""
        tickets = {f"<{number}@customer.example>": f"T{number % 7}" for number in range(300)}
        storage.threads.remember("table", tickets)
        assert storage.threads.find("table", [*tickets, "<unknown>"]) == tickets

    def test_scopes_stay_apart(self, storage: Storage) -> None:
        """Each target scope has threads of its own, whatever its name."""
        for number, scope in enumerate(AWKWARD):
            storage.threads.remember(scope, {"<1@a>": f"T{number}"})
        for number, scope in enumerate(AWKWARD):
            assert storage.threads.find(scope, ["<1@a>"]) == {"<1@a>": f"T{number}"}

    def test_awkward_message_ids_stay_apart(self, storage: Storage) -> None:
        """Message-IDs are what senders write: any characters, any length, told apart by each of them."""
        ids = [*AWKWARD, "<[83c4/\\#?@microsoft.example]>", "<" + "x" * 40_000 + ">", "<" + "x" * 40_001 + ">"]
        tickets = {message_id: f"T{number}" for number, message_id in enumerate(ids)}
        storage.threads.remember("table", tickets)
        assert storage.threads.find("table", ids) == tickets

    def test_one_of_many_is_first(self, storage: Storage) -> None:
        """Of six runs that remember one Message-ID at once, one wins, and its ticket stays."""
        answers = race(6, lambda number: storage.threads.remember("table", {"<1@a>": f"T{number}"}))
        assert answers == [None] * 6
        first = storage.threads.find("table", ["<1@a>"])
        storage.threads.remember("table", {"<1@a>": "late"})
        assert storage.threads.find("table", ["<1@a>"]) == first
        assert set(first) == {"<1@a>"}
