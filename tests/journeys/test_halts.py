"""The team was told that an alert goes; whoever halts it, everybody hears that it does not."""

from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from newsletter.journeys import (
    alert,
    desk,
    drafting,
    expiring,
    halting,
    halts,
    mailing,
    publicity,
    publish,
    retracting,
    stopping,
    translating,
)
from newsletter.ledger import shards, wire
from newsletter.ledger.mailings import Lane, State
from newsletter.operators import hooks, people
from newsletter.operators.roles import NotAllowed, Role
from tests import house
from tests.delivery.test_carrying import delivering, wait_for
from tests.journeys import nights
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import on_its_way as on_its_way
from tests.journeys.nights import pages as pages
from tests.journeys.test_turns import Act, waits

PAUSED_EARLIER = "UPDATE hook_call SET made_at = now() - interval '1 hour' WHERE event = 'paused'"


@pytest.fixture
def number(made, author, approver, on_its_way):
    """An alert on its way to two, of which the team was told."""
    return on_its_way


def told(made, sink):
    """Sweep, and return what each of the team is mailed: subject and text."""
    made.sweep()
    sink.messages.clear()
    made.deliver("transactional")
    mails = [(one.recipient, message_from_bytes(one.content, policy=policy.default)) for one in sink.messages]
    return {to: (mail["subject"], said(mail)) for to, mail in mails}


def said(mail):
    return " ".join(mail.get_body(("plain",)).get_content().split())


def events(made):
    return [event for event, _ in nights.calls(made)]


def by_link(made, pages, number):
    return stopping.by_link(pages.parts, made.parts.tokens.stop(number, now=nights.now(made)))


def test_everybody_is_mailed_that_it_was_stopped_by_a_link(made, pages, number, author, approver, sink):
    """Somebody's phone stopped it at 02:13: nobody may believe in the morning that it went."""
    by_link(made, pages, number)
    found = told(made, sink)
    assert set(found) == {author.address, approver.address}
    subject, text = found[author.address]
    assert subject == f"Alert {number} is stopped"
    assert "Somebody, by the link in a mail, has stopped it for good, on" in text
    assert "Nobody has it." in text
    assert "UTC" in text
    assert told(made, sink) == {}


@pytest.fixture
def sender(tmp_path, database_urls, sink, number):
    """The same product as a worker of its own runs it."""
    sender = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", **nights.RULES)
    yield sender
    sender.close()


def on_the_wire(made, number):
    with made.parts.database.transaction() as session:
        return wire.busy(session, number)


@pytest.mark.parametrize("to", [State.STOPPED, State.PAUSED])
def test_nobody_has_it_is_not_said_of_what_is_on_the_wire(made, pages, sender, number, author, approver, sink, to):
    """Halted while a relay thinks, two were about to have it: the mail said nobody has, and left out how it is taken back."""
    sink.held = lambda recipient, _content: recipient.startswith("reader")
    with delivering(sender, "urgent"):
        wait_for(lambda: sink.holding == 2)
        stopping.by_hand(pages.parts, number, to, by=approver.id)
        assert told(made, sink) == {}, "how many have it is not known yet"
        assert publicity.page(pages.parts, number) is not None, "whoever has it may look whether it is true"
        sink.held = lambda _recipient, _content: False
        wait_for(lambda: not on_the_wire(made, number))
    _, text = told(made, sink)[author.address]
    assert "surely or perhaps: 2." in text
    assert "Nobody" not in text
    assert ("?retract=1" in text) == (to is State.STOPPED)


def over(database_urls, number):
    """Its time has come while it was paused."""
    ended = "UPDATE mailing SET planned_at = now() - interval '24 hours', expires_at = now() - interval '1 minute' WHERE id = %s"
    house.by_owner(database_urls, ended, number)


def nearly_over(urls, number):
    """Have an alert that went out two hours ago be over in one."""
    moments = "planned_at = now() - interval '2 hours', expires_at = now() + interval '1 hour'"
    house.by_owner(urls, f"UPDATE mailing SET {moments} WHERE id = %s", number)


def announced(made, number):
    """A worker took it, and was lost with its machine before it could write anything."""
    with made.parts.database.transaction() as session:
        lease = shards.take(session, "urgent", owner="a test").lease
        assert shards.announce(session, lease, first=0, upto=2) is not None


