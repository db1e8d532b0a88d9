"""What we hold of one reader as a reader: handed out whole, and forgotten but for what proves nothing about anybody.

Of consent stay the events, which name a number that is nobody's any more; their details go. Of the do-not-mail list stays, unless
the person wishes otherwise, one entry beside a keyed digest of the address: who was erased must not come back by an old list.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import select, text

from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Session
from newsletter.mailboxes import Whose
from newsletter.models.consent import Consent, ConsentDetail, ConsentEvent, ImportRun, Unproven
from newsletter.models.fresh import FreshLink
from newsletter.models.privacy import PrivacyWish
from newsletter.models.signup import Signup
from newsletter.models.subscriber import Subscriber, Subscription
from newsletter.models.suppression import FullMailbox, Reason, Suppression, SuppressionNaming
from newsletter.models.topic import Interest, Topic
from newsletter.subscribers import agreements, consent, fresh, signup, suppression, unproven
from newsletter.vault import CannotUnseal

CLAIMS = frozenset(
    {
        "subscriber.reference",
        "subscriber.name_sealed",
        "subscriber.postcode_sealed",
        "subscriber.language",
        "subscriber.time_zone",
        "subscriber.area",
        "subscriber.style",
        "subscriber.nameless",
        "subscriber.paused_until",
        "interest.topic_id",
        "consent_detail.details_sealed",
        "signup.wish_sealed",
        "signup.inbox",
        "privacy_wish.parcel",
    }
)
"""What `export` and `forget` answer for, of all that is marked as personal."""
ROWS: Mapping[str, str] = MappingProxyType(
    {
        "subscriber": "reference",
        "subscription": "subscriptions",
        "interest": "topics",
        "consent_event": "permissions",
        "suppression": "suppressions",
        "unproven": "named_by_lists",
        "stayed_silent": "asked_because_of_a_list_and_silent",
        "full_mailbox": "mailbox_was_full",
        "fresh_link": "links_asked_for",
        "privacy_wish": "wishes_on_their_page",
        "signup": "signups",
    }
)
"""Under which name `export` hands out the rows of each table that points to a person."""
Held = tuple[timedelta | None, datetime | None, int]
"""How long a category is kept (None = as long as the person is with us), its oldest row, how many rows."""


def export(session: Session, whose: Whose) -> dict[str, Any]:
    """Return what we hold of a reader: their record, what they take and took, permissions, suppressions, sign-ups."""
    return {
        **_record(session, whose),
        "subscriptions": list(_subscriptions(session, whose)),
        "topics": list(_topics(session, whose)),
        "permissions": list(permissions(session, whose)),
        "suppressions": list(_suppressions(session, whose)),
        "named_by_lists": list(_named_by_lists(session, whose)),
        "asked_because_of_a_list_and_silent": unproven.silent_since(session, whose.mailbox_id),
        "mailbox_was_full": list(_full(session, whose)),
        "links_asked_for": list(_links(session, whose)),
        "wishes_on_their_page": list(_wishes(session, whose)),
        "signups": [
            {
                "at": row.came_at,
                "state": row.state,
                "answered_at": row.answered_at,
                "answered_by": row.answered_by,
                "refused_at": row.refused_at,
            }
            | _wish(session, row)
            for row in _signups(session, whose)
        ],
    }


def _record(session: Session, whose: Whose) -> dict[str, Any]:
    found = session.get(Subscriber, whose.subscriber_id) if whose.subscriber_id else None
    if found is None:
        return {}
    unseal = session.vault.unseal
    return {
        "reference": found.reference,
        "name": unseal("subscriber", "name", found.id, found.name_sealed) if found.name_sealed else None,
        "postcode": unseal("subscriber", "postcode", found.id, found.postcode_sealed)
        if found.postcode_sealed
        else None,
        "language": found.language,
        "time_zone": found.time_zone,
        "area": found.area,
        "mail_style": found.style,
        "no_name_is_kept": found.nameless,
        "paused_until": found.paused_until,
        "reader_since": found.created_at,
    }


def _subscriptions(session: Session, whose: Whose) -> Iterator[dict[str, Any]]:
    mine = select(Subscription).where(Subscription.subscriber_id == whose.subscriber_id).order_by(Subscription.id)
    for one in session.execute(mine).scalars():
        yield {
            "at": one.started_at,
            "digest": one.digest_id,
            "rhythm": one.rhythm,
            "permission": one.granted_by,
            "ended_at": one.ended_at,
            "ended_because": one.end_reason,
        }


def _topics(session: Session, whose: Whose) -> Iterator[dict[str, Any]]:
    mine = select(Interest, Topic.key).join(Topic, Topic.id == Interest.topic_id).order_by(Interest.id)
    for one, key in session.execute(mine.where(Interest.subscriber_id == whose.subscriber_id)):
        yield {
            "at": one.started_at,
            "topic": key,
            "permission": one.granted_by,
            "ended_at": one.ended_at,
            "ended_because": one.end_reason,
        }


def permissions(session: Session, whose: Whose) -> Iterator[dict[str, Any]]:
    """Yield everything of one person's permissions, in order: basis, purpose, and with what it is proved."""
    query = (
        select(ConsentEvent, ConsentDetail, ImportRun)
        .outerjoin(ConsentDetail, ConsentDetail.event_id == ConsentEvent.id)
        .outerjoin(ImportRun, ImportRun.id == ConsentEvent.import_id)
        .where(ConsentEvent.subscriber_id == whose.subscriber_id)
        .order_by(ConsentEvent.id)
    )
    for event, detail, run in session.execute(query):
        told: dict[str, Any] = {"at": event.at, "permission": event.id, "kind": event.kind, "purpose": event.purpose}
        if event.basis:
            told["basis"] = event.basis
        if event.kind == Consent.WITHDRAWN:
            told |= _by(event, run)
        if detail is not None:
            sealed = session.vault.unseal("consent_detail", "details", event.id, detail.details_sealed)
            told |= agreements.told(json.loads(sealed))
        if run is not None:
            told |= _list(session, run)
        yield told


