"""The story: mail becomes tickets, replies find theirs, and a run that is killed half way does no harm."""

import json
from datetime import datetime
from functools import partial
from typing import Any

from dev.demo import letters, pictures
from dev.demo.stage import LEASE_SECONDS, Stage
from dev.demo.story import Story

Record = dict[str, Any]

_ORDERS = 5
_FINAL = frozenset({"completed", "continued", "failed", "skipped", "died"})


def play(stage: Stage, story: Story) -> None:
    """All chapters. Raises `NotSeen` where the story cannot go on."""
    _open(stage, story)
    _mail_arrives(stage, story)
    _a_job(stage, story)
    question, readings = _first_run(stage, story)
    _replies(stage, story, question, readings)
    killed = _killed_half_way(stage, story)
    _again(stage, story, killed)


def _open(stage: Stage, story: Story) -> None:
    story.chapter("The stage")
    storage = "  ".join(f"127.0.0.1:{port}" for port in stage.azurite.ports)
    story.show(
        [
            f"storage (Azurite: blobs, queues, tables)   {storage}",
            f"a mail server, IMAP4 with TLS              {stage.mail.host}:{stage.mail.port}",
            f"               and SMTP                    {stage.mail.host}:{stage.mail.smtp_port}",
            f"the function app, in a local host          {stage.host.url}",
        ]
    )
    health = stage.call("GET", "/api/health")
    jobs = stage.call("GET", "/api/jobs")["items"]
    story.claim(
        "The app answers, storage answers it, and there is no job yet.",
        seen=health == {"status": "ok"} and jobs == [],
        found=(health, jobs),
    )


def _mail_arrives(stage: Stage, story: Story) -> None:
    story.chapter(
        "Mail arrives",
        "Ann asks something, by SMTP. Jens sends a table and a picture, by SMTP. A machine sends what no machine "
        "should, with raw bytes in its header, an unknown charset and no end: that one is put into the mailbox as it "
        "is, by APPEND.",
    )
    stage.send(letters.question())
    stage.send(letters.with_files())
    stage.put(letters.broken())
    lying = stage.lying()
    story.show(pictures.folder(lying), title="INBOX, before")
    story.claim("Three messages lie there, unread.", seen=[each.read for each in lying] == [False] * 3, found=lying)


def _a_job(stage: Stage, story: Story) -> None:
    config = {
        "name": "Support mailbox",
        "server": _server(stage, "INBOX"),
        "schedule": {"frequency": {"type": "interval", "every": 1, "unit": "minutes"}},
        "on_success": {"mark_as_read": True},
    }
    story.chapter("A job is made, over HTTP: PUT /api/jobs/support")
    story.show(json.dumps(config, indent=2).splitlines())
    preview = stage.call(
        "POST", "/api/schedules/preview", {"schedule": config["schedule"], "count": 3, "job_id": "support"}
    )
    story.show(pictures.schedule(preview), title="What its schedule means: POST /api/schedules/preview")
    stage.call("PUT", "/api/jobs/support", config, expect=201)
    job = stage.call("GET", "/api/jobs/support")
    story.claim(
        "The job is stored, and it is due at one of the instants that the preview said.",
        seen=job["state"]["next_due"] in [each["utc"] for each in preview["occurrences"]],
        found=job["state"],
    )
    story.claim(
        "The config names its secret; the password itself comes back nowhere.",
        seen=job["server"]["password_secret"] == "support-mailbox" and stage.mail.password not in json.dumps(job),
    )


def _first_run(stage: Stage, story: Story) -> tuple[Record, Record]:
    story.chapter("The first run, by hand: POST /api/jobs/support/run")
    record = _run_by_hand(stage, story, "support")
    story.show(pictures.runs([record]), title="Its record")
    story.claim(
        "Three received, three tickets created, no error.",
        seen=_numbers(record) == ("completed", 3, 3, 0, 0),
        found=record,
    )
    tickets = stage.tickets("support")
    _show_tickets(story, tickets)
    by_id = {entry["message_id"]: ticket for ticket in tickets for entry in ticket["entries"]}
    story.claim("Each message has a ticket of its own.", seen=len(tickets) == 3, found=len(tickets))
    question, readings = by_id.get(letters.PRINTER_ID, {}), by_id.get(letters.READINGS_ID, {})
    html = _first_entry(question).get("html") or ""
    story.claim(
        "Ann's HTML is kept, without the script that was in it.",
        seen="<b>twice</b>" in html and "script" not in html,
        found=html,
    )
    files = {each["name"]: (stage.fetch("GET", each["href"]).content, each["inline"]) for each in _files(readings)}
    expected = {letters.READINGS_NAME: (letters.READINGS, False), "meter.png": (letters.PICTURE, True)}
    story.claim("Jens's two files come back octet for octet.", seen=files == expected, found=files)
    odd = [entry for ticket in tickets for entry in ticket["entries"] if entry["defects"]]
    story.claim(
        "The broken message is a ticket like any other, and the ticket says what was odd about it.",
        seen=len(odd) == 1 and "Das Wasser steht 10 cm hoch" in odd[0]["text"],
        found=odd,
    )
    lying = stage.lying()
    story.show(pictures.folder(lying), title="INBOX, after")
    story.claim("Every original is marked as read now.", seen=[each.read for each in lying] == [True] * 3, found=lying)
    return question, readings


