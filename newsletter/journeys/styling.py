"""Readers at risk: they say how their mail is to look, and what is composed follows it."""

from collections.abc import Sequence
from dataclasses import replace

from newsletter.composer import styles
from newsletter.composer.content import AlertContent
from newsletter.composer.styles import Style
from newsletter.database import Session
from newsletter.journeys.parts import Parts
from newsletter.ledger import deliveries, planning
from newsletter.ledger.mailings import Kind
from newsletter.subscribers import people
from newsletter.subscribers import styles as wishes
from newsletter.subscribers.styles import Wish
from newsletter.tokens import Purpose

_STYLED = (Kind.DIGEST, Kind.MAILING, Kind.ALERT, Kind.RETRACTION)


def shown(parts: Parts, token: str) -> Wish:
    """Return what the reader of a link asked for; of a preview nothing. Raises tokens.BadToken. Changes nothing."""
    link = parts.tokens.read(token, Purpose.PREFERENCES, Purpose.PREVIEW)
    if link.purpose is Purpose.PREVIEW:
        return Wish(Style())
    with parts.database.transaction() as session:
        return wishes.of(session, link.subscriber_id)


def choose(parts: Parts, token: str, wish: Wish) -> None:
    """Let a reader say how their mail is to look. Safe to repeat. Raises tokens.BadToken, styles.NobodyThere."""
    link = parts.tokens.read(token, Purpose.PREFERENCES, Purpose.PREVIEW)
    if link.purpose is Purpose.PREVIEW:
        return
    with parts.database.transaction() as session:
        apply(session, link.subscriber_id, wish)


def apply(session: Session, subscriber_id: int, wish: Wish) -> None:
    """Keep what a reader asks for, and cancel what would show more; all but what is inside an open window (≤ 0.5 s).

    An issue or an alert that they lose by this stands in their next issue, in the style they chose.
    """
    person = people.by_id(session, subscriber_id)
    if wishes.choose(session, subscriber_id, wish) and person is not None:
        code = wish.style.code
        serving = {
            kind: [made for made in styles.EVERY if styles.serves(made, code, moot=planning.moot(kind))]
            for kind in _STYLED
        }
        deliveries.cancel_unlike(session, person.mailbox_id, serving, reason=planning.UNSERVED)


def of_readers(session: Session, digest_id: int, *, kind: Kind = Kind.ALERT) -> Sequence[str]:
    """Return the styles in which something for the readers of a digest is composed, the plain one first."""
    return styles.to_compose(wishes.of_readers(session, digest_id), moot=planning.moot(kind))


def led(parts: Parts, content: AlertContent, style: Style) -> AlertContent:
    """Return an alert whose links to our own pages lead where readers of a style can follow them."""
    if not style.mirror:
        return content
    led = parts.letterhead.links
    actions = tuple(replace(one, url=led(one.url, style)) for one in content.actions)
    return replace(content, markdown=led(content.markdown, style), url=led(content.url, style), actions=actions)
