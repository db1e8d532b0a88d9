"""Ten segments that use every condition, counted exactly among a million readers: each in less than a second."""

import math
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import create_engine, text

from benchmarks import house, limits
from benchmarks.table import row
from newsletter import embedded
from newsletter.assembly import Newsletter
from newsletter.journeys import segmenting
from newsletter.subscribers import segments

LIMIT_SECONDS = 1.0
SEGMENTS = {
    "everybody who takes anything": [],
    "who takes the weekly": [{"digest": "weekly"}],
    "daily, not weekly": [{"digest": "daily"}, {"not": {"digest": "weekly"}}],
    "reads of water, in Persian": [{"topic": "water"}, {"language": "fa"}],
    "weekly, not of the press": [{"digest": "weekly"}, {"not": {"topic": "press"}}],
    "joined this spring": [{"joined": {"from": "2026-03-01", "before": "2026-06-01"}}],
    "had the first, not the second": [{"digest": "weekly"}, {"had": 1}, {"not": {"had": 2}}],
    "weekly, not in English": [{"digest": "weekly"}, {"not": {"language": "en"}}],
    "in another": [{"in": "newcomers"}, {"digest": "weekly"}, {"not": {"had": 2}}],
    "not in another": [{"digest": "weekly"}, {"not": {"in": "newcomers"}}, {"topic": "press"}],
}
NEWCOMERS = [{"joined": {"from": "2026-06-01"}}, {"language": "en"}]
# People as an import makes them; of seals only the size matters here. One percent is suppressed.
_FILL = """
    INSERT INTO digest (key, name, languages) VALUES ('daily', 'The Daily', '{en}');
    INSERT INTO topic (key, name) VALUES ('water', 'Water'), ('press', 'Press');
    INSERT INTO mailing (kind, lane, created_at) VALUES ('mailing', 'bulk', '2026-07-01'), ('mailing', 'bulk', '2026-07-08');
    SELECT deliveries_of_month('2026-07-01');
    INSERT INTO mailbox (address_sealed, provider, domain_index)
    SELECT decode(repeat('ab', 52), 'hex'), 'other', decode(repeat('cd', 16), 'hex') FROM generate_series(1, {readers});
    INSERT INTO subscriber (mailbox_id, reference, name_sealed, language, created_at)
    SELECT id, upper(substr(md5(id::text), 1, 8)), decode(repeat('ef', 44), 'hex'),
        (ARRAY['en', 'en', 'en', 'en-GB', 'fa', 'fr', 'ar', 'en'])[1 + id % 8],
        timestamptz '2024-01-01' + (id * 7919 % 900) * interval '1 day'
    FROM mailbox ON CONFLICT DO NOTHING;
    INSERT INTO consent_event (subscriber_id, kind, basis, purpose) SELECT id, 'granted', 'imported', 'digest:1' FROM subscriber;
    INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by)
    SELECT subscriber_id, 1, 'weekly', id FROM consent_event WHERE subscriber_id % 10 <> 0;
    INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by)
    SELECT subscriber_id, 2, 'daily', id FROM consent_event WHERE subscriber_id % 3 = 0;
    INSERT INTO interest (subscriber_id, topic_id, granted_by)
    SELECT subscriber_id, 1, id FROM consent_event WHERE subscriber_id % 5 = 0
    UNION ALL SELECT subscriber_id, 2, id FROM consent_event WHERE subscriber_id % 7 = 0;
    INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, position, state)
    SELECT '2026-07-01', m, 1, mailbox_id, id, 0, CASE WHEN id % 50 = 0 THEN 'rejected' ELSE 'accepted' END
    FROM generate_series(1, 2) AS m, subscriber WHERE m = 1 OR id % 4 <> 0;
    INSERT INTO suppression (mailbox_id, reason) SELECT mailbox_id, 'left' FROM subscriber WHERE id % 100 = 1;
"""
_FILLED = ("mailbox", "subscriber", "consent_event", "subscription", "interest", "delivery", "suppression")


def run(folder: Path, *, readers: int, rounds: int = 12) -> list[str]:
    """Print the median and the 95th percentile of each segment, and of all together; return which take too long."""
    with house.built(folder) as made:
        _fill(folder, readers)
        with made.parts.database.transaction() as session:
            segments.add(session, "newcomers", segments.from_data(NEWCOMERS))
        taken: dict[str, list[float]] = {}
        for name, data in SEGMENTS.items():
            found, spent = _timed(made, segments.from_data(data), rounds)
            taken[name] = spent
            row(f"{name}: {found:,}", f"{statistics.median(spent):.3f} s, p95 {_p95(spent):.3f} s")
        row(
            f"ten segments of {readers:,} readers",
            f"p95 {_p95([one for each in taken.values() for one in each]):.3f} s",
        )
        return missed(taken)


def missed(taken: Mapping[str, list[float]]) -> list[str]:
    """Return which segments take longer than asked, by the 95th percentile of each."""
    return [
        said
        for name, spent in taken.items()
        for said in limits.above(f"segment “{name}”, p95", _p95(spent), LIMIT_SECONDS)
    ]


def _timed(made: Newsletter, segment: segments.Segment, rounds: int) -> tuple[int, list[float]]:
    spent, found = [], 0
    for _ in range(rounds):
        began = time.monotonic()
        with made.parts.database.transaction() as session:
            found = segments.count(session, segment, digests=segmenting.numbers(session))
        spent.append(time.monotonic() - began)
    return found, spent


def _p95(spent: list[float]) -> float:
    return sorted(spent)[math.ceil(0.95 * len(spent)) - 1]


def _fill(folder: Path, readers: int) -> None:
    """Fill the tables as the owner, and look at them as autovacuum would have by then."""
    engine = create_engine(embedded.start(folder / "home").owner_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in _FILL.replace("{readers}", str(readers)).split(";\n"):
            if statement.strip():
                connection.execute(text(statement.replace(":", r"\:")))
        for table in _FILLED:
            connection.execute(text(f"VACUUM ANALYZE {table}"))
    engine.dispose()
