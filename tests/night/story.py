"""The night as it goes, by the product's own commands: from the evening's signatures to the last corrected alert.

Each act does one thing somebody would do, waits for what they would wait for, and notes a line of the page. What became of it is
not noted here but read from the mail server afterwards (`sink`).
"""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from newsletter import database, languages
from newsletter.journeys import mailing, publish
from newsletter.ledger.books import Status
from newsletter.operators import audit, codes
from tests import house
from tests.night.ground import DAILY, DIGEST, GONE, RESERVE, Ground
from tests.night.sink import Text
from tests.operators.crew import Member
from tests.reliability.machine import wait_for

TITLE = "The well runs dry"
SAID = {
    "raid": {
        "who": "29,000 people",
        "place": "Sarand",
        "what has happened, in one sentence": "Fourteen lorries stand at the second gate, and soldiers with them.",
        "how many": "29,000",
        "who told us": "the camp's council",
        "what time": "02:05",
    },
    "raid-fa": {
        "چه کسانی": "۲۹٬۰۰۰ نفر",
        "کجا": "سرند",
        "چه شده است، در یک جمله": "چهارده کامیون با سربازان کنار دروازهٔ دوم ایستاده‌اند.",
        "چند": "۲۹٬۰۰۰",
        "چه کسی": "شورای اردوگاه",
        "چه ساعتی": "۰۲:۰۵",
    },
}
RIGHT = {"raid": ("29,000", "2,900"), "raid-fa": ("۲۹٬۰۰۰", "۲٬۹۰۰")}
"""The typo: a nought too many, in both languages."""
ARABIC = "٢٬٩٠٠ شخص في خطر في سرند"
WAIT = ("--later", "ar")


@dataclass
class Night:
    """What happened, for whoever tells it.

    lines     when, as the page shows it, and what
    moments   what → when, by the monotonic clock
    mailings  what → its number
    texts     what each subject is
    """

    ground: Ground
    people: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    moments: dict[str, float] = field(default_factory=dict)
    mailings: dict[str, int] = field(default_factory=dict)
    texts: dict[str, Text] = field(default_factory=dict)
    seen: Counter[int] = field(default_factory=Counter)
    mandate: int = 0

    def note(self, words: str, *, when: str | None = None, at: float | None = None) -> None:
        """Add a line of the page."""
        self.lines.append((self.ground.clock.at(at) if when is None else when, words))
        print(f"  {self.lines[-1][0]}  {words}", file=sys.stderr)

    def written_down(self, act: str) -> float:
        """Return when the audit has that this was done, last: by the database's clock, and not when a command had ended."""
        with self.ground.made.parts.database.transaction() as session:
            at = max(entry.at for entry in audit.listed(session) if entry.act == act)
            return time.monotonic() - (database.now(session) - at).total_seconds()

    def status(self, what: str) -> Status:
        """Return the books of one of the mailings."""
        return mailing.status(self.ground.made.parts, self.mailings[what])

    def taken(self, what: str) -> int:
        """Return how many of a mailing the mail server has taken by now: the books are written some hundreds at a time."""
        number = self.mailings[what]
        tokens = self.ground.made.parts.tokens
        self.seen.update(
            tokens.read_return_path(one["sender"].partition("@")[0], now=datetime.now(UTC))[0]
            for one in self.ground.tail()
        )
        return self.seen[number]

    def ask(self, *words: Any, stdin: str = "") -> Any:
        """Run a command of the product."""
        return self.ground.program.json(*words, stdin=stdin)

    def code(self, member: Member) -> str:
        """Return what a phone shows next: a code works once, and nobody waits half a minute for another."""
        here = codes.step_of(self.ground.now())
        member.steps = max(here, member.steps + 1)
        wait_for(lambda: codes.step_of(self.ground.now()) + 1 >= member.steps, seconds=61, every=0.2)
        return codes.hotp(codes.read_secret(member.secret) or b"", member.steps)


