"""What a page asks of the desk: an errand written down, waited for, and why it was refused; and what a passkey is to sign."""

from collections.abc import Mapping

from fastapi import Request
from fastapi.responses import Response

from newsletter.campaigns.errands import Act, ErrandView
from newsletter.errors import Conflict, NewsletterError
from newsletter.journeys import calling, errands
from newsletter.journeys.entering import Visitor
from newsletter.operators import night, passkeys
from newsletter.web.console import gate

WAIT_SECONDS = 2.5
"""How long a press of a button waits for its worker before it shows a page that waits."""


def ask(request: Request, who: Visitor, act: Act, *, mailing: int | None = None, **facts: object) -> ErrandView:
    """Have a worker do something; return it as it stands once it is done, or once nobody should wait longer.

    Of what bears the number of the form it came from the very same is done once (`once`).
    """
    parts = gate.made(request).parts
    errand = errands.ask(parts, act, by=who.operator.id, mailing=mailing, once="once" in facts, **_named(facts))
    return errands.wait(parts, errand, by=who.operator.id, seconds=WAIT_SECONDS)


def _named(facts: Mapping[str, object]) -> dict[str, object]:
    return {"form" if name == "once" else name: value for name, value in facts.items()}


def refusal(ended: ErrandView) -> NewsletterError:
    """Return why something was not done."""
    message, facts = ended.refused or ("web.failed", {})
    return Conflict(message, **facts)


def go_on(ended: ErrandView) -> Response:
    """Send the browser on to what came of an errand, or to a page that waits for it."""
    if ended.done_at is None:
        return gate.go(f"/console/alerts/errands/{ended.id}")
    if ended.act is Act.MANDATE:
        return gate.go("/console/mandates")
    if ended.act is Act.SIGN:
        return gate.go(f"/console/mandates/{int(ended.facts['mandate'])}")
    return gate.go(f"/console/alerts/{ended.mailing}")


def signing(request: Request, who: Visitor, deed: str, fingerprint: bytes, *, mandate: bytes = b"") -> str | None:
    """Return what a passkey of theirs is to sign, as for `night.challenge`, or None where they have none here."""
    site, have = gate.site(request), calling.signers(gate.made(request).parts, who.operator.id)
    challenge = night.challenge(deed, fingerprint, mandate=mandate)
    return passkeys.request(site, challenge=challenge, have=have) if site and have else None
