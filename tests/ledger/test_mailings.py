"""A mailing's life: every legal move works, every other is refused."""

from itertools import product

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from newsletter.ledger import mailings
from newsletter.ledger.mailings import MOVES, Draft, Kind, Lane, State, UnknownMailing, WrongState


def made(session, state):
    new = "INSERT INTO mailing (kind, lane, state, fingerprint) VALUES ('mailing', 'bulk', :state, sha256('x')) RETURNING id"
    return session.execute(text(new), {"state": state}).scalar_one()


def _now(session):
    return session.execute(text("SELECT now()")).scalar_one()


@pytest.mark.parametrize(("start", "end"), [(start, end) for start, ends in MOVES.items() for end in sorted(ends)])
def test_every_legal_move_is_possible(session, start, end):
    """The table of moves is what the code does."""
    mailing = made(session, start)
    mailings.move(session, mailing, end)
    assert mailings.get(session, mailing).state is end


def test_every_other_move_is_refused(session):
    """A mailing that was stopped can never go on, whoever asks."""
    for start, end in product(State, State):
        if end not in MOVES[start]:
            mailing = made(session, start)
            with pytest.raises((WrongState, KeyError)):
                mailings.move(session, mailing, end)


def test_a_mailing_that_is_not_there_is_named(session):
    """A mistyped number gets a sentence, not a traceback."""
    with pytest.raises(UnknownMailing):
        mailings.get(session, 4711)


def test_the_fingerprint_covers_the_bytes(session):
    """Approval is of what a reader will see; one letter changed is another mailing."""
    from newsletter.composer.message import Block, Compiled, Head
    from newsletter.ledger import variants

    prints = set()
    for word in ("peace", "peaces", "peace"):
        mailing = mailings.draft(session, Draft(Kind.MAILING, Lane.BULK, None, "A mailing"), now=_now(session))
        compiled = Compiled(Head(("From: a@example.org\r\n",), ("Hello",)), (Block((word,), (word,)),))
        variants.store(session, mailing, compiled, number=1, language="en")
        prints.add(mailings.lock(session, mailing))
    assert len(prints) == 2


def test_no_role_moves_a_mailing_as_it_likes(session):
    """Whoever has a worker's password must not bring back what somebody stopped at night."""
    for start, end in product(State, State):
        if start is not end and end not in MOVES[start]:
            mailing = made(session, start)
            with pytest.raises(IntegrityError), session.begin_nested():
                session.execute(text("UPDATE mailing SET state = :end WHERE id = :it"), {"end": end, "it": mailing})