def tell(ground: Ground) -> Night:
    """Live through the night and return what happened."""
    night = Night(ground)
    evening(night)
    digest(night)
    alert(night)
    kills(night)
    typo(night)
    taken_back(night)
    corrected(night)
    arabic_late(night)
    morning(night)
    return night


def evening(night: Night) -> None:
    """There is time: the lane is tried, and two sign."""
    ground = night.ground
    night.people = ground.people()
    holder, signers = ground.holder, ground.signers
    ground.spend()
    ground.begin()
    terms = ("--digest", DIGEST, "--cause", "Sarand camp", "--most-readers", ground.size.readers + 10)
    until = (ground.now() + timedelta(hours=8)).isoformat(timespec="seconds")
    frames = ("--frame", "raid", "--frame", "raid-fa", "--most-alerts", 3)
    made = night.ask("alerts", "mandate", "add", "--operator", holder.id, *terms, *frames, "--until", until)
    night.mandate = made["mandate"]
    for one in signers:
        signed = night.ask("alerts", "mandate", "sign", night.mandate, "--operator", one.id, stdin=night.code(one))
    assert signed["holds"], "two have signed"
    night.note(
        "Noor Holm and Omid Keller sign: Mina Moradi may send 3 alerts tonight, from two frames.", when="evening"
    )
    lit = night.ask("drill", "--wait")
    # Without its hour, which is this machine's and not the night's.
    night.note(f"Drill: lane proved, {lit['sentence'].partition(', ')[2]}.", when="evening")


