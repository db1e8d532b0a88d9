"""Jobs are known by name on one side and worked on the other; nothing but this test holds the two together."""

import json
import os
import subprocess
import sys
from typing import Any

from newsletter.jobs import ALL, QUEUES
from tests.architecture.sources import ROOT

LOOK = """
import json
from workers import app
app.loader.import_default_modules()
ours = {name: task.queue for name, task in app.tasks.items() if not name.startswith("celery.")}
beat = {name: entry["task"] for name, entry in app.conf.beat_schedule.items()}
within = {name: entry["schedule"] + entry["options"]["expires"] for name, entry in app.conf.beat_schedule.items()}
print(json.dumps({"tasks": ours, "beat": beat, "within": within, "queues": [queue.name for queue in app.conf.task_queues]}))
"""


def look() -> dict[str, dict[str, Any]]:
    """Return what the workers' application offers, asked in a process of its own: importing it reads the environment.

    within   of each tick of the beat, in how many seconds it is done or dropped, and the next one comes
    """
    environment = os.environ | {
        "NEWSLETTER_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
        "NEWSLETTER_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    command = [sys.executable, "-c", LOOK]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: dict[str, dict[str, Any]] = json.loads(ran.stdout)
    return found


def test_every_job_has_its_task_in_its_queue() -> None:
    """A job without a task is a nudge that every worker throws away, with an error in a log nobody reads."""
    found = look()
    assert found["tasks"] == {job.name: job.queue for job in ALL}
    assert set(found["queues"]) == set(QUEUES)
    assert set(found["beat"].values()) <= set(found["tasks"])


def test_every_job_travels_in_a_queue_that_exists() -> None:
    """A queue that nobody declared is refused by the broker's client when the first mail is due."""
    assert {job.queue for job in ALL} <= set(QUEUES)
