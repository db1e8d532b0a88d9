"""Sign-ups under attack: victims get two mails at most, and real people get in, also by the thousand on the night of an alert."""

from collections import Counter
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import make_url, text

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.issues import digests
from newsletter.journeys import confirming, holding, joining
from newsletter.journeys.holding import Asked
from newsletter.operators.roles import Role
from newsletter.subscribers import held, signup, waves
from newsletter.subscribers.forms import Arrival
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.waves import Origin
from tests import house
from tests.journeys.crowds import crowd
from tests.operators.crew import Crew


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def form(made, address: str, client: str = "198.51.100.7", *, digest: str = "weekly", **more) -> str:
    """Send a form as the pages do."""
    came = Arrival(client=client, net=f"{client.rpartition('.')[0]}.0/24", **more)
    return joining.ask(made.parts, Wish(address, "en", {digest: "weekly"}, form="page"), came)


def forms(made, wished: list[tuple[str, str]]) -> None:
    """Send many forms, each an address and a client, as fast as the database takes them."""
    with made.parts.database.transaction() as session:
        now = database.now(session)
        weekly = digests.by_key(session, "weekly").id
        for place, (address, client) in enumerate(wished):
            origin = Origin(
                held.digest(session, "client", client), held.digest(session, "net", f"{client.rpartition('.')[0]}.0/24")
            )
            wish = Wish(address, "en", {"weekly": "weekly"})
            signup.add(session, f"{now}-{place}", wish, now=now, origin=origin, digest_ids=[weekly])


def later(urls, span: timedelta) -> None:
    """Let time pass: all that sign-ups remember of when is so much longer ago."""
    shift = " = ".join
    columns = ("came_at", "asked_at", "answered_at", "held_at", "released_at", "again_at")
    moves = ", ".join(shift((one, f"{one} - interval '{span.total_seconds()} seconds'")) for one in columns)
    house.by_owner(urls, f"UPDATE signup SET {moves}")
    house.by_owner(urls, f"UPDATE signup_wave SET began_at = began_at - interval '{span.total_seconds()} seconds'")


def alert(urls) -> None:
    """An alert has gone a moment ago."""
    house.by_owner(
        urls,
        "INSERT INTO mailing (kind, lane, state, fingerprint, started_at) VALUES ('alert', 'urgent', 'done', 'x', now())",
    )


def answer(made) -> int:
    """Let everybody who was asked press the button of their mail."""
    asked = ask(made, "SELECT id FROM signup WHERE state = 'asked' AND answered_at IS NULL")
    for (number,) in asked:
        confirming.confirm(made.parts, house.yes_link(made, number))
    return len(asked)


def questions(made) -> Counter:
    """Return how many mails each mailbox was to get."""
    return Counter(dict(ask(made, "SELECT mailbox_id, count(*) FROM delivery GROUP BY mailbox_id")))


def spelt(victim: int, way: int) -> str:
    """Return one of ten ways to write the address of one inbox: half the victims have it at Gmail, the others elsewhere."""
    name = f"victim{victim}"
    if victim % 2:
        ways = (name, f"{name[:1]}.{name[1:]}", ".".join(name), f"{name}+{way}", f"{name[:3]}.{name[3:]}+shop")
        return f"{ways[way % 5].upper() if way == 7 else ways[way % 5]}@{'googlemail' if way % 3 else 'gmail'}.com"
    return f"{name}+{way}@example.org" if way else f"{name}@example.org"


def of_each_victim(made, victims: int) -> Counter:
    """Return how many mails each inbox was to get, whichever way it was written."""
    whose = {EmailAddress.parse(spelt(one, way)).normal: one for one in range(victims) for way in range(10)}
    mails = questions(made)
    with made.parts.database.transaction() as session:
        boxes = mailboxes.open_all(session, mails)
    found: Counter = Counter()
    for box, address in boxes.items():
        found[whose[EmailAddress.parse(address).normal]] += mails[box]
    return found


def states(made) -> dict:
    return dict(ask(made, "SELECT state, count(*) FROM signup GROUP BY state ORDER BY state"))


def readers(made) -> int:
    return ask(made, "SELECT count(DISTINCT subscriber_id) FROM subscription WHERE ended_at IS NULL")[0][0]