def digest(night: Night) -> None:
    """The weekly digest goes, at the relay's whole pace."""
    ground = night.ground
    house.add_articles(ground.made, ground.folder, TITLE)
    composed = publish.compose(ground.made.parts, house.DIGEST)
    night.mailings["digest"] = composed.mailing
    night.moments["digest"] = time.monotonic()
    night.ask("issues", "send", composed.issue)
    night.texts[f"{night.status('digest').subject}: {TITLE}"] = Text("digest", "en")
    wait_for(lambda: night.taken("digest") > len(night.people) // 20, every=0.1, what="the digest")


def written(night: Night, what: str, *, right: bool) -> int:
    """Write the alert in two languages by their frames; return its number."""
    ground, files = night.ground, []
    for frame, said in SAID.items():
        wrong, number = RIGHT[frame]
        words = {gap: text.replace(wrong, number) if right else text for gap, text in said.items()}
        files.append(ground.filled(frame, words, f"{what}-{frame}.md"))
        tongue = "fa" if frame.endswith("fa") else "en"
        subject = (
            f"{words['چه کسانی']} در {words['کجا']} در خطرند"
            if tongue == "fa"
            else f"{words['who']} are in danger at Sarand"
        )
        night.texts[subject] = Text(what, tongue)
        if not right:
            night.texts[languages.say("mail.retraction-subject", tongue, subject=subject)] = Text("back", tongue)
    locked = night.ask("alerts", "send", *files, "--to", DIGEST, "--operator", ground.holder.id, *WAIT)
    assert locked["state"] == "locked", "so many readers are no matter for one person without a mandate"
    night.mailings[what] = locked["mailing"]
    return int(locked["mailing"])


def released(night: Night, what: str) -> str:
    """Let an alert go with one thumb; return when all will have it, as was promised before."""
    ground, number = night.ground, night.mailings[what]
    by = ("--mandate", night.mandate, "--operator", ground.holder.id)
    count = night.ask("alerts", "release", number, *by, "--dry-run")["would_send"]
    promise = mailing.promise(ground.made.parts, number)
    assert promise is not None, "the relay has a pace"
    ends = time.monotonic() + (promise.ends_at - ground.now()).total_seconds()
    thumb = ground.holder
    shown = night.code(thumb)
    night.moments[what] = time.monotonic()
    assert night.ask("alerts", "release", number, *by, stdin=shown)["state"] in ("sending", "done")
    enough = "today's quota is enough" if sum(promise.by_day[:2]) == count else "the rest goes another day"
    night.moments[f"{what} promised"] = ends
    return f"{count:,} readers, promised by {ground.clock.at(ends)}; {enough}"


def alert(night: Night) -> None:
    """Ten past two: one person is awake, with a phone."""
    night.ground.clock.set()
    began = night.ground.clock.at(night.moments["digest"])
    night.note(
        f"A digest to {len(night.people):,} begins; {GONE:,} of today's {DAILY:,} messages are gone, "
        f"{RESERVE:,} kept for alerts.",
        when=began,
    )
    written(night, "alert", right=False)
    promised = released(night, "alert")
    night.note(f"Mina Moradi writes in English and Persian and lets it go with one thumb: {promised}.", when="02:10")
    night.note(f"Arabic is not written yet; its {night.ground.size.arabic:,} readers wait.", when="02:10")


def kills(night: Night) -> None:
    """A worker dies twice, at the worst moment."""
    size = night.ground.size
    for whole, part, what in (
        (False, 20, "One of the processes that send the alert is killed with mail on the wire."),
        (True, 6, "All that send alerts are killed with mail on the wire, and started again."),
    ):
        wait_for(lambda part=part: night.taken("alert") > size.readers // part, every=0.1, what="the alert")
        at = night.ground.kill(whole=whole)
        night.moments["killed whole" if whole else "killed one"] = at
        night.note(what, at=at)


def typo(night: Night) -> None:
    """A nought too many. Anyone stops it."""
    size = night.ground.size
    wait_for(lambda: night.taken("alert") > size.readers * 7 // 20, every=0.1, what="a third of the alert")
    stopped = night.ask("alerts", "stop", night.mailings["alert"])
    night.moments["stopped"] = night.written_down("alert.stopped")
    assert stopped["state"] == "stopped"
    night.note("A typo: 29,000 for 2,900. Somebody stops it.")


def taken_back(night: Night) -> None:
    """The prepared retraction goes to everyone who has it, or may have it."""
    night.moments["back"] = time.monotonic()
    back = night.ask("alerts", "retract", night.mailings["alert"])
    night.note("It is taken back: by mail from all who have it, or may have it, and on every page at once.")
    night.mailings["back"] = back["mailing"]
    wait_for(lambda: night.status("back").over, seconds=180, every=0.2, what="the retraction")


def corrected(night: Night) -> None:
    """What is true goes as an alert of its own: what was taken back has no update."""
    written(night, "correction", right=True)
    at = time.monotonic()
    promised = released(night, "correction")
    night.note(f"The corrected alert goes, by the same mandate: {promised}.", at=at)
    wait_for(lambda: night.status("correction").over, seconds=240, every=0.2, what="the corrected alert")


def arabic_late(night: Night) -> None:
    """The Arabic text is finished later, and goes to those who wait for it."""
    ground = night.ground
    path = ground.folder / "ar.md"
    path.write_text(
        f"---\nlanguage: ar\nsubject: {ARABIC}\n---\nأربع عشرة شاحنة عند البوابة الثانية.\n", encoding="utf-8"
    )
    night.texts[ARABIC] = Text("arabic", "ar")
    at = time.monotonic()
    found = night.ask(
        "alerts", "send", path, "--translates", night.mailings["correction"], "--operator", ground.holder.id
    )
    number = night.mailings["arabic"] = found["mailing"]
    # With the two other languages it is no longer to few, and no frame of the mandate's: somebody else is rung up.
    second = ground.signers[0]
    night.ask("alerts", "approve", number, "--operator", second.id, stdin=night.code(second))
    night.moments["arabic"] = time.monotonic()
    night.ask("alerts", "release", number, "--operator", ground.holder.id)
    night.note(
        f"The Arabic text is finished, approved by Noor Holm, and goes to the {found['audience']:,} who wait.", at=at
    )
    wait_for(lambda: night.status("arabic").over, seconds=120, every=0.2, what="the Arabic text")


def morning(night: Night) -> None:
    """All of it is over, the digest too."""
    wait_for(lambda: night.status("digest").over, seconds=240, every=0.2, what="the digest")