def test_a_lost_worker_s_mail_is_counted_once_it_is_settled(made, pages, number, approver, sink, database_urls):
    """Its lease runs for a minute and a half, in which nobody can say who has it."""
    announced(made, number)
    stopping.by_hand(pages.parts, number, State.STOPPED, by=approver.id)
    assert told(made, sink) == {}
    house.by_owner(database_urls, "UPDATE shard SET lease_until = now() - interval '1 hour'")
    assert "surely or perhaps: 2." in told(made, sink)[approver.address][1]


def test_what_nobody_can_settle_keeps_no_mail_for_ever(made, pages, number, approver, sink, database_urls):
    """A paused alert's lost worker is settled when it goes on: the team is told of the pause, and nothing that is not known."""
    announced(made, number)
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    assert told(made, sink) == {}
    house.by_owner(database_urls, PAUSED_EARLIER)
    subject, text = told(made, sink)[approver.address]
    assert subject == f"Alert {number} is paused: it does not go"
    assert "Nobody" not in text
    assert "surely or perhaps" not in text


def test_of_what_somebody_has_it_is_said_how_many_and_where_it_is_taken_back(
    made, pages, number, author, approver, sink
):
    """A stop tells no reader anything: whether it was wrong, the team must decide now."""
    sink.refuse = lambda to: "450 4.7.1 later" if to == "reader1@example.org" else None
    made.deliver("urgent")
    stopping.by_hand(pages.parts, number, State.STOPPED, by=approver.id)
    _, text = told(made, sink)[author.address]
    assert "Noor Holm has stopped it" in text
    assert "surely or perhaps: 1." in text
    assert f"/console/alerts/{number}?retract=1" in text


def test_what_was_given_up_before_it_went_is_told_where_somebody_believed_in_it(
    made, pages, tmp_path, author, approver, sink
):
    """Whoever was asked to approve it is spared the reading; of a mere draft nobody was told anything."""
    draft = nights.locked(made, tmp_path, author, 3)
    made.deliver("transactional")
    stopping.by_hand(pages.parts, draft, State.STOPPED, by=approver.id)
    assert told(made, sink)[author.address][0] == f"Alert {draft} is given up"
    paths = nights.write(tmp_path, nights.TEXT)
    unlocked = drafting.draft(made.parts, paths, digest_key=house.DIGEST, by=author.id)
    stopping.by_hand(pages.parts, unlocked, State.STOPPED, by=author.id)
    assert told(made, sink) == {}


def test_everybody_is_mailed_that_it_is_paused_and_then_that_it_goes_on(made, pages, number, author, approver, sink):
    """A thumb slipped at 02:12; whoever may let it go on sleeps, or watches another page."""
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    found = told(made, sink)
    assert set(found) == {author.address, approver.address}
    subject, text = found[author.address]
    assert subject == f"Alert {number} is paused: it does not go"
    assert "Noor Holm has paused it" in text
    assert told(made, sink) == {}
    mailing.resume(made.parts, number, by=author.id)
    assert "Mina Moradi has let it go on" in told(made, sink)[approver.address][1]
    assert [one for one in events(made) if one != "released"] == ["paused", "resumed"]
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    assert told(made, sink)[author.address][0] == f"Alert {number} is paused: it does not go"


@pytest.mark.parametrize("reached", [True, False])
def test_what_is_let_go_on_after_its_end_is_not_said_to_go_on(
    made, pages, number, author, approver, sink, database_urls, reached
):
    """“It goes on” was mailed of an alert that went to nobody, and everybody slept on it."""
    if reached:
        sink.refuse = lambda to: "450 4.7.1 later" if to == "reader1@example.org" else None
        made.deliver("urgent")
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    told(made, sink)
    over(database_urls, number)
    made.sweep()
    mailing.resume(made.parts, number, by=author.id)
    subject, text = told(made, sink)[approver.address]
    assert subject == f"Alert {number} is over: it goes to nobody any more"
    assert "Mina Moradi has let it go on" in text
    assert ("surely or perhaps: 1." if reached else "Nobody has it.") in text


def test_a_pause_of_a_moment_is_no_news(made, pages, number, author, sink):
    """Paused and let go on before any sweep: two mails would only frighten."""
    stopping.by_hand(pages.parts, number, State.PAUSED, by=author.id)
    mailing.resume(made.parts, number, by=author.id)
    assert told(made, sink) == {}


