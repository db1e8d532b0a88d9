"""What the domain name system says of a sending domain and of the relay's host; silence is no fault."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.resolver
import dns.reversename

PATIENCE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Found:
    """One answer. ok None: it could not be told."""

    check: str
    ok: bool | None
    found: str


class Silent(Exception):
    """No resolver answers."""


def look(
    domain: str,
    hosts: Iterable[str] = (),
    *,
    keys: Mapping[str, str] | None = None,
    resolver: dns.resolver.Resolver | None = None,
) -> list[Found]:
    """Return what is published of SPF, DKIM and DMARC of a domain (RFC 7208, 6376, 9989) and of the hosts' PTR.

    hosts     the relays' names; ones of this machine are not looked up
    keys      of each selector with which we sign ourselves, the record that must be published
    resolver  whom to ask; by default the machine's own
    """
    if _reserved(domain):
        return [Found("DNS", None, f"{domain} is a name for examples; nothing was asked")]
    try:
        asking = resolver or _machines()
        found = [_spf(asking, domain), _dkim(asking, domain, keys or {}), _dmarc(asking, domain)]
        return [*found, *(_pointer(asking, host) for host in hosts if not _reserved(host))]
    except Silent:
        return [
            Found("DNS", None, f"no resolver answers here, so SPF, DKIM, DMARC and PTR of {domain} were not checked")
        ]


def _machines() -> dns.resolver.Resolver:
    try:
        return dns.resolver.Resolver()
    except (dns.resolver.NoResolverConfiguration, OSError):
        raise Silent from None


def _reserved(name: str) -> bool:
    """RFC 2606 and 6761: names that exist for nobody, so nobody is asked for them; addresses have no name to ask for."""
    labels = name.lower().rstrip(".").split(".")
    return (
        labels[-1] in ("example", "test", "invalid", "localhost")
        or ".".join(labels[-2:]) in ("example.org", "example.com", "example.net")
        or labels[-1].isdigit()
        or ":" in name
    )


def _spf(asking: dns.resolver.Resolver, domain: str) -> Found:
    found = [text for text in _texts(asking, domain) or [] if text.lower().startswith("v=spf1")]
    wanted = f"{domain} needs exactly one TXT record that begins v=spf1; it has {len(found)}"
    return Found("SPF", len(found) == 1, found[0] if len(found) == 1 else wanted)


def _dmarc(asking: dns.resolver.Resolver, domain: str) -> Found:
    found = [text for text in _texts(asking, f"_dmarc.{domain}") or [] if text.lower().startswith("v=dmarc1")]
    wanted = f"_dmarc.{domain} needs exactly one TXT record that begins v=DMARC1; it has {len(found)}"
    return Found("DMARC", len(found) == 1, found[0] if len(found) == 1 else wanted)


def _dkim(asking: dns.resolver.Resolver, domain: str, keys: Mapping[str, str]) -> Found:
    """Where we sign, each of our keys must be published. The relay's selector cannot be guessed; but where no name lies under
    _domainkey there is no key at all (RFC 8020)."""
    for selector, record in keys.items():
        name = f"{selector}._domainkey.{domain}"
        if fault := _unlike(_texts(asking, name) or [], record):
            return Found("DKIM", False, f"{name} {fault}, so every signature fails; publish there as TXT: {record}")
    if keys:
        return Found("DKIM", True, f"our key is published at {', '.join(f'{one}._domainkey.{domain}' for one in keys)}")
    if _texts(asking, f"_domainkey.{domain}") is None:
        return Found("DKIM", False, f"no key is published under _domainkey.{domain}: the relay's signature fails")
    return Found("DKIM", True, f"keys are published under _domainkey.{domain}")


def _unlike(found: list[str], record: str) -> str | None:
    """Say how what is published differs from our key (RFC 6376 §3.6.1), or None."""
    if len(found) != 1:
        return f"has {len(found)} TXT records where one is needed"
    theirs, ours = _tags(found[0]), _tags(record)
    if "p" not in theirs:
        return "holds no key"
    if not theirs["p"]:
        return "holds a key that was revoked"
    if (theirs["p"], theirs.get("k", "rsa")) != (ours["p"], ours["k"]):
        return "holds another key than NEWSLETTER_DKIM_KEY"
    return None


def _tags(record: str) -> dict[str, str]:
    """Return the tags of a record, blanks inside of values removed."""
    pairs = (part.partition("=") for part in record.split(";") if "=" in part)
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}


def _pointer(asking: dns.resolver.Resolver, host: str) -> Found:
    """Large providers refuse a host whose address has no name, or a name that does not lead back to it."""
    addresses = [*_answers(asking, host, "A"), *(_answers(asking, host, "AAAA"))]
    if not addresses:
        return Found("PTR", False, f"the relay {host} has no address")
    lost = [address for address in addresses if not _leads_back(asking, address)]
    if lost:
        return Found("PTR", False, f"{host}: {lost[0]} has no name that leads back to it; ask whoever runs the relay")
    return Found("PTR", True, f"{host}: each address has a name that leads back to it")


def _leads_back(asking: dns.resolver.Resolver, address: str) -> bool:
    kind = "AAAA" if ":" in address else "A"
    named = _answers(asking, str(dns.reversename.from_address(address)), "PTR")
    return any(address in _answers(asking, name, kind) for name in named)


def _texts(asking: dns.resolver.Resolver, name: str) -> list[str] | None:
    """Return the TXT records of a name, each joined; None where there is no such name, nor any below it."""
    records = _records(asking, name, "TXT")
    return None if records is None else [b"".join(record.strings).decode("utf-8", "replace") for record in records]


def _answers(asking: dns.resolver.Resolver, name: str, kind: str) -> list[str]:
    return [record.to_text() for record in _records(asking, name, kind) or ()]


def _records(asking: dns.resolver.Resolver, name: str, kind: str) -> list[Any] | None:
    try:
        answer = asking.resolve(name, kind, lifetime=PATIENCE_SECONDS, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return None
    except (dns.exception.DNSException, OSError):
        raise Silent from None
    return list(answer.rrset or ())
