"""The whole way round with a real Postfix, configured by the very lines of docs/operating.md."""

import email
import email.policy
import json
import re
import smtplib
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from newsletter.delivery import asking
from newsletter.journeys import publish
from tests import house
from tests.fakes import postfix, returns, smtp
from tests.journeys import workers
from tests.journeys.test_returns import ask

DOMAIN = "bounce.sarand.example"
PAGE = workers.ROOT / "docs/operating.md"
ANSWERS = {
    "ann@example.org": "550 5.1.1 <ann@example.org>: no such user",
    "ben@example.org": "552 5.2.2 mailbox full",
}

pytestmark = [
    pytest.mark.proof,
    pytest.mark.short,
    pytest.mark.skipif(postfix.missing() is not None, reason=str(postfix.missing())),
]


def documented(port):
    """Return the page's lines for main.cf and for the table of recipients, with our domain, port and folder."""
    page = PAGE.read_text(encoding="utf-8").partition("## What comes back")[2]
    lines = re.findall(r"^    (\S.*)$", page, re.MULTILINE)
    main = [line for line in lines if re.match(r"(relay_domains|transport_maps|relay_recipient_maps) =", line)]
    table = [line for line in lines if line.startswith("/^")]
    assert len(main) == 3
    assert len(table) == 4
    text = "\n".join(main).replace("bounce.example.org", DOMAIN).replace("127.0.0.1:8024", f"127.0.0.1:{port}")
    return text.replace("/etc/postfix/newsletter", "{home}/newsletter"), "\n".join(table).replace(
        r"bounce\.example\.org", re.escape(DOMAIN)
    )


def given_out(parts):
    """Return a local part of every kind that mail of ours can be answered to."""
    tokens, now = parts.tokens, datetime.now(UTC)
    yield tokens.return_path(1, 1, now=now)
    yield asking.asked(tokens, parts.database.vault, asking.to_join(1), mailbox_id=1, now=now).reply
    yield tokens.probe(1, now=now)
    yield from ("leave", "postmaster", "abuse", "fbl")


def until(made, sql, expected, *, seconds=30):
    """Wait until a question has its answer."""
    deadline = time.monotonic() + seconds
    while (found := ask(made, sql)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.timeout(180)
def test_what_a_real_server_says_comes_back_to_the_reader_it_is_about(tmp_path, database_urls):
    """A configuration that was only thought of fails on the day of the first bounce; this one is the documented one."""
    with smtp.running(smtp.Sink(refuse=ANSWERS.get)) as sink:
        placed = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", bounce_domain=DOMAIN)
        environment = workers.environment(placed) | {
            "NEWSLETTER_BOUNCE_DOMAIN": DOMAIN,
            "NEWSLETTER_LMTP": "127.0.0.1:0",
        }
        placed.close()
        command = [sys.executable, "-m", "newsletter", "intake", "--json"]
        intake = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            lmtp = json.loads(intake.stdout.readline())["lmtp"].rpartition(":")[2]
            main, table = documented(lmtp)
            with postfix.running(onward=sink.port, more=main, files={"newsletter": table + "\n"}) as port:
                go_round(tmp_path, database_urls, sink, port)
        finally:
            intake.terminate()
            intake.wait(20)


def go_round(tmp_path, database_urls, sink, port):
    """Send an issue through Postfix: two come back, and the third leaves by mail."""
    made = house.build(tmp_path, database_urls, f"smtp://127.0.0.1:{port}", bounce_domain=DOMAIN)
    composed = house.issue(made, tmp_path, addresses=[*ANSWERS, "cem@example.org"])
    publish.send(made.parts, composed.issue)
    made.sweep()
    assert made.deliver("bulk") == 3
    back = [("dead address", 550, "5.1.1"), ("mailbox full", 552, "5.2.2")]
    until(made, "SELECT class, code, enhanced FROM returned ORDER BY code", back)
    assert ask(made, "SELECT reason FROM suppression") == [("dead",)]
    [message] = sink.messages
    parsed = email.message_from_bytes(message.content, policy=email.policy.default)
    wish = re.search(r"<mailto:([^?]+)\?subject=([\w-]+)>", parsed["List-Unsubscribe"])
    with smtplib.SMTP("127.0.0.1", port) as connection:
        letter = returns.letter("cem@example.org", wish[1], wish[2])
        connection.sendmail("cem@example.org", [wish[1]], letter)
        connection.mail("x@example.net")
        assert connection.rcpt(f"b-{'0' * 47}@{DOMAIN}")[0] == 550, "a flood must end at the door"
        for local in given_out(made.parts):
            assert connection.rcpt(f"{local}@{DOMAIN}")[0] == 250, f"{local[:2]}… is an address that we give out"
    until(made, "SELECT count(*) FROM subscription WHERE ended_at IS NOT NULL", [(1,)])
    made.close()