def _by(event: ConsentEvent, run: ImportRun | None) -> dict[str, Any]:
    """Tell whose act a withdrawal was. A list's permission also ends where its reader must not be written to."""
    if event.undoes:
        return {"by": "an operator", "undoes_permission": event.undoes}
    if run is None:
        return {"by": "the person"}
    return {"by": "an operator" if event.at == run.undone_at else "the do-not-mail list"}


def _list(session: Session, run: ImportRun) -> dict[str, Any]:
    """Tell of the list that brought something: which, whose export it was, what the operator said of it, and if it was undone."""
    evidence = session.vault.unseal("import_run", "evidence", run.id, run.evidence_sealed)
    undone = {"import_undone_at": run.undone_at} if run.undone_at else {}
    return {"import": run.id, "source": run.source, "evidence": evidence} | undone


def _named_by_lists(session: Session, whose: Whose) -> Iterator[dict[str, Any]]:
    """Yield the lists that named them without evidence, and when they were asked: nothing is sent before they say yes."""
    query = select(Unproven, ImportRun).join(ImportRun, ImportRun.id == Unproven.import_id)
    mine = query.where(Unproven.subscriber_id == whose.subscriber_id).order_by(ImportRun.id, Unproven.digest_id)
    for one, run in session.execute(mine):
        yield {"at": run.at, "digest": one.digest_id, **_list(session, run), "asked_at": one.asked_at}


def _full(session: Session, whose: Whose) -> Iterator[dict[str, Any]]:
    for one in session.execute(select(FullMailbox).where(FullMailbox.mailbox_id == whose.mailbox_id)).scalars():
        yield {"at": one.since, "times": one.times, "last_at": one.last_at}


def _links(session: Session, whose: Whose) -> Iterator[dict[str, Any]]:
    mine = select(FreshLink).where(FreshLink.subscriber_id == whose.subscriber_id).order_by(FreshLink.id)
    for one in session.execute(mine).scalars():
        yield {"at": one.asked_at, "dealt_with_at": one.done_at}


def _wishes(session: Session, whose: Whose) -> Iterator[dict[str, Any]]:
    mine = select(PrivacyWish).where(PrivacyWish.subscriber_id == whose.subscriber_id).order_by(PrivacyWish.id)
    for one in session.execute(mine).scalars():
        yield {"at": one.asked_at, "wish": one.asking, "done_at": one.done_at, "refused": one.refused}


def _suppressions(session: Session, whose: Whose) -> Iterator[dict[str, Any]]:
    mine = (
        select(Suppression, ImportRun)
        .outerjoin(ImportRun, ImportRun.id == Suppression.import_id)
        .where(Suppression.mailbox_id == whose.mailbox_id)
        .order_by(Suppression.id)
    )
    for one, run in session.execute(mine):
        named = select(SuppressionNaming.import_id).where(SuppressionNaming.suppression_id == one.id)
        further = list(session.execute(named.order_by(SuppressionNaming.import_id)).scalars())
        yield {
            "at": one.at,
            "reason": one.reason,
            "said_by": one.said_by,
            "lifted_at": one.lifted_at,
            "lifted_why": one.lifted_why,
            "lifted_by": one.lifted_by,
            **(_list(session, run) if run else {}),
            **({"named_by_further_imports": further} if further else {}),
        }


def _signups(session: Session, whose: Whose) -> Iterator[Signup]:
    """Their sign-ups, also those that nobody has looked at yet or that were refused: these name no mailbox, so they are opened."""
    mine = select(Signup).where(Signup.mailbox_id == whose.mailbox_id).order_by(Signup.id)
    yield from session.execute(mine).scalars().all()
    nameless = select(Signup).where(Signup.mailbox_id.is_(None)).order_by(Signup.id)
    for row in session.execute(nameless).scalars().all():
        if whose.address and _address(_wish(session, row)) == whose.address.normal:
            yield row


def _wish(session: Session, row: Signup) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(session.vault.unseal("signup", "wish", row.id, row.wish_sealed))
    except (CannotUnseal, ValueError):
        return {}
    return found


