"""A version of an issue as a message: composed when it is cut, and anew for the archive once something in it was withdrawn."""

from dataclasses import dataclass, replace

from newsletter.composer import digest as composing
from newsletter.composer.content import DigestContent
from newsletter.composer.message import Compiled
from newsletter.composer.styles import Style
from newsletter.database import Session
from newsletter.issues import articles, digests, pictures, selection, withdrawal
from newsletter.issues.articles import ArticleView
from newsletter.issues.digests import DigestView
from newsletter.issues.selection import Masthead
from newsletter.journeys import inbound
from newsletter.journeys.parts import Parts
from newsletter.ledger.mailings import MailingView
from newsletter.ledger.variants import VariantView


@dataclass(frozen=True, slots=True)
class Issue:
    """What all versions of an issue share. leave_address: that takes unsubscribe mail; None: there is none."""

    parts: Parts
    digest: DigestView
    mailing: int
    masthead: Masthead
    leave_address: str | None

    def compose(
        self, session: Session, chosen: list[ArticleView], *, number: int, language: str, style: str, cut: bool = False
    ) -> Compiled:
        """Return the version of this number with these articles, in printing order.

        cut   some of it was withdrawn, and it says so
        """
        look = Style.parse(style)
        frame = self.parts.letterhead.frame(
            self.digest,
            language=language,
            kind="digest",
            archive_path=f"/archive/{self.digest.key}/{self.mailing}/{number}",
            mailto=self.leave_address,
            style=look,
        )
        content = replace(self._content(session, chosen, look), cut=cut)
        return composing.compose(content, frame, self.parts.layout)

    def _content(self, session: Session, chosen: list[ArticleView], style: Style) -> DigestContent:
        """Pictures are our own, under an address that is the same for every reader; what we do not have is left out."""
        served = pictures.served(session, [article.image_url for article in chosen if article.image_url])
        letterhead = self.parts.letterhead
        base = letterhead.base(style)
        ours = {url: selection.Pictured(f"{base}{found.path}", found.width) for url, found in served.items()}
        if style.mirror:
            chosen = [
                replace(one, url=letterhead.links(one.url, style), body=letterhead.links(one.body, style))
                for one in chosen
            ]
        return selection.content(chosen, self.masthead, pictures=ours, whole=style.full)


def without_withdrawn(session: Session, parts: Parts, mailing: MailingView, variant: VariantView) -> Compiled:
    """Return a version of an issue that went, less what was withdrawn of it since; the texts are those of today."""
    assert mailing.digest_id is not None
    assert mailing.rhythm is not None
    digest = digests.get(session, mailing.digest_id)
    gone = frozenset(withdrawal.among(session, variant.articles))
    kept = articles.among(session, [one for one in variant.articles if one not in gone])
    kept.sort(key=lambda article: variant.articles.index(article.id))
    number, day = int(mailing.content["number"]), mailing.created_at.date()
    masthead = Masthead(digest.name, number, mailing.rhythm, day)
    issue = Issue(parts, digest, mailing.id, masthead, inbound.leave_address(session, parts))
    return issue.compose(session, kept, number=variant.number, language=variant.language, style=variant.style, cut=True)
