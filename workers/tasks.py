"""One task for each job: take ids, make one call, return a count. Every task may run twice or never."""

import importlib
from functools import cache
from typing import Any

from celery import shared_task
from celery.concurrency import solo
from celery.signals import worker_process_shutdown, worker_ready, worker_shutdown

from newsletter import assembly
from newsletter.assembly import Newsletter
from newsletter.jobs import DELIVER, DRILL, ERRANDS, HOOKS, LINKS, OPERATORS, PICTURES, PRIVACY, RETURNS, SIGNUPS, SWEEP
from newsletter.journeys import drilling, hooking, picturing, privacy, returns, team
from workers import ending, seats

TURN_SECONDS = 30.0


@cache
def _newsletter() -> Newsletter:
    """The product of this child, assembled at its first task: after the fork."""
    return assembly.assemble()


@worker_process_shutdown.connect
@worker_shutdown.connect  # a worker without children
def _close(**_later: Any) -> None:
    if _newsletter.cache_info().currsize:
        _newsletter().close()


@worker_ready.connect
def _warm(sender: Any = None, **_later: Any) -> None:
    """Have a worker without children load what it needs before anybody waits: the first press of a night is as quick as others."""
    if isinstance(sender.pool, solo.TaskPool):
        made = _newsletter()
        if ERRANDS.queue in sender.app.amqp.queues.consume_from:
            importlib.import_module("newsletter.journeys.errands")
            made.parts.composing()


def _deliver(lane: str) -> int:
    """Work a lane for a turn. Whoever finds work calls the next: all children are at it within a moment, not one a sweep."""
    made = _newsletter()
    with ending.with_patience():
        return made.deliver(
            lane, seconds=TURN_SECONDS, opened=lambda: made.parts.nudger.nudge(DELIVER[lane]), until=ending.asked
        )


@shared_task(name=DELIVER["urgent"].name, queue="urgent")
def deliver_urgent(**_later: Any) -> int:
    """Send what the urgent lane has due, and wake the bulk mail that stood aside for it: a sweep would in five seconds."""
    if begun := _deliver("urgent"):
        _newsletter().parts.nudger.nudge(DELIVER["bulk"])
    return begun


@shared_task(name=DELIVER["transactional"].name, queue="transactional")
def deliver_transactional(**_later: Any) -> int:
    """Send what the transactional lane has due."""
    return _deliver("transactional")


@shared_task(name=DELIVER["bulk"].name, queue="bulk")
def deliver_bulk(**_later: Any) -> int:
    """Send what the bulk lane has due, if a child may be spared for it; whoever is at it nudges again, and so do links."""
    with seats.bulk() as free:
        if free:
            return _deliver("bulk")
    if seats.links_wait():
        _newsletter().parts.nudger.nudge(LINKS)
    return 0


@shared_task(name=SWEEP.name, queue=SWEEP.queue)
def sweep(**_later: Any) -> int:
    """Find what nudges lost."""
    return len(_newsletter().sweep().lanes)


@shared_task(name=PICTURES.name, queue=PICTURES.queue)
def pictures(**_later: Any) -> int:
    """Fetch pictures of new articles."""
    done = picturing.fetch_due(_newsletter().parts)
    if done.fetched or done.dropped:
        _newsletter().parts.nudger.nudge(PICTURES)
    return done.fetched


@shared_task(name=OPERATORS.name, queue=OPERATORS.queue)
def operators(**_later: Any) -> int:
    """Mail operators what is due to them: who was disabled, the day's head of the audit, links after a lost phone."""
    return team.tend(_newsletter().parts)


@shared_task(name=RETURNS.name, queue=RETURNS.queue)
def returned(**_later: Any) -> int:
    """Deal with notices of what came back."""
    return returns.work(_newsletter().parts)


@shared_task(name=ERRANDS.name, queue=ERRANDS.queue)
def errands(**_later: Any) -> int:
    """Do what somebody pressed on a page."""
    # Here: it composes, and loads what senders never load (decision 4).
    from newsletter.journeys import errands as journey

    return journey.run(_newsletter().parts)


@shared_task(name=LINKS.name, queue=LINKS.queue)
def links(**_later: Any) -> int:
    """Try the links of one alert, if a child may be spared for it: it takes up to three quarters of a minute."""
    from newsletter.journeys import errands as journey

    with seats.links() as free:
        tried = journey.try_links(_newsletter().parts) if free else 0
    if free:
        _newsletter().parts.nudger.nudge(DELIVER["bulk"])  # it may have left us its seat
    return tried


@shared_task(name=HOOKS.name, queue=HOOKS.queue)
def hooks(**_later: Any) -> int:
    """Tell the organisation's hook what it is to be told: one call a task, since each may take ten seconds."""
    return hooking.run_due(_newsletter().parts).taken


@shared_task(name=DRILL.name, queue=DRILL.queue)
def drill(**_later: Any) -> int:
    """Try the urgent lane on the team's own mailboxes, where this morning's drill is due."""
    return drilling.run_due(_newsletter().parts)


@shared_task(name=SIGNUPS.name, queue=SIGNUPS.queue)
def signups(**_later: Any) -> int:
    """Ask the owners of addresses that were given on forms, bring in those who said yes, and mail fresh links."""
    return _newsletter().greet()


@shared_task(name=PRIVACY.name, queue=PRIVACY.queue)
def privacy_wishes(**_later: Any) -> int:
    """Do what readers asked for on their own pages, and delete what is over."""
    return privacy.work(_newsletter().parts)
