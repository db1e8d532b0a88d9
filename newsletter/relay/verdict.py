"""What a refusal means: (stage, code, enhanced code, words) → class. Pure.

"Any 5xx is a dead address" is wrong for most refusals: servers say 5xx of blocked senders, full mailboxes and bad messages too. The
words, where there are any, say more than the code (servers choose codes loosely); the enhanced code (RFC 3463, IANA registry of RFC
5248) says more than the basic one. Rules are meanings, tried in order; the first that fits decides.
"""

import re
from dataclasses import dataclass
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
    """The class of a refusal."""

    cls: Class

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
            r"too (?:fast|frequent)",
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
        Class.TRANSIENT,
        _words(
            r"gr[ae]y[ -]?list",
            r"try (?:again|later)|temporar|timed? ?out|deferred|delayed|retry|resources|load too high|busy|local error|service (?:not|un)available",
            r"(?:suspend|disabled|inactive|deactivat|locked|not active|on hold|expired|over ?due)",
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
            r"recipient.{0,40}rejected|rejected.{0,20}recipient|unknown (?:local|recipient|user|address)|has (?:moved|left)|account.{0,20}closed",
            r"does not (?:accept|receive) (?:e-?mail|mail)",
        ),
    ),
)

# RFC 3463 and the registry of RFC 5248, by subject and detail; the class digit only says for how long.
_ENHANCED: dict[str, Class] = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.6", "1.10"), Class.DEAD),
    **dict.fromkeys(("2.2", "3.1"), Class.QUOTA),
    **dict.fromkeys(("2.1", "3.2", "4.1", "4.2", "4.3", "4.4", "4.5", "4.7"), Class.TRANSIENT),
    **dict.fromkeys(("1.7", "1.8", "7.25", "7.26", "7.23", "7.24", "7.20", "7.21", "7.22"), Class.POLICY),
    **dict.fromkeys(("2.3", "3.4", "6.0", "6.1", "6.3", "6.5", "6.7"), Class.CONTENT),
    **dict.fromkeys(("5.0", "5.1", "5.2", "5.3", "5.4"), Class.PROTOCOL),
}


def judge(stage: Stage, code: int, enhanced: str | None, text: str) -> Verdict:
    """Return what a refusal means.

    stage     where in the session it was said: only at RCPT is it about the reader for certain
    code      400–599; 0 when the connection died
    enhanced  "5.1.1" or None
    text      the server's words
    """
    if stage in (Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.TLS):
        return Verdict(_about_us(code, enhanced, text))
    if stage is Stage.AUTH:
        return Verdict(Class.SENDER)
    found = _meant(text) or _coded(enhanced) or _basic(code, stage)
    if found is Class.DEAD and (code // 100 == 4 or (stage is Stage.MAIL and not enhanced)):
        # "Unknown user" for now, or of the sender: no reason to write to nobody there again.
        found = Class.TRANSIENT if code // 100 == 4 else Class.SENDER
    if found is Class.DEAD and (stage in (Stage.DATA, Stage.BODY) or _filtered(enhanced)):
        # The mailbox was accepted at RCPT, or the code speaks of policy: a filter that hides behind "unknown user".
        found = Class.POLICY
    if found is Class.TRANSIENT and code // 100 == 5 and _subject(enhanced) == "1.1":
        found = Class.DEAD
    return Verdict(found)


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


def _filtered(enhanced: str | None) -> bool:
    return _subject(enhanced) == "2.1" or _subject(enhanced).startswith("7.")


def _coded(enhanced: str | None) -> Class | None:
    subject = _subject(enhanced)
    if subject.startswith("7."):
        return _ENHANCED.get(subject, Class.POLICY)
    return _ENHANCED.get(subject)


def _basic(code: int, stage: Stage) -> Class:
    """RFC 5321 §4.2.3, where there is nothing better."""
    if code == 0 or code // 100 == 4:
        return Class.QUOTA if code == 452 and stage is Stage.RCPT else Class.TRANSIENT
    if code in (500, 501, 502, 503, 504):
        return Class.PROTOCOL
    if code in (550, 551, 553) and stage is Stage.RCPT:
        # A bare 550 at RCPT: as often a block as a dead mailbox, so nobody is suppressed for it.
        return Class.POLICY
    return Class.QUOTA if code == 552 else Class.POLICY if code in (530, 535, 550, 554, 521) else Class.CONTENT
