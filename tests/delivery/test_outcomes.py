"""What becomes of a delivery after one attempt: pure."""

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.delivery import outcomes
from newsletter.ledger.deliveries import DeliveryState, Row
from newsletter.ledger.mailings import Kind
from newsletter.relay.outcome import Accepted, Deferred, Rejected, Stage, Uncertain
from newsletter.relay.reply import Reply
from newsletter.relay.verdict import Limit

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ROW = Row(id=7, position=0, variant_id=1, mailbox_id=2, subscriber_id=3, occasion="", tries=0, first_tried=None)


@pytest.mark.parametrize(
    ("outcome", "state", "dead"),
    [
        (Accepted(Reply(250, "2.0.0", "ok")), DeliveryState.ACCEPTED, False),
        (Rejected(Reply(550, "5.1.1", "User unknown"), Stage.RCPT), DeliveryState.REJECTED, True),
        (Rejected(Reply(550, "5.7.1", "Blocked, see our policy"), Stage.RCPT), DeliveryState.REJECTED, False),
        (Rejected(Reply(552, "5.2.2", "Mailbox full"), Stage.RCPT), DeliveryState.DEFERRED, False),
        (Deferred(Reply(451, "4.7.1", "Greylisted, try again"), Stage.RCPT), DeliveryState.DEFERRED, False),
        (Uncertain("no answer in time", Stage.BODY), DeliveryState.UNCERTAIN, False),
    ],
)
def test_each_answer_has_its_state_and_only_a_dead_mailbox_is_suppressed(outcome, state, dead):
    """ "Any 5xx is a dead address" would silence readers whose server merely blocks us."""
    judged = outcomes.judge(ROW, outcome, kind=Kind.DIGEST, now=NOW)
    assert (judged.result.state, judged.dead) == (state, dead)


def test_a_deferred_delivery_says_when_and_gives_up_in_the_end():
    """Every deferred row has a time, or it would wait for ever."""
    deferred = Deferred(Reply(451, "4.7.1", "Greylisted"), Stage.RCPT)
    first = outcomes.judge(ROW, deferred, kind=Kind.DIGEST, now=NOW).result
    assert first.due_at is not None
    assert timedelta(minutes=4) <= first.due_at - NOW <= timedelta(minutes=6)
    old = Row(7, 0, 1, 2, 3, "", 12, NOW - timedelta(hours=71))
    assert outcomes.judge(old, deferred, kind=Kind.DIGEST, now=NOW).result.state is DeliveryState.EXPIRED


NOT_OURS_TO_SEND = Reply(550, "5.7.60", "Client does not have permissions to send as this sender")


@pytest.mark.parametrize(
    ("reply", "stage", "state"),
    [
        (NOT_OURS_TO_SEND, Stage.MAIL, DeliveryState.DEFERRED),
        (Reply(553, "5.7.1", "Sender address rejected: not owned by user"), Stage.RCPT, DeliveryState.DEFERRED),
        (Reply(554, None, "Message rejected: Email address is not verified."), Stage.BODY, DeliveryState.DEFERRED),
        (Reply(550, "5.7.1", "Blocked, see our policy"), Stage.MAIL, DeliveryState.DEFERRED),
        (Reply(550, "5.7.1", "Blocked, see our policy"), Stage.RCPT, DeliveryState.REJECTED),
        (Reply(550, "5.7.1", "Blocked, see our policy"), Stage.BODY, DeliveryState.REJECTED),
        (Reply(550, None, "no"), Stage.RCPT, DeliveryState.REJECTED),
        (Reply(552, "5.3.4", "Message too large"), Stage.MAIL, DeliveryState.DEFERRED),
        (Reply(503, "5.5.1", "Error: need MAIL command"), Stage.RCPT, DeliveryState.DEFERRED),
        (Reply(550, "5.6.0", "Message rejected: invalid header"), Stage.BODY, DeliveryState.DEFERRED),
        (Reply(553, "5.6.7", "the relay does not offer SMTPUTF8"), Stage.RCPT, DeliveryState.REJECTED),
    ],
)
def test_who_was_refused_for_our_sake_stays_due(reply, stage, state):
    """The relay is mended in an hour; the readers who were asked for in that hour must not be the ones who never get it."""
    judged = outcomes.judge(ROW, Rejected(reply, stage), kind=Kind.DIGEST, now=NOW)
    assert judged.result.state is state
    assert (judged.result.due_at is not None) is (state is DeliveryState.DEFERRED)
    assert judged.result.code == reply.code
    assert judged.cls is not None, "it counts towards the stop of the mailing all the same"


