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

from newsletter.relay.outcome import Deferred, Rejected, Stage


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
    ACCOUNT_DAY = "account day"
    PROVIDER = "provider"


class Action(StrEnum):
    """What follows for the sender of the mail."""

    SUPPRESS = "suppress the address"
    RETRY = "try again later"
    SLOW_DOWN = "slow the provider group"
    PAUSE = "pause and tell the operator"
    STOP = "stop the mailing"
    RECONNECT = "open a new connection"
    GIVE_UP = "give up on this message"


_ACTIONS = {
    Class.DEAD: Action.SUPPRESS,
    Class.QUOTA: Action.RETRY,
    Class.TRANSIENT: Action.RETRY,
    Class.RATE: Action.SLOW_DOWN,
    Class.POLICY: Action.PAUSE,
    Class.CONTENT: Action.GIVE_UP,
    Class.SENDER: Action.STOP,
    Class.PROTOCOL: Action.RECONNECT,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of a refusal.

    wait    how long the server asked to stay away, if it said so
    limit   for a refusal about pace: whose limit it was
    """

    cls: Class
    wait: timedelta | None = None
    limit: Limit | None = None

    @property
    def action(self) -> Action:
        """What follows."""
        return _ACTIONS[self.cls]


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_BOX = r"(?:user|mailbox|recipient|address|account|e-?mail|addressee|alias|person|destination|local ?part|rcpt|customer|subscriber|name|id|inbox)"
# In the order in which they are asked. What is said of us comes before what is said of the reader: a server that blocks us
# often adds words about the recipient, and never the other way round.
_MEANINGS: tuple[tuple[Class, re.Pattern[str]], ...] = (
    (
        Class.RATE,
        _words(
            r"too many (?:connections|messages|recipients|concurrent|sessions|emails|mails|bad)",
            r"\brate[ -]?limit",
            r"throttl",
            r"(?:sending|message|connection|unusual|quota) rate",
            r"too (?:fast|frequent|quick)|receiving mail at a rate",
            r"(?:daily|hourly|message|sending) (?:message )?quota (?:was |has been )?exceeded",
            r"exceeded (?:the |your |its )?(?:max|rate|daily|hourly|connection|number of|sending)",
            r"connection limit",
            r"slow down",
        ),
    ),
    (
        Class.QUOTA,
        _words(
            r"(?:over|exceed\w*|out of|above|beyond).{0,30}(?:quota|storage|disk|space|allocation)",
            r"quota.{0,30}(?:exceed|full|reached|violat)",
            r"(?:mailbox|mail box|inbox|account|user|storage).{0,40}\bfull\b",
            r"insufficient (?:disk|system storage|storage|space)",
            r"mailbox.{0,30}(?:size limit|too large)",
            r"not enough (?:space|storage|room)",
        ),
    ),
    (
        Class.SENDER,
        # What our own relay says when it is not set up for us: the next message would hear the same.
        _words(
            r"(?:issue|requires?|need|use) (?:a )?starttls|must authenticate|"
            r"authenticat\w+ (?:first|before)|^authentication (?:is )?required",
            r"sender.{0,40}(?:not owned by|not allowed to|not verified|unverified identity)|(?:e-?mail )?address is not verified|"
            r"identit(?:y|ies).{0,20}not verified|invalid sender|not (?:allowed|permitted|authori[sz]ed) to send (?:as|from|on behalf)",
        ),
    ),
    (
        Class.POLICY,
        _words(
            r"\bspam|\bspf\b|\bdkim\b|\bdmarc\b|blacklist|black list|blocklist|block list|block-list|\bdnsbl\b|\brbl\b|denylist",
            r"\b(?:ip|client host|host|sender|network|domain|connection|server|message|mail|e-?mail|access).{0,40}"
            r"(?:is |was |has been |been |are )?(?:blocked|banned|block(?:ed)? by|denied|prohibited|refused|rejected)\b(?!.{0,40}(?:no such|unknown|not exist))",
            r"reputation|reverse dns|\bptr\b|rdns|reverse (?:mapping|lookup|hostname)|helo|ehlo.{0,20}(?:invalid|reject)",
            r"(?:unsolicited|bulk mail|abuse|suspicious|complaint)",
            r"unauthenticated|not (?:pass|authenticated)|authentication (?:fail|required|check)|fails? authentication",
            r"(?:policy|security|administrative(?:ly)?|filter|content).{0,30}(?:reject|violat|reason|prohibit|denied|block|restrict|refus)",
            r"(?:reject|violat|prohibit|denied|block|refus)\w*.{0,30}(?:policy|policies|security|filter)",
            r"relay(?:ing)?.{0,20}(?:denied|not permitted|not allowed|prohibited|access|reject)|(?:not|unable|cannot|refuse\w*) (?:to )?relay",
            r"access denied|not authorized|not permitted|only (?:accepts?|allows?)|restricted|must be listed|not accepting.{0,20}(?:from|your)",
            r"sender (?:address )?(?:rejected|verif|denied|blocked|domain|not|unknown)|(?:your|sending|sender'?s?) (?:domain|ip|host|server|address)",
        ),
    ),
    (
        Class.CONTENT,
        _words(
            r"virus|malware|attachment|infected|phish",
            r"message (?:size|too (?:large|big|long))|(?:size|length) (?:of message )?(?:exceeds|limit)|too (?:large|big)|maximum.{0,20}size",
            r"(?:header|mime|line|format|charset|from: |subject).{0,40}(?:invalid|malform|missing|not (?:allowed|rfc|valid)|error|too long)",
            r"(?:content|message|body).{0,20}(?:reject|not accept|refus)",
        ),
    ),
    (
        Class.DEAD,
        # Of the domain: nobody there to try again for, whatever courtesy follows.
        _words(
            r"(?:invalid|unknown|no such|nonexistent|bad|unroute?able|unresolvable) (?:mail |recipient |destination )?(?:domain|host)\b",
            r"domain (?:is |was |could |can)?(?:not|n't) (?:be )?(?:reachable|found|exist|resolve)",
        ),
    ),
    (
        Class.TRANSIENT,
        _words(
            r"gr[ae]y[ -]?list",
            r"try (?:again|later)|temporar|timed? ?out|deferred|delayed|retry|resources|load too high|busy|local error|service (?:not|un)available",
            r"(?:suspend|disabled|inactive|is not accepting (?:e-?mail|mail|messages)|deactivat|locked|not active|on hold|expired|over ?due)",
            r"could not (?:connect|be delivered for)|connection (?:refused|reset|dropped|lost)|loop|too many hops",
        ),
    ),
    (
        Class.DEAD,
        _words(
            rf"(?:no|not a|invalid|bad|illegal|unknown|unrecogni[sz]ed|undeliverable|nonexistent|non-existent|wrong)\s(?:such |valid |known |local |existing )*{_BOX}",
            rf"{_BOX}.{{0,60}}(?:unknown|not (?:be )?(?:found|known|exist|valid|listed|here|recogni[sz]ed|local|registered)|"
            r"does ?n[o']t exist|no longer|invalid|unavailable|undeliverable|isn't|nonexistent|has moved|is dead|never)",
            r"(?:does not|doesn'?t|didn'?t|did not) (?:have|exist|match)|no mailbox|no one|nobody|not our (?:customer|user)",
            r"(?:user|host|domain|name)[ _-]?(?:unknown|not found)|nxdomain|unrouteable|no mx|null mx|no such (?:host|domain|person)|"
            r"(?:domain|host).{0,40}(?:not exist|not found|invalid|no (?:mx|mail))",
            r"recipient.{0,40}rejected|rejected.{0,20}recipient|(?<!sender )address rejected|unknown (?:local|recipient|user|address)|has (?:moved|left)|account.{0,20}closed",
            r"does not (?:accept|receive) (?:e-?mail|mail)|(?:recipient|address|user) verif\w+ failed|account (?:has been |was |is )?(?:terminated|deleted|removed)",
            # What servers say in their own languages.
            r"unbekannt|existiert nicht|nicht gefunden|inconnue?\b|n'existe pas|introuvable|desconocido|no existe|sconosciut|inesistente|inexistente|onbekend|neexistuje|"
            r"nie istnieje|не существует|не найден|存在しません",
        ),
    ),
)

_DEAD = _words(*(pattern.pattern for cls, pattern in _MEANINGS if cls is Class.DEAD))
_OF_SENDER = _words(r"sender|\bmail from\b|your (?:domain|address)")

# RFC 3463 and the registry of RFC 5248, by subject and detail; the class digit only says for how long.
_ENHANCED: dict[str, Class] = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.6", "1.10"), Class.DEAD),
    **dict.fromkeys(("2.2", "3.1"), Class.QUOTA),
    **dict.fromkeys(("2.1", "3.2", "4.1", "4.2", "4.3", "4.4", "4.5", "4.7"), Class.TRANSIENT),
    **dict.fromkeys(("1.7", "1.8", "7.25", "7.26", "7.23", "7.24", "7.20", "7.21", "7.22"), Class.POLICY),
    **dict.fromkeys(("2.3", "3.4", "6.0", "6.1", "6.3", "6.5", "6.7"), Class.CONTENT),
    **dict.fromkeys(("5.0", "5.1", "5.2", "5.3", "5.4"), Class.PROTOCOL),
}


# Said by servers that refused every RCPT and are asked for DATA all the same: whatever the stage, RCPT was refused.
_AT_RCPT = _words(
    r"no valid recipients?\b|need rcpt|rcpt first|(?:valid )?rcpt.{0,30}(?:must precede|before data)|all rcpt commands were rejected",
    r"(?:after|in reply to|following) rcpt(?: to)?\b|\[rcpt_to\]",
)
# At RCPT, "access denied" of the recipient means that a directory does not hold the address (Microsoft 5.4.1, Postfix access maps).
_NOT_IN_DIRECTORY = _words(r"recipient address rejected: access denied")
# Unmistakable even after the body, where "user unknown" is often a filter's excuse.
_NO_ACCOUNT = _words(r"(?:user|customer) (?:doesn'?t|does not|didn'?t) have an? \S+ account")
# "550 : User unknown" names nobody: the recipient had been taken, and a filter fills the gap with nothing.
_OF_NOBODY = _words(r"(?:^|\d{3}[: ]|said: |> )\s*: (?:user )?unknown")
# A look-up that fails has a code of its own; 5.0.0 spelled out beside its words comes from somebody's rule.
_UNDEFINED = _words(r"^5\d\d 5\.0\.0 .{0,80}unknown", r"^5\.0\.0 .{0,80}unknown")
_DAY = _words(
    r"(?:daily|24.?hours?|per day).{0,30}(?:quota|limit)|(?:quota|limit).{0,20}(?:daily|24.?hours?|per day)|message quota"
)
_PACE = _words(r"send(?:ing)? rate|throttling failure|(?:messages|mails) per (?:second|minute)")
_ONE_REPLY = re.compile(r"(?<![\d.])([245]\d\d)[ -](?=\S)")
_WAIT = re.compile(
    r"(?:again|retry|later|wait|expect).{0,20}?\b(?:in|after|for)?\s*(\d{1,5})\s*(s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?)\b",
    re.IGNORECASE,
)
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


def judge(stage: Stage | None, code: int, enhanced: str | None, text: str) -> Verdict:
    """Return what a refusal means.

    stage     where in the session it was said; None where that is not known, as in a report
    code      400–599; 0 when the connection died
    enhanced  "5.1.1" or None
    text      the server's words
    """
    found = _class(stage, code, enhanced, text)
    return Verdict(found, _wait(text), _limit(text) if found is Class.RATE else None)


def _class(stage: Stage | None, code: int, enhanced: str | None, text: str) -> Class:
    if stage is not Stage.MAIL and _AT_RCPT.search(text):
        stage = Stage.RCPT
    words = _of_code(text, code)
    if stage in (Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.TLS):
        return _about_us(code, enhanced, words)
    if stage is Stage.AUTH:
        return Class.SENDER
    if stage is Stage.MAIL:
        return _about_the_sender(code, enhanced, words)
    if _NOT_IN_DIRECTORY.search(words) and stage is not Stage.BODY and code // 100 == 5:
        return Class.DEAD
    found = _agreed(enhanced, words) or _meant(words) or _coded(enhanced) or _basic(code, stage)
    return _dead(stage, code, enhanced, words) if found is Class.DEAD else _lasting(found, code, enhanced)


def _about_the_sender(code: int, enhanced: str | None, text: str) -> Class:
    """At MAIL no reader was named either: "no such domain" is ours."""
    found = _meant(text) or _coded(enhanced) or _basic(code, Stage.MAIL)
    if found is Class.DEAD:
        return Class.TRANSIENT if code // 100 == 4 else Class.SENDER
    return found


def _agreed(enhanced: str | None, text: str) -> Class | None:
    """Bad destination address by the code, and unknown by the words: only a quota or a rate named beside them says otherwise."""
    if _subject(enhanced) not in ("1.0", "1.1", "1.10") or not _DEAD.search(text):
        return None
    return None if _meant(text) in (Class.RATE, Class.QUOTA) or _OF_SENDER.search(text) else Class.DEAD


def _dead(stage: Stage | None, code: int, enhanced: str | None, text: str) -> Class:
    """Return DEAD if the refusal can be believed to be about the address."""
    if code // 100 == 4 or code == 0:
        return Class.TRANSIENT  # unknown for now
    if _NO_ACCOUNT.search(text):
        return Class.DEAD
    if _OF_NOBODY.search(text):
        return Class.POLICY
    if stage in (Stage.DATA, Stage.BODY):
        # The mailbox was accepted at RCPT: a filter that hides behind "unknown user", unless the code is that of an address.
        return Class.DEAD if _subject(enhanced).startswith("1.") else Class.POLICY
    if _subject(enhanced) == "2.1" and not _AT_RCPT.search(text):
        return Class.TRANSIENT  # "disabled" by the code, "unknown" by the words: they disagree, so nobody is suppressed
    if _subject(enhanced).startswith("7.") or _UNDEFINED.search(text):
        return Class.POLICY
    return Class.DEAD


def _lasting(found: Class, code: int, enhanced: str | None) -> Class:
    """ "Inactive" with the code of a bad address is for good."""
    return Class.DEAD if found is Class.TRANSIENT and code // 100 == 5 and _subject(enhanced) == "1.1" else found


def _of_code(text: str, code: int) -> str:
    """Return the part of a whole conversation that was said with this code, or all where it is one reply."""
    parts = _ONE_REPLY.split(text)
    spoken = [words for number, words in zip(parts[1::2], parts[2::2], strict=True) if number == str(code)]
    return " ".join(spoken) if len(parts) > 3 and spoken else text


def _limit(text: str) -> Limit:
    if _DAY.search(text):
        return Limit.ACCOUNT_DAY
    return Limit.ACCOUNT_RATE if _PACE.search(text) else Limit.PROVIDER


def _wait(text: str) -> timedelta | None:
    """Return how long a server asked to stay away: "try again in 300 seconds"."""
    found = _WAIT.search(text)
    return int(found[1]) * _UNITS[found[2][0].lower()] if found else None


def of(outcome: Deferred | Rejected) -> Verdict:
    """Return what an outcome's refusal means."""
    match outcome:
        case Deferred(reply, stage) | Rejected(reply, stage):
            return judge(stage, reply.code, reply.enhanced, reply.text)
        case _:
            assert_never(outcome)


def _about_us(code: int, enhanced: str | None, text: str) -> Class:
    """Before MAIL no reader was named, so whatever is said is said of us or of the moment."""
    found = _meant(text)
    if found in (Class.RATE, Class.POLICY, Class.TRANSIENT):
        return found
    return Class.POLICY if code // 100 == 5 or _subject(enhanced).startswith("7.") else Class.TRANSIENT


def _meant(text: str) -> Class | None:
    for cls, pattern in _MEANINGS:
        if pattern.search(text):
            return cls
    return None


def _subject(enhanced: str | None) -> str:
    return enhanced.partition(".")[2] if enhanced else ""


def _coded(enhanced: str | None) -> Class | None:
    subject = _subject(enhanced)
    if subject.startswith("7."):
        return _ENHANCED.get(subject, Class.POLICY)
    return _ENHANCED.get(subject)


def _basic(code: int, stage: Stage | None) -> Class:
    """RFC 5321 §4.2.3, where there is nothing better."""
    if code == 0 or code // 100 == 4:
        return Class.QUOTA if code == 452 and stage is Stage.RCPT else Class.TRANSIENT
    if code in (500, 501, 502, 503, 504):
        return Class.PROTOCOL
    if code in (550, 551, 553) and stage in (Stage.RCPT, None):
        # A bare 550 at RCPT: as often a block as a dead mailbox, so nobody is suppressed for it.
        return Class.POLICY
    return Class.QUOTA if code == 552 else Class.POLICY if code in (530, 535, 550, 554, 521) else Class.CONTENT
