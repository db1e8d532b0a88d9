"""A file of pinned keys that is damaged, or that others may write: nobody is trusted by it, and nothing else stands still."""

import pytest

from newsletter.cli import checking
from newsletter.journeys import alert, desk, drilling, mailing, mandates
from newsletter.journeys.alert import NotEnough
from newsletter.ledger.mailings import State
from newsletter.operators.night import Fault
from newsletter.operators.pins import BadPins, OthersMayWrite
from tests import house
from tests.journeys import nights
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import books, by_code, locked, phone_of, signature
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_alert import words as words
from tests.journeys.test_forging import audited
from tests.journeys.test_mandates import wish


@pytest.fixture(params=["{", "writable", '{"site": {"host": "h", "origin": "o"}, "keys": [1]}', "hour"])
def spoil(request, made):
    """A function that spoils the file."""

    def do():
        if request.param == "writable":
            made.settings.pins.chmod(0o664)
        else:
            whole = made.settings.pins.read_text()
            nowhere = whole.replace('"operator"', '"until": "2026-01-01T00:00:00", "operator"', 1)
            made.settings.pins.write_text(nowhere if request.param == "hour" else request.param)

    return do


@pytest.fixture
def approved(made, pages, tmp_path, words, crew, author, approver):
    """An alert to six that a passkey approved and that is under way."""
    number = locked(made, tmp_path, words, author, 6)
    nights.by_passkey(pages, made, number, approver, signature(made, phone_of(crew, made, approver), number))
    alert.release(made.parts, number, by=author.id)
    return number


def test_it_halts_what_rests_on_a_key_and_says_so(made, pages, approved, sink, spoil):
    """It was a worker's crash, again and again: no alert went, and nobody was told."""
    kept = made.settings.pins.read_text()
    spoil()
    made.deliver("urgent")
    assert (sink.messages, books(made, approved).state) == ([], "paused")
    assert '"why":"pins"' in audited(made)[0]
    assert nights.calls(made)[-1][0] == "refused"
    [found] = alert.standing(pages.parts, approved).refusals
    assert found.why == "vouch.pins"
    made.settings.pins.write_text(kept)
    made.settings.pins.chmod(0o644)
    mailing.resume(made.parts, approved)
    made.deliver("urgent")
    assert len([one for one in sink.messages if one.recipient in house.addresses(6)]) == 6


def test_it_keeps_back_nothing_that_rests_on_a_code(made, tmp_path, words, crew, author, approver, sink, spoil):
    """Six figures from a phone need no file."""
    phone_of(crew, made, approver)
    spoil()
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    assert (books(made, number).state, len(sink.messages)) == ("done", 4)


def test_pages_show_the_fault_and_keep_their_buttons(made, pages, approved, spoil):
    """Whoever would stop it needs its page."""
    spoil()
    assert desk.shown(pages.parts, approved).standing.state is State.SENDING


def test_a_drill_fails_by_it(made, crew, author, spoil, sink):
    """The lamp in the morning is for the night: the lane is not proved where no large alert could go."""
    phone_of(crew, made, author)
    spoil()
    drilling.drill(made.parts)
    made.deliver("urgent")
    drilling.look(made.parts)
    assert drilling.lamp(made.parts).ok is False
    assert '"why":"pins"' in audited(made)[0]


def test_nobody_signs_by_it(made, crew, author, approver, spoil):
    """What is said names no path of the machine: pages say it too."""
    phone_of(crew, made, approver)
    spoil()
    found = mandates.add(made.parts, wish(made, author))
    with pytest.raises(NotEnough) as refused:
        mandates.sign_by_passkey(made.parts, found.id, by=approver.id, assertion="{}")
    assert (refused.value.fault, "path" in refused.value.facts) == (Fault.PINS, False)


def test_doctor_reads_it(made, crew, author, approver, spoil):
    """And says who is pinned, or that nobody is."""
    path = made.settings.pins
    assert checking.of_the_keys(path).ok is None
    phone_of(crew, made, author)
    phone_of(crew, made, approver)
    assert checking.of_the_keys(path).found == "of 2 operators, 1 of whom may approve"
    spoil()
    with pytest.raises((BadPins, OthersMayWrite)):
        checking.of_the_keys(path)