def test_two_sweeps_at_once_tell_once(made, pages, number, author, sink):
    """Two beats are harmless: one of them holds the matter while it writes, and the other then finds it told."""
    by_link(made, pages, number)
    with made.parts.database.transaction() as session:
        hooks.hold(session, hooks.lately(session, halts.EVENTS, since=nights.now(made) - timedelta(hours=1)))
        told_by = []
        sweeps = [Act(lambda: told_by.append(halts.tell(made.parts))) for _ in range(2)]
        wait_for(lambda: waits(made.parts) == 2, seconds=20)
    for one in sweeps:
        one.join(20)
    assert sorted(told_by) == [0, 1]


def test_the_question_before_it_expires_says_that_it_is_paused(made, pages, number, author, sink, database_urls):
    """“Longer?” is the wrong question of what does not go."""
    nearly_over(database_urls, number)
    assert expiring.ask(made.parts) == 1
    made.deliver("transactional")
    assert "It is paused" not in said(message_from_bytes(sink.messages[0].content, policy=policy.default))


def test_of_a_paused_one_it_does(made, pages, number, author, sink, database_urls):
    """The one sentence that somebody can act on."""
    stopping.by_hand(pages.parts, number, State.PAUSED, by=author.id)
    nearly_over(database_urls, number)
    assert expiring.ask(made.parts) == 1
    made.deliver("transactional")
    assert "It is paused: nothing of it goes until" in said(
        message_from_bytes(sink.messages[0].content, policy=policy.default)
    )


def test_a_lane_that_stands_still_is_said_in_what_tells_of_an_alert(
    made, tmp_path, author, approver, sink, database_urls
):
    """“It goes out now”, “Longer?”: of an alert whose lane is paused neither is so, and its own state does not say it."""
    halting.pause(made.parts, [Lane.URGENT])
    number = nights.locked(made, tmp_path, author, 2)
    made.deliver("transactional")
    sink.messages.clear()
    alert.release(made.parts, number, by=author.id)
    subject, text = told(made, sink)[approver.address]
    assert subject == f"Alert {number} is released, and does not go yet"
    assert "It does not go yet. The urgent lane has been paused since" in text
    [hook] = [facts for event, facts in nights.calls(made) if event == "released"]
    assert (hook["starts_at"], hook["paused"]) == (None, True), "and a pager says the same as the mail"
    nearly_over(database_urls, number)
    text = told(made, sink)[approver.address][1]
    assert "have not got it yet. The urgent lane has been paused since" in text
    assert "It is paused" not in text


def test_what_one_sends_alone_names_the_lane_that_stands_still(made, tmp_path, author, approver, sink):
    """Whoever reads the hour at which it goes out must not wait for it."""
    halting.pause(made.parts, [Lane.URGENT])
    number = nights.locked(made, tmp_path, author, 4)
    nights.alone(made, number, author)
    mails = [message_from_bytes(one.content, policy=policy.default) for one in delivered(made, sink)]
    [text] = {said(mail) for mail in mails if "will go out" in mail["subject"]}
    assert "unless somebody stops it before. The urgent lane has been paused since" in text


def delivered(made, sink):
    made.deliver("transactional")
    return sink.messages


@pytest.mark.parametrize("language", ["fa", "ar"])
def test_each_is_told_in_their_own_language(made, pages, number, author, crew, sink, language):
    """The one who sleeps beside the phone reads no English at that hour."""
    with made.parts.database.transaction() as session:
        people.speak(session, author.id, language)
    by_link(made, pages, number)
    subject, text = told(made, sink)[author.address]
    assert subject.strip("\u2066\u2067\u2068\u2069\u200e\u200f").startswith({"fa": "هشدار", "ar": "أُوقف"}[language])
    assert "{" not in text


def test_the_alert_and_its_languages_are_one_mail(made, pages, number, author, sink, tmp_path, database_urls):
    """Three mails of one stop are read as three stops; a language that is stopped alone is told by itself."""
    both = [nights.locked(made, tmp_path, author, 2), nights.locked(made, tmp_path, author, 2)]
    for later in both:
        alert.release(made.parts, later, by=author.id)
        house.by_owner(database_urls, "UPDATE mailing SET translates = %s WHERE id = %s", number, later)
    made.deliver("transactional")
    by_link(made, pages, both[0])
    assert told(made, sink)[author.address][0] == f"Alert {both[0]} is stopped"
    by_link(made, pages, number)
    made.sweep()
    sink.messages.clear()
    made.deliver("transactional")
    assert [one.recipient for one in sink.messages].count(author.address) == 1
    assert f"Alert {number} goes no further" in said(
        message_from_bytes(sink.messages[0].content, policy=policy.default)
    )
    assert {alert.standing(made.parts, one).state for one in both} == {State.STOPPED}


