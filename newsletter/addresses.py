"""An e-mail address as a value: parsed once, compared and written in the right form ever after.

Accepts what can be delivered on the open internet: dot-string or quoted local parts, also beyond ASCII (RFC 6531), and domain
names of at least two labels (RFC 5321 §4.1.2). Comments, folding white space, address literals and bare host names are
refused: they are legal in headers, and no reader has one.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import idna

from newsletter.errors import Invalid

NORMAL_VERSION = 1
"""Version of `EmailAddress.normal`; a change of the rule needs every blind index to be made anew."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# What nearly every address looks like: no quotes, no letters beyond ASCII.
_PLAIN = re.compile(
    rf"({_ATEXT}+(?:\.{_ATEXT}+)*)@((?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?)"
).fullmatch
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]"
_LOCAL = re.compile(rf"{_ATOM}+(?:\.{_ATOM}+)*").fullmatch
_QUOTED = re.compile(r'"(?:[ !#-\[\]-~\u00a1-\U0010ffff]|\\[ -~])*"').fullmatch
_TOP = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?").fullmatch
# C0, DEL, C1, separators, bidi overrides and isolates, zero-width marks: never in an address (standards §7).
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]").search

_PROVIDERS = {
    "google": "gmail.com googlemail.com google.com",
    "microsoft": "outlook.com hotmail.com live.com msn.com hotmail.co.uk hotmail.fr hotmail.de live.co.uk outlook.fr outlook.de",
    "yahoo": "yahoo.com yahoo.co.uk yahoo.fr yahoo.de ymail.com rocketmail.com aol.com aol.co.uk",
    "apple": "icloud.com me.com mac.com",
    "gmx": "gmx.de gmx.net gmx.com gmx.at gmx.ch web.de",
    "proton": "proton.me protonmail.com pm.me",
    "parliament.uk": "parliament.uk",
}
_DOTLESS = frozenset({"gmail.com", "googlemail.com"})
_GROUP = {domain: group for group, domains in _PROVIDERS.items() for domain in domains.split()}
_FAMILIES = {"yahoo": "yahoo", "hotmail": "microsoft", "outlook": "microsoft", "live": "microsoft"}
OTHER = "other"


class BadAddress(Invalid):
    """The text is no address that mail can be delivered to. The facts never repeat it."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"address.{problem}")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """One mailbox. Make it with `parse`.

    local    as written; a quoted string with its quotes
    domain   A-labels, small letters
    """

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> "EmailAddress":
        """Return the address a text holds, blanks around it ignored. Raises BadAddress."""
        text = text.strip(" \t\r\n")
        if len(text) > 254 * 2:
            raise BadAddress("too-long")
        found = _PLAIN(text)
        if found is not None:
            local, domain = found[1], found[2].lower()
            if "--" in domain:
                domain = _domain(domain)
        else:
            local, domain = _split(text)
        if len(local.encode()) > 64 or len(local.encode()) + 1 + len(domain) > 254:
            raise BadAddress("too-long")  # RFC 5321 §4.5.3.1; the path of 256 holds two angle brackets
        return cls(local, domain)

    @property
    def wire(self) -> str:
        """The address as it is written in an envelope and a header."""
        return f"{self.local}@{self.domain}"

    @property
    def normal(self) -> str:
        """The address by which a mailbox is recognised: small letters, NFC, quotes dropped where they mean nothing.

        Servers may tell cases apart (RFC 5321 §2.4); none that readers use does.
        """
        local = self.local
        if not local.isascii():
            local = unicodedata.normalize("NFC", local)
        if local[0] == '"':
            bare = re.sub(r"\\(.)", r"\1", local[1:-1])
            local = bare if _LOCAL(bare) else local
        return f"{local.lower()}@{self.domain}"

    @property
    def inbox(self) -> str:
        """Where mail to it most likely ends: without what stands behind a "+" (RFC 5233), and as Gmail reads its own addresses.

        For counting alone: at some servers a "+" is a letter like any other, so nobody is known by it. What else ends in one inbox
        (Yahoo's "-", a domain that takes whatever comes, aliases) cannot be told.
        """
        local, _, domain = self.normal.rpartition("@")
        local = re.sub(r"\\(.)", r"\1", local[1:-1]) if local[0] == '"' else local
        local = local.partition("+")[0] or local
        if domain in _DOTLESS:
            local, domain = local.replace(".", "") or local, "gmail.com"
        return f"{local}@{domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a relay that offers SMTPUTF8 can carry it (RFC 6531)."""
        return not self.local.isascii()

    @property
    def masked(self) -> str:
        """Enough for a person to recognise their own address, and for nobody else to learn it."""
        return f"{self.local[:1]}…@{self.domain[:1]}…"

    @property
    def hint(self) -> str:
        """A little more than `masked`, for a page that its owner is asked to know it by: "s…@g….com"."""
        return f"{self.local[:1]}…@{self.domain[:1]}….{self.domain.rpartition('.')[2]}"

    @property
    def provider(self) -> str:
        """The group of mailboxes that one operator's rules hold for: "google", "microsoft" … "other"."""
        return provider_of(self.domain)

    def __str__(self) -> str:
        return self.masked


@lru_cache(maxsize=4096)
def provider_of(domain: str) -> str:
    """Return the provider group of a domain (A-labels, small letters)."""
    if found := _GROUP.get(domain):
        return found
    if domain.endswith(".parliament.uk"):
        return "parliament.uk"
    name, _, rest = domain.partition(".")
    # yahoo.es, hotmail.it, outlook.com.br: one name under many national endings, never example.yahoo.org.
    return _FAMILIES.get(name, OTHER) if len(rest) <= 6 else OTHER


def _split(text: str) -> tuple[str, str]:
    if not text:
        raise BadAddress("empty")
    if _FORBIDDEN(text):
        raise BadAddress("control")
    local, at, domain = text.rpartition("@")
    if not at or not local:
        raise BadAddress("no-at")
    if not (_QUOTED(local) if local[0] == '"' else _LOCAL(local)):
        raise BadAddress("local")
    return local, _domain(domain)


@lru_cache(maxsize=4096)
def _domain(text: str) -> str:
    """Return a domain as A-labels (IDNA 2008 after UTS 46). Raises BadAddress."""
    try:
        domain = idna.encode(text, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise BadAddress("domain") from None
    labels = domain.split(".")
    if len(labels) < 2 or not _TOP(labels[-1]) or len(domain) > 253:
        raise BadAddress("domain")
    return domain