@pytest.mark.parametrize(
    ("reply", "stage", "limit"),
    [
        (Reply(550, "5.4.5", "Daily user sending limit exceeded."), Stage.RCPT, Limit.ACCOUNT_DAY),
        (Reply(550, "5.7.1", "Error: too many messages, rate limit exceeded"), Stage.RCPT, Limit.PROVIDER),
        (Reply(554, "5.7.1", "Your account has reached its monthly quota"), Stage.BODY, Limit.ACCOUNT_DAY),
        (Reply(552, "5.2.2", "Quota exceeded"), Stage.MAIL, Limit.ACCOUNT_RATE),
    ],
)
def test_who_was_refused_because_of_our_pace_stays_due_whatever_the_code(reply, stage, limit):
    """Gmail says 550 when the day is used up: two thousand readers would never hear, for what the relay takes tomorrow."""
    judged = outcomes.judge(ROW, Rejected(reply, stage), kind=Kind.DIGEST, now=NOW)
    assert (judged.result.state, judged.limit, judged.dead) == (DeliveryState.DEFERRED, limit, False)


@pytest.mark.parametrize(
    "outcome",
    [
        Rejected(Reply(550, "5.4.5", "Daily user sending limit exceeded."), Stage.RCPT),
        Deferred(Reply(454, "4.7.0", "Throttling failure: Daily message quota exceeded"), Stage.RCPT),
        Deferred(Reply(421, "4.7.28", "unusual rate of mail"), Stage.BODY),
    ],
)
def test_nobody_is_lost_to_our_pace_however_long_they_have_waited(outcome):
    """A relay of a hundred a day takes eight days for eight hundred readers: the last of them must not be given up on the third."""
    waiting = ROW._replace(tries=12, first_tried=NOW - timedelta(hours=73))
    for kind in (Kind.DIGEST, Kind.MAILING, Kind.ALERT, Kind.RETRACTION, Kind.NOTICE):
        result = outcomes.judge(waiting, outcome, kind=kind, now=NOW).result
        assert (result.state, result.reason) == (DeliveryState.DEFERRED, "too fast")
        assert timedelta(hours=6) < result.due_at - NOW < timedelta(hours=10)
    heard = [outcomes.judge(waiting, outcome, kind=kind, now=NOW).result.state for kind in (Kind.TEST, Kind.DRILL)]
    assert DeliveryState.DEFERRED not in heard, "whoever sends a test waits for the answer"


def test_a_refused_sender_is_not_tried_for_ever_and_a_test_hears_it_at_once():
    """Nobody may be mending it; and whoever sends a test waits for the answer."""
    refused = Rejected(NOT_OURS_TO_SEND, Stage.MAIL)
    old = Row(7, 0, 1, 2, 3, "", 12, NOW - timedelta(hours=71))
    assert outcomes.judge(old, refused, kind=Kind.DIGEST, now=NOW).result.state is DeliveryState.EXPIRED
    assert outcomes.judge(ROW, refused, kind=Kind.TEST, now=NOW).result.state is DeliveryState.REJECTED


