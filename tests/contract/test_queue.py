"""The contract of `shared.ports.RunQueue`."""

from collections.abc import Callable

import pytest

from shared.model import RunRequest, Trigger
from tests.contract.storage import Storage, race


class TestRunQueue:
    """`put`."""

    @pytest.mark.parametrize("trigger", list(Trigger))
    def test_arrives_as_it_was_put(
        self, storage: Storage, take: Callable[[], list[RunRequest]], trigger: Trigger
    ) -> None:
        """A request comes out of the queue with its job, its run id and its trigger."""
        request = RunRequest("support", "20261123T120000-é😀", trigger)
        storage.queue.put(request)
        assert take() == [request]

    def test_many_at_once_all_arrive(self, storage: Storage, take: Callable[[], list[RunRequest]]) -> None:
        """Requests from several threads, the first ones the queue ever saw, are all there."""
        requests = [RunRequest(f"job-{number}", "run-1", Trigger.SWEEP) for number in range(6)]
        assert race(6, lambda number: storage.queue.put(requests[number])) == [None] * 6
        assert sorted(take(), key=lambda request: request.job_id) == requests
