"""A silent server is left alone by all jobs on it, tried by one at a time, and taken up again when it answers."""

from datetime import timedelta

import pytest

from shared.circuit import Circuit
from shared.errors import AuthFailed, ConfigInvalid, JobError, Unavailable, Unreachable
from tests.builders import NOW
from tests.fakes.clock import FakeClock

SERVER = "mail.example:993"


class Jobs:
    """Jobs that call on one server through one circuit."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self._circuit = Circuit()

    def call(self, job: str, fault: JobError | None = None, *, server: str = SERVER) -> str:
        """What a job meets: ``through``, its own fault, or ``left alone``."""
        reached = False
        try:
            with self._circuit.calling(server, job, self.clock):
                reached = True
                if fault:
                    raise fault
        except Unavailable as error:
            self.asked = error.retry_after
            return type(error).__name__ if reached else "left alone"
        except JobError as error:
            return type(error).__name__
        return "through"


@pytest.fixture
def jobs() -> Jobs:
    """Nothing is known yet."""
    return Jobs()


SILENT = Unreachable("No answer.")


def test_one_job_alone_says_nothing_of_the_server(jobs: Jobs) -> None:
    """It may have the wrong port; its own back-off is enough."""
    assert [jobs.call("a", SILENT) for _ in range(5)] == ["Unreachable"] * 5
    assert jobs.call("b") == "through"


def test_two_jobs_without_an_answer_spare_the_others(jobs: Jobs) -> None:
    """Other servers are none of their business."""
    jobs.call("a", SILENT)
    jobs.call("b", SILENT)
    assert (jobs.call("c"), jobs.asked) == ("left alone", timedelta(seconds=30))
    assert jobs.call("c", server="other.example:993") == "through"


def test_after_the_pause_one_tries_while_the_others_wait(jobs: Jobs) -> None:
    """And where it has an answer, all go on."""
    jobs.call("a", SILENT)
    jobs.call("b", SILENT)
    jobs.clock.advance(timedelta(seconds=30))
    others: list[str] = []
    with jobs._circuit.calling(SERVER, "c", jobs.clock):
        others.append(jobs.call("d"))
    assert others == ["left alone"]
    assert jobs.call("d") == "through"


def test_the_pause_grows_to_five_minutes(jobs: Jobs) -> None:
    """Each try that finds silence doubles it."""
    jobs.call("a", SILENT)
    jobs.call("b", SILENT)
    pauses = []
    for _ in range(6):
        assert jobs.call("c") == "left alone"
        assert jobs.asked
        pauses.append(jobs.asked.total_seconds())
        jobs.clock.advance(jobs.asked)
        assert jobs.call("c", SILENT) == "Unreachable"
    assert pauses == [30, 60, 120, 240, 300, 300]


@pytest.mark.parametrize("fault", [AuthFailed("No."), ConfigInvalid("No folder."), Unavailable("Busy.")])
def test_only_silence_counts(jobs: Jobs, fault: JobError) -> None:
    """A refusal is an answer, and what is wrong with one mailbox is not the server's fault."""
    jobs.call("a", fault)
    jobs.call("b", fault)
    assert jobs.call("c") == "through"


def test_an_answer_in_between_forgets_what_was(jobs: Jobs) -> None:
    """Also a refused sign-in is one."""
    jobs.call("a", SILENT)
    assert jobs.call("b", AuthFailed("No.")) == "AuthFailed"
    assert jobs.call("c", SILENT) == "Unreachable"
    assert jobs.call("d") == "through"


def test_a_server_that_is_not_known_before_is_not_remembered(jobs: Jobs) -> None:
    """Autodiscover finds it only while the mailbox is opened."""
    assert [jobs.call(job, SILENT, server="") for job in "abc"] == ["Unreachable"] * 3
