"""An alert that follows another: under it in every mailbox, and in its stead where it has not gone."""

import pytest
from sqlalchemy import text

from newsletter.delivery import following
from newsletter.issues import digests
from newsletter.journeys import alert, drafting, mailing, retracting
from newsletter.ledger.mailings import State, UnknownMailing
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.delivery.test_carrying import delivering, wait_for
from tests.journeys.alerting import power_fails, read, recipients, sent, status, wire

AGAIN = "# Lorries at Sarand have left\n\nThe second gate is free.\n"
THIRD = "# Sarand is quiet\n\nEverybody is home.\n"


def following_file(tmp_path, text_, name="update.md"):
    path = tmp_path / name
    path.write_text(text_)
    return [str(path)]


def update(made, tmp_path, number, text_=AGAIN):
    return alert.send(made.parts, following_file(tmp_path, text_), digest_key=house.DIGEST, updates=number)


def tiny(made):
    """Add a digest that nobody takes."""
    with made.parts.database.transaction() as session:
        return digests.add(session, "tiny", name="Tiny", languages=("en",), rhythm=Rhythm.DAILY).key


def ids(sink, subject):
    """Return Message-ID, In-Reply-To and References by recipient, of the mails with this subject."""
    found = [(message.recipient, read(message)) for message in sink.messages]
    return {to: (m["Message-ID"], m["In-Reply-To"], m["References"]) for to, m in found if m["Subject"] == subject}


def test_each_reader_has_the_update_under_the_mail_they_had(newsletter, tmp_path, words, sink):
    """Every reader's first mail has an id of its own: a mail program threads by that one, and by no other."""
    number = sent(newsletter, tmp_path, words, 3)
    newsletter.deliver("urgent")
    update(newsletter, tmp_path, number)
    newsletter.deliver("urgent")
    first, then = ids(sink, "Lorries at Sarand"), ids(sink, "Lorries at Sarand have left")
    assert {one[1:] for one in first.values()} == {(None, None)}
    assert len({one[0] for one in first.values()}) == 3
    assert {to: one[1:] for to, one in then.items()} == {to: (one[0], one[0]) for to, one in first.items()}


def test_an_update_of_an_update_names_the_first_and_the_last(newsletter, tmp_path, words, sink):
    """The thread holds together where somebody deleted the middle, and the retraction of the last stands at its end."""
    number = sent(newsletter, tmp_path, words, 1)
    newsletter.deliver("urgent")
    second = update(newsletter, tmp_path, number)
    newsletter.deliver("urgent")
    third = update(newsletter, tmp_path, second, THIRD)
    newsletter.deliver("urgent")
    retracting.retract(newsletter.parts, third)
    newsletter.deliver("urgent")
    subjects = (
        "Lorries at Sarand",
        "Lorries at Sarand have left",
        "Sarand is quiet",
        "Please disregard: Sarand is quiet",
    )
    [a, b, c, d] = [ids(sink, subject)["reader0@example.org"] for subject in subjects]
    assert b[1:] == (a[0], a[0])
    assert c[1:] == (b[0], f"{a[0]} {b[0]}")
    assert d[1:] == (c[0], f"{a[0]} {c[0]}")


def test_a_retraction_stands_under_the_alert_it_takes_back(newsletter, tmp_path, words, sink):
    """Whoever opens the alert again sees below it that it was wrong."""
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    first, back = ids(sink, "Lorries at Sarand"), ids(sink, "Please disregard: Lorries at Sarand")
    assert {to: one[1:] for to, one in back.items()} == {to: (one[0], one[0]) for to, one in first.items()}


