"""What a message that came back says: a delivery status, a complaint, an automatic answer, or a letter from a person.

RFC 3464 (delivery status), RFC 5965 (complaints), RFC 3834 (automatic answers). A bounce in a server's own words, without the
parts a report should have, is read as far as a reply stands in it; more of those is left to a later classifier.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from newsletter.relay.outcome import Stage
from newsletter.reports import mime
from newsletter.reports.mime import Part

GROUPS = 50
_TEXT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """What a report says of one recipient. All as written, "" where nothing was.

    action      "failed", "delayed", "delivered", "relayed", "expanded"
    status      "5.1.1", without the comment that may stand behind it
    diagnostic  the server's words, without the type before them
    stage       where in the session they were said, if the report tells
    """

    recipient: str = ""
    original: str = ""
    action: str = ""
    status: str = ""
    diagnostic: str = ""
    stage: Stage | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What is known of the message that a report is about, from its returned header.

    sender  the return path it left with, where the report names it
    """

    message_id: str = ""
    sender: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class Bounce:
    """A delivery status. envid: the envelope id it repeats (RFC 3464 §2.2.1). structured: it had the parts it should.

    at   when the mail was delivered, where it was and somebody whom we believe says so
    """

    said: tuple[Said, ...]
    envid: str
    sent: Sent
    structured: bool = True
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Complaint:
    """Somebody called the mail spam. kind: "abuse", "fraud", "not-spam" … (RFC 5965 §3.1)."""

    kind: str
    envid: str
    sent: Sent


@dataclass(frozen=True, slots=True)
class Automatic:
    """A machine's answer: out of office, received with thanks, a list's own mail."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A person's mail: from, subject and text, as a reader would see them. answers: the Message-IDs that it follows."""

    sender: str
    subject: str
    text: str
    answers: tuple[str, ...] = ()


Report = Bounce | Complaint | Automatic | Letter

_HEADERS = (
    "text/rfc822-headers",
    "message/rfc822",
    "message/global",
    "message/global-headers",
    "message/rfc822-headers",
)
_STATUS = ("message/delivery-status", "message/global-delivery-status")
_AWAY = re.compile(
    r"\s*(?:auto(?:matic|matische)?[ -]?(?:reply|response|antwort)?\s*[:：]|out of (?:the )?office|abwesen|réponse automatique"
    r"|respuesta automática|automatische antwort)",
    re.IGNORECASE,
)
_MACHINE = re.compile(r"mailer-?daemon|postmaster|mail ?delivery|\bmdaemon\b", re.IGNORECASE)
_FAILED = re.compile(
    r"undeliver|not (?:be )?deliver|fail(?:ed|ure)|returned (?:mail|to sender)|delivery (?:status|error|problem|report)"
    r"|non[- ]?remis|unzustellbar|mail (?:system )?error|rejected|bounced",
    re.IGNORECASE,
)
# Where the copy of what was sent begins, in reports without parts.
_COPY = re.compile(
    r"^(?:-{2,}.{0,20}(?:copy of|original message|returned|unsent|below this line|headers? of)"
    r"|received: (?:from|by)|return-path: <)",
    re.IGNORECASE | re.MULTILINE,
)
# A code with what it goes with: "550 5.1.1 …", "550-5.1.1 …", "#5.1.1 …"; never a number in passing.
_REPLY = re.compile(
    r"(?:^|[\s>:(\[\"'])((?:[45]\d\d[ -]+#?[45]\.\d{1,3}\.\d{1,3}|[45][0-5]\d[ -](?=[<A-Za-z#]))"
    r"[^\n]{0,300}(?:\n[ \t]+\S[^\n]{0,300}){0,4})"
)
# How servers name the command that was refused: in their own words, or by showing it above the answer.
_STAGES = (
    (
        Stage.BODY,
        re.compile(
            r"in reply to end of DATA|after end of data|^>>> (?:DATA|\.)\s*\n<<< 5", re.IGNORECASE | re.MULTILINE
        ),
    ),
    (Stage.RCPT, re.compile(r"in reply to RCPT|after RCPT TO|^>>> RCPT[^\n]*\n<<< 5", re.IGNORECASE | re.MULTILINE)),
    (Stage.MAIL, re.compile(r"in reply to MAIL|after MAIL FROM|^>>> MAIL[^\n]*\n<<< 5", re.IGNORECASE | re.MULTILINE)),
)
_STATUS_CODE = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_ID = re.compile(r"<([^\s<>]{1,250})>")
_ADDRESS = re.compile(r"<?([^\s<>@\"'(),;:]{1,64}@[A-Za-z0-9.-]{1,255}[A-Za-z0-9])>?")


def parse(raw: bytes) -> Report:
    """Return what a message says. Never raises, whatever it is given."""
    message = mime.read(raw)
    leaves = list(mime.leaves(message))
    sent = _sent(leaves)
    for part in leaves:
        if part.kind == "message/feedback-report":
            return _complaint(part, sent)
        if part.kind in _STATUS:
            return _bounce(part, sent, _notice(leaves))
    if _is_bounce(message):
        return _in_words(message, leaves, sent)
    return Automatic() if _is_automatic(message) else _letter(message, leaves)


