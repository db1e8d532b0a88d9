"""One page for a director: what was promised, what happened, who got what, and whether the mail server and the books agree."""

import os
import textwrap
from dataclasses import dataclass
from typing import Any

from tests.night import judge, sink
from tests.night.ground import DAILY, GONE, RATE
from tests.night.judge import HALF_SECOND, Measured, Promised
from tests.night.sink import Account
from tests.night.story import Night
from tests.reliability.auditor import Findings

WIDTH = 120
NAMES = {"en": "English", "fa": "Persian", "ar": "Arabic"}


@dataclass(frozen=True, slots=True)
class Page:
    """The page, and what is wrong. faults: where books and mail server differ; late: what came later than it may."""

    text: str
    faults: list[str]
    late: list[str]

    @property
    def convicts(self) -> bool:
        """Whether the night was not as it must be."""
        return bool(self.faults or self.late)


def write(night: Night, record: list[dict[str, Any]]) -> Page:
    """Return the page of a night that is over. record: the mail server's."""
    account = sink.read(record, night.texts, night.people)
    found = sink.audit(night.ground.made, record, night.mailings, account)
    sink.missing(account, night.people)
    measured = _measured(night, account)
    late = judge.late(measured)
    parts = [*_head(night), "", *_story(night), "", *_table(night, account)]
    if len(found) == len(night.mailings):
        parts += ["", *_truth(night, account, found, measured)]
    parts += ["", *verdict(account, late, len(record))]
    return Page("\n".join(parts), account.faults, late)


def _measured(night: Night, account: Account) -> Measured:
    """Return the night by the clock."""

    def after(what: str) -> float | None:
        return account.first[what] - night.moments[what] if what in account.first else None

    promised = {
        what: Promised(night.moments[f"{what} promised"], account.last.get(what, 0.0)) for what in ("correction",)
    }
    first = {what: after(what) for what in ("alert", "back", "correction", "arabic")}
    on_again = {what: _on_again(account, night.moments[what]) for what in ("killed one", "killed whole")}
    return Measured(first, _after_stop(night, account), promised, on_again)


def _head(night: Night) -> list[str]:
    scale = night.ground.size.scale
    return [
        *_lines(
            "A NIGHT OF EMERGENCY, on this machine alone: invented people, real servers, real workers, a mail server that "
            f"writes down what it takes. One second of this machine is {scale} of the night: hours are the night's, and the "
            f"relay's {RATE} a second are {RATE * scale} here. Seed {night.ground.seed}."
        )
    ]


def _lines(words: str, *, when: str = "") -> list[str]:
    """Return words as lines of a page, behind an hour where there is one."""
    return textwrap.wrap(
        words, WIDTH, initial_indent=f"{when:<8} " if when else "", subsequent_indent=" " * 9 * bool(when)
    )


def _story(night: Night) -> list[str]:
    return [line for when, words in night.lines for line in _lines(words, when=when)]


def _table(night: Night, account: Account) -> list[str]:
    """Who got what, at the mail server, by the reader's language."""
    columns = {"wrong alert": ("alert",), "taken back": ("back",), "corrected": ("correction", "arabic")}
    lines = [f"{'At the mail server':<20}{'readers':>9}" + "".join(f"{name:>12}" for name in columns)]
    every = [tongue for tongue in night.people.values() if tongue]
    for tongue, name in NAMES.items():
        had = "".join(f"{len(account.of(*whats, language=tongue)):>12,}" for whats in columns.values())
        lines.append(f"{name:<20}{every.count(tongue):>9,}{had}")
    return [
        *lines,
        f"{'All':<20}{len(every):>9,}" + "".join(f"{len(account.of(*whats)):>12,}" for whats in columns.values()),
    ]


def _truth(night: Night, account: Account, found: dict[str, Findings], measured: Measured) -> list[str]:
    clock, late = night.ground.clock, measured.after_stop
    waits, on = (
        ["never" if seconds is None else f"{seconds:.1f} s" for seconds in each.values()]
        for each in (measured.first, measured.on_again)
    )
    doubts = sum(one.ever_in_doubt for one in found.values())
    repeated = sum(one.repeated for one in found.values())
    spared = found["alert"].planned - len(account.of("alert"))
    told = len(account.of("back") - account.of("alert"))
    said = [
        f"The stop spared {spared:,} readers. All who had the wrong alert were told by {clock.at(account.last['back'])}; all "
        f"who read English or Persian had the corrected one by {clock.at(account.last['correction'])}, {_kept(night, account)}.",
        f"This machine's own seconds, under a load of {os.getloadavg()[1]:.0f}: first mail {waits[0]} after the thumb, "
        f"{waits[1]} for what takes it back, {waits[2]} for the corrected alert and {waits[3]} for Arabic; "
        f"after the kills the alert went on within {on[0]} and {on[1]}; after the stop "
        f"nothing was begun later than {late:.2f} s (promised: {HALF_SECOND} s).",
        f"Lost: {sum(one.lost for one in found.values())}. In doubt because what sent them died: {doubts}, all on the list. Of "
        f"those {repeated} came twice, the same to the last byte, which mail programs show once; {told} were told to "
        f"disregard what they never had. Twice otherwise: {sum(one.doubled for one in found.values())}.",
        f"The digest gave way and went on beside: all {len(account.of('digest')):,} have it, the last by "
        f"{clock.at(account.last['digest'])}.",
        _quota(night),
    ]
    return [line for words in said for line in _lines(words)]


def _kept(night: Night, account: Account) -> str:
    """Return how the last of the corrected alert stands to what was promised before it went."""
    promised = night.moments["correction promised"]
    when, late = night.ground.clock.at(promised), account.last["correction"] - promised
    if when >= night.ground.clock.at(account.last["correction"]):
        return f"as promised ({when})"
    return f"later than promised ({when}): by {late:.0f} s of this machine, which are {_of_the_night(night, late)} of the night"


def _of_the_night(night: Night, seconds: float) -> str:
    there = seconds * night.ground.size.scale
    return f"{there:.0f} s" if there < 90 else f"{there / 60:.0f} min"


def _quota(night: Night) -> str:
    rows: list[dict[str, Any]] = night.ask("relays", "list")
    left = {row["lane"]: row["left"] for row in rows}
    return (
        f"Of today's {DAILY:,} messages {GONE:,} were gone before. Of what is left now alerts may use {left['urgent']:,} and "
        f"digests {left['bulk']:,}; 2 % of the day stay untouched."
    )


def _after_stop(night: Night, account: Account) -> float:
    """Return how long after the stop was written down a message of the alert was begun; 0 for none."""
    return max(0.0, account.begun.get("alert", 0.0) - night.moments["stopped"])


def _on_again(account: Account, killed: float) -> float | None:
    """Return after how long the next message of the alert was begun; None where none was."""
    return min((began - killed for began in account.starts["alert"] if began > killed), default=None)


def verdict(account: Account, late: list[str], messages: int) -> list[str]:
    """Return what is to be thought of it: who got what, and when."""
    lines = [f"The mail server's record of {messages:,} messages and the books agree, message by message."]
    if account.faults:
        lines = ["THE MAIL SERVER AND THE BOOKS DISAGREE:", *(f"  {one}" for one in sorted(set(account.faults))[:8])]
    if late:
        return [*lines, "THE NIGHT WAS NOT IN TIME:", *(f"  {one}" for one in late)]
    return [*lines, "All of it was in time: the first mails, the stop, and the hour that was promised."]