@pytest.mark.parametrize(
    ("count", "victims", "clients"),
    [
        pytest.param(400, 40, 20),
        pytest.param(10_000, 1_000, 500, marks=pytest.mark.proof),
    ],
)
def test_a_bomb_brings_no_victim_more_than_two_mails(newsletter, database_urls, count, victims, clients) -> None:
    """10,000 forms for 1,000 strangers, each written in ten ways, from 500 addresses; it does not stop when we are slow."""
    wished = [
        (spelt(one % victims, one // victims % 10), f"203.{one % clients % 90}.{one % clients // 90}.9")
        for one in range(count)
    ]
    half = count // 2
    forms(newsletter, wished[:half])
    joining.work(newsletter.parts)
    later(database_urls, timedelta(minutes=16))
    forms(newsletter, wished[half:])
    joining.work(newsletter.parts)
    for span in (timedelta(minutes=16), timedelta(hours=1), timedelta(days=1), timedelta(days=1), timedelta(days=8)):
        later(database_urls, span)
        joining.work(newsletter.parts)
    mails = of_each_victim(newsletter, victims)
    assert 0 < len(mails) <= victims
    assert max(mails.values()) <= 2
    assert readers(newsletter) == 0


@pytest.mark.parametrize("count", [45, pytest.param(3_000, marks=pytest.mark.proof)])
def test_a_town_that_signs_during_an_alert_is_counted_to_the_last(newsletter, database_urls, count) -> None:
    """3,000 real people of one /24 in ten minutes, some of them through one address of their mobile network."""
    alert(database_urls)
    wished = [(f"reader{one}@example.org", f"203.0.113.{one % 200 if one % 3 else 1}") for one in range(count)]
    rounds = 10
    for place in range(rounds):
        forms(newsletter, wished[place::rounds])
        joining.work(newsletter.parts)
        answer(newsletter)
        later(database_urls, timedelta(minutes=1))
    for _ in range(2):
        joining.work(newsletter.parts)
        answer(newsletter)
        later(database_urls, timedelta(minutes=1))
    joining.work(newsletter.parts)
    assert readers(newsletter) == count
    assert states(newsletter) == {"settled": count}


@pytest.mark.proof
@pytest.mark.short
def test_more_than_a_thousand_behind_one_address_are_held_and_not_lost(newsletter, database_urls) -> None:
    """A mobile network has one address for a whole town: who comes too late for the minute comes in a little later."""
    alert(database_urls)
    most = next(limit.in_alert for limit in waves.LIMITS if limit.why is waves.Why.CLIENT)
    forms(newsletter, [(f"reader{one}@example.org", "203.0.113.9") for one in range(most + 10)])
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": most, "held": 10}
    house.by_owner(database_urls, "UPDATE signup SET answered_at = now(), answered_by = 'link' WHERE id <= 4")
    joining.work(newsletter.parts)
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": most, "held": 6, "settled": 4}
    later(database_urls, waves.SHORT)
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": most + 6, "settled": 4}


def test_what_a_town_brings_without_an_alert_goes_as_people_answer(newsletter, database_urls) -> None:
    """A school's fair is no alert: more than fit wait, and each answer lets the next one through."""
    forms(newsletter, [(f"pupil{one}@example.org", f"203.0.113.{one}") for one in range(60)])
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 40, "held": 20}
    for _ in range(2):
        answer(newsletter)
        joining.work(newsletter.parts)
    assert readers(newsletter) == 60


def test_who_signs_at_eight_and_acts_again_at_five_past_is_counted_for_both(newsletter, database_urls) -> None:
    """Each mail names what its yes is for: the second one goes as soon as the first is answered, and both acts count."""
    with newsletter.parts.database.transaction() as session:
        digests.add(
            session, "news", name="The News", languages=("en",), rhythm=digests.by_key(session, "weekly").rhythm
        )
    alert(database_urls)
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    later(database_urls, timedelta(minutes=5))
    form(newsletter, "ann@example.org", digest="news")
    joining.work(newsletter.parts)
    assert answer(newsletter) == 1
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 1, "settled": 1}
    assert answer(newsletter) == 1
    joining.work(newsletter.parts)
    assert states(newsletter) == {"settled": 2}
    assert len(ask(newsletter, "SELECT 1 FROM subscription WHERE ended_at IS NULL")) == 2


def test_who_signs_for_the_same_again_needs_one_yes(newsletter, database_urls) -> None:
    """The second form asks for nothing that the mail does not name: no second mail, and one yes counts for both."""
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    later(database_urls, timedelta(minutes=5))
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    assert not joining.any_due(newsletter.parts)
    assert answer(newsletter) == 1
    joining.work(newsletter.parts)
    assert states(newsletter) == {"settled": 2}


