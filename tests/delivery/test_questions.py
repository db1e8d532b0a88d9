"""Whom a question goes to strangers chose: what their addresses answer keeps nobody else's back."""

import pytest
from sqlalchemy import text

from newsletter.journeys import joining
from newsletter.subscribers.signup import Wish

BOTS, PEOPLE = 14, 6
BLOCKED = "550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using zen.spamhaus.org"
OUR_ACCOUNT = "550 5.7.60 Client does not have permissions to send as this sender"


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return [tuple(row) for row in session.execute(text(sql))]


def asked(made, *, people=PEOPLE):
    """Let programs and people send the form, all of them looked at in one turn, and mail what is to be mailed."""
    for number in range(BOTS):
        joining.ask(made.parts, Wish(f"bot{number}@example.net", "en", {"weekly": "weekly"}))
    for number in range(people):
        joining.ask(made.parts, Wish(f"reader{number}@example.org", "en", {"weekly": "weekly"}))
    joining.work(made.parts)
    made.deliver("transactional", seconds=20)


@pytest.mark.parametrize(
    "answer",
    [
        "550 5.1.1 no such user",
        "550 5.7.1 blocked, see our policy",
        "550 5.3.4 message too large",
        "550 5.5.1 protocol error",
        "552 5.2.2 mailbox full",
    ],
)
def test_what_strangers_addresses_answer_keeps_nobodys_question_back(newsletter, sink, answer):
    """Fourteen dead addresses of a program silenced everybody who signed up in that minute, and nobody was told."""
    sink.refuse = lambda recipient: answer if recipient.startswith("bot") else None
    asked(newsletter)
    assert sorted(message.recipient for message in sink.messages) == sorted(
        f"reader{number}@example.org" for number in range(PEOPLE)
    )
    assert ask(newsletter, "SELECT halted FROM mailing WHERE halted IS NOT NULL") == []


def test_an_account_that_is_refused_still_halts_them(newsletter, sink):
    """That is ours, whoever it was mailed to: all stay due, and go on once it is mended."""
    sink.refuse = lambda _recipient: OUR_ACCOUNT
    asked(newsletter)
    assert ask(newsletter, "SELECT state, halted FROM mailing") == [("paused", "sender")]
    assert ask(newsletter, "SELECT count(*) FROM delivery WHERE state IN ('planned', 'deferred')") == [(BOTS + PEOPLE,)]


def test_who_signed_up_while_we_were_on_a_block_list_is_asked_once_we_are_not(newsletter, sink):
    """Thirty people were given up at the first word, and nobody can sign up for what they wait for a second time unasked."""
    sink.refuse = lambda _recipient: BLOCKED
    asked(newsletter)
    everybody = [("deferred", "policy", BOTS + PEOPLE)]
    assert ask(newsletter, "SELECT state, reason, count(*) FROM delivery GROUP BY state, reason") == everybody
    assert ask(newsletter, "SELECT state, halted FROM mailing") == [("sending", None)]
    sink.refuse = lambda _recipient: None
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = clock_timestamp()"))
    newsletter.sweep()
    newsletter.deliver("transactional", seconds=20)
    assert len({message.recipient for message in sink.messages}) == BOTS + PEOPLE