def _replies(stage: Stage, story: Story, question: Record, readings: Record) -> None:
    story.chapter(
        "Replies, and a run that nobody starts",
        "Ann answers in her mail program: the header refers to her first mail. Jens writes anew from his phone, with "
        f"nothing but [{readings['id']}] in the subject.",
    )
    stage.send(letters.reply_by_references())
    stage.put(letters.reply_by_tag(readings["id"]))
    due = datetime.fromisoformat(stage.call("GET", "/api/jobs/support")["state"]["next_due"])
    story.tell(
        f"Now nobody does anything. The job is due at {due:%H:%M} UTC; the app was started before there was a job, so "
        "it has no timer for it yet, and the sweep has to notice within the minute. Waiting for it ..."
    )
    own = story.wait_for("A run that nobody started took the replies up", partial(_own_runs, stage), seconds=80)
    story.show(pictures.runs(own), title="What ran by itself")
    story.claim(
        "The schedule brought the run, without a restart; it added two entries and made no ticket.",
        seen=sum(run["updated"] for run in own) == 2 and not any(run["created"] or run["errors"] for run in own),
        found=own,
    )
    tickets = {ticket["id"]: ticket for ticket in stage.tickets("support")}
    answered = [tickets[question["id"]], tickets[readings["id"]]]
    _show_tickets(story, answered)
    story.claim("There are still three tickets.", seen=len(tickets) == 3, found=len(tickets))
    story.claim(
        "Ann's reply found her ticket by its References, Jens's by the tag.",
        seen=[[entry["action"] for entry in ticket["entries"]] for ticket in answered] == [["created", "modified"]] * 2
        and "refers to" in " ".join(answered[0]["entries"][-1]["evidence"])
        and "tag" in " ".join(answered[1]["entries"][-1]["evidence"]),
        found=[ticket["entries"] for ticket in answered],
    )


def _own_runs(stage: Stage) -> list[Record]:
    records = stage.call("GET", "/api/jobs/support/runs")["items"]
    own = [run for run in records if run["trigger"] in {"sweep", "timer"} and run["received"] and run["ended"]]
    return own if sum(run["received"] for run in own) >= 2 else []


def _killed_half_way(stage: Stage, story: Story) -> str:
    story.chapter(
        "A run is killed half way",
        f"A second job, for the folder Orders, where {_ORDERS} orders lie. This one clears up behind itself: mark as "
        "read, mark as deleted, purge at the end of the session.",
    )
    with stage.mail.client(None) as client:
        client.create_folder("Orders")
    stage.put(*map(letters.order, range(_ORDERS)), folder="Orders")
    config = {
        "name": "Orders",
        "server": _server(stage, "Orders"),
        "schedule": {
            "pattern": {"type": "daily", "weekdays_only": True},
            "frequency": {"type": "once", "at": "08:30"},
            "time_zone": "Europe/Berlin",
        },
        "on_success": {"mark_as_read": True, "mark_as_deleted": True, "purge_deleted_at_end_of_session": True},
    }
    preview = stage.call(
        "POST", "/api/schedules/preview", {"schedule": config["schedule"], "count": 3, "job_id": "orders"}
    )
    story.show(pictures.schedule(preview), title="Its schedule")
    stage.call("PUT", "/api/jobs/orders", config, expect=201)
    story.tell("The mail server is told to hold the command that marks messages. Then the job is run by hand.")
    with stage.mail.holding("STORE") as hold:
        run_id: str = stage.call("POST", "/api/jobs/orders/run", expect=202)["run_id"]
        story.wait_for("The run came to the point where it marks the originals", hold.reached.is_set, seconds=30)
        tickets, lying = stage.tickets("orders"), stage.lying("Orders")
        story.show(pictures.folder(lying), title="Orders, at this moment")
        story.claim(f"The {_ORDERS} tickets exist already.", seen=len(tickets) == _ORDERS, found=len(tickets))
        story.claim(
            "The originals are untouched: nothing is done to a message before its ticket is safe.",
            seen=[each.flags for each in lying] == [frozenset()] * _ORDERS,
            found=lying,
        )
        code = stage.host.kill()
        story.claim("And now the host is killed: kill -9, no farewell.", seen=code == -9, found=code)
    return run_id


