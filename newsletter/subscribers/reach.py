"""How many may be mailed, purpose by purpose, and how many wait to be asked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import text

from newsletter.database import Session
from newsletter.subscribers import unproven


@dataclass(frozen=True, slots=True)
class Reach:
    """Who may be mailed now.

    digests    by the digest's number: whom an issue or an ordinary mailing would reach, in whatever rhythm
    alerts     who takes any of them; these come as well to whoever paused or takes emergencies only
    unproven   whom nobody may mail yet
    """

    digests: Mapping[int, int]
    alerts: int
    unproven: int


def now(session: Session) -> Reach:
    """Count who takes each digest on a basis and is not suppressed: as planning would (`recipients.of_digest`)."""
    rows = session.execute(_REACH).all()
    alerts = sum(row.readers for row in rows if row.digests is None)
    digests = {row.digests: int(row.readers) for row in rows if row.digests is not None}
    return Reach(dict(sorted(digests.items())), int(alerts), session.execute(_UNPROVEN).scalar_one())


_REACH = text("""
    WITH taken AS (
        SELECT l.digest_id, l.subscriber_id,
            l.rhythm <> 'emergencies' AND (s.paused_until > now()) IS NOT TRUE AS ordinary
        FROM subscription l JOIN subscriber s ON s.id = l.subscriber_id
        JOIN mailbox m ON m.id = s.mailbox_id AND m.address_sealed IS NOT NULL
        JOIN consent_event e ON e.id = l.granted_by AND e.kind = 'granted'
        WHERE l.ended_at IS NULL AND NOT EXISTS (
            SELECT FROM suppression p WHERE p.mailbox_id = s.mailbox_id AND p.lifted_at IS NULL)
    )
    SELECT digest_id AS digests, count(*) FILTER (WHERE ordinary) AS readers FROM taken GROUP BY digest_id
    UNION ALL SELECT NULL, count(DISTINCT subscriber_id) FROM taken
""")
_UNPROVEN = text(f"SELECT count(DISTINCT (u.subscriber_id, u.digest_id)) FROM {unproven.UNDECIDED}")  # noqa: S608


def as_data(found: Reach | None) -> dict[str, Any]:
    """Return it as it is kept."""
    return asdict(found) if found else {}
