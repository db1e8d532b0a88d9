"""One page for a director: what was promised, what happened, who got what, and whether the mail server and the books agree."""

import os
from dataclasses import dataclass
from typing import Any

from tests.night import sink
from tests.night.ground import DAILY, GONE, RATE
from tests.night.sink import Account
from tests.night.story import HALF_SECOND, Night
from tests.reliability.auditor import Findings

NAMES = {"en": "English", "fa": "Persian", "ar": "Arabic"}


@dataclass(frozen=True, slots=True)
class Page:
    """The page, and what is wrong: nothing, where the books are the mail server's."""

    text: str
    faults: list[str]


def write(night: Night, record: list[dict[str, Any]]) -> Page:
    """Return the page of a night that is over. record: the mail server's."""
    account = sink.read(record, night.texts, night.people)
    found = sink.audit(night.ground.made, record, night.mailings, account)
    sink.missing(account, night.people)
    late = _after_stop(night, account)
    if late > HALF_SECOND:
        account.faults.append(f"the alert was begun {late:.2f} s after the stop was confirmed")
    parts = [*_head(night), "", *_story(night), "", *_table(night, account)]
    if len(found) == len(night.mailings):
        parts += ["", *_truth(night, account, found, late)]
    parts += ["", *_verdict(account, len(record))]
    return Page("\n".join(parts), account.faults)


def _head(night: Night) -> list[str]:
    scale = night.ground.size.scale
    return [
        "A NIGHT OF EMERGENCY, on this machine alone: invented people, real servers, real workers, a mail server that writes down",
        f"what it takes. One second here is {scale} of the night's: times are the night's, the relay's {RATE} a second are "
        f"{RATE * scale} here. Seed {night.ground.seed}.",
    ]


def _story(night: Night) -> list[str]:
    return [f"{when:<8} {words}" for when, words in night.lines]


def _table(night: Night, account: Account) -> list[str]:
    """Who got what, at the mail server, by the reader's language."""
    columns = {"alert": ("alert",), "taken back": ("back",), "corrected": ("correction", "arabic")}
    lines = [f"{'At the mail server':<20}{'readers':>9}" + "".join(f"{name:>12}" for name in columns)]
    every = [tongue for tongue in night.people.values() if tongue]
    for tongue, name in NAMES.items():
        had = "".join(f"{len(account.of(*whats, language=tongue)):>12,}" for whats in columns.values())
        lines.append(f"{name:<20}{every.count(tongue):>9,}{had}")
    return [
        *lines,
        f"{'All':<20}{len(every):>9,}" + "".join(f"{len(account.of(*whats)):>12,}" for whats in columns.values()),
    ]


def _truth(night: Night, account: Account, found: dict[str, Findings], late: float) -> list[str]:
    clock, moments = night.ground.clock, night.moments
    waits = [f"{account.first[what] - moments[what]:.1f} s" for what in ("alert", "correction")]
    doubts = sum(one.ever_in_doubt for one in found.values())
    repeated = sum(one.repeated for one in found.values())
    spared = found["alert"].planned - len(account.of("alert"))
    told = len(account.of("back") - account.of("alert"))
    on = [
        f"{_on_again(account, moments[kill]) * night.ground.size.scale:.0f} s"
        for kill in ("killed one", "killed whole")
    ]
    return [
        f"First mail {waits[0]} after the thumb, and {waits[1]} for the corrected alert: this machine's seconds, under a load of "
        f"{os.getloadavg()[1]:.0f}.",
        f"After the kills the alert went on within {on[0]} and {on[1]} (the night's seconds).",
        f"The stop spared {spared:,} readers; nothing was begun later than {late:.2f} s after it (windows close within "
        f"{HALF_SECOND} s).",
        f"In doubt because a sender died over them: {doubts}, all on the list. Of those {repeated} came twice, the same to the",
        f"last byte, which mail programs show once; {told} were told to disregard what they never had.",
        f"Twice otherwise: {sum(one.doubled for one in found.values())}. Lost: {sum(one.lost for one in found.values())}.",
        f"All who had the alert were told by {clock.at(account.last['back'])}; all had the corrected one by "
        f"{clock.at(account.last['correction'])} (promised {clock.at(moments['correction promised'])}).",
        f"The digest gave way and went on beside: all {len(account.of('digest')):,} have it, the last by "
        f"{clock.at(account.last['digest'])}.",
        _quota(night),
    ]


def _quota(night: Night) -> str:
    rows: list[dict[str, Any]] = night.ask("relays", "list")
    left = {row["lane"]: row["left"] for row in rows}
    gone = f"Of today's {DAILY:,} messages {GONE:,} were gone before"
    return f"{gone}; {left['urgent']:,} are left for alerts, {left['bulk']:,} for digests."


def _after_stop(night: Night, account: Account) -> float:
    """Return how long after the stop was confirmed a message of the alert was begun; 0 for none."""
    return max(0.0, account.begun.get("alert", 0.0) - night.moments["stopped"])


def _on_again(account: Account, killed: float) -> float:
    """Return after how long the next message of the alert was begun."""
    return min((began for began in account.starts["alert"] if began > killed), default=killed) - killed


def _verdict(account: Account, messages: int) -> list[str]:
    if account.faults:
        return ["THE MAIL SERVER AND THE BOOKS DISAGREE:", *(f"  {fault}" for fault in sorted(set(account.faults))[:8])]
    return [f"The mail server's record of {messages:,} messages and the books agree, message by message."]
