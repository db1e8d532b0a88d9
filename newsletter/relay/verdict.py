"""What a refusal means: (stage, code, enhanced code, words) → class. Pure.

"Any 5xx is a dead address" is wrong for most refusals: servers say 5xx of blocked senders, full mailboxes and bad messages too. The
words, where there are any, say more than the code (servers choose codes loosely); the enhanced code (RFC 3463, IANA registry of RFC
5248) says more than the basic one. Where the code and the words agree that there is no such address, that decides; else meanings are
tried in order and the first that fits decides. In doubt nobody is suppressed: writing once more costs little.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from newsletter.relay import meanings
from newsletter.relay.outcome import Deferred, Rejected, Stage
from newsletter.relay.reply import TEXT_LIMIT


class Class(StrEnum):
    """What a refusal is about."""

    DEAD = "dead address"
    QUOTA = "mailbox full"
    TRANSIENT = "try later"
    RATE = "too fast"
    POLICY = "policy"
    CONTENT = "content"
    SENDER = "sender"
    PROTOCOL = "protocol"


class Limit(StrEnum):
    """Whose limit a reply about pace speaks of: our account's at the relay, or a provider's behind it."""

    ACCOUNT_RATE = "account rate"
    ACCOUNT_HOUR = "account hour"
    ACCOUNT_DAY = "account day"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of a refusal.

    wait    how long the server asked to stay away, if it said so
    limit   for a refusal about pace: whose limit it was
    """

    cls: Class
    wait: timedelta | None = None
    limit: Limit | None = None


# In the order in which they are asked. What is said of us comes before what is said of the reader: a server that blocks us often
# adds words about the recipient, and never the other way round. "Temporarily" and "disabled" come before "unknown", a mere
# "try again" after.
_MEANINGS: tuple[tuple[Class, meanings.Words], ...] = (
    (Class.POLICY, meanings.PROOF),
    (Class.RATE, meanings.RATE),
    (Class.SENDER, meanings.ACCOUNT),
    (Class.QUOTA, meanings.QUOTA),
    (Class.SENDER, meanings.SENDER),
    (Class.POLICY, meanings.POLICY),
    (Class.CONTENT, meanings.CONTENT),
    (Class.DEAD, meanings.NO_MAIL_THERE),
    (Class.DEAD, meanings.NO_DOMAIN),
    (Class.TRANSIENT, meanings.MOMENT),
    (Class.TRANSIENT, meanings.ASLEEP),
    (Class.DEAD, meanings.NOBODY),
    (Class.DEAD, meanings.TURNED_AWAY),
    (Class.TRANSIENT, meanings.COURTESY),
    (Class.POLICY, meanings.REFUSED),
)

# The registry of RFC 5248 by subject and detail; the class digit only says for how long. What is not here says too little.
_ENHANCED: dict[str, Class] = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.6", "1.10"), Class.DEAD),
    "2.2": Class.QUOTA,
    **dict.fromkeys(("2.1", "2.4", "3.1", "3.2", "3.5", "7.13"), Class.TRANSIENT),
    **dict.fromkeys(("4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7"), Class.TRANSIENT),
    **dict.fromkeys(("5.3", "7.28"), Class.RATE),
    **dict.fromkeys(("1.7", "1.8"), Class.POLICY),
    "7.8": Class.SENDER,
    **dict.fromkeys(("1.9", "2.3", "3.3", "3.4"), Class.CONTENT),
    **dict.fromkeys(("5.0", "5.1", "5.2", "5.4", "5.5", "5.6"), Class.PROTOCOL),
}
_UNKNOWN = ("1.0", "1.1", "1.2", "1.3", "1.6", "1.10")
"""Details of a bad destination address: with them, words that say "unknown" are believed whatever stands beside them."""
_NOT_SET_UP = (530, 534, 535, 538)
"""RFC 4954, RFC 3207: our relay wants a login or TLS that we did not give."""
_NEVER_OF_THE_READER = (500, 502, 503, 504, 517, 555)
"""Replies to commands, parameters and senders, whatever the words (RFC 5321 §4.2; 517 is Courier's for a sender's domain)."""

_BEFORE_THE_READER = (Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.TLS, Stage.AUTH, Stage.MAIL)

_ONE_REPLY = re.compile(r"(?<![.\d])([245]\d\d)[ -](?=\S)")
_IN_BRACKETS = re.compile(r"\(#([45]\.\d{1,3}\.\d{1,3})\b")
_ADDRESS = re.compile(r"""(?<![^\s<>()\[\]"':,;])[^\s<>()\[\]"':,;@]{1,64}+@[^\s<>()\[\]"',;]{1,255}""")
_PATH = re.compile(r"(https?://[^\s/?#]{1,255}+)\S*")
_WHERE = re.compile(
    r"\bhost [^\s\[]{1,255}+ ?\[[0-9a-f.:]{2,45}\](?=:| said| smtp| delay)|\bremote (?:mail ?)?(?:server|host|er\b)",
)
_PROBED = re.compile(
    r"\bun(?:deliverable|verified) address: ((?:.{0,500}?(?:said|talk to me): ([45]\d\d)[ -](?:([45]\.\d{1,3}\.\d{1,3})(?!\.?\d))?)?.*)"
)
_WAIT = re.compile(
    r"(?:again|retry|later|wait|expect|back|gr[ae]ylist\w{0,20}).{0,20}?\b(?:in|after|for)?\s*"
    r"(\d{1,5})\s*(s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?)\b"
)
_CLOCK = re.compile(
    r"(?:again|retry|wait|back).{0,20}?\b(\d{1,2}):(\d\d):(\d\d)\b"
)  # milter-greylist: "come back in 00:04:59"
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


