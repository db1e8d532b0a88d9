"""What a question names: the digests that were asked for with a mailbox, and neither given nor taken back."""

from collections.abc import Iterable
from itertools import chain

from sqlalchemy import TextClause, text

from newsletter.database import Session
from newsletter.subscribers import listed


def pending(session: Session, mailbox_ids: Iterable[int]) -> dict[int, list[int]]:
    """Return all that is pending by mailbox, the oldest wish's first: what somebody waits for, and what lists named them for."""
    return _pending(session, _PENDING, mailbox_ids)


def of_lists(session: Session, mailbox_ids: Iterable[int]) -> dict[int, list[int]]:
    """Return what lists alone named them for: of a stranger's form no mail may say that their address stands on our list."""
    return _pending(session, _OF_LISTS, mailbox_ids)


def _pending(session: Session, query: TextClause, mailbox_ids: Iterable[int]) -> dict[int, list[int]]:
    found = session.execute(query, {"ids": list(mailbox_ids)})
    return {row.mailbox_id: list(dict.fromkeys(chain.from_iterable(row.digests))) for row in found}


_SELECT = """
    SELECT mailbox_id, jsonb_agg(to_jsonb(digest_ids) ORDER BY id) AS digests FROM signup
    WHERE mailbox_id = ANY (CAST(:ids AS bigint[])) AND state IN ('asked', 'beside') AND answered_at IS NULL
        AND undone_at IS NULL AND {which} GROUP BY mailbox_id
"""
_PENDING, _OF_LISTS = (text(_SELECT.format(which=which)) for which in ("TRUE", listed.IS))
