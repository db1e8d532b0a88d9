"""An open letter that readers are asked to sign."""

from newsletter.composer import heads, lint, plaintext, prose
from newsletter.composer.content import Frame, LetterContent
from newsletter.composer.inlining import Layout
from newsletter.composer.message import Compiled


def compose(content: LetterContent, frame: Frame, layout: Layout) -> Compiled:
    """Return the compiled letter with its button to sign. Raises lint.TooLarge."""
    language = frame.language
    sign = content.sign_url or f"{frame.base_url}/s/{layout.slot('action', 'token')}"
    text = plaintext.from_markdown(content.markdown)
    opening, closing = layout.frame("_layout/frame", language=language, frame=frame, preheader=content.title)
    body = layout.block(
        "letter/body",
        language=language,
        title=content.title,
        addressed_to=content.addressed_to,
        signatories=content.signatories,
        sign_by=content.sign_by,
        sign=sign,
        page=prose.html(content.markdown),
        text=text,
    )
    compiled = Compiled(head=heads.bulk(frame, layout.cut(content.title)), blocks=(opening, body, closing))
    return lint.require(compiled, frame)
