"""An open letter that readers are asked to sign."""

from typing import TYPE_CHECKING

from newsletter import languages
from newsletter.composer import heads, lint, prose
from newsletter.composer.content import Frame, LetterContent
from newsletter.composer.message import Compiled

if TYPE_CHECKING:
    from newsletter.composer.inlining import Layout


def compose(content: LetterContent, frame: Frame, layout: "Layout") -> Compiled:
    """Return the compiled letter with its button to sign.

    Raises prose.UnknownTag, prose.BadLink, lint.TooLarge, lint.NoPostalAddress.
    """
    language = frame.language
    friend = languages.say("mail.friend", language)
    sign = content.sign_url and prose.linked(content.sign_url)
    preheader: str = prose.preheader(content.markdown, layout, fallback=friend)
    opening, closing = layout.frame("_layout/frame", language=language, frame=frame, preheader=preheader)
    body = layout.block(
        "letter/body",
        language=language,
        title=content.title,
        addressed_to=content.addressed_to,
        signatories=content.signatories,
        sign_by=content.sign_by,
        sign=sign or f"{frame.base_url}/s/{layout.slot('action', 'token')}",
        page=prose.page(content.markdown, layout, fallback=friend),
        text=prose.plain(content.markdown, layout, fallback=friend),
    )
    # The title is words to print, never tags to fill in: only what the text says is personal.
    compiled = Compiled(head=heads.bulk(frame, (content.title,)), blocks=(opening, body, closing))
    return lint.require(compiled, frame)
