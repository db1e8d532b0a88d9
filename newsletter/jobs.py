"""Names and payloads of jobs, and the nudge that says "look again".

The row is the truth and a job carries ids at most: it may run twice or never, and a sweep on the beat finds what a lost
nudge left. So a nudge is sent after the commit, does not wait for a dead broker, and its failure is logged and forgotten.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from newsletter.errors import Conflict

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """A task's name and the queue it travels in. `workers.tasks` holds one task for each (a test checks it)."""

    name: str
    queue: str


PATIENCE_SECONDS = 1.0
AWAY_SECONDS = 2.0
"""A broker that did not answer is not asked again for so long: a page must not wait for it at every click."""
ROOM = "newsletter:room"
"""What is written to see whether the broker takes anything; it is gone a second later."""

DELIVER = {lane: Job(f"deliver.{lane}", lane) for lane in ("urgent", "transactional", "bulk")}
SWEEP = Job("sweep", "upkeep")
PICTURES = Job("pictures", "compose")
OPERATORS = Job("operators", "upkeep")
RETURNS = Job("returns", "events")
ERRANDS = Job("errands", "presses")
LINKS = Job("links", "outside")
HOOKS = Job("hooks", "outside")
DRILL = Job("drill", "compose")
SIGNUPS = Job("signups", "compose")
PRIVACY = Job("privacy", "events")
ALL = (*DELIVER.values(), SWEEP, PICTURES, RETURNS, OPERATORS, ERRANDS, LINKS, HOOKS, DRILL, SIGNUPS, PRIVACY)
QUEUES = ("urgent", "presses", "transactional", "events", "outside", "bulk", "compose", "upkeep")
"""`presses`: what somebody pressed on a page and waits for. `outside`: what waits for other people's servers and programs."""


def queues() -> list[Queue]:
    """Return the queues as the broker knows them."""
    return [Queue(name) for name in QUEUES]  # type: ignore[no-untyped-call]


def broker_options(*, patience: float) -> dict[str, Any]:
    """Return the settings every client of the broker shares.

    patience    seconds a call may hang on a broker that does not answer: short in a request, longer in a worker
    """
    return {
        "broker_transport_options": {
            # A task works for ≤ 30 s; 900 s leaves room for a paused machine before it is given to another.
            "visibility_timeout": 900,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_timeout": patience,
            "socket_connect_timeout": patience,
            "global_keyprefix": "newsletter:",
        },
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": "upkeep",
    }


class Evicting(Conflict):
    """The broker may throw jobs away when its memory is full."""

    def __init__(self, policy: str) -> None:
        super().__init__("jobs.evicting", policy=policy)


def eviction_policy(url: str) -> str:
    """Return the broker's maxmemory-policy. Raises redis.RedisError or OSError when it does not answer."""
    with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
        info: Mapping[str, Any] = client.info("memory")
    return str(info.get("maxmemory_policy", "unknown"))


def require_noeviction(url: str) -> None:
    """Raise Evicting when the broker would lose jobs silently; one that does not answer is somebody else's news."""
    try:
        policy = eviction_policy(url)
    except (redis.RedisError, OSError):
        return
    if policy not in ("noeviction", "unknown"):
        raise Evicting(policy)


class Nudger:
    """Sends nudges. `url` None means that no broker is set; then the lifeboat and the sweep do all the work."""

    def __init__(self, url: str | None) -> None:
        self._app = Celery("nudges", broker=url, set_as_current=False) if url else None
        self._url = url or ""
        self._away_until = 0.0
        if self._app:
            self._app.conf.update(broker_options(patience=PATIENCE_SECONDS), broker_connection_retry=False)

    def nudge(self, job: Job, **payload: Any) -> bool:
        """Send one nudge; return whether the broker took it."""
        if self._app is None or not self.answers():
            log.warning("nudge lost", job=job.name, why="no broker takes it")
            return False
        try:
            self._app.send_task(job.name, kwargs=payload, queue=job.queue, retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            log.warning("nudge lost", job=job.name, why=type(error).__name__)
            return False
        return True

    def answers(self) -> bool:
        """Whether the broker takes what is written to it: kombu would try again for six seconds.

        One whose disk or memory is full answers, and takes no nudge and no beat: for us it is away.
        """
        if self._app is None or time.monotonic() < self._away_until:
            return False
        try:
            with redis.Redis.from_url(
                self._url,
                socket_timeout=PATIENCE_SECONDS,
                socket_connect_timeout=PATIENCE_SECONDS,
                retry=Retry(NoBackoff(), 0),
            ) as client:
                client.set(ROOM, b"", px=1000)
        except (redis.RedisError, OSError):
            self._away_until = time.monotonic() + AWAY_SECONDS
            return False
        return True

    def tick(self, lanes: Mapping[str, Job] = DELIVER) -> None:
        """Nudge every lane: what the sweep does after it has made work due."""
        for job in lanes.values():
            self.nudge(job)
