"""An ordinary mailing: an operator's text in the house's frame."""

from newsletter import languages
from newsletter.composer import heads, lint, plaintext, prose
from newsletter.composer.content import Frame, MailingContent
from newsletter.composer.inlining import Layout
from newsletter.composer.message import Compiled


def compose(content: MailingContent, frame: Frame, layout: Layout) -> Compiled:
    """Return the compiled mailing. Raises prose.UnknownTag, lint.TooLarge."""
    language = frame.language
    friend = languages.say("mail.friend", language)
    page = prose.merged(content.markdown, layout, kind="html", fallback=friend)
    plain = prose.merged(content.markdown, layout, kind="text", fallback=friend)
    subject = prose.merged(content.subject, layout, kind="header", fallback=friend)
    preheader = content.preheader or " ".join(plaintext.from_markdown(content.markdown).split())[:140]
    opening, closing = layout.frame(
        "_layout/frame",
        language=language,
        frame=frame,
        preheader=prose.merged(preheader, layout, kind="html", fallback=friend),
    )
    text = plaintext.from_markdown(plain)
    title = prose.merged(content.subject, layout, kind="html", fallback=friend)
    body = layout.block("mailing/body", language=language, title=title, page=prose.html(page), text=text)
    compiled = Compiled(head=heads.bulk(frame, layout.cut(subject)), blocks=(opening, body, closing))
    return lint.require(compiled, frame)
