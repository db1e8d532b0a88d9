"""An urgent alert: what is happening, since when, and what to do now."""

from typing import TYPE_CHECKING

from newsletter import languages
from newsletter.composer import discretion, heads, lint, prose
from newsletter.composer.content import AlertContent, Frame
from newsletter.composer.message import Compiled

if TYPE_CHECKING:
    from newsletter.composer.inlining import Layout


def compose(content: AlertContent, frame: Frame, layout: "Layout") -> Compiled:
    """Return the compiled alert. Raises prose.UnknownTag, prose.BadLink, lint.TooLarge, lint.NoPostalAddress."""
    language = frame.language
    friend = languages.say("mail.friend", language)
    for action in content.actions:
        prose.linked(action.url)
    preheader: str = prose.preheader(content.markdown, layout, fallback=friend)
    if frame.style.discreet:
        preheader = discretion.preheader(content.written_at, frame)
    opening, closing = layout.frame("_layout/frame", language=language, frame=frame, preheader=preheader)
    when = layout.block("alert/when", language=language, written_at=content.written_at if content.clock else None)
    body = layout.block(
        "alert/body",
        language=language,
        headline=prose.titled(content.headline, layout, fallback=friend),
        heading=prose.merged(content.headline, layout, kind="text", fallback=friend),
        translates=content.translates,
        url=prose.linked(content.url) if content.url else "",
        actions=content.actions,
        page=prose.page(content.markdown, layout, fallback=friend),
        text=prose.plain(content.markdown, layout, fallback=friend),
    )
    subject = prose.merged(content.subject, layout, kind="text", fallback=friend)
    if frame.style.discreet:
        subject = discretion.subject(content.written_at, frame)
    compiled = Compiled(
        head=heads.bulk(frame, layout.cut(subject), threads=True), blocks=(opening, when, body, closing)
    )
    return lint.require(discretion.finished(compiled, frame), frame)