def test_an_update_goes_in_the_stead_of_what_has_not_gone(newsletter, tmp_path, words, sink):
    """Old news that overtakes new news is worse than none: the rest of the first is cancelled, and all get the second."""
    # However slow this machine is with the update, the relay is slower with the rest.
    sink.delay_seconds = lambda: 0.01 if len(sink.messages) <= 20 else 0.5
    number = sent(newsletter, tmp_path, words, 200)
    with delivering(newsletter, "urgent"):
        wait_for(lambda: len(sink.messages) > 20)
        second = update(newsletter, tmp_path, number)
        sink.delay_seconds = lambda: 0.0
    newsletter.deliver("urgent")
    newsletter.sweep()
    found = status(newsletter, number)
    assert (found.state, found.due) == ("stopped", 0)
    assert 20 < found.accepted < 200
    assert found.accepted + found.cancelled == 200
    assert reasons(newsletter, number) == {"superseded": found.cancelled}
    assert status(newsletter, second).accepted == 200
    related = retracting.relatives(newsletter.parts, number)
    assert (related.updates, related.updated_by) == (None, second)
    assert retracting.relatives(newsletter.parts, second).updates == number


def reasons(made, number):
    with made.parts.database.transaction() as session:
        query = "SELECT reason, count(*) FROM delivery WHERE mailing_id = :it AND state = 'cancelled' GROUP BY reason"
        return dict(session.execute(text(query), {"it": number}).all())


def test_rows_in_a_dead_worker_s_hands_are_superseded_as_well(newsletter, tmp_path, words):
    """A worker died with two announced: those may have it, and the other eight are called what they are."""
    number = sent(newsletter, tmp_path, words, 10)
    wire(newsletter, number, upto=2)
    with newsletter.parts.database.transaction() as session:
        # As if a worker were writing these while the update is planned.
        session.execute(text("UPDATE delivery SET tries = 0 WHERE mailing_id = :it AND position > 7"), {"it": number})
    update(newsletter, tmp_path, number)
    with newsletter.parts.database.transaction() as session:
        again = "UPDATE delivery SET state = 'planned', reason = NULL WHERE mailing_id = :it AND position > 7"
        session.execute(text(again), {"it": number})
    power_fails(newsletter)
    newsletter.sweep()
    assert status(newsletter, number).uncertain == 2
    assert reasons(newsletter, number) == {"superseded": 8}


@pytest.mark.parametrize("stage", ["draft", "locked", "approved"])
def test_what_has_not_begun_is_given_up(newsletter, tmp_path, words, sink, stage):
    """A first version that waits for its second person must not go out an hour after the better one."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    number = drafting.draft(newsletter.parts, words, digest_key=house.DIGEST)
    if stage != "draft":
        alert.lock(newsletter.parts, number)
    if stage == "approved":
        with newsletter.parts.database.transaction() as session:
            later = "UPDATE mailing SET state = 'approved', start_at = now() + interval '1 hour' WHERE id = :it"
            session.execute(text(later), {"it": number})
    second = update(newsletter, tmp_path, number)
    newsletter.deliver("urgent")
    assert alert.standing(newsletter.parts, number).state is State.CANCELLED
    assert status(newsletter, second).accepted == 2


def test_an_update_planned_with_what_it_follows_keeps_nobody_waiting(newsletter, tmp_path, words, sink):
    """Both are due in one sweep: the one that follows goes, the other is given up, and the sweep is not undone."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    number = drafting.draft(newsletter.parts, words, digest_key=house.DIGEST)
    alert.lock(newsletter.parts, number)
    second = drafting.draft(newsletter.parts, following_file(tmp_path, AGAIN), digest_key=house.DIGEST, updates=number)
    alert.lock(newsletter.parts, second)
    with newsletter.parts.database.transaction() as session:
        due = "UPDATE mailing SET state = 'approved', start_at = now() - interval '1 s' * id WHERE id IN (:one, :two)"
        session.execute(text(due), {"one": number, "two": second})
    newsletter.sweep()
    assert status(newsletter, second).state == "sending"
    assert alert.standing(newsletter.parts, number).state is State.CANCELLED


