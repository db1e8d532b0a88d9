"""People of a list that shows no permission are asked in their own way: at no stranger's cost, and silent only once asked."""

import email
import email.policy

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.bounces.routing import Arrived
from newsletter.issues import digests
from newsletter.journeys import choosing, confirming, inbound, joining, leaving, moving_in, retention, returns
from newsletter.journeys import mailing as mailings
from newsletter.subscribers import held
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.preferences import Level
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.fakes import answers
from tests.journeys.crowds import crowd

LISTED, STRANGERS = 30, 30
ALREADY = 560
"""So many strangers were asked a moment ago: with those who come there is room for them, and not for those of a list besides."""


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def bring(made, tmp_path, count, *, digest=house.DIGEST, evidence=""):
    """Import a list of so many people, of whom nothing is shown without evidence; return the import's number."""
    path = tmp_path / "old.csv"
    rows = "".join(f"old{number}@example.org,\n" for number in range(count))
    path.write_text(f"email,optin_time\n{rows}", encoding="utf-8")
    permission = moving_in.Permission(Basis.IMPORTED, evidence)
    return moving_in.import_subscribers(made.parts, str(path), digest_key=digest, permission=permission).number


def second(made):
    """Let there be another digest beside the weekly one."""
    with made.parts.database.transaction() as session:
        digests.add(session, "news", name="The News", languages=("en",), rhythm=Rhythm.DAILY)


def have_asked(made, *numbers):
    """Have those of some imports asked, and plan their questions."""
    for number in numbers:
        moving_in.ask(made.parts, number)
    joining.work(made.parts)


def mail(made):
    """Mail what is due in the bulk lane."""
    made.sweep()
    made.deliver("bulk", seconds=4)


def subjects(sink):
    read = (email.message_from_bytes(one.content, policy=email.policy.default) for one in sink.messages)
    return [one["Subject"] for one in read]


def a_quarter_later(urls):
    for column in ("came_at", "asked_at", "again_at"):
        house.by_owner(urls, f"UPDATE signup SET {column} = {column} - interval '16 minutes'")


def recipients(sink, before=0):
    return sorted(message.recipient for message in sink.messages[before:])


def pass_days(made, urls, days):
    """Let days pass for who was asked and for the mail to them, and do what a worker does of a day."""
    columns = {
        "unproven": ["asked_at"],
        "signup": ["came_at", "asked_at"],
        "mailing": ["created_at", "expires_at"],
    }
    for table, names in columns.items():
        for name in names:
            house.by_owner(urls, f"UPDATE {table} SET {name} = {name} - interval '{days} days'")
    made.sweep()
    joining.work(made.parts)
    retention.tidy(made.parts)


def form(made, address):
    joining.ask(made.parts, Wish(address, "en", {house.DIGEST: "weekly"}, form="import"))


@pytest.mark.parametrize("together", [False, True], ids=["a moment later", "in the same turn"])
def test_whom_an_operator_asks_takes_no_strangers_room(newsletter, tmp_path, database_urls, together):
    """Six hundred of a list in ten minutes: fifty of sixty who signed up meanwhile were held, and the team read of an attack."""
    crowd(newsletter, database_urls, ALREADY)
    moving_in.ask(newsletter.parts, bring(newsletter, tmp_path, LISTED))
    if not together:
        joining.work(newsletter.parts)
    for number in range(STRANGERS):
        form(newsletter, f"new{number}@example.net")
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT state, count(*) FROM signup GROUP BY state") == [
        ("asked", ALREADY + LISTED + STRANGERS)
    ]
    with newsletter.parts.database.transaction() as session:
        assert held.wave(session) is None


def test_whatever_a_stranger_calls_their_form_counts(newsletter, database_urls):
    """The name of a form is whatever its sender says: else everybody would call theirs the operator's."""
    crowd(newsletter, database_urls, 580, form="import")
    for number in range(30):
        form(newsletter, f"new{number}@example.net")
    joining.work(newsletter.parts)
    states = dict(tuple(row) for row in ask(newsletter, "SELECT state, count(*) FROM signup GROUP BY state"))
    assert states == {"asked": 600, "held": 10}


