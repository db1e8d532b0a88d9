"""What a relay answers says something of addresses too: suppressed, counted, and lifted when mail arrives after all."""

import pytest
from sqlalchemy import text

from newsletter.journeys import mailing, publish
from tests import house

ADDRESS = "ann@example.org"


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return [tuple(row) for row in session.execute(text(sql))]


@pytest.fixture
def sent(newsletter, tmp_path, sink):
    """Send an issue to one reader whose server answers as told; return the product."""

    def send(answer):
        sink.refuse = lambda _recipient: answer
        composed = house.issue(newsletter, tmp_path, addresses=[ADDRESS])
        publish.send(newsletter.parts, composed.issue)
        newsletter.sweep()
        newsletter.deliver("bulk")
        sink.refuse = lambda _recipient: None
        return newsletter

    return send


def test_a_dead_address_that_takes_mail_again_is_written_to_again(sent):
    """A server that lost its list of users for an hour must not cost anyone the newsletter for ever."""
    made = sent("550 5.1.1 no such user")
    assert ask(made, "SELECT reason, said_by, lifted_at FROM suppression") == [("dead", "reply", None)]
    mailing.test(made.parts, 1, ADDRESS)
    made.deliver("transactional")
    assert ask(made, "SELECT reason, lifted_why FROM suppression") == [("dead", "mail arrived later")]


def test_what_a_relay_takes_does_not_outweigh_a_report(sent):
    """A relay that queues says yes to everything, and the bounce comes an hour later."""
    made = sent(None)
    with made.parts.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO suppression (mailbox_id, reason, said_by) SELECT mailbox_id, 'dead', 'report' FROM subscriber"
            )
        )
    mailing.test(made.parts, 1, ADDRESS)
    made.deliver("transactional")
    assert ask(made, "SELECT lifted_at FROM suppression") == [(None,)]


def test_a_full_mailbox_is_counted_when_it_was_given_up(sent, sink):
    """Three times over a fortnight it is left alone; the first time it is only noted."""
    made = sent("552 5.2.2 mailbox full")
    assert ask(made, "SELECT count(*) FROM full_mailbox") == [(0,)], "asked twice more before it is given up"
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = now(), tries = 2"))
    made.sweep()
    sink.refuse = lambda _recipient: "552 5.2.2 mailbox full"
    made.deliver("bulk")
    assert ask(made, "SELECT state, reason FROM delivery") == [("rejected", "mailbox full")]
    assert ask(made, "SELECT times FROM full_mailbox") == [(1,)]
    assert ask(made, "SELECT count(*) FROM suppression") == [(0,)]
