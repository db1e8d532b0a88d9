"""A key that cannot sign is named by whoever would need it, before anything is sent; pages go on without it."""

import subprocess
import sys

import pytest
from starlette.testclient import TestClient

from newsletter import assembly
from newsletter.web import create
from tests import house
from tests.cli.test_commands import files as files
from tests.cli.test_commands import program as program
from tests.fakes.program import Program
from tests.journeys import workers

BROKEN = "s1\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"


@pytest.fixture
def broken(program):
    return Program(program.environment | {"NEWSLETTER_DKIM_KEY": BROKEN})


def test_a_worker_says_it_at_once_and_ends(tmp_path, database_urls, redis_url):
    """It would take nudge after nudge, send nothing, and look alive."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", redis_url=redis_url)
    environment = workers.environment(made) | {"NEWSLETTER_DKIM_KEY": BROKEN}
    command = [sys.executable, "-m", "celery", "-A", "workers", "-q", "worker", "-Q", "bulk", "-c", "1"]
    ended = subprocess.run(command, cwd=workers.ROOT, env=environment, capture_output=True, text=True, timeout=60)
    made.close()
    assert ended.returncode == 1
    assert "NEWSLETTER_DKIM_KEY cannot be used: the key of s1 cannot be read" in ended.stderr
    assert "AAAA" not in ended.stderr + ended.stdout


def test_up_the_lifeboat_and_doctor_say_it(broken):
    """Whoever starts the machine reads it there and then, and not in a log next week."""
    for words in (("up",), ("deliver", "--lane", "bulk", "--once")):
        assert "NEWSLETTER_DKIM_KEY cannot be used" in broken.json(*words, code=1)["sentence"]
    [found] = [one for one in broken.json("doctor", code=1)["checks"] if one["check"] == "signing"]
    assert found["ok"] is False
    assert "NEWSLETTER_DKIM_KEY cannot be used" in found["found"]


def test_who_wants_to_leave_need_not_wait_for_a_key(tmp_path, database_urls):
    """A page of ours works whatever our mail does."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    house.issue(made, tmp_path, addresses=house.addresses(1))
    chosen = made.settings.model_copy(update={"dkim_key": house.settings.SecretStr(BROKEN)})
    with TestClient(create(assembly.assemble(chosen, role="web"))) as pages:
        assert pages.post(f"/u/{made.parts.tokens.leave(1, 1, 1)}").status_code == 200
    made.close()