def test_only_whom_the_question_reached_was_silent(tmp_path, database_urls, sink):
    """Three of eight were mailed by a relay of three a day: the other five were “silent”, and for two years asked by nobody."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?daily=3")
    number = bring(made, tmp_path, 8)
    assert moving_in.ask(made.parts, number) == 8
    joining.work(made.parts)
    made.deliver("bulk", seconds=5)
    assert len(recipients(sink)) == 3
    pass_days(made, database_urls, 27)
    assert ask(made, "SELECT state, count(*) FROM delivery GROUP BY state ORDER BY 1") == [
        ("accepted", 3),
        ("planned", 5),
    ]
    pass_days(made, database_urls, 5)
    assert ask(made, "SELECT count(*) FROM stayed_silent") == [(3,)]
    assert moving_in.unasked(made.parts) == {number: 5}
    assert moving_in.ask(made.parts, number) == 5
    house.by_owner(database_urls, "DELETE FROM relay_use")
    joining.work(made.parts)
    made.deliver("bulk", seconds=5)
    assert len(set(recipients(sink))) == 6, "three more, and nobody twice"
    made.close()


def test_a_stranger_is_not_kept_waiting_by_whom_an_operator_asks(newsletter, tmp_path, sink):
    """Somebody stands before the page and waits for the mail; nobody of the list waits for anything."""
    moving_in.ask(newsletter.parts, bring(newsletter, tmp_path, 30))
    joining.work(newsletter.parts)
    form(newsletter, "new@example.net")
    joining.work(newsletter.parts)
    newsletter.deliver("transactional", seconds=5)
    assert recipients(sink) == ["new@example.net"]
    newsletter.sweep()
    newsletter.deliver("bulk", seconds=10)
    assert len(recipients(sink)) == 31


@pytest.mark.parametrize("together", [False, True], ids=["a moment later", "in the same turn"])
def test_who_signs_up_does_not_wait_for_the_question_of_a_list(newsletter, tmp_path, sink, database_urls, together):
    """Their address stands in an old list that is asked just now: that mail may come in weeks, and they stand before the page."""
    moving_in.ask(newsletter.parts, bring(newsletter, tmp_path, 1))
    if not together:
        joining.work(newsletter.parts)
    form(newsletter, "old0@example.org")
    joining.work(newsletter.parts)
    house.by_owner(
        database_urls,
        "UPDATE signup SET asked_at = asked_at - interval '16 minutes', again_at = again_at - interval '16 minutes'",
    )
    joining.work(newsletter.parts)
    newsletter.deliver("transactional", seconds=5)
    assert recipients(sink) == ["old0@example.org"]


def test_a_list_that_is_dead_is_asked_no_further(newsletter, tmp_path, sink):
    """An old list is where the dead addresses are: what protects the name of a digest's sender protects it here as well."""
    sink.refuse = lambda _recipient: "550 5.1.1 no such user"
    moving_in.ask(newsletter.parts, bring(newsletter, tmp_path, 30))
    joining.work(newsletter.parts)
    newsletter.deliver("bulk", seconds=10)
    assert ask(newsletter, "SELECT state, halted FROM mailing") == [("paused", "dead")]


def pages_of(made, reader):
    """Return the token of a reader's own page."""
    with made.parts.database.transaction() as session:
        return made.parts.tokens.preferences(reader, now=database.now(session))


LEFT = {
    "leaves everything": lambda made, _: leaving.leave_everything(made.parts, pages_of(made, 1)),
    "refuses that digest": lambda made, _: leaving.leave(made.parts, made.parts.tokens.leave(1, 2, 1)),
    "takes it by preferences": lambda made, _: choosing.choose(made.parts, house.fresh_link(made, 1), Level.EVERYTHING),
    "is on a list with evidence": lambda made, folder: bring(made, folder, 1, digest="news", evidence="paper"),
}


@pytest.mark.parametrize("act", LEFT.values(), ids=LEFT)
def test_a_reader_who_has_said_it_meanwhile_is_not_asked(newsletter, tmp_path, sink, act):
    """Whoever pressed "leave everything" was mailed for four weeks more: "May we write to you? The News"."""
    second(newsletter)
    bring(newsletter, tmp_path, 1, evidence="paper")
    have_asked(newsletter, bring(newsletter, tmp_path, 1, digest="news"))
    assert ask(newsletter, "SELECT state FROM delivery") == [("planned",)]
    act(newsletter, tmp_path)
    mail(newsletter)
    assert subjects(sink) == []
    assert ask(newsletter, "SELECT state FROM delivery") == [("cancelled",)]


