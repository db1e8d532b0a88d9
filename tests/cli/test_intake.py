"""The doors of what comes back: settings that are refused, the doctor's word, and the letters on the operator's desk."""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from newsletter import settings
from newsletter.bounces.routing import Router
from newsletter.cli import intake as door
from newsletter.database import DiskFull
from newsletter.settings import BadSettings
from newsletter.vault import Keyring
from tests.fakes import returns
from tests.fakes.program import Program

DOMAIN = "bounce.sarand.example"


@pytest.fixture
def program(tmp_path, database_urls, sink):
    keys = tmp_path / "keys" / "keys.json"
    Keyring.create(keys)
    facts = {
        "HOME": tmp_path / "home",
        "KEYS": keys,
        "DATABASE_URL": database_urls.worker,
        "RELAY_URL": sink.url,
        "SENDER": "Friends of Sarand <news@sarand.example>",
        "POSTAL_ADDRESS": "7 Lantern Yard, London",
        "BOUNCE_DOMAIN": DOMAIN,
        "LMTP": "127.0.0.1:1",
    }
    environment = {f"NEWSLETTER_{name}": str(value) for name, value in facts.items()}
    return Program({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)} | environment)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"lmtp": "0.0.0.0:8024"}, "NEWSLETTER_LMTP_PEERS"),
        ({"lmtp": "[::]:8024"}, "NEWSLETTER_LMTP_PEERS"),
        ({"lmtp": "mail.example.org:8024"}, "NEWSLETTER_LMTP_PEERS"),
        ({"lmtp": "127.0.0.1"}, "127.0.0.1:8024"),
        ({"lmtp": "127.0.0.1:eight"}, "127.0.0.1:8024"),
        ({"ses_topic": "returns"}, "NEWSLETTER_SES_TOPIC"),
    ],
)
def test_settings_that_would_open_the_house_are_refused(wrong, says):
    """A server for the whole world, by one letter in a file, is what the settings are there to prevent."""
    with pytest.raises(BadSettings, match=says):
        settings.read(**wrong)


def test_who_may_deliver_from_elsewhere_is_named():
    """In a container, the host's mail server comes from another address."""
    chosen = settings.read(lmtp="0.0.0.0:8024", lmtp_peers="172.16.0.0/12 10.0.0.7/32", bounce_domain="Bounce.Example")
    assert chosen.intake == ("0.0.0.0", 8024)
    assert [str(net) for net in chosen.lmtp_peers] == ["172.16.0.0/12", "10.0.0.7/32"]
    assert chosen.bounce_domain == "bounce.example"
    assert settings.read(lmtp="[::1]:24").intake == ("::1", 24)


def test_intake_says_what_is_missing(program, tmp_path):
    """An intake without a domain of its own could tell nothing apart."""
    lacking = Program({k: v for k, v in program.environment.items() if k != "NEWSLETTER_BOUNCE_DOMAIN"})
    assert "NEWSLETTER_BOUNCE_DOMAIN" in lacking.json("intake", code=1)["sentence"]
    assert "no Maildir" in program.json("intake", "--maildir", tmp_path, code=1)["sentence"]


def inbound(program):
    [found] = [c for c in program.json("doctor", code=1)["checks"] if c["check"] == "inbound"]
    return found["ok"]


def test_from_a_letter_to_its_end(program):
    """A reader writes; the operator finds it, reads it without harm to the terminal, and is done with it."""
    assert inbound(program) is False
    running = Program(program.environment | {"NEWSLETTER_LMTP": "127.0.0.1:0"})
    command = [sys.executable, "-m", "newsletter", "intake", "--json"]
    process = subprocess.Popen(command, env=running.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        port = int(json.loads(process.stdout.readline())["lmtp"].rpartition(":")[2])
        letter = returns.letter("Ann <ann@example.org>", "news@sarand.example", "My sister", "Call me.\x1b[2J")
        assert returns.hand_over(port, "ann@example.org", "news@sarand.example", letter)[0] == 250
        assert inbound(Program(program.environment | {"NEWSLETTER_LMTP": f"127.0.0.1:{port}"})) is True
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        said = process.stderr.read().decode()
    assert "ann@example.org" not in said
    [one] = program.json("replies", "list")
    assert one["subject"] == "My sister"
    out, _ = program.run("replies", "show", one["reply"])
    assert "Call me." in out
    assert "ann@example.org" in out
    assert "\x1b" not in out
    program.run("replies", "done", one["reply"])
    assert program.json("replies", "list") == []
    assert [row["reply"] for row in program.json("replies", "list", "--done")] == [one["reply"]]
    assert "no letter 77" in program.json("replies", "show", "77", code=1)["sentence"]


class Full:
    """A database whose disk is full."""

    def __init__(self):
        self.asked = threading.Semaphore(0)

    def transaction(self):
        self.asked.release()
        raise DiskFull("here")


def test_the_hourly_self_test_outlives_a_full_disk(newsletter):
    """Nobody starts it again: after a week without it no message would carry an address for leaving by mail."""
    full, ended = Full(), threading.Event()
    router = Router(newsletter.parts.tokens, domain=DOMAIN, sender="news@sarand.example")
    made = SimpleNamespace(parts=dataclasses.replace(newsletter.parts, database=full, router=router))
    told = {"every_seconds": 0.01}
    hourly = threading.Thread(target=door._hourly, args=(made, lambda _recipient: None, ended), kwargs=told)
    hourly.start()
    try:
        for _ in range(6):  # a test and a tidying up ask once each
            assert full.asked.acquire(timeout=10)
    finally:
        ended.set()
        hourly.join(10)
    assert not hourly.is_alive()
