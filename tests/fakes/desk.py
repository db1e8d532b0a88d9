"""The desk at its work, in a thread of the test: it does what pages ask for."""

import threading
import time
from contextlib import contextmanager

from newsletter.journeys import errands


@contextmanager
def working(made):
    """Run the errands of a product until the block ends."""
    over = threading.Event()

    def work():
        while not over.is_set():
            errands.run(made.parts)
            errands.try_links(made.parts)
            time.sleep(0.06)  # a look costs some milliseconds, and other tests want them

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join(timeout=20)