def test_who_is_refused_what_others_are_given_is_asked_three_times():
    """RFC 5321 §4.2.1: what got 5yz is not repeated as it is; twice more is for a relay that is mended meanwhile."""
    refused = Rejected(Reply(550, "5.6.0", "attachment refused"), Stage.BODY)
    again = [ROW._replace(tries=tries, first_tried=NOW) for tries in range(4)]
    states = [outcomes.judge(row, refused, kind=Kind.DIGEST, now=NOW).result.state for row in again]
    assert states == [DeliveryState.DEFERRED] * 2 + [DeliveryState.REJECTED] * 2


NOT_NOW = Reply(550, "5.3.2", "System is down for maintenance")


@pytest.mark.parametrize(
    ("reply", "stage"),
    [
        (NOT_NOW, Stage.RCPT),
        (NOT_NOW, Stage.BODY),
        (Reply(552, "5.3.1", "Mail system full"), Stage.BODY),
        (Reply(552, "5.2.2", "Mailbox full"), Stage.RCPT),
        (Reply(550, "5.2.1", "Mailbox disabled"), Stage.RCPT),
    ],
)
def test_later_and_full_with_a_code_for_good_are_asked_three_times_and_count(reply, stage):
    """Where it was the relay that is full, or asleep, five thousand readers were given up at the first word."""
    again = [ROW._replace(tries=tries, first_tried=NOW) for tries in range(3)]
    found = [outcomes.judge(row, Rejected(reply, stage), kind=Kind.DIGEST, now=NOW) for row in again]
    states = [one.result.state for one in found]
    assert states == [DeliveryState.DEFERRED] * 2 + [DeliveryState.REJECTED]
    assert [one.cls is not None for one in found] == [True, False, False], "many first attempts stop the mailing"
    assert outcomes.judge(ROW, Deferred(reply, stage), kind=Kind.DIGEST, now=NOW).cls is None, "for now, it stops none"
    assert outcomes.judge(ROW, Rejected(reply, stage), kind=Kind.TEST, now=NOW).result.state is DeliveryState.REJECTED


def test_an_alert_that_the_relay_has_no_room_for_is_tried_as_long_as_it_goes():
    """Its hold ends by itself each hour: three tries would be used up before anybody is awake to mend the relay."""
    refused = Rejected(NOT_NOW, Stage.BODY)
    later = ROW._replace(tries=5, first_tried=NOW - timedelta(hours=5))
    assert outcomes.judge(later, refused, kind=Kind.ALERT, now=NOW).result.state is DeliveryState.DEFERRED
    assert outcomes.judge(ROW, refused, kind=Kind.DRILL, now=NOW).result.state is DeliveryState.REJECTED, (
        "it is heard now"
    )
    old = ROW._replace(tries=9, first_tried=NOW - timedelta(hours=23))
    assert outcomes.judge(old, refused, kind=Kind.ALERT, now=NOW).result.state is DeliveryState.DEFERRED
    assert outcomes.judge(old, refused, kind=Kind.RETRACTION, now=NOW).result.state is DeliveryState.EXPIRED


@pytest.mark.parametrize(
    "outcome",
    [
        Deferred(Reply(452, "4.2.2", "mailbox full"), Stage.RCPT),
        Deferred(Reply(451, "4.7.1", "Greylisted"), Stage.RCPT),
        Deferred(Reply(421, "4.7.28", "unusual rate of mail"), Stage.BODY),
        Deferred(Reply(451, "4.7.1", "Not now, try again in 8 hours"), Stage.RCPT),
    ],
)
def test_who_is_put_off_has_the_alert_tried_again_before_it_ends(outcome):
    """A step of eight hours led past the end, and who was asked to give it longer gave it to nobody."""
    old = ROW._replace(tries=9, first_tried=NOW - timedelta(hours=40))
    for left in (timedelta(minutes=10), timedelta(hours=2), timedelta(hours=8)):
        found = outcomes.judge(old, outcome, kind=Kind.ALERT, now=NOW, ends=NOW + left).result
        assert found.state is DeliveryState.DEFERRED
        assert NOW + timedelta(minutes=4) <= found.due_at < NOW + left
    digest = outcomes.judge(old._replace(first_tried=NOW), outcome, kind=Kind.DIGEST, now=NOW).result
    assert digest.due_at > NOW + timedelta(hours=6)


