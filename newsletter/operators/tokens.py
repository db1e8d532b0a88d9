"""Keys for programs: each acts as an operator, within its scopes, until a day; shown once, kept as a digest."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, update

from newsletter.database import Session
from newsletter.errors import Forbidden, Invalid, NotFound
from newsletter.models.operator import ApiToken
from newsletter.operators import audit, labels, people
from newsletter.operators.people import Disabled, OperatorView
from newsletter.operators.roles import May

PREFIX = "nl_"
PURPOSE = "api token"
LONGEST = timedelta(days=366)
USUAL = timedelta(days=90)
LOOK = timedelta(minutes=10)
"""How exactly the last use is kept."""
# What a program can ask for at /api/v1 and no more: a scope that opens nothing today would open something one day, unasked.
FOR_PROGRAMS = frozenset({May.STOP, May.AUDIT})


class BadScopes(Invalid):
    """A scope that no program may have, or that the operator's own roles do not hold; or none at all."""

    def __init__(self, scopes: Iterable[str]) -> None:
        super().__init__("operator.bad-scopes", scopes=", ".join(sorted(scopes)) or "–")


class BadLife(Invalid):
    """A token must end within a year."""

    def __init__(self) -> None:
        super().__init__("operator.bad-life", days=LONGEST.days)


class UnknownToken(NotFound):
    """No living token has this number."""

    def __init__(self, token_id: int) -> None:
        super().__init__("operator.unknown-token", token=token_id)


class BadBearer(Forbidden):
    """The token was not made here, is over, or its operator may no longer act."""

    status = 401

    def __init__(self) -> None:
        super().__init__("operator.bad-bearer")


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as its owner sees it."""

    id: int
    operator_id: int
    label: str
    scopes: tuple[May, ...]
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bearer:
    """A program that acts as an operator. may: what its scopes and the operator's roles both allow."""

    token_id: int
    operator: OperatorView
    may: frozenset[May]


@dataclass(frozen=True, slots=True)
class Made:
    """A new token: the secret is shown now and never again."""

    token: TokenView
    secret: str = field(repr=False)


def add(
    session: Session,
    owner: OperatorView,
    *,
    label: str,
    scopes: Iterable[May],
    life: timedelta,
    by: int | str,
    now: datetime,
) -> Made:
    """Make a token for an operator. Raises BadScopes, BadLife, Disabled."""
    wanted = frozenset(scopes)
    if not owner.active:
        raise Disabled(owner.id)
    if not wanted or wanted - (owner.may & FOR_PROGRAMS):
        raise BadScopes(wanted - (owner.may & FOR_PROGRAMS))
    if not timedelta(0) < life <= LONGEST:
        raise BadLife
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        operator_id=owner.id,
        label=labels.clean(label, otherwise="token"),
        digest=session.vault.digest(PURPOSE, secret),
        scopes=sorted(wanted),
        made_at=now,
        expires_at=now + life,
    )
    session.add(row)
    session.flush()
    audit.append(session, "token.made", by=by, now=now, operator=owner.id, token=row.id, scopes=sorted(wanted))
    return Made(_view(row), secret)


def bearer(session: Session, secret: str, *, now: datetime) -> Bearer:
    """Return who a token acts as, and note its use (to ten minutes). Raises BadBearer."""
    wanted = (ApiToken.digest == session.vault.digest(PURPOSE, secret), ApiToken.ended_at.is_(None))
    row = session.execute(select(ApiToken).where(*wanted, ApiToken.expires_at > now)).scalar_one_or_none()
    owner = people.by_id(session, row.operator_id) if row is not None else None
    if row is None or owner is None or not owner.active:
        raise BadBearer
    if row.used_at is None or row.used_at < now - LOOK:
        session.execute(update(ApiToken).where(ApiToken.id == row.id).values(used_at=now))
    return Bearer(row.id, owner, owner.may & FOR_PROGRAMS & {May(scope) for scope in row.scopes})


def listed(session: Session, operator_id: int | None = None) -> list[TokenView]:
    """Return the tokens of one operator or of all, newest first."""
    query = select(ApiToken).order_by(ApiToken.id.desc())
    if operator_id is not None:
        query = query.where(ApiToken.operator_id == operator_id)
    return [_view(row) for row in session.execute(query).scalars()]


def revoke(session: Session, token_id: int, *, owner: int | None = None, by: int | str, now: datetime) -> None:
    """End a token. owner: only where it is theirs. Raises UnknownToken."""
    statement = update(ApiToken).where(ApiToken.id == token_id, ApiToken.ended_at.is_(None)).values(ended_at=now)
    if owner is not None:
        statement = statement.where(ApiToken.operator_id == owner)
    if not session.execute(statement).rowcount:  # type: ignore[attr-defined]
        raise UnknownToken(token_id)
    audit.append(session, "token.ended", by=by, now=now, token=token_id)


def end_all(session: Session, operator_id: int, *, now: datetime) -> None:
    """End every token of an operator."""
    mine = (ApiToken.operator_id == operator_id, ApiToken.ended_at.is_(None))
    session.execute(update(ApiToken).where(*mine).values(ended_at=now))


def _view(row: ApiToken) -> TokenView:
    scopes = tuple(May(scope) for scope in row.scopes)
    return TokenView(row.id, row.operator_id, row.label, scopes, row.made_at, row.expires_at, row.used_at, row.ended_at)