def test_who_leaves_everything_is_not_asked_by_a_worker_that_holds_her_question(newsletter, tmp_path):
    """A slow relay has a shard for minutes: leaving holds from the next half second on, and not from the next lease."""
    second(newsletter)
    bring(newsletter, tmp_path, 1, evidence="paper")
    have_asked(newsletter, bring(newsletter, tmp_path, 1, digest="news"))
    leaving.leave_everything(newsletter.parts, pages_of(newsletter, 1))
    assert ask(newsletter, "SELECT state, reason FROM delivery") == [("cancelled", "unsubscribed")]


def test_who_leaves_everything_by_a_page_is_not_asked(newsletter, tmp_path, database_urls, sink):
    """The pages may end that question as well: the wish was refused as a whole there, and lay in a spool."""
    second(newsletter)
    bring(newsletter, tmp_path, 1, evidence="paper")
    have_asked(newsletter, bring(newsletter, tmp_path, 1, digest="news"))
    web = house.build(tmp_path, database_urls, sink.url, web=True)
    assert leaving.leave_everything(web.parts, pages_of(newsletter, 1))
    web.close()
    assert ask(newsletter, "SELECT state FROM delivery") == [("cancelled",)]
    assert ask(newsletter, "SELECT ended_at FROM subscription WHERE ended_at IS NULL") == []


def test_who_has_answered_meanwhile_is_not_asked(newsletter, tmp_path, sink):
    """Whoever said yes by another mail, or no to this one, has answered."""
    have_asked(newsletter, bring(newsletter, tmp_path, 3))
    yes, no, _ = [number for (number,) in ask(newsletter, "SELECT id FROM signup ORDER BY id")]
    confirming.confirm(newsletter.parts, house.yes_link(newsletter, yes))
    assert joining.refuse_by_reply(newsletter.parts, no)
    joining.work(newsletter.parts)
    mail(newsletter)
    assert recipients(sink) == ["old2@example.org"]


def test_who_said_no_to_half_of_a_question_can_be_asked_about_the_rest(newsletter, tmp_path, sink, database_urls):
    """The mail is written and names both: its one button would bring back what she refused. So it does not go."""
    second(newsletter)
    one, two = bring(newsletter, tmp_path, 1), bring(newsletter, tmp_path, 1, digest="news")
    have_asked(newsletter, one, two)
    assert ask(newsletter, "SELECT named FROM signup WHERE state = 'asked'") == [([1, 2],)]
    leaving.leave(newsletter.parts, newsletter.parts.tokens.leave(1, 1, 1))
    mail(newsletter)
    assert subjects(sink) == []
    pass_days(newsletter, database_urls, 32)
    assert moving_in.unasked(newsletter.parts) == {two: 1}
    have_asked(newsletter, two)
    mail(newsletter)
    assert subjects(sink) == ["May we write to you? The News"]


@pytest.mark.parametrize("together", [True, False], ids=["in one turn", "a turn later"])
def test_one_question_is_for_all_lists(newsletter, tmp_path, sink, database_urls, together):
    """Two lists, two digests, one person: she had two mails, each of which named both."""
    second(newsletter)
    one, two = bring(newsletter, tmp_path, 1), bring(newsletter, tmp_path, 1, digest="news")
    have_asked(newsletter, *([one, two] if together else [one]))
    if not together:
        have_asked(newsletter, two)
    mail(newsletter)
    a_quarter_later(database_urls)
    joining.work(newsletter.parts)
    mail(newsletter)
    assert subjects(sink) == ["May we write to you? The Weekly" + ", The News" * together]
    [(asked,)] = ask(newsletter, "SELECT id FROM signup WHERE state = 'asked'")
    confirming.confirm(newsletter.parts, house.yes_link(newsletter, asked))
    joining.work(newsletter.parts)
    taken = ask(newsletter, "SELECT digest_id FROM subscription ORDER BY 1")
    assert taken == [(1,), (2,)][: 1 + together]
    mail(newsletter)
    assert subjects(sink)[1:] == ["May we write to you? The News"] * (not together), (
        "she has answered: she may be asked"
    )


