"""Everything on one machine, and the first steps of the README as they stand there."""

import http.client
import json
import re
import shlex
import signal
import socket
import subprocess
import sys

import pytest

from tests.cli.test_commands import files as files
from tests.cli.test_commands import program as program
from tests.fakes.program import Program
from tests.test_docs import ROOT


@pytest.fixture
def up(program, redis_url):
    """`newsletter up` on a free port, ready; yields the program beside it, its port and its document."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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
    """A script that waits for the document of `up` opens a page next; a second `up` must not run beside the first."""
    beside, port, document = up
    assert document["base_url"] == f"http://127.0.0.1:{port}"
    page = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    page.request("GET", "/readyz")
    assert page.getresponse().status == 200
    assert "in use" in beside.run("up", "--port", str(port), code=1)[1]


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
