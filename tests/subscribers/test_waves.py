"""When a sign-up is held: room is taken by questions that nobody answered, and given back by answers."""

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.subscribers import waves
from newsletter.subscribers.waves import LIMITS, Origin, Taken, Why

NOW = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)


def passed(room: Taken, origins, now: datetime = NOW) -> int:
    """Return how many of some wishes are asked about, one after another."""
    count = 0
    for origin in origins:
        if room.why_held(origin, came_at=now, now=now) is None:
            room.take(origin)
            count += 1
    return count


def most(why: Why, *, alert: bool = False) -> int:
    return min(limit.in_alert if alert else limit.usual for limit in LIMITS if limit.why is why)


def different(number: int, **more) -> Origin:
    return Origin(client=f"c{number}".encode(), net=f"n{number}".encode(), **more)


@pytest.mark.parametrize("alert", [False, True])
def test_each_kind_has_its_room(alert: bool) -> None:
    """One machine, one network, one provider, all together: an attack meets a limit whichever way it spreads."""
    many = range(most(Why.OVERALL, alert=alert) + 5)
    assert passed(Taken(alert=alert), (Origin(client=b"c") for _ in many)) == most(Why.CLIENT, alert=alert)
    by_net = (Origin(client=str(one).encode(), net=b"n") for one in many)
    assert passed(Taken(alert=alert), by_net) == most(Why.NET, alert=alert)
    by_provider = (different(one, provider="google") for one in many)
    assert passed(Taken(alert=alert), by_provider) == most(Why.PROVIDER, alert=alert)
    assert passed(Taken(alert=alert), (different(one) for one in many)) == most(Why.OVERALL, alert=alert)


def test_the_reason_is_the_narrowest_one() -> None:
    """An operator who reads "network" blocks a network; "overall" would say nothing."""
    room = Taken()
    same = Origin(client=b"c", net=b"n", provider="google")
    passed(room, [same] * 1_000)
    assert room.why_held(same, came_at=NOW, now=NOW) is Why.CLIENT
    passed(room, (Origin(client=str(one).encode(), net=b"n") for one in range(1_000)))
    assert room.why_held(Origin(client=b"new", net=b"n"), came_at=NOW, now=NOW) is Why.NET


def test_nothing_known_is_counted_nowhere_but_overall() -> None:
    """Behind a proxy that hides everybody, all would stand in one crowd; and "other" is no provider."""
    assert passed(Taken(), (Origin() for _ in range(2_000))) == most(Why.OVERALL)


def test_a_small_sum_widens_the_room_of_its_address_and_no_other() -> None:
    """Whoever signs up behind the same address as an attacker gets in by their browser's work; the whole stays bounded."""
    assert passed(Taken(), (Origin(client=b"c", proved=True) for _ in range(2_000))) == most(Why.CLIENT) * waves.PROVED
    assert passed(Taken(), (different(one, proved=True) for one in range(2_000))) == most(Why.OVERALL)


def test_a_form_sent_at_once_waits_and_in_a_wave_for_an_operator() -> None:
    """A browser that fills in forms by itself is a person's too: it only waits."""
    quick = Origin(quick=True)
    later = NOW + waves.QUICK_WAITS
    assert Taken().why_held(quick, came_at=NOW, now=NOW) is Why.QUICK
    assert Taken().why_held(quick, came_at=NOW, now=later) is None
    assert Taken(wave=True).why_held(quick, came_at=NOW, now=later) is Why.QUICK


def test_an_alert_leaves_room_for_a_town() -> None:
    """3,000 real people of one network in ten minutes, none of whom has answered yet: nobody of them may wait."""
    town = (Origin(client=str(one % 250).encode(), net=b"town", provider="google") for one in range(3_000))
    assert passed(Taken(alert=True), town) == 3_000


def test_an_alert_s_limits_are_never_below_the_usual_ones() -> None:
    """A slip in the table would shut people out on the very night."""
    assert all(limit.in_alert > limit.usual for limit in LIMITS)
    for why in (Why.CLIENT, Why.NET, Why.PROVIDER, Why.OVERALL):
        assert [limit.within for limit in LIMITS if limit.why is why] == [waves.SHORT, waves.LONG]


def test_a_wave_begins_with_many_and_ends_with_quiet() -> None:
    """The team is told of attacks and not of a stall at a market."""
    assert not waves.begins(waves.WAVE_FROM - 1)
    assert waves.begins(waves.WAVE_FROM)
    assert not waves.over(NOW - waves.WAVE_OVER + timedelta(seconds=1), now=NOW)
    assert waves.over(NOW - waves.WAVE_OVER, now=NOW)
    assert waves.over(None, now=NOW)
