"""An urgent alert: what is happening, since when, and what to do now."""

from newsletter import languages
from newsletter.composer import heads, lint, plaintext, prose
from newsletter.composer.content import AlertContent, Frame
from newsletter.composer.inlining import Layout
from newsletter.composer.message import Compiled


def compose(content: AlertContent, frame: Frame, layout: Layout) -> Compiled:
    """Return the compiled alert. Raises prose.UnknownTag, lint.TooLarge."""
    language = frame.language
    friend = languages.say("mail.friend", language)
    page = prose.html(prose.merged(content.markdown, layout, kind="html", fallback=friend))
    text = plaintext.from_markdown(prose.merged(content.markdown, layout, kind="text", fallback=friend))
    preheader = " ".join(plaintext.from_markdown(content.markdown).split())[:140]
    opening, closing = layout.frame(
        "_layout/frame",
        language=language,
        frame=frame,
        preheader=prose.merged(preheader, layout, kind="html", fallback=friend),
    )
    body = layout.block(
        "alert/body",
        language=language,
        headline=content.headline,
        sent_at=content.sent_at,
        url=content.url,
        actions=content.actions,
        page=page,
        text=text,
    )
    subject = prose.merged(content.subject, layout, kind="header", fallback=friend)
    compiled = Compiled(head=heads.bulk(frame, layout.cut(subject)), blocks=(opening, body, closing))
    return lint.require(compiled, frame)
