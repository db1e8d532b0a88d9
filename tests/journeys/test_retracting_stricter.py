"""What went can be taken back, however strict the rules have become since; and nothing else goes by that."""

import pytest

from newsletter.delivery import vouching
from newsletter.journeys import alert, retracting
from newsletter.ledger import locks
from newsletter.ledger.mailings import State
from newsletter.operators import audit
from tests import house
from tests.journeys import nights
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages
from tests.journeys.test_alert import books, locked
from tests.journeys.test_alert import words as words


@pytest.fixture
def number(made, tmp_path, words, author):
    """An alert that one person sent to two."""
    number = locked(made, tmp_path, words, author, 2)
    alert.release(made.parts, number, by=author.id)
    return number


@pytest.fixture
def stricter(tmp_path, database_urls, sink, made):
    """The same product, as somebody set it afterwards: nobody sends alone, and no code is enough."""
    strict = nights.RULES | {"one_person_up_to": 0, "codes_up_to": 0}
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", **strict)
    yield made
    made.close()


def test_a_stricter_setting_takes_back_what_went_by_the_one_before(made, stricter, number, sink):
    """Two had it, and were not told that it is wrong: the retraction was judged by a rule that no alert of theirs had."""
    made.deliver("urgent")
    assert books(made, number).accepted == 2
    back = retracting.retract(stricter.parts, number).retraction
    stricter.deliver("urgent")
    assert (books(stricter, back).state, books(stricter, back).accepted) == ("done", 2)


def test_what_no_worker_vouched_for_is_judged_as_ever(made, stricter, number, sink, author, tmp_path, words):
    """By another alert's seal, or by none, a row in the audit would let words go to whomever somebody likes."""
    made.deliver("urgent")
    with made.parts.database.transaction() as session:
        lock, now = locks.current(session, number), nights.now(made)
        assert vouching.went_by_us(session, number, lock.fingerprint)
        assert not vouching.went_by_us(session, number, bytes(32))
        [mine] = audit.of_mailing(session, vouching.WENT, number)
        facts = {"mailing": number + 100, "fingerprint": lock.fingerprint.hex()}
        for seal in (mine.facts["seal"], "", "no seal", None):
            audit.append(session, vouching.WENT, by=audit.WORKER, now=now, **facts, seal=seal)
        assert not vouching.went_by_us(session, number + 100, lock.fingerprint)


def test_the_key_of_the_pages_seals_nothing_of_it(made, pages, number):
    """They hold the team's key, and a worker opens what they seal by it."""
    made.deliver("urgent")
    with made.parts.database.transaction() as session:
        lock = locks.current(session, number)
    place = ("mailing", "vouched", number + 100)
    sealed = pages.parts.database.vault.seal_for_team(*place, lock.fingerprint.hex())
    with made.parts.database.transaction() as session:
        assert session.vault.unseal(*place, sealed) == lock.fingerprint.hex()
        facts = {"mailing": number + 100, "seal": sealed.hex()}
        audit.append(session, vouching.WENT, by=audit.WORKER, now=nights.now(made), **facts)
        assert not vouching.went_by_us(session, number + 100, lock.fingerprint)


def test_without_that_it_is_halted(made, stricter, number, sink):
    """It went, says its state; but no worker of ours says so."""
    stricter.deliver("urgent")
    assert books(stricter, number).state == State.PAUSED
    assert sink.messages == []
