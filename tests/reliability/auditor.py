"""Compares the mail server's own record with the books, message by message, and asks the books for their sums."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from newsletter.assembly import Newsletter
from newsletter.journeys import mailing as journey
from newsletter.ledger import books
from newsletter.ledger.mailings import AT_LEAST_ONCE
from newsletter.tokens import Tokens

FINAL = ("accepted", "rejected", "cancelled", "expired", "uncertain")


@dataclass(frozen=True, slots=True)
class Findings:
    """What became of one mailing by both accounts.

    lost        called sent by the books and not in the server's record, or in no final state although the mailing is over
    doubled     taken by the server more than once; for what may go twice, unless it was in doubt and every byte is the same
    unrecorded  taken by the server, and the books say that it was not sent
    unlisted    taken more than once, or in doubt by its state, and its reader is not on the list that an operator reads
    repeated    lawful repeats of what was in doubt
    """

    planned: int
    accepted: int
    uncertain: int
    ever_in_doubt: int
    rejected: int
    cancelled: int
    due: int
    lost: int
    doubled: int
    unrecorded: int
    unlisted: int
    repeated: int
    state: str

    def sound(self) -> "Findings":
        """Return itself, after insisting on what may never be."""
        assert (self.lost, self.doubled, self.unrecorded, self.unlisted) == (0, 0, 0, 0), self
        return self

    def figures(self) -> dict[str, Any]:
        """Return what is worth a line."""
        shown = ("planned", "accepted", "uncertain", "lost", "doubled")
        more = ("ever_in_doubt", "rejected", "cancelled", "due", "unrecorded", "unlisted", "repeated")
        return {name: getattr(self, name) for name in shown} | {
            name: getattr(self, name) for name in more if getattr(self, name)
        }


def audit(made: Newsletter, record: list[dict[str, Any]], mailing_id: int) -> Findings:
    """Return the findings of a mailing; raises AssertionError where the books do not add up."""
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing_id) == []
        status = books.status(session, mailing_id)
        rows = {row.mailbox_id: row for row in session.execute(_ROWS, {"mailing": mailing_id})}
    by_server = _taken(made.parts.tokens, record, mailing_id)
    assert by_server.keys() <= rows.keys(), "the server has mail for somebody who was never planned"
    listed = {one.reference for one in journey.in_doubt(made.parts, mailing_id)}
    doubts = sum(row.uncertain_at is not None for row in rows.values())
    return Findings(
        planned=status.planned,
        accepted=status.accepted,
        uncertain=status.uncertain,
        ever_in_doubt=doubts,
        rejected=status.rejected,
        cancelled=status.cancelled,
        due=status.due,
        lost=sum(_lost(row, by_server[box], over=status.over) for box, row in rows.items()),
        doubled=sum(_doubled(row, by_server[box]) for box, row in rows.items()),
        unrecorded=sum(
            bool(by_server[box])
            and row.state not in ("accepted", "uncertain")
            and (row.uncertain_at is None or row.state in FINAL)
            for box, row in rows.items()
        ),
        unlisted=sum(
            (row.state == "uncertain" or len(by_server[box]) > 1) and row.reference not in listed
            for box, row in rows.items()
        ),
        repeated=sum(len(by_server[box]) > 1 and not _doubled(row, by_server[box]) for box, row in rows.items()),
        state=status.state,
    )


_ROWS = text("""
    SELECT d.mailbox_id, d.state, d.uncertain_at, d.reason, m.kind, s.reference
    FROM delivery d JOIN mailing m ON m.id = d.mailing_id LEFT JOIN subscriber s ON s.id = d.subscriber_id WHERE m.id = :mailing
""")


def _taken(tokens: Tokens, record: list[dict[str, Any]], mailing_id: int) -> "defaultdict[int, list[dict[str, Any]]]":
    """Return what the server took of a mailing, by mailbox: the return path names the delivery."""
    found: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for message in record:
        mailing, mailbox = tokens.read_return_path(message["sender"].partition("@")[0], now=datetime.now(UTC))
        if mailing == mailing_id and message["what"] == "taken":
            found[mailbox].append(message)
    return found


def _lost(row: Any, messages: list[dict[str, Any]], *, over: bool) -> bool:
    if row.state == "accepted":
        return not messages
    return over and row.state not in FINAL


def _doubled(row: Any, messages: list[dict[str, Any]]) -> bool:
    if len(messages) < 2:
        return False
    same = len({(message["id"], message["hash"]) for message in messages}) == 1
    return not (row.kind in AT_LEAST_ONCE and row.uncertain_at is not None and same)
