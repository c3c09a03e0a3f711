"""What a template of a webhook job gets of a message's text."""

from shared.targets._webhook_context import context_of
from tests.builders import NOW, make_message
from tests.contract.target_world import new
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage


def test_a_template_may_take_the_new_text_alone() -> None:
    """What is quoted and the signature stand apart, beside the whole."""
    text = "It works.\n\n-- \nAnn\n\nOn 19 Nov 2026 Desk <desk@example.org> wrote:\n> Try again."
    context = context_of(new(1, make_message(1, text=text)), FakeStorage(FakeClock(NOW)).outbox, None)
    message = context["message"]
    assert (message["new_text"], message["signature"]) == ("It works.", "-- \nAnn")
    assert message["history"] == "On 19 Nov 2026 Desk <desk@example.org> wrote:\n> Try again."
    assert message["text"] == text
