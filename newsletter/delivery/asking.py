"""What a mail asks of one person: the link, the figures and the address by which they say yes, drawn from its occasion alone.

An occasion is what makes a second mail of one mailing to one mailbox lawful; that of a question names what is asked about. It is
dated by its planning, so a mail that is tried again tomorrow says the same as today. But for a sign-up's question that goes again
once the key that writes was replaced: its link, figures and address are by the new key then, and those of before hold as well.
"""

import base64
import re
from dataclasses import dataclass
from datetime import datetime

from newsletter.tokens import REPLY_SIGN, Tokens
from newsletter.vault import Vault

CODE_DIGITS = 6
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


@dataclass(frozen=True, slots=True)
class Signs:
    """What says that somebody has the question of a sign-up before them: behind its link, as six figures, behind its address."""

    link: str
    code: str
    reply: str


def to_join(signup_id: int) -> str:
    """Return the occasion of asking whether somebody wished to join."""
    return f"join:{signup_id}"


def sign_up(occasion: str) -> int | None:
    """Return the sign-up that a mail of some occasion asks about; None where it asks about none."""
    found = _JOIN(occasion)
    return int(found[1]) if found else None


def to_prove(subscriber_id: int, asked_at: datetime, key_id: int) -> str:
    """Return the occasion of mailing a fresh link to the address on file.

    key_id   which key countersigns it, also where it is tried again tomorrow
    """
    return f"fresh:{subscriber_id}:{int(asked_at.timestamp())}:{key_id}"


def countersign(vault: Vault, occasion: str, mailbox_id: int) -> str:
    """Return what proves that a link was mailed on that occasion, to that mailbox; "" where it cannot be made (docs/adr/0028)."""
    found = _FRESH(occasion)
    return vault.countersign(int(found[3]), f"{occasion}/{mailbox_id}") if found and found[3] else ""


def signs(vault: Vault, signup_id: int, mailbox_id: int) -> list[Signs]:
    """Return what a sign-up's question says yes by, under each key here, that which writes first; none by the pages' file.

    No page can make one of them (docs/adr/0032). Not dated: the wish that they are for is forgotten after a month.
    """
    return [_signs(vault, key_id, f"{to_join(signup_id)}/{mailbox_id}") for key_id in vault.countersigners]


def _signs(vault: Vault, key_id: int, said: str) -> Signs:
    code = int.from_bytes(_octets(vault.countersign(key_id, f"{said}/code"))) % 10**CODE_DIGITS
    # Small letters and digits, since some servers fold the case of a local part.
    reply = base64.b32encode(_octets(vault.countersign(key_id, f"{said}/reply"))).decode().lower()
    return Signs(vault.countersign(key_id, f"{said}/link"), f"{code:0{CODE_DIGITS}}", reply[:REPLY_SIGN])


def _octets(countersign: str) -> bytes:
    return base64.urlsafe_b64decode(countersign + "==")


def asked(tokens: Tokens, vault: Vault, occasion: str, *, mailbox_id: int, now: datetime) -> Asked:
    """Return what the mail of an occasion asks by. mailbox_id: to whom it goes. now: when it was planned."""
    if not occasion:
        return NOTHING
    if (number := sign_up(occasion)) is not None:
        return _question(tokens, vault, number, mailbox_id, now)
    if found := _FRESH(occasion):
        return Asked(tokens.fresh(int(found[1]), now=now) + countersign(vault, occasion, mailbox_id))
    return NOTHING


def _question(tokens: Tokens, vault: Vault, signup_id: int, mailbox_id: int, now: datetime) -> Asked:
    live = next(iter(signs(vault, signup_id, mailbox_id)), None)
    assert live is not None, "the pages mail nothing"
    link, local = tokens.confirm(signup_id, mailbox_id, now=now), tokens.confirm_local(signup_id, now=now)
    return Asked(link + live.link, _spaced(live.code), local + live.reply)


def _spaced(code: str) -> str:
    """Six figures in two groups: they are read from one screen and typed on another."""
    return f"{code[:3]}-{code[3:]}"
