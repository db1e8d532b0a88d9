"""Somebody answers "unsubscribe": whoever proves to have our mail has left, whoever only says so is heard by a person."""

import pytest
from sqlalchemy import text

from newsletter.bounces.routing import Arrived
from newsletter.issues import digests
from newsletter.journeys import answering, publish, returns
from newsletter.journeys.returns import Done
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.fakes import answers
from tests.fakes import returns as fakes
from tests.journeys.test_returns import DOMAIN, READERS, ask, everything, intaking, send
from tests.journeys.test_returns import made as made
from tests.journeys.test_returns import relay as relay

US = "news@sarand.example"
TAKE = "SELECT subscriber_id, digest_id FROM subscription WHERE ended_at IS NULL ORDER BY 1, 2"
WRITE = {"gmail": answers.gmail, "outlook": answers.outlook, "apple": answers.apple}


@pytest.fixture
def mails(made, tmp_path, relay):
    """Send an issue to the three readers, who take another digest too; return their mails."""
    house.add_readers(made, tmp_path, READERS)
    with made.parts.database.transaction() as session:
        digests.add(session, "alarm", name="The Alarm", languages=("en",), rhythm=Rhythm.WEEKLY)
    house.add_readers(made, tmp_path, READERS, digest="alarm")
    send(made, tmp_path, "The well runs dry")
    return {address: relay.of(address) for address in READERS}


def take(made, sender, content, *, to=US):
    return returns.take(made.parts, Arrived(sender, to, content))


def letters(made):
    return [(one.wish, one.subject) for one in answering.listed(made.parts, limit=10, done=False)]


ALL = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]


def test_who_answers_unsubscribe_leaves_the_digest_it_was_of(made, mails):
    """Many know no other way. They leave what they answered, at once, and nothing else; there is nothing to be read."""
    left = set()
    for number, (reader, write) in enumerate(zip(READERS, WRITE.values(), strict=True), 1):
        letter = write(mails[reader][1], f"Reader <{reader.capitalize()}>", "Please unsubscribe me")
        assert take(made, reader, letter) is Done.LEFT, write
        left.add((number, 1))
        assert ask(made, TAKE) == [one for one in ALL if one not in left], write
        assert ask(made, "SELECT purpose FROM consent_event WHERE kind = 'withdrawn'") == [("digest:1",)] * number
        assert letters(made) == [], write
        before = everything(made)
        assert take(made, reader, letter) is Done.LEFT, write
        assert everything(made) == before, "twice is the same"


def test_it_is_heard_in_the_reader_s_own_words(made, tmp_path, relay):
    """Readers at risk write in their own language, and an English answer may be read over their shoulder."""
    said = (
        "لغو اشتراک",
        "إلغاء الاشتراك",
        "سلام\nلطفا مرا حذف کنید",
        "السلام عليكم\nألغوا اشتراكي من فضلكم",
        "Dear Friends,\n\nplease remove me",
    )
    readers = house.addresses(len(said))
    house.add_readers(made, tmp_path, readers)
    send(made, tmp_path, "The well runs dry")
    for number, (reader, words) in enumerate(zip(readers, said, strict=True), 1):
        letter = answers.gmail(relay.of(reader)[1], reader, words)
        assert take(made, reader, letter) is Done.LEFT, words
        assert [one for one, _ in ask(made, TAKE)] == list(range(number + 1, len(said) + 1)), words


def test_what_is_planned_for_them_is_cancelled(made, mails, tmp_path):
    """The next issue may be planned already when they write."""
    house.add_articles(made, tmp_path, "It rains")
    composed = publish.compose(made.parts, house.DIGEST)
    publish.send(made.parts, composed.issue)
    take(made, "ann@example.org", answers.apple(mails["ann@example.org"][1], "ann@example.org", "stop"))
    states = f"SELECT state FROM delivery WHERE mailing_id = {composed.mailing} ORDER BY subscriber_id"
    assert ask(made, states) == [("cancelled",), ("planned",), ("planned",)]


