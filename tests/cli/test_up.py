"""Everything on one machine, and the first steps of the README as they stand there."""

import http.client
import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from newsletter import settings
from newsletter.cli import running
from tests.cli.test_commands import files as files
from tests.cli.test_commands import program as program
from tests.fakes.ports import free_port
from tests.fakes.program import Program
from tests.test_docs import ROOT


@pytest.fixture
def up(program, redis_url):
    """`newsletter up` on a free port, ready; yields the program beside it, its port and its document."""
    port = free_port()
    more = {"NEWSLETTER_BASE_URL": f"http://127.0.0.1:{port}", "NEWSLETTER_REDIS_URL": redis_url}
    # A proxy that the environment names must not be asked for pages of our own.
    beside = Program(program.environment | more | {"http_proxy": "http://127.0.0.1:9"})
    command = [sys.executable, "-m", "newsletter", "up", "--port", str(port), "--json"]
    with subprocess.Popen(command, env=beside.environment, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield beside, port, json.loads(running.stdout.readline())
        finally:
            running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0


@pytest.mark.timeout(240)
def test_everything_says_when_it_is_ready(up):
    """A script that waits for the document of `up` opens a page next; a second `up` must not run beside the first.

    The drill has an hour by itself: nobody sets what they have not heard of, and a lane that is never tried fails in the night in
    which it is needed.
    """
    beside, port, document = up
    assert document["base_url"] == f"http://127.0.0.1:{port}"
    page = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    page.request("GET", "/readyz")
    assert page.getresponse().status == 200
    assert "in use" in beside.run("up", "--port", str(port), code=1)[1]
    ours = f"NEWSLETTER_BASE_URL={document['base_url']}".encode()
    found = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/environ") if readable(path)]
    parts = [one for one in found if ours in one and b"NEWSLETTER_DRILL_AT=06:10" in one]
    assert len(parts) >= 5, "workers, beat, lifeboat and pages"


def readable(path):
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


@pytest.mark.parametrize(
    ("said", "drills"),
    [
        ({}, True),
        ({"SENDER": ""}, False),
        ({"POSTAL_ADDRESS": ""}, False),
        ({"RELAY_URL": ""}, False),
        ({"RELAY_URL": "", "RELAY_URL_URGENT": "smtp://127.0.0.1:9"}, True),
        ({"DRILL_AT": ""}, False),
        ({"DRILL_AT": "never"}, False),
        ({"DRILL_AT": "05:00"}, False),
        ({"DRILL_AT_FILE": "/run/secrets/hour"}, False),
    ],
)
def test_it_is_drilled_where_mail_could_go_and_nobody_said_otherwise(tmp_path, said, drills):
    """A machine on which nobody has set a sender yet must not call people each morning to say so."""
    usual = {
        "SENDER": "Friends of Sarand <news@sarand.example>",
        "POSTAL_ADDRESS": "7 Lantern Yard, London",
        "RELAY_URL": "smtp://127.0.0.1:9",
    }
    environment = {f"NEWSLETTER_{name}": value for name, value in (usual | said).items()}
    chosen = settings.read(
        sender=environment["NEWSLETTER_SENDER"],
        postal_address=environment["NEWSLETTER_POSTAL_ADDRESS"],
        relay_url=environment["NEWSLETTER_RELAY_URL"],
        relay_url_urgent=environment.get("NEWSLETTER_RELAY_URL_URGENT"),
        home=tmp_path / "home",
        keys=tmp_path / "keys.json",
    )
    assert running.morning(chosen, environment) == ({"NEWSLETTER_DRILL_AT": "06:10"} if drills else {})


def first_steps():
    """Return the commands of the README's block, word by word, without the one that runs everything."""
    steps = (ROOT / "README.md").read_text(encoding="utf-8").partition("## First steps")[2].partition("\n## ")[0]
    return [shlex.split(line) for line in re.findall(r"^ {4}newsletter (?!up\b)(.+)$", steps, flags=re.MULTILINE)]


@pytest.mark.proof
@pytest.mark.short
def test_the_readme_s_first_steps_work_as_they_stand(up, files, sink):
    """Whoever types them line by line has sent a digest and an alert at the end, and doctor has nothing to say."""
    reader = Program(up[0].environment | {"PYTHONPATH": str(ROOT)}, folder=files)
    steps = [["feed.json" if word == "https://example.org/feed" else word for word in step] for step in first_steps()]
    assert len(steps) >= 8
    for step in steps:
        # The README's feed is new; ours is of a day in summer.
        reader.run(*step, *(["--as-news"] if step[:2] == ["articles", "import"] else []))
    assert len(sink.messages) == 4, "two readers, a digest and an alert each"


def test_a_signal_that_comes_before_it_waits_ends_it_well(tmp_path):
    """A script ends it as soon as it reads that all is ready; that it had not yet begun to wait made an error of it."""
    machine = running.Machine("http://127.0.0.1", 80, tmp_path, tmp_path, {}, {})
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        machine.heed()
        signal.raise_signal(signal.SIGTERM)
        machine.wait()
        assert machine.ended.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
