"""What the columns in clear say of people: how many share what stands of each."""

from dataclasses import dataclass

from sqlalchemy import text

from newsletter.database import Session

FEW = 5
"""In a group of fewer a person may be known by what stands of them alone (k-anonymity, k = 5)."""
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Group:
    """People of whom the same stands in clear."""

    area: str | None
    language: str
    zone: str
    people: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """How well people hide among each other. small: groups of fewer than five; rarest: the smallest, ten at most."""

    people: int
    groups: int
    small_groups: int
    people_in_small_groups: int
    alone: int
    rarest: tuple[Group, ...]


def crowd(session: Session) -> Crowd:
    """Return how many people share area, language and zone."""
    counted = session.execute(_CROWD, {"few": FEW}).one()
    rarest = session.execute(_RAREST, {"few": FEW, "shown": _SHOWN})
    people, groups, small, in_small, alone = map(int, counted)
    return Crowd(people, groups, small, in_small, alone, tuple(Group(*row) for row in rarest))


_GROUPS = "WITH shared AS (SELECT area, language, time_zone, count(*) AS n FROM subscriber GROUP BY 1, 2, 3)"
_CROWD = text(f"""
    {_GROUPS} SELECT coalesce(sum(n), 0), count(*), count(*) FILTER (WHERE n < :few),
        coalesce(sum(n) FILTER (WHERE n < :few), 0), count(*) FILTER (WHERE n = 1) FROM shared
""")  # noqa: S608
_RAREST = text(f"""
    {_GROUPS} SELECT area, language, time_zone, n FROM shared WHERE n < :few
    ORDER BY n, language, time_zone, area NULLS FIRST LIMIT :shown
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Held:
    """How much is sealed of whom. kept_out: addresses on the do-not-mail list."""

    addresses: int
    names: int
    postcodes: int
    proofs: int
    wishes: int
    kept_out: int


def held(session: Session) -> Held:
    """Return how much of people there is to be opened."""
    return Held(*map(int, session.execute(_HELD).one()))


_HELD = text("""
    SELECT (SELECT count(*) FROM mailbox WHERE address_sealed IS NOT NULL),
        (SELECT count(name_sealed) FROM subscriber), (SELECT count(postcode_sealed) FROM subscriber),
        (SELECT count(*) FROM consent_detail), (SELECT count(*) FROM signup),
        (SELECT count(DISTINCT mailbox_id) FROM suppression WHERE lifted_at IS NULL)
""")