def test_a_server_that_says_when_is_not_asked_before():
    """Half of what is left of an alert is the most that its word is stretched to, and never a reason to knock sooner."""
    soon = Deferred(Reply(451, "4.7.1", "Greylisted, try again in 20 minutes"), Stage.RCPT)
    found = outcomes.judge(ROW, soon, kind=Kind.ALERT, now=NOW, ends=NOW + timedelta(hours=8)).result
    assert found.due_at == NOW + timedelta(minutes=20)


BLOCKED = Reply(550, "5.7.1", "Service unavailable; client host [192.0.2.1] blocked using zen.spamhaus.org")


@pytest.mark.parametrize(
    "reply",
    [NOT_NOW, BLOCKED, Reply(550, "5.6.0", "invalid header"), Reply(503, "5.5.1", "need MAIL command")],
    ids=str,
)
@pytest.mark.parametrize("stage", [Stage.RCPT, Stage.BODY])
def test_a_question_is_tried_all_day_for_what_halts_other_mail(reply, stage):
    """No fault of this kind halts it, so three tries in twenty minutes would lose whoever signed up while the relay was ill."""
    refused = Rejected(reply, stage)
    later = ROW._replace(tries=5, first_tried=NOW - timedelta(hours=5))
    found = outcomes.judge(later, refused, kind=Kind.NOTICE, now=NOW, unstopped=True)
    assert (found.result.state, found.dead) == (DeliveryState.DEFERRED, False)
    old = ROW._replace(tries=9, first_tried=NOW - timedelta(hours=23))
    assert outcomes.judge(old, refused, kind=Kind.NOTICE, now=NOW, unstopped=True).result.state is DeliveryState.EXPIRED
    listed = outcomes.judge(later, Rejected(reply, Stage.RCPT), kind=Kind.NOTICE, now=NOW).result.state
    assert listed is DeliveryState.REJECTED, "of a list's readers many are asked, and what halts them bounds it"
    tested = outcomes.judge(ROW, refused, kind=Kind.TEST, now=NOW, unstopped=True).result.state
    assert tested is DeliveryState.REJECTED, "whoever sends a test waits for the answer"


def test_a_dead_address_is_asked_nothing_twice():
    """Strangers name it by a form: only what may be ours keeps a question due."""
    nobody = Rejected(Reply(550, "5.1.1", "User unknown"), Stage.RCPT)
    found = outcomes.judge(ROW, nobody, kind=Kind.NOTICE, now=NOW, unstopped=True)
    assert (found.result.state, found.dead) == (DeliveryState.REJECTED, True)


