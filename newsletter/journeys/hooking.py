"""Calls the organisation's hook: a command, or an address of the web, that wakes whoever must be woken.

One JSON document a call, ten seconds, again with growing pauses for an hour. No transaction is open while it is waited for,
and no error says what the setting holds: it may well be a secret.
"""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import structlog

from newsletter import database, fetching
from newsletter.errors import NewsletterError, NotFound
from newsletter.jobs import HOOKS
from newsletter.journeys import telling
from newsletter.journeys.parts import Parts
from newsletter.operators import hooks
from newsletter.operators.hooks import Call, Health

log = structlog.get_logger()

TIMEOUT_SECONDS = 10.0
ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""Whoever sets the hook knows what stands beside it: a pager on this machine is a good one."""


class HookFailed(NotFound):
    """The hook did not take the call. why: what it did instead, never what it said."""

    def __init__(self, why: str) -> None:
        super().__init__(f"hook.{why}")


@dataclass(frozen=True, slots=True)
class Called:
    """How many calls were taken, and how many were not."""

    taken: int
    failed: int


def any_due(parts: Parts) -> bool:
    """Return whether a call is to be made."""
    with parts.database.transaction() as session:
        return hooks.any_due(session, now=database.now(session))


def run_due(parts: Parts, *, most: int = 1) -> Called:
    """Make the calls that are due, at most so many. Where no hook is set they are done by that."""
    taken = failed = 0
    while taken + failed < most and (call := _claimed(parts)):
        fault = _fault(parts, call)
        with parts.database.transaction() as session:
            now = database.now(session)
            if fault is None:
                hooks.done(session, call.id, now=now)
                hooks.forget(session, now=now)
            else:
                hooks.failed(session, call, fault, now=now)
        taken, failed = taken + (fault is None), failed + (fault is not None)
    if taken + failed == most and any_due(parts):
        parts.nudger.nudge(HOOKS)
    return Called(taken, failed)


def health(parts: Parts) -> Health:
    """Return how the hook does."""
    with parts.database.transaction() as session:
        return hooks.health(session)


def _claimed(parts: Parts) -> Call | None:
    with parts.database.transaction() as session:
        return hooks.claim(session, now=database.now(session))


def _fault(parts: Parts, call: Call) -> str | None:
    """Make one call, and return the id of what went wrong with it."""
    if not parts.hook:
        return None
    try:
        run(parts.hook, document(call, base_url=parts.letterhead.base_url))
    except HookFailed as refusal:
        log.warning("hook failed", call=call.id, what=call.event, tries=call.tries, why=refusal.message)
        return refusal.message
    return None


def document(call: Call, *, base_url: str) -> dict[str, Any]:
    """Return what a hook is told: ids, counts, the code, and where to look."""
    alert = call.facts.get("alert")
    where = {"console": telling.console(base_url, alert)} if isinstance(alert, int) else {}
    return {"event": call.event, "call": call.id, "at": call.made_at.isoformat(), **call.facts, **where}


def run(hook: str, told: dict[str, Any], *, seconds: float = TIMEOUT_SECONDS) -> None:
    """Call a hook with a document. Raises HookFailed."""
    body = json.dumps(told, ensure_ascii=False).encode()
    if not hook.startswith(("http://", "https://")):
        return _command(shlex.split(hook), body, seconds)
    try:
        fetching.post(hook, body, content_type="application/json", allow=ANYWHERE, timeout_seconds=seconds)
    except fetching.TooSlow:
        raise HookFailed("too-slow") from None
    except fetching.BadUrl:
        raise HookFailed("bad-url") from None
    except NewsletterError:
        # Its sentence names the host, and a host may be the secret.
        raise HookFailed("not-taken") from None
    return None


def bare(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without anything of ours: a program of somebody else's needs no password to the database."""
    return {name: value for name, value in environment.items() if not name.startswith("NEWSLETTER_")}


def _command(words: list[str], body: bytes, seconds: float) -> None:
    """Run a program without a shell, with our document on stdin and none of our secrets in its environment."""
    quiet = subprocess.DEVNULL
    try:
        started = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, env=bare(os.environ), start_new_session=True
        )
    except (OSError, ValueError):
        raise HookFailed("not-started") from None
    try:
        started.communicate(body, timeout=seconds)
    except subprocess.TimeoutExpired:
        # With whatever it began: a pager's helper must not live on by the hundred.
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        raise HookFailed("too-slow") from None
    if started.returncode:
        raise HookFailed("ended-badly")
