"""How service mail fared lately: it goes on whatever is refused of it, so nobody looks at one of its mailings."""

from dataclasses import dataclass

from sqlalchemy import text

from newsletter.database import Session


@dataclass(frozen=True, slots=True)
class Fared:
    """Service mail of the last day. tried: at least once; refused: by policy, when it was tried last."""

    tried: int
    refused: int


def lately(session: Session) -> Fared:
    """Return how the service mail fared that was written within a day."""
    return Fared(*session.execute(_LATELY).one())


_LATELY = text("""
    SELECT count(*), count(*) FILTER (WHERE d.reason = 'policy' AND d.state IN ('deferred', 'expired', 'rejected'))
    FROM mailing m JOIN delivery d ON d.month = date_trunc('month', m.created_at)::date AND d.mailing_id = m.id
    WHERE m.lane = 'transactional' AND m.created_at > clock_timestamp() - interval '1 day' AND d.tries > 0
""")
