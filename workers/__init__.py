"""DOOR: Celery. `celery -A workers worker [-Q urgent]`, `celery -A workers beat`.

The app holds options and schedule; `tasks` holds one short task for each job. Workers keep no result: the row is the truth.
"""

import gc
import importlib
import sys

from celery import Celery
from celery.signals import celeryd_after_setup, celeryd_init, setup_logging

from newsletter import assembly, jobs, languages, logs, settings
from newsletter.errors import NewsletterError
from workers import seats
from workers.schedule import BEAT


@setup_logging.connect
def _log_as_we_do(**_later: object) -> None:
    logs.configure()


@celeryd_init.connect
def _refuse_wrong_keys(**_later: object) -> None:
    """A worker that could open nobody's address, or sign nothing, says so and ends, at once."""
    try:
        made = assembly.assemble()
        made.close()
        assembly.require_sending(made.settings)
    except NewsletterError as refusal:
        print(languages.say(refusal.message, **refusal.facts), file=sys.stderr)
        sys.exit(1)


@celeryd_after_setup.connect
def _before_the_fork(instance: object = None, **_later: object) -> None:
    """Load everything, and let no collection touch it: children then share those pages. Leave one child free of bulk."""
    seats.of_worker(instance)
    importlib.import_module("workers.tasks")
    gc.collect()
    gc.freeze()
    # What a message is made of holds no cycles, so they are looked for seldom: nine microseconds a message less.
    gc.set_threshold(50_000, 10, 10)


def _app() -> Celery:
    chosen = settings.read()
    broker = assembly.urls(chosen).redis
    if broker:
        jobs.require_noeviction(broker)
    app = Celery("newsletter", broker=broker, include=["workers.tasks"])
    app.conf.update(
        jobs.broker_options(patience=5.0),
        task_queues=jobs.queues(),
        task_create_missing_queues=False,
        # A nudge that is lost loses nothing, so a task is taken off the queue when it starts.
        task_acks_late=False,
        # One task in hand: a child that is busy for 30 s must not sit on another lane's nudge.
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        # A broker whose disk is full refuses what is written, and Celery calls that an error of the channel: wait, as for one away.
        broker_channel_error_retry=True,
        beat_schedule=BEAT,
        # Ticks are harmless to repeat, so beat needs no file of its own that two machines could not share.
        beat_scheduler="celery.beat:Scheduler",
        timezone="UTC",
    )
    return app


app = _app()