def address(value: str) -> str:
    """Return the address in a field such as "rfc822;ann@example.org" or "Ann <ann@example.org>", else ""."""
    found = _ADDRESS.search(value.rpartition(";")[2].strip())
    return found[1] if found else ""


def code(status: str) -> str:
    """Return the code in a status field, else "": RFC 3464 §2.3.4 lets a comment stand behind it."""
    found = _STATUS_CODE.search(status)
    return found[0] if found else ""


def _bounce(part: Part, sent: Sent, notice: str) -> Bounce:
    """The first group speaks of the message, each further one of a recipient (RFC 3464 §2.1)."""
    found = re.split(rb"\n[ \t]*\n", part.content.replace(b"\r\n", b"\n"), maxsplit=GROUPS)
    groups = [mime.fields(group) for group in found[:GROUPS]]
    known = [dict(reversed(group)) for group in groups]
    about = known[0] if known else {}
    said = tuple(_said(group, notice) for group in known if "final-recipient" in group or "action" in group)
    sender = sent.sender or address(about.get("x-postfix-sender", ""))
    return Bounce(said, about.get("original-envelope-id", ""), Sent(sent.message_id, sender, sent.to))


def _said(group: dict[str, str], notice: str) -> Said:
    kind, mark, words = group.get("diagnostic-code", "").partition(";")
    return Said(
        recipient=address(group.get("final-recipient", "")),
        original=address(group.get("original-recipient", "")),
        action=group.get("action", "").split(" ")[0].lower(),
        status=code(group.get("status", "")),
        diagnostic=(words if mark else kind).strip() or _spoken(notice),
        stage=_stage(notice),
    )


def _notice(leaves: list[Part]) -> str:
    """The part for people: some servers say only there what they heard."""
    return next((part.text[:_TEXT] for part in leaves if part.kind == "text/plain"), "")


def _complaint(part: Part, sent: Sent) -> Complaint:
    said = dict(reversed(mime.fields(part.content.replace(b"\r\n", b"\n"))))
    sender = address(said.get("original-mail-from", "")) or sent.sender
    to = address(said.get("original-rcpt-to", "")) or sent.to
    envid = said.get("original-envelope-id", "")
    return Complaint(said.get("feedback-type", "").lower(), envid, Sent(sent.message_id, sender, to))


def _sent(leaves: list[Part]) -> Sent:
    for part in leaves:
        if part.kind in _HEADERS:
            return _of_header(mime.read(part.content))
    return Sent()


def _of_header(header: Part) -> Sent:
    return Sent(
        header.field("message-id").strip("<> "), address(header.field("return-path")), address(header.field("to"))
    )


def _is_bounce(message: Part) -> bool:
    """A bounce in a server's own words: from a machine, and it says so."""
    if message.field("x-failed-recipients"):
        return True
    machine = _MACHINE.search(message.field("from")) or message.field("return-path") == "<>"
    return bool(machine and _FAILED.search(mime.words(message.field("subject"))))


def _in_words(message: Part, leaves: list[Part], sent: Sent) -> Bounce:
    """What a server said, as far as a reply stands before the copy of what was sent."""
    text = next((part.text[:_TEXT] for part in leaves if part.kind.startswith("text/")), "")
    copy = _COPY.search(text)
    said, rest = (text[: copy.start()], text[copy.start() :]) if copy else (text, "")
    if not sent.message_id:
        sent = _of_header(
            mime.read(rest.partition("\n\n")[2].encode()) if rest.startswith("-") else mime.read(rest.encode())
        )
    spoken = _spoken(said)
    recipient = address(message.field("x-failed-recipients")) or address(said)
    # Prose without a reply in it is not believed to call anybody dead: it fails, and no more is known.
    found = Said(recipient=recipient, action="failed", diagnostic=spoken, stage=_stage(said))
    return Bounce((found,), "", sent, structured=False)


def _spoken(text: str) -> str:
    found = _REPLY.search(text)
    return re.sub(r"\s+", " ", found[1]).strip() if found else ""


def _stage(text: str) -> Stage | None:
    return next((stage for stage, words in _STAGES if words.search(text)), None)


def _is_automatic(message: Part) -> bool:
    """RFC 3834 §2 and the marks that machines used before it."""
    said = message.field("auto-submitted").partition(";")[0].strip().lower()
    names = {name for name, _ in message.fields}
    return bool(
        (said and said != "no")
        or message.field("precedence").strip().lower() in ("bulk", "junk", "list", "auto_reply")
        or names
        & {"x-autoreply", "x-autorespond", "x-autoreply-from", "x-mail-autoreply", "list-id", "list-unsubscribe"}
        or message.field("return-path").strip() == "<>"
        or _AWAY.match(mime.words(message.field("subject")))
    )


def _letter(message: Part, leaves: list[Part]) -> Letter:
    readable = [part for part in leaves if part.kind.startswith("text/")]
    best = next((part for part in readable if part.kind == "text/plain"), readable[0] if readable else None)
    text = best.text[:_TEXT] if best else ""
    sender, subject = (mime.words(message.field(name))[:500] for name in ("from", "subject"))
    followed = _ID.findall(f"{message.field('in-reply-to')} {message.field('references')}"[: 2**13])
    return Letter(sender, subject, text.strip(), tuple(dict.fromkeys(followed))[:20])