def test_a_bomb_of_many_digests_brings_two_mails_as_well(newsletter, database_urls) -> None:
    """What no mail named is asked about later: not as often as there are digests."""
    keys = [f"d{number}" for number in range(8)]
    with newsletter.parts.database.transaction() as session:
        rhythm = digests.by_key(session, "weekly").rhythm
        for key in keys:
            digests.add(session, key, name=key, languages=("en",), rhythm=rhythm)
    for key in keys:
        form(newsletter, "victim@example.org", digest=key)
        joining.work(newsletter.parts)
        later(database_urls, timedelta(minutes=3))
    for span in [timedelta(minutes=16)] * 4 + [timedelta(hours=6)] * 4 + [timedelta(days=3)] * 3:
        later(database_urls, span)
        joining.work(newsletter.parts)
    assert set(questions(newsletter).values()) == {2}


def test_sixty_tags_of_one_inbox_bring_two_mails(newsletter, database_urls) -> None:
    """Whoever wants to bury somebody writes the address anew each time: it is one inbox, and each from a network of its own."""
    tagged = [f"victim+{one}@gmail.com" for one in range(60)] + ["v.i.ctim@gmail.com", "vi.ctim@googlemail.com"]
    forms(newsletter, [(address, f"203.0.{one}.9") for one, address in enumerate(tagged)])
    for span in [timedelta(minutes=16)] * 4 + [timedelta(days=1)] * 4:
        joining.work(newsletter.parts)
        later(database_urls, span)
    assert sum(questions(newsletter).values()) == 2
    forms(newsletter, [(f"victim+more{one}@gmail.com", f"203.0.{one}.9") for one in range(30)])
    joining.work(newsletter.parts)
    later(database_urls, timedelta(minutes=16))
    forms(newsletter, [(f"victim+yet{one}@gmail.com", f"203.0.{one}.9") for one in range(30)])
    for span in [timedelta(minutes=16)] * 2 + [timedelta(days=1)] * 4:
        joining.work(newsletter.parts)
        later(database_urls, span)
    assert sum(questions(newsletter).values()) == 4, "four a month"


def test_what_was_held_at_another_spelling_brings_no_third_mail(newsletter, database_urls) -> None:
    """What waited for days goes when there is room, and must not bring an inbox more than what its day had."""
    school = [[(f"pupil{lesson}{one}@example.org", "203.0.113.9") for one in range(10)] for lesson in range(4)]
    held = [(f"victim+{tag}@example.org", "203.0.113.9") for tag in range(3)]
    asked = [[(f"victim+{tag}@example.org", "198.51.100.7")] for tag in ("first", "second")]
    for came in (*school, held, *asked):
        forms(newsletter, came)
        joining.work(newsletter.parts)
        later(database_urls, timedelta(minutes=16))
    assert states(newsletter) == {"asked": 42, "held": 3}, "one address brings forty a day"
    for _ in range(3):
        later(database_urls, timedelta(hours=10))
        joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 42, "beside": 3}, "they were let go, and wait for an answer"


def test_what_an_inbox_was_asked_before_it_was_counted_counts(newsletter, database_urls) -> None:
    """The update must not hand out a new budget to whoever is flooded on that day."""
    form(newsletter, "victim@example.org")
    joining.work(newsletter.parts)
    house.by_owner(database_urls, "UPDATE signup SET inbox = NULL")
    later(database_urls, timedelta(minutes=16))
    form(newsletter, "victim@example.org")
    joining.work(newsletter.parts)
    later(database_urls, timedelta(minutes=16))
    form(newsletter, "victim@example.org")
    joining.work(newsletter.parts)
    assert sum(questions(newsletter).values()) == 2


def test_who_writes_tags_has_each_of_their_wishes_once_they_answer(newsletter, database_urls) -> None:
    """Careful people sort their mail by tags: one answer frees what waited at their other addresses."""
    for tag in ("", "+news", "+work", "+home"):
        form(newsletter, f"ann{tag}@example.org")
    joining.work(newsletter.parts)
    later(database_urls, timedelta(minutes=16))
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 2, "beside": 2}
    for _ in range(4):
        answer(newsletter)
        joining.work(newsletter.parts)
    assert states(newsletter) == {"settled": 4}
    assert readers(newsletter) == 4


