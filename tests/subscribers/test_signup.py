"""How often the owner of an address is asked: a rule of values, so that nobody can be flooded by somebody else's forms."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from newsletter.subscribers import signup
from newsletter.subscribers.signup import Answer, SignupView, Wish

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def test_whoever_was_never_asked_is_asked() -> None:
    """The first form must be answered with a mail, or nobody could ever join."""
    assert signup.may_ask([], now=NOW)


def test_a_lost_mail_is_sent_again_after_a_quarter_of_an_hour() -> None:
    """Mail gets lost; whoever asks at once again only pressed twice."""
    assert not signup.may_ask([ago(minutes=14)], now=NOW)
    assert signup.may_ask([ago(minutes=15)], now=NOW)


def test_two_a_day_and_four_a_month() -> None:
    """A third mail on one day to somebody who answers none is what the third person wants who types their address in."""
    assert not signup.may_ask([ago(hours=5), ago(hours=1)], now=NOW)
    assert signup.may_ask([ago(hours=25), ago(hours=1)], now=NOW)
    assert not signup.may_ask([ago(days=20), ago(days=9), ago(days=8), ago(days=2)], now=NOW)
    assert signup.may_ask([ago(days=31), ago(days=9), ago(days=8), ago(days=2)], now=NOW)


@given(some.lists(some.integers(0, 60 * 24 * 30), max_size=200))
def test_no_order_of_forms_brings_more(minutes: list[int]) -> None:
    """Whatever is posted and when, a victim gets two mails a day and four a month."""
    sent: list[datetime] = []
    for moment in sorted(NOW + timedelta(minutes=minute) for minute in minutes):
        within = [one for one in sent if moment - one < timedelta(days=30)]
        if signup.may_ask(within, now=moment):
            sent.append(moment)
    for moment in sent:
        assert sum(moment <= one < moment + timedelta(days=1) for one in sent) <= 2
        assert sum(moment <= one < moment + timedelta(days=30) for one in sent) <= 4


def test_what_no_mail_named_is_asked_about_a_quarter_of_an_hour_later_or_once_they_answer() -> None:
    """A person waits for that mail; a stranger gets no third one on a day, nor one tomorrow, by what was typed in today."""
    assert signup.next_chance([ago(minutes=5)]) == NOW + timedelta(minutes=10)
    assert signup.next_chance([ago(minutes=21), ago(minutes=5)]) is None
    assert signup.next_chance([ago(days=20), ago(days=9), ago(days=8), ago(minutes=5)]) is None


def view(number: int, *, named: frozenset[int] = frozenset(), answered: bool = False) -> SignupView:
    by = Answer.LINK if answered else None
    return SignupView(number, 1, NOW, NOW if answered else None, by, "", Wish("a@example.org", "en", {}), named=named)


def test_a_yes_is_one_to_what_its_mail_named_and_to_nothing_else() -> None:
    """Whoever pressed read that mail, and no other."""
    narrow, wide = view(1, named=frozenset({1}), answered=True), view(2, named=frozenset({1, 2}), answered=True)
    assert signup.answer_for(view(3), [1], [narrow]) is narrow
    assert signup.answer_for(view(3), [1], [narrow, wide]) is wide
    assert signup.answer_for(view(3), [1, 2], [narrow]) is None
    assert signup.answer_for(view(3), [2], [narrow]) is None
    assert signup.answer_for(narrow, [1], [narrow, wide]) is narrow
