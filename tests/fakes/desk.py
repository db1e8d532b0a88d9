"""The desk at its work, in a thread of the test: it does what pages ask for."""

import threading
import time
from contextlib import contextmanager

import psycopg
from sqlalchemy import make_url

from newsletter.journeys import errands

# One statement and no transaction: the desk's own look is ten, and a story at night waits through hundreds of them.
ASKED = "SELECT EXISTS (SELECT FROM errand WHERE done_at IS NULL)"


@contextmanager
def working(made):
    """Run the errands of a product until the block ends."""
    over = threading.Event()

    def work():
        with psycopg.connect(url, autocommit=True) as looking:
            while not over.wait(0.03):
                if looking.execute(ASKED).fetchone()[0]:
                    errands.run(made.parts)
                    errands.try_links(made.parts)

    url = make_url(made.urls.database).set(drivername="postgresql").render_as_string(hide_password=False)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=20)


def rest(made):
    """Wait until the desk has done all that was asked for: links are tried beside the story."""
    until = time.monotonic() + 60
    while errands.waits(made.parts) or errands.waits(made.parts, links=True):
        assert time.monotonic() < until, "the desk is away"
        time.sleep(0.05)
