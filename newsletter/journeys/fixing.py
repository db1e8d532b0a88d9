"""What a lock fixes of an alert, put together: its compiled bytes, its readers, and all that may be followed or looked at."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import cycle
from typing import Any

from newsletter.campaigns import alerts
from newsletter.composer import lint
from newsletter.composer.message import Compiled
from newsletter.database import Session
from newsletter.delivery import planning
from newsletter.errors import Conflict
from newsletter.issues import digests, manuscript, pictures
from newsletter.journeys import framing, lasting, waiting
from newsletter.journeys.narrowing import Limits
from newsletter.journeys.parts import Parts
from newsletter.ledger import locks, mailings, variants
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import MailingView
from newsletter.ledger.manifest import Manifest, Version


class ToNobody(Conflict):
    """An alert would go to nobody: no reader takes its digest, or is among those to whom it is limited."""

    def __init__(self, mailing_id: int, digest: str, limits: Sequence[str]) -> None:
        which = "alert.to-nobody-limited" if limits else "alert.to-nobody"
        super().__init__(which, mailing=mailing_id, digest=digest, limits=" · ".join(limits))


def manifest(session: Session, parts: Parts, view: MailingView, *, by: int | None, now: datetime) -> Manifest:
    """Return what a lock of an alert would fix. by: who asks for it; now: the moment for which it was composed.

    Raises lasting.MessageOver, ToNobody.
    """
    expires_at = lasting.expires(session, view, now=now)
    words = [str(one) for one in view.content["words"]]
    language = digests.get(session, view.digest_id or 0).languages[0]
    backwards = [alerts.retraction(manuscript.read(one, language=language)).markdown for one in words]
    frames = [framing.kept(parts.house, one, language=language) for one in words]
    compiled = _versions(session, view.id, words, frames)
    back = _versions(session, mailings.retraction_of(session, view.id), backwards, [None])
    every = [one for one, _ in (*compiled, *back)]
    # Before the count, which takes a second of a million: who is handed something in it is seen by the next look, and counted.
    audience, measure = planning.described(session, view), planning.measure(session, view)
    count = rows.count(session, view, planning.audience(session, view))
    if not count:
        _require_readers(session, view, audience)
    return Manifest(
        mailing=view.id,
        number=locks.next_number(session, view.id),
        author=by,
        kind=view.kind,
        lane=view.lane,
        sender=parts.letterhead.sender_address,
        expires_at=expires_at,
        latest=lasting.latest(session, view, expires_at),
        audience=audience,
        count=count,
        versions=tuple(version for _, version in compiled),
        retraction=tuple(version for _, version in back),
        links=tuple(sorted({link for one in every for link in lint.links(one)})),
        images=_pictures(session, parts, every),
        updates=view.updates,
        translates=view.translates,
        writers=tuple(view.content.get("by", ())),
        measure=measure,
        whole=planning.whole(session, view),
        written_at=now,
    )


def _require_readers(session: Session, view: MailingView, audience: Mapping[str, Any]) -> None:
    """Raise ToNobody of what nobody gets now or later: it would be called done.

    An update, and a language that comes later, are for the page of what they follow as well, whoever is left to get them by mail.
    """
    follows = view.updates is not None or view.translates is not None
    if follows or any(one.waiting for one in waiting.waits(session, view)):
        return
    limits = Limits.of(audience)
    said = [", ".join(audience.get("only", ())), *limits.topics, limits.segment]
    raise ToNobody(view.id, digests.get(session, view.digest_id or 0).name, [one for one in said if one])


def _pictures(session: Session, parts: Parts, every: Sequence[Compiled]) -> tuple[tuple[str, str], ...]:
    """Return the addresses of all pictures, and of those that we serve what they show: of others nobody knows."""
    ours = [one for one in (parts.letterhead.base_url, parts.letterhead.mirror_url) if one]
    found = sorted({image for one in every for image in lint.images(one)})
    return tuple((image, pictures.digest(session, image, ours=ours)) for image in found)


def _versions(
    session: Session, mailing_id: int, words: Sequence[str], frames: Sequence[str | None]
) -> list[tuple[Compiled, Version]]:
    found = []
    # The same words once more for those who had another language before, marked, and all of them for each style.
    for variant, text, frame in zip(variants.of(session, mailing_id), cycle(words), cycle(frames), strict=False):
        compiled = variants.load(session, variant.id)
        version = Version.of(
            compiled,
            number=variant.number,
            language=variant.language,
            words=text,
            frame=frame,
            style=variant.style,
        )
        found.append((compiled, version))
    return found