def test_who_halted_it_stands_on_its_page(made, pages, number, author, approver):
    """Also for its author, who reads no audit."""
    with pages.parts.database.transaction() as session:
        before = halts.halt_of(session, halts.mailings.get(session, number))
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    with pages.parts.database.transaction() as session:
        paused = halts.halt_of(session, halts.mailings.get(session, number))
    by_link(made, pages, number)
    with pages.parts.database.transaction() as session:
        stopped = halts.halt_of(session, halts.mailings.get(session, number))
    assert before is None
    assert (paused.state, paused.by) == (State.PAUSED, "Noor Holm")
    assert (stopped.state, stopped.by, stopped.how) == (State.STOPPED, None, "link")


def test_a_role_that_sees_nothing_else_is_told_too(made, pages, number, author, crew, sink):
    """The data officer has the phone in the morning, when readers call."""
    officer = crew.member(Role.DATA_OFFICER)
    by_link(made, pages, number)
    assert officer.address in told(made, sink)


def test_of_a_language_that_came_later_it_is_said_whose_it_is(made, pages, number, author, approver, tmp_path, sink):
    """“Alert 9 is stopped” is nobody's number at night: it is the Persian of the one they were told of."""
    made.deliver("urgent")
    later = persian(made, tmp_path, number, author)
    told(made, sink)
    stopping.by_hand(pages.parts, later, State.STOPPED, by=approver.id)
    _, text = told(made, sink)[author.address]
    assert f"It is the version in “fa” of alert {number}, written later." in text


def test_a_language_of_a_paused_alert_that_is_stopped_is_told(
    made, pages, number, author, approver, tmp_path, sink, database_urls
):
    """Whoever lets the alert go on believes that its Persian goes on with it."""
    later = nights.locked(made, tmp_path, author, 2)
    alert.release(made.parts, later, by=author.id)
    house.by_owner(database_urls, "UPDATE mailing SET translates = %s WHERE id = %s", number, later)
    made.deliver("transactional")
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    assert told(made, sink)[author.address][0].startswith(f"Alert {number} is paused")
    stopping.by_hand(pages.parts, later, State.STOPPED, by=approver.id)
    assert told(made, sink)[author.address][0] == f"Alert {later} is stopped"
    mailing.resume(made.parts, number, by=author.id)
    assert told(made, sink)[author.address][0] == f"Alert {number} goes on"
    assert told(made, sink) == {}


def persian(made, tmp_path, number, author):
    """Let the Persian of an alert go, which is written later, also to those who had the English; return its number."""
    nights.ask(made, "UPDATE digest SET languages = '{en,fa}' RETURNING id")
    nights.ask(made, "UPDATE subscriber SET language = 'fa' RETURNING id")
    words = "---\nlanguage: fa\n---\n# کامیون‌ها در سرند\n\nچهارده کامیون.\n"
    paths = nights.write(tmp_path, words, "fa.md")
    later = translating.draft(made.parts, paths, of=number, also_had=True, by=author.id)
    alert.send_draft(made.parts, later, by=author.id)
    return later


def taken_back(made, number, sink):
    """Take an alert back that two have, of whom the mail servers want nothing more just now; return its retraction."""
    made.deliver("urgent")
    sink.refuse = lambda _to: "450 4.7.1 later"
    back = retracting.retract(made.parts, number).retraction
    made.deliver("urgent")
    told(made, sink)
    return back


def test_everybody_is_mailed_that_what_takes_it_back_is_paused(made, pages, number, author, approver, sink):
    """Its readers go on believing what is wrong: that is worse than an alert that does not go."""
    back = taken_back(made, number, sink)
    sink.refuse = lambda _to: None
    mailing.pause(made.parts, back)
    found = told(made, sink)
    assert set(found) == {author.address, approver.address}
    subject, text = found[author.address]
    assert subject == f"What takes back alert {number} is paused"
    assert "Not told yet: 2." in text
    assert f"/console/alerts/{number}" in text
    assert ("paused", {"alert": number, "retraction": back}) in nights.calls(made)
    assert desk.shown(pages.parts, number).halt.state is State.PAUSED
    mailing.resume(made.parts, number, by=author.id)
    assert told(made, sink)[approver.address][0] == f"What takes back alert {number} goes on"
    assert desk.shown(pages.parts, number).halt is None


