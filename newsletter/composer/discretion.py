"""What a mail says before it is opened, where somebody else may be looking: nothing of whom it comes from, or what it is about."""

from dataclasses import replace
from datetime import date

from newsletter import languages
from newsletter.composer import calendars
from newsletter.composer.content import Frame
from newsletter.composer.message import Block, Compiled

_LAST_LINE = "-" * 64 + "\r\n"


def subject(day: date, frame: Frame) -> str:
    """Return a subject that is the same whatever the mail is about."""
    return languages.say("mail.discreet-subject", frame.language, day=calendars.day(day, frame.language))


def preheader(day: date, frame: Frame) -> str:
    """Return the words an inbox shows beside the subject: as many as it has room for, and of no matter."""
    return languages.say("mail.discreet-preheader", frame.language, day=calendars.day(day, frame.language))


def finished(compiled: Compiled, frame: Frame) -> Compiled:
    """Return a message as its readers want it: of plain text alone, where that is their style."""
    if not frame.style.text:
        return compiled
    *first, last = (Block(html=(), text=block.text) for block in compiled.blocks)
    # A body ends with a line that holds something: "relaxed" drops empty ones at its end (RFC 6376 §3.4.4), after they were signed.
    return replace(compiled, blocks=(*first, replace(last, text=(*last.text, _LAST_LINE))))
