"""The words by which people agree: as they are today, and as a form elsewhere may still show them."""

from newsletter import languages
from newsletter.database import Session
from newsletter.journeys.parts import Parts
from newsletter.subscribers import agreements
from newsletter.subscribers.agreements import Agreement


def wording(parts: Parts, language: str) -> str:
    """Return what whoever presses the button agrees to; where the cause is sensitive, expressly, by its name (GDPR Art. 9)."""
    organisation, cause = parts.letterhead.sender_name, parts.letterhead.sensitive_cause
    if cause:
        return languages.say("web.join-agree-sensitive", language, organisation=organisation, cause=cause)
    return languages.say("web.join-agree", language, organisation=organisation)


def agreement(parts: Parts, language: str) -> Agreement:
    """Return the words for a page of a language, with their version."""
    return Agreement(wording(parts, language))


def today(parts: Parts) -> list[Agreement]:
    """Return the words of every language."""
    return [agreement(parts, language) for language in languages.spoken()]


def known(session: Session, parts: Parts, version: str) -> Agreement | None:
    """Return the words that a form showed which names their version; None: it names none that we ever printed."""
    found = next((one for one in today(parts) if one.version == version), None)
    return found or agreements.kept(session, version)