def test_it_names_nothing_that_a_stranger_typed(newsletter, tmp_path, sink, database_urls):
    """ "Your address stands on our list for The News from before" was a form of sixteen minutes ago; one press took both."""
    second(newsletter)
    number = bring(newsletter, tmp_path, 1)
    joining.ask(newsletter.parts, Wish("old0@example.org", "en", {"news": "daily"}, form="import"))
    joining.work(newsletter.parts)
    a_quarter_later(database_urls)
    have_asked(newsletter, number)
    mail(newsletter)
    assert subjects(sink) == ["May we write to you? The Weekly"]
    [(asked,)] = ask(newsletter, "SELECT id FROM signup WHERE released_at IS NOT NULL")
    confirming.confirm(newsletter.parts, house.yes_link(newsletter, asked))
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT digest_id FROM subscription") == [(1,)]


CUT = {
    "by the page": lambda made, number: confirming.confirm(made.parts, house.yes_link(made, number)[:32]),
    "by an unsigned reply": lambda made, number: joining.ask_once_more(made.parts, number),
}


@pytest.mark.parametrize("act", CUT.values(), ids=CUT)
def test_who_comes_by_a_cut_link_is_asked_at_once(newsletter, tmp_path, sink, database_urls, act):
    """She stands before the page that says "look for the mail": by the bulk lane that may come in weeks."""
    have_asked(newsletter, bring(newsletter, tmp_path, 1))
    mail(newsletter)
    [(number,)] = ask(newsletter, "SELECT id FROM signup")
    a_quarter_later(database_urls)
    act(newsletter, number)
    joining.work(newsletter.parts)
    newsletter.deliver("transactional", seconds=3)
    assert recipients(sink) == ["old0@example.org"] * 2


def test_who_was_silent_to_one_question_is_asked_by_no_other(newsletter, tmp_path, sink, database_urls):
    """The second list's question never reached her, and by that her silence to the first was forgotten: both could be asked."""
    second(newsletter)
    one, two = bring(newsletter, tmp_path, 1), bring(newsletter, tmp_path, 1, digest="news")
    have_asked(newsletter, one)
    mail(newsletter)
    assert len(subjects(sink)) == 1
    have_asked(newsletter, two)
    pass_days(newsletter, database_urls, 40)
    assert ask(newsletter, "SELECT count(*) FROM stayed_silent") == [(1,)]
    assert moving_in.unasked(newsletter.parts) == {}
    assert ask(newsletter, "SELECT count(*) FROM unproven") == [(0,)]


@pytest.mark.parametrize("stopped", [False, True], ids=["planned", "stopped before"])
def test_a_wrong_list_that_is_taken_back_asks_nobody(newsletter, tmp_path, sink, database_urls, stopped):
    """Whom no question had reached were "silent" for two years, and were mailed all the same; the right list asks them, once."""
    number = bring(newsletter, tmp_path, 3)
    have_asked(newsletter, number)
    if stopped:
        [(mailing,)] = ask(newsletter, "SELECT id FROM mailing")
        mailings.stop(newsletter.parts, mailing)
    undone = moving_in.undo(newsletter.parts, number, suppressions_too=False)
    assert (undone.forgotten, undone.kept) == (3, 0)
    mail(newsletter)
    assert recipients(sink) == []
    for table in ("stayed_silent", "unproven", "signup", "subscriber", "address_index"):
        assert ask(newsletter, f"SELECT count(*) FROM {table}") == [(0,)], table
    have_asked(newsletter, bring(newsletter, tmp_path, 3))
    mail(newsletter)
    assert recipients(sink) == [f"old{number}@example.org" for number in range(3)]