def test_who_answered_and_acts_again_at_five_past_is_asked_at_once(newsletter, database_urls) -> None:
    """An answer resets what was counted: nobody who takes part is shut out for taking part."""
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    answer(newsletter)
    joining.work(newsletter.parts)
    later(database_urls, timedelta(minutes=5))
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 1, "settled": 1}


def test_whose_mail_was_lost_asks_again_and_is_counted(newsletter, database_urls) -> None:
    """Mail gets lost on the night of an alert as well; the page says that one may ask again after a quarter of an hour."""
    alert(database_urls)
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    later(database_urls, timedelta(minutes=16))
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 2}
    answer(newsletter)
    joining.work(newsletter.parts)
    assert readers(newsletter) == 1
    assert sum(questions(newsletter).values()) == 3


def test_a_question_mailed_since_asks_about_what_was_held(newsletter, database_urls) -> None:
    """What waited for days must not mail a stranger again who did not answer then."""
    forms(newsletter, [(f"pupil{one}@example.org", f"203.0.113.{one}") for one in range(45)] * 2)
    joining.work(newsletter.parts)
    later(database_urls, timedelta(hours=25))
    joining.work(newsletter.parts)
    later(database_urls, timedelta(hours=25))
    joining.work(newsletter.parts)
    assert set(questions(newsletter).values()) == {1}
    assert set(states(newsletter)) == {"asked", "beside"}


def test_the_answer_of_the_page_is_the_same_for_what_is_held(newsletter, database_urls) -> None:
    """Whoever attacks must not learn from what number on it was in vain."""
    for one in range(15):
        form(newsletter, f"victim{one}@example.org")
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 10, "held": 5}
    assert form(newsletter, "victim99@example.org")


def test_a_form_sent_at_once_waits_five_minutes(newsletter, database_urls) -> None:
    """Filled in by a program: whether a spammer's or a person's own browser shows by whether its room is full."""
    stamp = joining.form(newsletter.parts).stamp
    form(newsletter, "ann@example.org", stamp=stamp)
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT state, held_why FROM signup") == [("held", "quick")]
    later(database_urls, waves.QUICK_WAITS)
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 1}


# what operators see and do


def test_the_team_is_told_once_of_a_wave(newsletter, database_urls) -> None:
    """Two o'clock at night is no time for a thousand messages, and none is too few."""
    crew = Crew(newsletter.parts.database, newsletter.parts.database)
    crew.member(Role.DATA_OFFICER)
    crew.member(Role.AUDITOR)
    forms(newsletter, [(f"victim{one}@example.org", "203.0.113.9") for one in range(80)])
    joining.work(newsletter.parts)
    joining.work(newsletter.parts)
    assert joining.form(newsletter.parts).wave
    assert ask(newsletter, "SELECT event, facts FROM hook_call") == [("signups-held", {"held": 70})]
    [(told,)] = ask(newsletter, "SELECT planned FROM mailing WHERE subject = 'Many sign-ups are held'")
    assert told == 1
    later(database_urls, waves.WAVE_OVER)
    joining.work(newsletter.parts)
    assert not joining.form(newsletter.parts).wave
    assert len(ask(newsletter, "SELECT 1 FROM hook_call")) == 1


def test_held_ones_are_let_through_by_what_they_have_in_common(newsletter, database_urls) -> None:
    """A union's bus is behind one address; its people are let in, the attack beside it is not."""
    forms(newsletter, [(f"rider{one}@example.org", "203.0.113.9") for one in range(30)])
    forms(newsletter, [(f"victim{one}@example.org", "198.51.100.9") for one in range(30)])
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 20, "held": 40}
    bus = Asked(net="203.0.113.0/24")
    seen = holding.look(newsletter.parts, bus)
    assert seen.counted.count == 20
    assert {(one.why, one.count) for one in seen.groups} == {("client", 20)}
    assert holding.look(newsletter.parts, Asked(net=seen.groups[0].net)).counted.count == 20
    assert holding.release(newsletter.parts, bus) == 20
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 40, "held": 20}
    assert holding.release(newsletter.parts, bus) == 0