def _again(stage: Stage, story: Story, killed: str) -> None:
    story.chapter("It starts again")
    stage.host.start()
    ready = [event for event in stage.host.events() if event["event"] == "ready"][-1]
    story.claim(
        "The new host has registered a timer for each of the two jobs, beside the sweep's.",
        seen=ready["timer"] == 3,
        found=ready,
    )
    story.tell(
        f"The dead run still holds its mailbox, for {LEASE_SECONDS} seconds here (90 in Azure), so that two runs "
        "never work in one mailbox. After that the job is run by hand again."
    )
    story.wait_for("The dead run's hold on the mailbox ended", partial(_free, stage), seconds=30)
    record = _run_by_hand(stage, story, "orders")
    dead = stage.call("GET", f"/api/jobs/orders/runs/{killed}")
    story.show(pictures.runs([dead, record]), title="Both records")
    tickets, lying = stage.tickets("orders"), stage.lying("Orders")
    story.show(
        [f"{each['id']}  {each['subject']!r}, entries: {len(each['entries'])}" for each in tickets],
        title="The tickets of this job",
    )
    story.show(pictures.folder(lying), title="Orders, after")
    story.claim("The killed run is on record as died.", seen=dead["outcome"] == "died", found=dead)
    story.claim(
        "The next run finished what was left, and made nothing a second time.",
        seen=(record["outcome"], record["created"], record["updated"], record["purged"])
        == ("completed", 0, 0, _ORDERS),
        found=record,
    )
    subjects = sorted(entry["subject"] for ticket in tickets for entry in ticket["entries"])
    story.claim(
        f"{_ORDERS} orders, {_ORDERS} tickets with one entry each: nothing doubled, nothing lost.",
        seen=len(tickets) == _ORDERS and subjects == [f"Order {1000 + number}" for number in range(_ORDERS)],
        found=subjects,
    )
    story.claim("The folder is empty.", seen=lying == [], found=lying)
    inbox = stage.lying()
    story.claim(
        "In INBOX, the other job's folder, all five messages lie as they were left: read, not deleted.",
        seen=[each.flags for each in inbox] == [frozenset({r"\Seen"})] * 5,
        found=inbox,
    )


def _server(stage: Stage, folder: str) -> dict[str, Any]:
    return {
        "type": "imap4",
        "host": stage.mail.host,
        "port": stage.mail.port,
        "username": stage.mail.user,
        "password_secret": "support-mailbox",
        "folder": folder,
        "ca_file": str(stage.mail.ca_file),
    }


def _run_by_hand(stage: Stage, story: Story, job_id: str) -> Record:
    """Start a run, follow it to its end, and give its record."""
    run_id = stage.call("POST", f"/api/jobs/{job_id}/run", expect=202)["run_id"]
    story.tell(f"Run {run_id} is queued; it is followed until it has ended.")

    def ended() -> Record | None:
        record: Record = stage.call("GET", f"/api/jobs/{job_id}/runs/{run_id}")
        return record if record["outcome"] in _FINAL else None

    return story.wait_for(f"Run {run_id} ended", ended, seconds=45)


def _free(stage: Stage) -> bool:
    return stage.call("GET", "/api/jobs/orders")["state"]["running"] is None


def _numbers(record: Record) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("outcome", "received", "created", "updated", "errors"))


def _show_tickets(story: Story, tickets: list[Record]) -> None:
    for number, ticket in enumerate(tickets):
        story.show(pictures.ticket(ticket), title="" if number else "The tickets")


def _first_entry(ticket: Record) -> Record:
    return next(iter(ticket.get("entries", [])), {})


def _files(ticket: Record) -> list[Record]:
    return list(_first_entry(ticket).get("attachments", []))
