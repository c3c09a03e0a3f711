"""Each message that a run took up has a record of why it became what it is, written with its ledger entry."""

from tests.builders import NOW
from tests.run.test_rules import RULES
from tests.run.world import World, mail, reply


def whys(world: World) -> dict[str, str]:
    """The sentence of each message on record, by subject."""
    return {why.subject: why.sentence for why in world.storage.whys.of_day(NOW.date(), limit=200)}


def test_whatever_becomes_of_it() -> None:
    """Created, modified, rejected, refused by the target: each is on record."""
    world = World(rules=RULES, max_attempts=2)
    world.refused.add("Odd")
    world.deliver(mail("Lamp"), reply("Re: Lamp", to="Lamp"), mail("Offer"), mail("Odd"))
    world.report()
    lamp = world.tickets()[0].ticket_id
    seen = whys(world)
    assert seen["Lamp"] == f"It made ticket {lamp}."
    assert seen["Re: Lamp"] == f"It was added to ticket {lamp}."
    assert seen["Offer"] == "It made no ticket: We take no offers."
    assert seen["Odd"].startswith("It has no ticket yet: it was tried once, and is tried again from ")
    assert "The target does not take this message." in seen["Odd"]
    world.later()
    (why,) = world.storage.whys.find(message_id="<Odd@customer.example>")
    assert why.sentence.startswith("It has no ticket: it was tried 2 times and is parked.")


def test_what_is_on_record() -> None:
    """Every guard and rule that was asked, how the ticket was found, what was read, and when."""
    world = World(rules=RULES)
    world.deliver(mail("Printer"))
    world.report()
    (why,) = world.storage.whys.find(message_id="<Printer@customer.example>")
    assert [(one.kind, one.name, one.matched) for one in why.verdicts] == [
        ("guard", "own mail", False),
        ("guard", "mail in a circle", False),
        ("guard", "mail of programs", False),
        ("guard", "too many", False),
        ("rule", "No offers", False),
        ("rule", "Printers", True),
    ]
    assert why.evidence[-2:] == ("The message refers to no known ticket.", "So it makes a new ticket.")
    assert (why.sender, why.recipients) == ("ann@customer.example", ("support@mail.example",))
    assert (why.fields, why.notes, why.disposition) == ({"team": "hardware"}, ("By rule.",), "read")
    assert why.taken_up is not None
    assert why.received is not None
    assert why.received <= why.taken_up <= why.decided


def test_records_cost_no_write() -> None:
    """The ledger is written as often as it was before there were records: claimed, decided, disposed of."""
    world = World(on_success={"mark_as_read": True})
    world.deliver(*(mail(f"m{number}") for number in range(3)))
    before = len(world.storage.writes)
    world.report()
    assert list(world.storage.writes[before:]).count("ledger.record") == 3
    assert len(whys(world)) == 3
