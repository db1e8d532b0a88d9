"""What the domain name system says of a sending domain, by the machine's own resolver; silence is no fault."""

import secrets
import socket
import struct
from pathlib import Path

TXT, PATIENCE_SECONDS = 16, 2.0


def look(domain: str) -> list[tuple[str, bool | None, str]]:
    """Return (check, ok, what was found) for SPF and DMARC; ok None where no resolver answers (RFC 7208, 9989)."""
    if _reserved(domain):
        return [("DNS", None, f"{domain} is a name for examples; nothing was asked")]
    spf = [text for text in _ask(domain) or [] if text.lower().startswith("v=spf1")]
    dmarc = [text for text in _ask(f"_dmarc.{domain}") or [] if text.lower().startswith("v=dmarc1")]
    if _ask(domain) is None:
        return [("DNS", None, f"no resolver answers here, so SPF, DKIM, DMARC and PTR of {domain} were not checked")]
    return [
        ("SPF", len(spf) == 1, spf[0] if len(spf) == 1 else f"{domain} needs exactly one TXT record v=spf1"),
        ("DMARC", len(dmarc) == 1, dmarc[0] if len(dmarc) == 1 else f"_dmarc.{domain} needs a TXT record v=DMARC1"),
        ("DKIM", None, "is checked on delivered mail: the relay signs"),
        ("PTR", None, "is the relay's: its host must have a name that leads back to its address"),
    ]


def _reserved(domain: str) -> bool:
    """RFC 2606 and 6761: names that exist for nobody, so nobody is asked for them."""
    labels = domain.lower().split(".")
    return labels[-1] in ("example", "test", "invalid", "localhost") or ".".join(labels[-2:]) in (
        "example.org",
        "example.com",
        "example.net",
    )


def _ask(name: str) -> list[str] | None:
    """Return the TXT records of a name, or None when nobody answers."""
    server = _resolver()
    if server is None:
        return None
    number = secrets.randbits(16)
    try:
        question = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split(".")) + b"\0"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(PATIENCE_SECONDS)
            asking.connect((server, 53))
            asking.send(struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + question + struct.pack(">2H", TXT, 1))
            return _records(asking.recv(4096), number, len(question))
    except (OSError, ValueError, IndexError, struct.error):
        return None


def _resolver() -> str | None:
    try:
        lines = Path("/etc/resolv.conf").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("nameserver ") and line.count(".") == 3]
    return found[0] if found else None


def _records(answer: bytes, number: int, question: int) -> list[str]:
    """Return the TXT strings of an answer (RFC 1035 §4.1)."""
    if struct.unpack(">H", answer[:2])[0] != number:
        raise ValueError
    count, at, found = struct.unpack(">H", answer[6:8])[0], 12 + question + 4, []
    for _ in range(count):
        at += 2 if answer[at] >= 0xC0 else answer.index(0, at) - at + 1
        kind, _, _, length = struct.unpack(">2HIH", answer[at : at + 10])
        data, at = answer[at + 10 : at + 10 + length], at + 10 + length
        if kind == TXT:
            found.append(_joined(data))
    return found


def _joined(data: bytes) -> str:
    parts, at = [], 0
    while at < len(data):
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts).decode("utf-8", "replace")
