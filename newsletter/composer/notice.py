"""Service mail: what a person causes by their own act (confirm, welcome, prove), what we ask of a list, what operators are told."""

from typing import TYPE_CHECKING

from newsletter import languages
from newsletter.composer import discretion, heads, lint
from newsletter.composer.content import Frame, NoticeContent, TeamContent
from newsletter.composer.message import Compiled

if TYPE_CHECKING:
    from newsletter.composer.inlining import Layout


def compose(content: NoticeContent, frame: Frame, layout: "Layout") -> Compiled:
    """Return the compiled notice; a confirmation holds the one link that confirms (/c/TOKEN)."""
    language, name = frame.language, str(content.kind)
    subject = layout.line(f"{name}/subject", language=language, content=content, frame=frame)
    # What an inbox shows beside the subject: what this mail is about, not once more the names that stand there already.
    lists = languages.comma(language).join(content.lists)
    reason, preheader = f"why-{name}", languages.say(f"mail.{name}-text", language, lists=lists)
    if frame.style.discreet:
        subject = layout.cut(discretion.subject(content.written_on, frame))
        preheader = discretion.preheader(content.written_on, frame)
    opening, closing = layout.frame("_layout/note", language=language, frame=frame, reason=reason, preheader=preheader)
    body = layout.block(f"{name}/body", language=language, content=content, frame=frame)
    compiled = Compiled(head=heads.service(frame, subject), blocks=(opening, body, closing))
    return lint.require(discretion.finished(compiled, frame), frame)


def to_team(content: TeamContent, frame: Frame, layout: "Layout") -> Compiled:
    """Return a mail to operators: no list to leave, nothing of any reader."""
    language = frame.language
    subject = layout.line("team/subject", language=language, content=content, frame=frame)
    opening, closing = layout.frame("_layout/team", language=language, frame=frame, preheader=content.paragraphs[0])
    body = layout.block("team/body", language=language, content=content, frame=frame)
    return lint.require(Compiled(head=heads.service(frame, subject), blocks=(opening, body, closing)), frame)
