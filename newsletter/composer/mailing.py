"""An ordinary mailing: an operator's text in the house's frame."""

from typing import TYPE_CHECKING

from newsletter import languages
from newsletter.composer import discretion, heads, lint, prose
from newsletter.composer.content import Frame, MailingContent
from newsletter.composer.message import Compiled

if TYPE_CHECKING:
    from newsletter.composer.inlining import Layout


def compose(content: MailingContent, frame: Frame, layout: "Layout") -> Compiled:
    """Return the compiled mailing. Raises prose.UnknownTag, prose.BadLink, lint.TooLarge, lint.NoPostalAddress."""
    language = frame.language
    friend = languages.say("mail.friend", language)
    preheader: str = prose.preheader(content.preheader or content.markdown, layout, fallback=friend)
    if frame.style.discreet:
        preheader = discretion.preheader(content.written_on, frame)
    opening, closing = layout.frame("_layout/frame", language=language, frame=frame, preheader=preheader)
    body = layout.block(
        "mailing/body",
        language=language,
        title=prose.titled(content.subject, layout, fallback=friend),
        heading=prose.merged(content.subject, layout, kind="text", fallback=friend),
        page=prose.page(content.markdown, layout, fallback=friend),
        text=prose.plain(content.markdown, layout, fallback=friend),
    )
    subject = prose.merged(content.subject, layout, kind="text", fallback=friend)
    if frame.style.discreet:
        subject = discretion.subject(content.written_on, frame)
    compiled = Compiled(head=heads.bulk(frame, layout.cut(subject)), blocks=(opening, body, closing))
    return lint.require(discretion.finished(compiled, frame), frame)