def judge(stage: Stage | None, code: int, enhanced: str | None, text: str) -> Verdict:
    """Return what a refusal means.

    stage     where in the session it was said; None where that is not known, as in a report
    code      400–599; 0 when the connection died
    enhanced  "5.1.1" or None
    text      the server's words
    """
    text = " ".join(text[:TEXT_LIMIT].lower().split())
    if probed := _PROBED.search(text):
        # Postfix asked the next server before it let us on: what that one said is what is meant, and "5.1.1" is put before all of it.
        text = probed[1]
        code, enhanced = (int(probed[2]), probed[3]) if probed[2] and code // 100 == 5 else (code, None)
    found = _class(stage, code, enhanced or _in_brackets(text), text)
    return Verdict(found, _wait(text), _limit(stage, text) if found is Class.RATE else None)


def _class(stage: Stage | None, code: int, enhanced: str | None, text: str) -> Class:
    if stage is not Stage.MAIL and meanings.AT_RCPT.search(text):
        stage = Stage.RCPT
    words = _plain(_of_code(text, code))
    if stage in (Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.TLS):
        return _about_us(code, enhanced, words)
    if stage is Stage.AUTH or code in _NOT_SET_UP:
        return Class.SENDER
    if stage is Stage.MAIL:
        return _about_the_sender(code, enhanced, words)
    if meanings.NOT_IN_DIRECTORY.search(words) and stage is not Stage.BODY and code // 100 == 5:
        return Class.DEAD
    found = _agreed(enhanced, words) or _meant(words) or _coded(enhanced) or _basic(code, stage)
    return _dead(stage, code, enhanced, words) if found is Class.DEAD else _lasting(found, code, enhanced, words)