def test_what_is_undone_is_forgotten_and_who_was_known_before_is_not_touched(
    newsletter, database_urls, tmp_path
) -> None:
    """An attack is taken back whole; a reader of ten years who also stood in it keeps all they have."""
    house.add_readers(newsletter, tmp_path, ["old@example.org"])
    before = ask(newsletter, "SELECT id, mailbox_id FROM subscriber")
    forms(newsletter, [(f"new{one}@example.org", "203.0.113.9") for one in range(12)])
    forms(newsletter, [("old@example.org", "203.0.113.10")])
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 11, "held": 2}
    answered = ask(newsletter, "SELECT id FROM signup ORDER BY id LIMIT 3") + ask(
        newsletter, "SELECT id FROM signup WHERE mailbox_id = :old", old=before[0][1]
    )
    for (number,) in answered:
        confirming.confirm(newsletter.parts, house.yes_link(newsletter, number))
    joining.work(newsletter.parts)
    assert readers(newsletter) == 4

    everything = Asked(net="203.0.113.0/24", held=False)
    assert holding.look(newsletter.parts, everything).counted.count == 13
    assert holding.undo(newsletter.parts, everything) == 13
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT id, mailbox_id FROM subscriber") == before
    assert readers(newsletter) == 1
    assert ask(newsletter, "SELECT count(*) FROM consent_event WHERE kind = 'withdrawn'") == [(3,)]
    assert ask(newsletter, "SELECT count(*) FROM signup WHERE length(wish_sealed) > 0") == [(0,)]
    assert set(states(newsletter)) == {"undone"}
    assert holding.undo(newsletter.parts, everything) == 0


def test_an_undone_question_can_no_longer_be_answered_nor_asked_anew(newsletter, database_urls) -> None:
    """The mail still lies in a stranger's box: its button begins nothing, and the attacker gets no new budget for it."""
    form(newsletter, "victim@example.org")
    joining.work(newsletter.parts)
    [(number,)] = ask(newsletter, "SELECT id FROM signup")
    with pytest.raises(holding.TooMuch):
        holding.undo(newsletter.parts, Asked(held=False))
    holding.undo(newsletter.parts, Asked(held=False, form="page"))
    joining.work(newsletter.parts)
    token = house.yes_link(newsletter, number)
    with pytest.raises(confirming.TooLate):
        confirming.confirm(newsletter.parts, token)
    assert not joining.confirm_by_reply(newsletter.parts, number)
    form(newsletter, "victim@example.org")
    joining.work(newsletter.parts)
    assert len(ask(newsletter, "SELECT 1 FROM delivery WHERE state <> 'cancelled'")) == 0
    assert states(newsletter) == {"beside": 1, "undone": 1}
    assert not joining.any_due(newsletter.parts)


def test_an_undone_attack_gives_the_room_back_to_everybody_else(newsletter, database_urls) -> None:
    """Else the first attack of the day would shut the door for the rest of it."""
    most = min(limit.usual for limit in waves.LIMITS if limit.why is waves.Why.OVERALL)
    crowd(newsletter, database_urls, most - 20)
    forms(newsletter, [(f"victim{one}@example.org", f"203.{one % 250}.{one // 250}.9") for one in range(20)])
    joining.work(newsletter.parts)
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": most, "held": 1}
    holding.undo(newsletter.parts, Asked(held=False, form="page", upto=most))
    joining.work(newsletter.parts)
    assert states(newsletter) == {"asked": 1, "undone": most}


def test_whence_somebody_came_is_known_for_a_week(newsletter, database_urls) -> None:
    """A digest of an address is one of four thousand million to whoever has the key: it goes as soon as it may."""
    form(newsletter, "ann@example.org")
    joining.work(newsletter.parts)
    later(database_urls, timedelta(days=6))
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT count(client), count(net) FROM signup") == [(1, 1)]
    later(database_urls, timedelta(days=1, minutes=1))
    assert joining.any_due(newsletter.parts)
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT count(client), count(net) FROM signup") == [(0, 0)]


def test_the_pages_role_sees_no_wish_and_decides_nothing(newsletter, database_urls) -> None:
    """A hole in a page must not show who wishes to join, let an attack through as answered, or find out whence somebody came."""
    form(newsletter, "ann@example.org")
    url = make_url(database_urls.web).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        for forbidden in (
            "SELECT wish_sealed FROM signup",
            "SELECT mailbox_id FROM signup",
            "SELECT client FROM signup",
            "SELECT inbox FROM signup",
            "SELECT made_person FROM signup",
            "UPDATE signup SET state = 'asked'",
            "UPDATE signup SET events = '{1}'",
            "DELETE FROM signup",
            "INSERT INTO signup_wave (began_at, held) VALUES (now(), 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)


# four kinds of address
