"""What a mail asks of one person: the link, the figures and the address by which they say yes, drawn from its occasion alone.

An occasion is what makes a second mail of one mailing to one mailbox lawful; that of a question names what is asked about. It is
dated by its planning, so a mail that is tried again tomorrow says the same as today.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from newsletter.tokens import Tokens
from newsletter.vault import Vault

_JOIN = re.compile(r"join:(\d{1,12})").fullmatch
# Without a key: planned before links had a countersign.
_FRESH = re.compile(r"fresh:(\d{1,12}):(\d{1,12})(?::(\d{1,3}))?").fullmatch


@dataclass(frozen=True, slots=True)
class Asked:
    """What differs in a question from reader to reader. All "" where a mail asks nothing."""

    action: str = ""
    code: str = ""
    reply: str = ""


NOTHING = Asked()


def to_join(signup_id: int) -> str:
    """Return the occasion of asking whether somebody wished to join."""
    return f"join:{signup_id}"


def to_prove(subscriber_id: int, asked_at: datetime, key_id: int) -> str:
    """Return the occasion of mailing a fresh link to the address on file.

    key_id   which key countersigns it, also where it is tried again tomorrow
    """
    return f"fresh:{subscriber_id}:{int(asked_at.timestamp())}:{key_id}"


def countersign(vault: Vault, occasion: str, mailbox_id: int) -> str:
    """Return what proves that a link was mailed on that occasion, to that mailbox; "" where it cannot be made (docs/adr/0028)."""
    found = _FRESH(occasion)
    return vault.countersign(int(found[3]), f"{occasion}/{mailbox_id}") if found and found[3] else ""


def asked(tokens: Tokens, vault: Vault, occasion: str, *, mailbox_id: int, now: datetime) -> Asked:
    """Return what the mail of an occasion asks by. mailbox_id: to whom it goes. now: when it was planned."""
    if not occasion:
        return NOTHING
    if found := _JOIN(occasion):
        number = int(found[1])
        return Asked(
            tokens.confirm(number, now=now), _spaced(tokens.code(number)), tokens.confirm_local(number, now=now)
        )
    if found := _FRESH(occasion):
        return Asked(tokens.fresh(int(found[1]), now=now) + countersign(vault, occasion, mailbox_id))
    return NOTHING


def _spaced(code: str) -> str:
    """Six figures in two groups: they are read from one screen and typed on another."""
    return f"{code[:3]}-{code[3:]}"