def _about_us(code: int, enhanced: str | None, text: str) -> Class:
    """Before MAIL no reader was named, so whatever is said is said of us or of the moment."""
    found = _meant(text)
    if found in (Class.RATE, Class.POLICY, Class.TRANSIENT) and not (code // 100 == 5 and _asleep(text)):
        return found
    return Class.POLICY if code // 100 == 5 or _subject(enhanced).startswith("7.") else Class.TRANSIENT


def _about_the_sender(code: int, enhanced: str | None, text: str) -> Class:
    """At MAIL no reader was named either: "no such domain" and an account asleep are ours, and a full disk is the server's."""
    found = _meant(text) or _coded(enhanced) or _basic(code, Stage.MAIL)
    if found is Class.DEAD or (found is Class.TRANSIENT and _asleep(text)):
        return Class.TRANSIENT if code // 100 == 4 else Class.SENDER
    if found is Class.QUOTA:
        # The server's own disk for now; for good, what our account may send. A reader's mailbox it cannot be.
        return Class.TRANSIENT if code // 100 == 4 else Class.RATE
    return found


def _agreed(enhanced: str | None, text: str) -> Class | None:
    """Bad destination address by the code, and unknown by the words: only a quota or a rate named beside them says otherwise."""
    if _subject(enhanced) not in _UNKNOWN or not _names_nobody(text):
        return None
    return None if _meant(text) in (Class.RATE, Class.QUOTA) else Class.DEAD


def _names_nobody(text: str) -> bool:
    said = meanings.NOBODY.search(text) or meanings.NO_DOMAIN.search(text)
    return bool(said) and not meanings.OF_SENDER.search(text)


def _dead(stage: Stage | None, code: int, enhanced: str | None, text: str) -> Class:
    """Return DEAD if the refusal can be believed to be about the address."""
    if code // 100 == 4 or code == 0:
        return Class.TRANSIENT  # unknown for now
    if code in _NEVER_OF_THE_READER:
        return _basic(code, stage)
    if meanings.OF_SENDER.search(text) or meanings.OF_NOBODY.search(text):
        return Class.POLICY
    subject = _subject(enhanced)
    if stage in (Stage.DATA, Stage.BODY):
        # The mailbox was accepted at RCPT: a filter that hides behind "unknown user", unless the code is that of an address.
        return Class.DEAD if subject.startswith("1.") or meanings.LOOKED_UP_LATE.search(text) else Class.POLICY
    if meanings.NO_MAIL_THERE.search(text):
        return Class.DEAD
    return _despite(subject, text)


def _despite(subject: str, text: str) -> Class:
    """Return what is believed where the words say "unknown" and the code something else: where they disagree, nobody is suppressed."""
    if subject in ("2.1", "2.2", "7.13") and not meanings.AT_RCPT.search(text):
        return _ENHANCED[subject]
    if subject == "7.1" and meanings.NO_SUCH.search(text):
        return Class.DEAD  # the code of all that is not allowed, and words that leave nothing open
    return Class.POLICY if subject.startswith("7.") or subject in ("1.7", "1.8") else Class.DEAD


def _lasting(found: Class, code: int, enhanced: str | None, text: str) -> Class:
    """Asleep with the code of a bad address is for good (iCloud: "5.1.1 inactive email address")."""
    if found is not Class.TRANSIENT or code // 100 != 5 or _subject(enhanced) != "1.1":
        return found
    return Class.DEAD if _asleep(text) else found


def _asleep(text: str) -> bool:
    """Return whether an account stands still, and not for a moment."""
    return bool(meanings.ASLEEP.search(text)) and not meanings.MOMENT.search(text)


def _of_code(text: str, code: int) -> str:
    """Return the part of a whole conversation that was said with this code, or all where it is one reply."""
    parts = _ONE_REPLY.split(text)
    spoken = [words for number, words in zip(parts[1::2], parts[2::2], strict=True) if number == str(code)]
    return " ".join(spoken) if len(parts) > 3 and spoken else text


def _plain(text: str) -> str:
    """Return the words without what only looks like words: addresses (as "@"), pages behind links, names of the server that spoke."""
    if "@" in text:
        text = _ADDRESS.sub("@", text)
    if "://" in text:
        text = _PATH.sub(r"\1", text)
    return " ".join(meanings.NO_RECIPIENTS.sub("", _WHERE.sub("", text)).split())


def _in_brackets(text: str) -> str | None:
    """Return the enhanced code where qmail and its kin write it: "… by that name. (#5.1.1)"."""
    found = _IN_BRACKETS.search(text) if "(#" in text else None
    return found[1] if found else None


def _limit(stage: Stage | None, text: str) -> Limit:
    """Return whose limit it was: before RCPT no reader was named, so it can only be ours; then the words must say so."""
    if meanings.DAY.search(text):
        return Limit.ACCOUNT_DAY
    if meanings.HOUR.search(text):
        return Limit.ACCOUNT_HOUR
    ours = stage in _BEFORE_THE_READER or meanings.PACE.search(text)
    return Limit.ACCOUNT_RATE if ours else Limit.PROVIDER


def _wait(text: str) -> timedelta | None:
    """Return how long a server asked to stay away: "try again in 300 seconds", "come back in 00:05:00"."""
    if found := _WAIT.search(text):
        return int(found[1]) * _UNITS[found[2][0]]
    found = _CLOCK.search(text)
    return timedelta(hours=int(found[1]), minutes=int(found[2]), seconds=int(found[3])) if found else None


def crowded(code: int, text: str) -> bool:
    """Return whether a server that opens no session has as many as it bears for now: the next goes once one has ended.

    code, text   as of `judge`

    Not where it counts them in a time, or what failed in them, or says when to come back: that is longer than a session lasts.
    """
    words = _plain(" ".join(text[:TEXT_LIMIT].lower().split()))
    if code // 100 != 4 or not meanings.AT_ONCE.search(words):
        return False
    return _wait(words) is None and not meanings.IN_TIME.search(words)


def of(outcome: Deferred | Rejected) -> Verdict:
    """Return what an outcome's refusal means."""
    match outcome:
        case Deferred(reply, stage) | Rejected(reply, stage):
            return judge(stage, reply.code, reply.enhanced, reply.text)
        case _:
            assert_never(outcome)


def _meant(text: str) -> Class | None:
    for cls, pattern in _MEANINGS:
        if pattern.search(text):
            return cls
    return None


def _subject(enhanced: str | None) -> str:
    return enhanced.partition(".")[2] if enhanced else ""


def _coded(enhanced: str | None) -> Class | None:
    """Return what the enhanced code says: policy for all of security, content for all of the media, else by the registry."""
    subject = _subject(enhanced)
    rest = Class.POLICY if subject.startswith("7.") else Class.CONTENT if subject.startswith("6.") else None
    return _ENHANCED.get(subject, rest)


def _basic(code: int, stage: Stage | None) -> Class:
    """RFC 5321 §4.2.3, where there is nothing better."""
    if code == 0 or code // 100 == 4:
        return Class.TRANSIENT
    if code in (500, 501, 502, 503, 504, 555):
        return Class.PROTOCOL
    if code == 556:
        return Class.DEAD  # RFC 7504: the domain accepts no mail
    if code == 552:
        return Class.CONTENT if stage is Stage.MAIL else Class.QUOTA
    # A bare 550 at RCPT: as often a block as a dead mailbox, so nobody is suppressed for it.
    return Class.POLICY
