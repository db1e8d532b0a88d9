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

_STYLED = (Kind.DIGEST, Kind.MAILING, Kind.ALERT, Kind.RETRACTION)


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