def test_an_answer_to_the_return_path_proves_it_too(made, mails):
    """Some programs answer the envelope; the token there was made for one mail, wherever that was forwarded to."""
    path, message = mails["cem@example.org"]
    letter = answers.apple(
        message.replace(b"Message-ID: <", b"Message-ID: <x"), "Cem <cem@work.example>", "unsubscribe"
    )
    assert take(made, "cem@work.example", letter, to=path) is Done.LEFT
    assert ask(made, TAKE) == [*ALL[:4], ALL[5]]


def test_nobody_is_taken_off_in_their_name(made, mails):
    """Anyone can write From: without our mail in hand nobody leaves; it waits for a person, marked as what it seems to be."""
    hers, bens = mails["ann@example.org"][1], mails["ben@example.org"][1]
    path = mails["ann@example.org"][0]
    forged = hers.replace(b"Message-ID: <", b"Message-ID: <x")
    for content, to in (
        (fakes.letter("ann@example.org", US, "unsubscribe", "unsubscribe"), US),
        (answers.gmail(bens, "ann@example.org", "unsubscribe"), US),
        (answers.gmail(hers, "eve@example.net", "unsubscribe"), US),
        (answers.gmail(forged, "ann@example.org", "unsubscribe"), US),
        (fakes.letter("ann@example.org", f"leave@{DOMAIN}", "unsubscribe"), f"leave@{DOMAIN}"),
    ):
        assert take(made, "ann@example.org", content, to=to) is Done.KEPT
    flipped = path[:20] + ("1" if path[20] == "0" else "0") + path[21:]
    assert take(made, "ann@example.org", fakes.letter("ann@example.org", flipped, "stop"), to=flipped) is Done.NOTHING
    assert ask(made, TAKE) == ALL
    assert {wish for wish, _ in letters(made)} == {"leave"}
    assert len(letters(made)) == 5


def test_a_letter_that_says_more_is_kept_and_marked(made, mails):
    """What they wanted is done; what they wrote beside it deserves a reader."""
    more = answers.gmail(
        mails["ann@example.org"][1], "ann@example.org", "Unsubscribe\n\nMy mother, who read you, has died."
    )
    assert take(made, "ann@example.org", more) is Done.LEFT
    for words in ("Stop the war", "It was good.\nPlease unsubscribe me.", "Why do people unsubscribe? I never would."):
        plain = answers.gmail(mails["ben@example.org"][1], "ben@example.org", words)
        assert take(made, "ben@example.org", plain) is Done.KEPT
    assert [wish for wish, _ in letters(made)] == ["left", "", "leave", ""]
    assert ask(made, TAKE) == ALL[1:]


def test_an_answering_machine_leaves_nothing(made, mails):
    """A vacation reply that quotes "unsubscribe" first must not take anybody off."""
    answer = answers.apple(mails["ann@example.org"][1], "ann@example.org", "unsubscribe")
    for mark in (b"Auto-Submitted: auto-replied\r\n", b"Precedence: bulk\r\n"):
        assert take(made, "ann@example.org", mark + answer) is Done.NOTHING
    assert take(made, "", answer) is Done.NOTHING
    assert ask(made, TAKE) == ALL


def test_an_answer_to_an_old_mail_counts_for_a_year(made, mails):
    """Who finds the newsletter in last winter's mail and answers it has proved no less."""
    answer = answers.gmail(mails["ann@example.org"][1], "ann@example.org", "unsubscribe")
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET outcome_at = now() - interval '200 days'"))
    assert take(made, "ann@example.org", answer) is Done.LEFT
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET outcome_at = now() - interval '401 days'"))
    old = answers.gmail(mails["ben@example.org"][1], "ben@example.org", "unsubscribe")
    assert take(made, "ben@example.org", old) is Done.KEPT
    assert letters(made)[0][0] == "leave"


def test_through_the_intake(made, mails):
    """The whole way: a mail server hands it over, and the reader is gone."""
    with intaking(made) as ready:
        port = int(ready["lmtp"].rpartition(":")[2])
        letter = answers.outlook(mails["ann@example.org"][1], "ann@example.org", "Remove me", only_html=True)
        assert fakes.hand_over(port, "ann@example.org", US, letter)[0] == 250
    assert ask(made, TAKE) == ALL[1:]