@pytest.mark.parametrize(
    ("outcome", "elsewhere"),
    [
        (Rejected(NOT_OURS_TO_SEND, Stage.RCPT), True),
        (Deferred(Reply(451, "4.7.1", "not now"), Stage.MAIL), True),
        (Rejected(Reply(550, "5.7.1", "Blocked, see our policy"), Stage.MAIL), True),
        (Deferred(Reply(452, "4.3.1", "Insufficient system storage"), Stage.RCPT), True),
        (Deferred(Reply(454, "4.7.0", "Throttling failure: Daily message quota exceeded"), Stage.RCPT), True),
        (Rejected(NOT_NOW, Stage.BODY), True),
        (Rejected(Reply(550, "5.2.1", "Mailbox disabled"), Stage.RCPT), False),
        (Rejected(Reply(550, "5.7.1", "Blocked, see our policy"), Stage.RCPT), False),
        (Rejected(Reply(550, "5.1.1", "User unknown"), Stage.RCPT), False),
        (Deferred(Reply(451, "4.7.1", "Greylisted, try again"), Stage.RCPT), False),
        (Deferred(Reply(421, "4.7.28", "unusual rate of mail"), Stage.BODY), False),
        (Deferred(Reply(0, None, "connection lost"), Stage.MAIL), False),
    ],
)
def test_what_one_relay_refuses_us_another_has_at_once(outcome, elsewhere):
    """Only what is this relay's own word: what a provider says of a reader the other would hear as well."""
    found = outcomes.judge(ROW, outcome, kind=Kind.ALERT, now=NOW, instead=True)
    assert (found.elsewhere is not None) is elsewhere
    alone = outcomes.judge(ROW, outcome, kind=Kind.ALERT, now=NOW)
    assert alone.elsewhere is None, "and where there is no other, it is judged as it was"
    if elsewhere:
        assert (found.result.state, found.cls) == (DeliveryState.DEFERRED, None)
        assert found.result.due_at == NOW + timedelta(seconds=1)
        assert found.limit == alone.limit, "whose pace it was is learned all the same"
        often = ROW._replace(tries=3, first_tried=NOW)
        at_last = outcomes.judge(often, outcome, kind=Kind.ALERT, now=NOW, instead=True)
        assert at_last.result.due_at is None or at_last.result.due_at > NOW + timedelta(minutes=20), (
            "at once not for ever"
        )
        who_we_are = found.elsewhere.cls in ("sender", "policy")
        assert (at_last.elsewhere is not None) is who_we_are, "which stops nothing while another relay is to be had"
        test = outcomes.judge(ROW, outcome, kind=Kind.TEST, now=NOW, instead=True)
        assert test.elsewhere is None, "whoever sends a test waits for the answer"
    else:
        assert found == alone


def test_the_words_of_a_server_are_never_kept():
    """A reply repeats the address; only its numbers reach the ledger."""
    judged = outcomes.judge(
        ROW, Rejected(Reply(550, "5.1.1", "<ann@example.org> unknown"), Stage.RCPT), kind=Kind.DIGEST, now=NOW
    )
    assert "ann" not in repr(judged)


def test_a_server_that_names_a_time_is_not_asked_before_it():
    """Greylisting starts anew when somebody comes back too early."""
    asked = Deferred(Reply(451, "4.7.1", "Greylisted, try again in 40 minutes"), Stage.RCPT)
    due = outcomes.judge(ROW, asked, kind=Kind.DIGEST, now=NOW).result.due_at
    assert due == NOW + timedelta(minutes=40)


def test_an_alert_in_doubt_goes_again_within_a_minute_and_a_digest_never():
    """At least once for people in danger; at most once for everything else. Both are listed as in doubt."""
    lost = Uncertain("connection lost", Stage.BODY)
    alert = outcomes.judge(ROW, lost, kind=Kind.ALERT, now=NOW).result
    digest = outcomes.judge(ROW, lost, kind=Kind.DIGEST, now=NOW).result
    assert (alert.state, alert.due_at) == (DeliveryState.DEFERRED, NOW + timedelta(minutes=1))
    assert (digest.state, digest.due_at) == (DeliveryState.UNCERTAIN, None)
    assert alert.in_doubt
    assert digest.in_doubt


def test_a_server_that_takes_it_and_never_says_so_is_asked_a_dozen_times_a_day():
    """Each minute, for a day, one reader had an alert of yesterday fourteen hundred times, and whoever wrote it heard of that."""
    lost, row, now, times = Uncertain("connection lost", Stage.BODY), ROW, NOW, 1
    ends = NOW + timedelta(days=1)
    while (found := outcomes.judge(row, lost, kind=Kind.ALERT, now=now, ends=ends).result).due_at < ends:
        assert found.due_at > now
        now, times = found.due_at, times + 1
        row = row._replace(tries=row.tries + 1, first_tried=row.first_tried or NOW)
    assert (found.state, found.in_doubt) == (DeliveryState.DEFERRED, True), "its end leaves it in doubt"
    assert times <= 12
