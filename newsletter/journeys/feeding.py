"""The feed of alerts: what went to all who take a digest, newest first, as its public page says it; or that it was taken back."""

from newsletter import languages
from newsletter.campaigns import atom
from newsletter.campaigns.atom import Entry, Feed
from newsletter.journeys import publicity
from newsletter.journeys.parts import Parts
from newsletter.ledger import hushed, mailings

MOST = 15
PLACE = "/alerts/feed.xml"


def feed(parts: Parts, language: str, *, base_url: str = "") -> bytes:
    """Return the feed in a language: an alert that is not in it stands there in its own first one.

    base_url   where it is read; "" is the first host. What an alert is known by is of the first host, wherever it is read

    An alert to those alone who chose a topic, or are in a segment, is announced to nobody else; one that was stopped to nobody.
    """
    with parts.database.transaction() as session:
        numbers = mailings.released(session, limit=MOST, but=hushed.numbers())
    base = base_url or parts.letterhead.base_url
    entries = [one for number in numbers if (one := _entry(parts, number, language, base)) is not None]
    house = parts.letterhead.sender_name
    title = languages.say("web.alerts-feed", language, organisation=house)
    return atom.write(Feed(f"{base}{PLACE}?language={language}", f"{base}/", language, title, house, entries))


def _entry(parts: Parts, number: int, language: str, base: str) -> Entry | None:
    found = publicity.page(parts, number, language, base_url=base, announced=True)
    if found is None:
        return None
    with parts.database.transaction() as session:
        alert = mailings.get(session, number)
        began = found.sent_at or alert.start_at or alert.created_at
        back = mailings.get(session, mailings.retraction_of(session, number)) if found.taken_back else None
    return Entry(
        f"{parts.letterhead.base_url}/alerts/{number}",
        found.url,
        f"{base}/alerts/{number}/cap.xml",
        found.language,
        found.headline,
        found.description,
        began,
        (back.start_at or began) if back else began,
    )