@pytest.mark.parametrize("by_lane", [False, True])
def test_a_stop_at_the_command_line_is_told_and_written_down_as_any(made, number, author, approver, sink, by_lane):
    """Whoever runs the machine stops in a hurry; the team believes that it goes."""
    if by_lane:
        assert number in halting.stop(made.parts, [Lane.URGENT], by=approver.id)
    else:
        mailing.stop(made.parts, number, by=approver.id)
    subjects = {subject for subject, _ in mails(made, sink, author)}
    assert f"Alert {number} is stopped" in subjects
    assert ("Lanes are stopped: urgent" in subjects) is by_lane
    [act] = [one for one in nights.acts(made) if '"act":"alert.stopped"' in one]
    assert f'"by":"{approver.id}"' in act


def mails(made, sink, member):
    """Sweep, and return the subject and text of each mail to somebody."""
    made.sweep()
    sink.messages.clear()
    made.deliver("transactional")
    found = [
        message_from_bytes(one.content, policy=policy.default)
        for one in sink.messages
        if one.recipient == member.address
    ]
    return [(one["Subject"], said(one)) for one in found]


def test_lanes_that_stand_still_are_everybody_s_news(made, author, approver, sink):
    """Nothing urgent leaves the house, and nobody knows: an alert that is released at 02:10 would wait for the morning."""
    halting.pause(made.parts, [Lane.URGENT])
    assert [subject for subject, _ in mails(made, sink, author)] == ["Lanes are paused: urgent"]
    halting.resume(made.parts, [Lane.URGENT], by=author.id)
    [(subject, text)] = mails(made, sink, approver)
    assert subject == "Lanes go on: urgent"
    assert "Mina Moradi has resumed them" in text
    assert nights.calls(made) == [("lanes", {"act": act, "lanes": ["urgent"]}) for act in ("paused", "resumed")]
    acts = [one for one in nights.acts(made) if '"act":"lanes.' in one]
    assert ['"by":"shell"' in one for one in acts] == [True, False]
    with pytest.raises(NotAllowed):
        halting.resume(made.parts, [Lane.URGENT], by=approver.id)


def test_of_lanes_that_stay_as_they_were_nobody_is_told(made, author, sink):
    """“Lanes go on” at 03:00, of lanes that went all night, makes people ask what it was that had stopped them."""
    halting.resume(made.parts, list(Lane))
    assert (mails(made, sink, author), nights.calls(made)) == ([], [])
    for _ in range(2):
        halting.pause(made.parts, [Lane.BULK, Lane.URGENT])
    halting.resume(made.parts, list(Lane))
    assert nights.calls(made) == [("lanes", {"act": act, "lanes": ["urgent", "bulk"]}) for act in ("paused", "resumed")]
    subjects = [subject for subject, _ in mails(made, sink, author)]
    assert subjects == ["Lanes are paused: urgent, bulk", "Lanes go on: urgent, bulk"]


def test_with_the_team_s_own_lane_paused_the_hook_alone_is_told(made, author, sink):
    """Its mails wait in that lane as all others do: whoever pauses every lane calls the others, or has a hook."""
    halting.pause(made.parts, list(Lane))
    assert mails(made, sink, author) == []
    assert nights.calls(made) == [("lanes", {"act": "paused", "lanes": ["urgent", "transactional", "bulk"]})]


def test_a_hook_s_call_is_written_with_the_act_on_lanes(made, author):
    """Killed before its mail is written, a pause is told by the hook all the same: one transaction wrote both."""
    halting.pause(made.parts, [Lane.URGENT])
    assert nights.ask(made, "SELECT paused_lane.xmin = hook_call.xmin FROM paused_lane, hook_call") == [(True,)]


def test_what_is_no_alert_is_written_down_and_mailed_to_nobody(made, author, tmp_path, sink):
    """Nobody was told that a mailing would go; who stopped it is asked in the morning all the same."""
    house.add_readers(made, tmp_path, house.addresses(2))
    drafted = mailing.draft(made.parts, nights.write(tmp_path, nights.TEXT)[0], digest_key=house.DIGEST).mailing
    publish.release(made.parts, drafted)
    mailing.pause(made.parts, drafted, by=author.id)
    mailing.stop(made.parts, drafted)
    assert [one for one in nights.acts(made) if '"act":"mailing.paused"' in one and f'"by":"{author.id}"' in one]
    assert [one for one in nights.acts(made) if '"act":"mailing.stopped"' in one and '"by":"shell"' in one]
    assert mails(made, sink, author) == []
