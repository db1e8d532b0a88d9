"""Sign-ups of people whom lists named without evidence: whether their question still is one, and calling in what no mail asked.

They asked for nothing, and their question goes with bulk mail: weeks may lie between its planning and its mail.
"""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import text

from newsletter.database import Session
from newsletter.ledger import questions
from newsletter.subscribers import consent

FORM = "import"
"""The form that they are said to have come by."""
IS = f"(released_at IS NOT NULL AND held_at IS NULL AND form = '{FORM}')"
"""SQL for whether a sign-up is one of them: any stranger may call their form so, and none is vouched for (`signup.vouch`)."""
_OPEN = f"{IS} AND answered_at IS NULL AND undone_at IS NULL"


def still_ask(session: Session, signup_ids: Iterable[int]) -> set[int]:
    """Return those of some sign-ups about all of which their owners are still to be asked.

    Not where they said yes or no since to anything that the mail names, at whatever door: its words are fixed, it would ask for
    that as well, and its one button would take back a no. What else it names can be asked about once its time is over
    (`unproven.ask_anew`).
    """
    return set(session.execute(_STILL_ASK, {"ids": list(signup_ids)}).scalars())


# Each one look-up by index, as for `recipients.barred`.
_STILL_ASK = text(f"""
    SELECT g.id FROM signup g LEFT JOIN subscriber s ON s.mailbox_id = g.mailbox_id
    WHERE g.id = ANY (CAST(:ids AS bigint[])) AND g.state = 'asked' AND g.answered_at IS NULL AND g.undone_at IS NULL
        AND NOT EXISTS (SELECT FROM unnest(g.named) AS n (digest)
            WHERE (SELECT count(*) FROM subscription l
                    WHERE l.subscriber_id = s.id AND l.digest_id = n.digest AND l.ended_at IS NULL) > 0
                OR {consent.said_no("s.id", f"ARRAY['digest:' || n.digest, '{consent.EVERYTHING}']")})
""")  # noqa: S608


def call_in(session: Session, mailbox_ids: Collection[int], *, digest_id: int) -> None:
    """Take back that the owners of mailboxes were to be asked about a digest, and cancel their questions, of which none was handed.

    What such a mail named besides, because of other lists, is asked about anew. Whoever calls it has `signup.wait`ed.
    """
    facts = {"boxes": list(mailbox_ids), "digest": digest_id}
    asked: Mapping[int, int] = dict(session.execute(_ASKED, facts).all())
    facts["cancelled"] = list(questions.cancel(session, asked))
    session.execute(_GONE, facts)
    session.execute(_ANEW, facts)


_HERE = f"mailbox_id = ANY (CAST(:boxes AS bigint[])) AND {_OPEN}"
_ASKED = text(f"SELECT id, mailbox_id FROM signup WHERE {_HERE} AND state = 'asked'")  # noqa: S608
_GONE = text(f"""
    DELETE FROM signup
    WHERE {_HERE} AND state IN ('waiting', 'asked', 'beside') AND digest_ids = ARRAY[CAST(:digest AS bigint)]
""")  # noqa: S608
_ANEW = text(f"""
    UPDATE signup SET state = 'waiting', asked_at = NULL, again_at = NULL, named = '{{}}'
    WHERE {_HERE} AND (state = 'beside' OR state = 'asked' AND id = ANY (CAST(:cancelled AS bigint[])))
""")  # noqa: S608
