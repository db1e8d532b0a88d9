"""What is made once a process, by whom."""

import threading
import time

import pytest

from newsletter.once import once


def test_of_all_who_come_at_once_one_makes_it_and_the_others_have_the_same():
    """The pages' forty threads each read every catalogue after a start, and a crowd waited behind them for ten seconds."""
    made, found, ready = [], [], threading.Barrier(8)

    @once
    def slowly(name):
        made.append(name)
        time.sleep(0.05)
        return object()

    def ask(name):
        ready.wait()
        found.append((name, slowly(name)))

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("fa", "ar") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == ["ar", "fa"]
    assert len(set(found)) == 2


def test_what_is_made_may_be_made_of_what_is_made_once():
    """A language's catalogue asks which languages there are: in the same thread that waits for nobody."""

    @once
    def depth(left):
        return 0 if not left else 1 + depth(left - 1)

    assert depth(3) == 3


def test_what_failed_is_tried_again():
    """A file that could not be read at the first page is no reason to answer no other."""
    answers = iter([OSError("too many open files"), "read"])

    @once
    def read():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(OSError, match="too many"):
        read()
    assert read() == "read"