def test_who_was_reached_before_a_list_was_taken_back_is_asked_by_none(tmp_path, database_urls, sink):
    """Two of five had been mailed: they may answer still and are not asked again, and the other three never heard of it."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?daily=2")
    number = bring(made, tmp_path, 5)
    have_asked(made, number)
    mail(made)
    assert len(recipients(sink)) == 2
    undone = moving_in.undo(made.parts, number, suppressions_too=False)
    assert (undone.forgotten, undone.kept) == (3, 2)
    assert ask(made, "SELECT count(*) FROM stayed_silent") == [(2,)]
    assert moving_in.ask(made.parts, bring(made, tmp_path, 5), dry_run=True) == 3
    made.close()


@pytest.mark.parametrize("wrong", [0, 1], ids=["the first list", "the second list"])
def test_what_another_list_asks_as_well_is_asked_by_itself(newsletter, tmp_path, sink, wrong):
    """One mail was planned for both lists: it names what nobody asks about any more, so another takes its place."""
    second(newsletter)
    lists = [bring(newsletter, tmp_path, 1), bring(newsletter, tmp_path, 1, digest="news")]
    have_asked(newsletter, *lists)
    moving_in.undo(newsletter.parts, lists[wrong], suppressions_too=False)
    joining.work(newsletter.parts)
    mail(newsletter)
    assert subjects(sink) == [f"May we write to you? {('The News', 'The Weekly')[wrong]}"]


def test_the_question_says_why_it_comes(newsletter, tmp_path, sink):
    """Nobody asked for anything: “someone, we hope you, asked us” and “the page where you asked” were lies to all of them."""
    moving_in.ask(newsletter.parts, bring(newsletter, tmp_path, 1))
    joining.work(newsletter.parts)
    newsletter.deliver("bulk", seconds=5)
    [message] = sink.messages
    read = email.message_from_bytes(message.content, policy=email.policy.default)
    assert read["Subject"] == "May we write to you? The Weekly"
    for kind in ("plain", "html"):
        said = " ".join(read.get_body((kind,)).get_content().split())
        assert "asked" not in said
        assert "Type these" not in said
        assert "This is Friends of Sarand." in said
        assert "Your address stands on our list for “The Weekly” from before" in said
        assert "To stay away you need do nothing" in said
        assert "/c/" in said
        assert "answer" not in said, "nobody would read it"


@pytest.mark.parametrize("evidence", ["", "the paper forms"])
def test_whoever_answers_no_hears_of_it_never_again(tmp_path, database_urls, sink, evidence):
    """It is bulk mail that nobody asked for, and its only way out was silence: the mail names one, and that holds."""
    made = house.build(tmp_path, database_urls, sink.url, bounce_domain="back.sarand.example")
    inbound.self_test(made.parts, lambda probe: returns.take(made.parts, Arrived("", probe, b"")) and None)
    have_asked(made, bring(made, tmp_path, 1))
    mail(made)
    [message] = sink.messages
    read = email.message_from_bytes(message.content, policy=email.policy.default)
    for kind in ("plain", "html"):
        said = " ".join(read.get_body((kind,)).get_content().split())
        assert "If you answer this mail with “no”, no list will have us ask you about this again." in said
    no = Arrived("old0@example.org", str(read["Reply-To"]), answers.gmail(message.content, "old0@example.org", "No"))
    assert returns.take(made.parts, no) is returns.Done.REFUSED
    pass_days(made, database_urls, 70)
    again = bring(made, tmp_path, 1, evidence=evidence)
    assert moving_in.ask(made.parts, again) == 0
    assert ask(made, "SELECT 1 FROM subscription") == []
    made.close()


def test_who_leaves_before_a_worker_hears_their_yes_stays_away(newsletter, tmp_path, sink):
    """The workers were down for an hour: she said yes to one more digest, then left everything, and was subscribed again."""
    second(newsletter)
    bring(newsletter, tmp_path, 1, evidence="paper")
    joining.ask(newsletter.parts, Wish("old0@example.org", "en", {"news": "daily"}))
    joining.work(newsletter.parts)
    [(number,)] = ask(newsletter, "SELECT id FROM signup WHERE state = 'asked'")
    confirming.confirm(newsletter.parts, house.yes_link(newsletter, number))
    leaving.leave_everything(newsletter.parts, pages_of(newsletter, 1))
    joining.work(newsletter.parts)
    newsletter.deliver("transactional")
    assert ask(newsletter, "SELECT 1 FROM subscription WHERE ended_at IS NULL") == []
    assert not any("Welcome" in one for one in subjects(sink))


def test_who_says_yes_after_they_left_is_back(newsletter, tmp_path):
    """The later word counts, whenever a worker hears of it."""
    second(newsletter)
    bring(newsletter, tmp_path, 1, evidence="paper")
    joining.ask(newsletter.parts, Wish("old0@example.org", "en", {"news": "daily"}))
    joining.work(newsletter.parts)
    leaving.leave_everything(newsletter.parts, pages_of(newsletter, 1))
    [(number,)] = ask(newsletter, "SELECT id FROM signup WHERE state = 'asked'")
    confirming.confirm(newsletter.parts, house.yes_link(newsletter, number))
    joining.work(newsletter.parts)
    assert len(ask(newsletter, "SELECT 1 FROM subscription WHERE ended_at IS NULL")) == 1