def _address(wish: dict[str, Any]) -> str:
    try:
        return EmailAddress.parse(str(wish.get("address", ""))).normal
    except BadAddress:
        return ""


def must_stay_out(session: Session, whose: Whose) -> bool:
    """Whether somebody has said what nobody but they may take back: that they left, complained, or want no mail ever again."""
    left = whose.subscriber_id is not None and consent.has_left(session, whose.subscriber_id)
    return left or bool(suppression.own_words(session, whose.mailbox_id))


def forget(session: Session, whose: Whose, *, may_come_back: bool, now: datetime) -> None:
    """Erase what we hold of a reader. Their mailbox is forgotten by `mailboxes`, with or without its digest.

    may_come_back   nothing keeps them out: a list that somebody brings may name them again
    """
    facts = {"subscriber": whose.subscriber_id, "mailbox": whose.mailbox_id}
    for row in list(_signups(session, whose)):
        if row.refused_at and not may_come_back and now - row.refused_at < signup.REFUSED_FOR:
            _empty(row)
        else:
            session.delete(row)
    session.flush()
    for statement in _FORGET:
        session.execute(statement, facts)
    if not may_come_back:
        suppression.add(session, whose.mailbox_id, reason=Reason.NEVER_AGAIN, now=now)


def _empty(row: Signup) -> None:
    """Leave of a sign-up that its owner said no to, and when, beside the keyed digest of the inbox: so it holds for its month."""
    row.wish_sealed, row.client, row.net = b"", None, None
    row.form, row.provider, row.named, row.digest_ids = "", "other", [], []
    row.events, row.made_person = [], None


_FORGET = tuple(
    map(
        text,
        (
            "DELETE FROM consent_detail d USING consent_event e WHERE e.id = d.event_id AND e.subscriber_id = :subscriber",
            "UPDATE privacy_wish SET parcel = NULL WHERE subscriber_id = :subscriber",
            # Their subscriptions and fresh links go with them.
            "DELETE FROM subscriber WHERE id = :subscriber",
            "DELETE FROM suppression WHERE mailbox_id = :mailbox",
            "DELETE FROM full_mailbox WHERE mailbox_id = :mailbox",
            "DELETE FROM stayed_silent WHERE mailbox_id = :mailbox",
        ),
    )
)


def held(session: Session) -> dict[str, Held]:
    """Return how long each category of ours is kept, the oldest row that is there, and how many rows."""
    kept = {
        "readers": (None, "subscriber", "created_at"),
        "proof of consent, without persons": (None, "consent_event", "at"),
        "details of consent": (None, "consent_event e JOIN consent_detail d ON d.event_id = e.id", "at"),
        "details of consent of nobody": (
            timedelta(0),
            "consent_event e JOIN consent_detail d ON d.event_id = e.id"
            " WHERE NOT EXISTS (SELECT FROM subscriber s WHERE s.id = e.subscriber_id)",
            "at",
        ),
        "do-not-mail list": (None, "suppression", "at"),
        "came without evidence, asked": (unproven.SILENT, "unproven WHERE asked_at IS NOT NULL", "asked_at"),
        "came without evidence, not asked": (
            unproven.UNASKED,
            "unproven u JOIN import_run r ON r.id = u.import_id WHERE u.asked_at IS NULL",
            "r.at",
        ),
        "came without evidence, silent (a digest of the address)": (unproven.REMEMBERED, "stayed_silent", "at"),
        "sign-ups": (signup.KEPT, "signup WHERE refused_at IS NULL", "came_at"),
        # Kept at least as long as any other: it may be refused on the day it comes.
        "sign-ups whose owner said no": (
            signup.KEPT,
            "signup WHERE refused_at IS NOT NULL",
            "greatest(came_at, refused_at)",
        ),
        "fresh links": (fresh.KEPT, "fresh_link", "asked_at"),
        "wishes of readers' pages": (WISHES_KEPT, "privacy_wish", "asked_at"),
    }
    return {category: (period, *_oldest(session, table, at)) for category, (period, table, at) in kept.items()}


WISHES_KEPT = timedelta(days=1)


def _oldest(session: Session, table: str, at: str) -> tuple[datetime | None, int]:
    # Words of this file alone; nothing that anybody wrote.
    found = session.execute(text(f"SELECT min({at}), count(*) FROM {table}")).one()  # noqa: S608
    return found[0], int(found[1])


def tidy(session: Session, *, now: datetime) -> int:
    """Delete wishes of pages whose time is over, and fresh links nobody asks about any more; return how many rows."""
    facts = {"wishes": now - WISHES_KEPT, "links": now - fresh.KEPT}
    return sum(len(session.execute(one, facts).all()) for one in _TIDY)


_TIDY = (
    # One to be erased waits until it is done, however long.
    text("DELETE FROM privacy_wish WHERE done_at < :wishes OR asking = 'export' AND asked_at < :wishes RETURNING id"),
    text("DELETE FROM fresh_link WHERE asked_at < :links RETURNING id"),
)
