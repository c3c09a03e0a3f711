"""why, dry-run and replay, as people read them."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml

from shared.why import why_of
from tests.api.world import World, make_job
from tests.builders import NOW, make_claim, make_entry, make_message, make_record
from tests.cli.conftest import Said

Command = Callable[..., Said]

RUN = f"{NOW:%Y%m%dT%H%M%S}.000Z-aaaaaa"
MAIL = b"From: ann@customer.example\r\nSubject: Cheap offer\r\nMessage-ID: <9@customer.example>\r\n\r\nBuy.\r\n"
NO_OFFERS = {"name": "No offers", "when": {"subject": ["offer"]}, "reject": "We take no offers."}


def test_why_begins_with_the_answer(mailconnector: Command, world: World) -> None:
    """By Message-ID; and of one that nobody knows."""
    lease = world.storage.jobs.begin(world.storage.jobs.create(make_record()), make_claim(RUN))
    entry = make_entry(1, run_id=RUN).reject("We take no offers.", make_entry(1).disposition, message_id="<1@x>")
    lease.ledger.record((entry,), (), [why_of(entry, NOW, message=make_message(1))])
    told = mailconnector("why", "<1@x>")
    assert told.out.startswith("It made no ticket: We take no offers.\n")
    assert json.loads(mailconnector("why", "<1@x>", "-o", "json").out)["items"][0]["outcome"] == "rejected"
    assert mailconnector("why", "<nobody@x>").code == 0
    assert mailconnector("why").code == 2


def test_dry_run_tells_what_a_run_would_do(mailconnector: Command, world: World, tmp_path: Path) -> None:
    """With the stored job, and with a file that is not stored."""
    world.create()
    world.folder.deliver(MAIL)
    assert "It would make a ticket." in mailconnector("dry-run", "support").out
    document = {name: value for name, value in make_job(rules=[NO_OFFERS]).items() if name != "id"}
    (tmp_path / "support.yaml").write_text(yaml.safe_dump(document))
    tried = mailconnector("dry-run", "support", "--file", "support.yaml").out
    assert "We take no offers." in tried
    assert "rule No offers: " in tried
    assert tried.endswith("1 of 1 candidate(s) looked at, 1 in the folder.\n")


def test_replay_of_a_file(mailconnector: Command, world: World, tmp_path: Path) -> None:
    """And not of two at once, nor of one that is not there."""
    world.create(rules=[NO_OFFERS])
    (tmp_path / "mail.eml").write_bytes(MAIL)
    assert "We take no offers." in mailconnector("replay", "support", "mail.eml").out
    assert mailconnector("replay", "support", "mail.eml", "--parked", "x").code == 2
    assert mailconnector("replay", "support", "nothing.eml").fault.startswith("nothing.eml: cannot be read")
    assert mailconnector("replay", "support", "--parked", "nobody").code == 1