def test_an_update_of_something_that_never_went_supersedes_what_that_followed(newsletter, tmp_path, words):
    """The second was never released; the third stands for both."""
    number = sent(newsletter, tmp_path, words, 5)
    second = drafting.draft(newsletter.parts, following_file(tmp_path, AGAIN), digest_key=house.DIGEST, updates=number)
    update(newsletter, tmp_path, second, THIRD)
    assert alert.standing(newsletter.parts, number).state is State.STOPPED
    assert alert.standing(newsletter.parts, second).state is State.CANCELLED


def test_nothing_follows_what_was_taken_back(newsletter, tmp_path, words, sink):
    """An update under a retracted alert would say that it was true after all."""
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    early = drafting.draft(newsletter.parts, following_file(tmp_path, AGAIN), digest_key=house.DIGEST, updates=number)
    alert.lock(newsletter.parts, early)
    retracting.retract(newsletter.parts, number)
    with pytest.raises(following.Retracted):
        update(newsletter, tmp_path, number)
    with pytest.raises(following.Retracted):
        alert.release(newsletter.parts, early)
    assert alert.standing(newsletter.parts, early).state is State.LOCKED


def test_nothing_follows_what_is_not_there_or_no_alert(newsletter, tmp_path, words):
    """A slip of the finger is refused before anything is written."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    ordinary = mailing.draft(newsletter.parts, words[0], digest_key=house.DIGEST).mailing
    with pytest.raises(UnknownMailing):
        update(newsletter, tmp_path, 4711)
    with pytest.raises(alert.NotAnAlert):
        update(newsletter, tmp_path, ordinary)


def test_readers_who_never_had_the_first_get_the_second(newsletter, tmp_path, words, sink):
    """An update is for the whole audience, not for those who happened to be in time."""
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    house.add_readers(newsletter, tmp_path, ["late@example.org"])
    sink.messages.clear()
    update(newsletter, tmp_path, number)
    newsletter.deliver("urgent")
    assert recipients(sink, back=False) == sorted([*house.addresses(2), "late@example.org"])


def test_of_two_updates_of_one_alert_the_second_is_refused(newsletter, tmp_path, words, sink):
    """Both were written before either went: two beside each other would both stand, each in the other's stead."""
    number = sent(newsletter, tmp_path, words, 2)
    both = [
        drafting.draft(newsletter.parts, following_file(tmp_path, one), digest_key=house.DIGEST, updates=number)
        for one in (AGAIN, THIRD)
    ]
    for one in both:
        alert.lock(newsletter.parts, one)
    alert.release(newsletter.parts, both[0])
    with pytest.raises(following.Followed):
        alert.release(newsletter.parts, both[1])
    newsletter.deliver("urgent")
    assert [alert.standing(newsletter.parts, one).state for one in (number, *both)] == ["stopped", "done", "locked"]


def test_an_update_is_for_the_same_digest(newsletter, tmp_path, words, sink):
    """To the readers of another it would end the alert for those who wait for it, and they would hear of neither."""
    number = sent(newsletter, tmp_path, words, 3)
    with pytest.raises(following.OtherDigest):
        alert.send(newsletter.parts, following_file(tmp_path, AGAIN), digest_key=tiny(newsletter), updates=number)
    newsletter.deliver("urgent")
    assert len(sink.messages) == 3


def test_an_update_of_another_digest_ends_nothing(newsletter, tmp_path, words, sink):
    """Drafted by an older version, or changed past the program: the alert that goes is not ended by it."""
    number = sent(newsletter, tmp_path, words, 3)
    second = drafting.draft(newsletter.parts, following_file(tmp_path, AGAIN), digest_key=tiny(newsletter))
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET updates = :of WHERE id = :id"), {"of": number, "id": second})
    alert.lock(newsletter.parts, second)
    with pytest.raises(following.OtherDigest):
        alert.release(newsletter.parts, second)
    newsletter.deliver("urgent")
    assert (status(newsletter, number).state, len(sink.messages)) == ("done", 3)
