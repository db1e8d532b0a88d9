"""newsletter alerts …"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Annotated, Any

import typer

from newsletter import errors, languages
from newsletter.assembly import Newsletter
from newsletter.cli import bulletins, mandates, reading, waiting
from newsletter.cli.door import (
    LARGEST,
    AsJson,
    DryRun,
    Number,
    Operator,
    Wait,
    agree,
    ask_code,
    listing,
    newsletter,
    page,
    screen,
    show,
)
from newsletter.issues.manuscript import Manuscript
from newsletter.journeys import alert as journey
from newsletter.journeys import calling, desk, drafting, expiring, retracting, stopping, translating
from newsletter.journeys import mailing as mailings
from newsletter.journeys import mandates as by_mandate
from newsletter.journeys.agreeing import Since
from newsletter.journeys.narrowing import Part
from newsletter.journeys.standings import Standing
from newsletter.ledger.mailings import NOT_GONE, RELEASED, State
from newsletter.ledger.refusals import RefusalView
from newsletter.ledger.translating import Waiting
from newsletter.operators.sessions import Factor

app = typer.Typer(no_args_is_help=True, help="Urgent alerts: ahead of everything else, and never by one person alone.")
app.add_typer(mandates.app, name="mandate")
bulletins.on(app)

Files = Annotated[list[str], typer.Argument(metavar="FILE.md …", help="One text for each language.")]
To = Annotated[str | None, typer.Option(help="Key of the digest whose readers get it.")]
Anew = Annotated[
    bool,
    typer.Option(help="Also one that is locked or approved: that is void by it, and its readers and time are now's."),
]
Updates = Annotated[
    int | None, typer.Option(min=1, max=LARGEST, help="Number of the alert that this one follows and replaces.")
]
Later = Annotated[
    list[str] | None,
    typer.Option(metavar="LANGUAGE", help="A language that is written later: its readers wait. May be given again."),
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="LANGUAGE", help="Only to the readers of this language. May be given again."),
]
Topic = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY", help="Only to readers who chose this topic, or another that is given. May be given again."
    ),
]
InSegment = Annotated[
    str | None, typer.Option("--segment", help="Key of a segment: only to those of the digest's readers who are in it.")
]
Everybody = Annotated[
    bool,
    typer.Option(
        "--everybody",
        help="With --updates, or of one that is edited: to all who take the digest, also where it was for some of them.",
    ),
]
Translates = Annotated[
    int | None,
    typer.Option(min=1, max=LARGEST, help="Number of the alert of which these are languages that were finished later."),
]
AlsoHad = Annotated[
    bool, typer.Option(help="With --translates: marked, to those as well who were handed another language.")
]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be written: a new alert to a digest's readers, or languages of one that come later.

    only, part   None: as the alert that it follows
    translates   the alert of which they are languages, where they are; digest is "" then
    """

    files: tuple[str, ...]
    digest: str
    operator: int | None
    updates: int | None
    later: tuple[str, ...]
    only: tuple[str, ...] | None
    part: Part | None
    translates: int | None
    also_had: bool

    def waiting(self, made: Newsletter) -> list[Waiting]:
        """Say and return who waits for these languages and who had another; of a new alert nobody does."""
        if self.translates is None:
            return []
        counts = translating.counts(made.parts, self.translates, self.files)
        for one in counts:
            _say("alert.waits-and-had", language=one.language, waiting=one.waiting, had=one.had)
        if not self.also_had and any(one.had for one in counts):
            _say("alert.also-had-hint")
        return counts

    def would_send(self, made: Newsletter, counts: Sequence[Waiting]) -> dict[str, Any]:
        """Return for how many it would be, with nothing written. counts: what `waiting` returned."""
        if self.translates is None:
            return {"would_send": drafting.rehearse(made.parts, self.wish)}
        wait, had = sum(one.waiting for one in counts), sum(one.had for one in counts)
        return {"would_send": wait + had if self.also_had else wait, "waiting": wait, "had_another": had}

    def draft(self, made: Newsletter) -> int:
        """Write it, and return its number."""
        if self.translates is not None:
            of, also_had = self.translates, self.also_had
            return translating.draft(made.parts, self.files, of=of, also_had=also_had, by=self.operator)
        number = drafting.draft_words(made.parts, self.wish, by=self.operator)
        if (fewer := desk.shown(made.parts, number).wider) is not None:
            _say("alert.more-readers", mailing=fewer)
        return number

    @property
    def wish(self) -> drafting.Wish:
        """What is wished of a new alert."""
        words = drafting.read_files(self.files)
        return drafting.Wish(words, self.digest, self.updates, self.later, self.only, self.part)


@app.command()
def draft(
    files: Files,
    to: To = None,
    operator: Operator = None,
    updates: Updates = None,
    later: Later = None,
    only: Only = None,
    topic: Topic = None,
    segment: InSegment = None,
    everybody: Everybody = False,
    translates: Translates = None,
    also_had: AlsoHad = False,
    as_json: AsJson = False,
) -> None:
    """Compose an alert, and what would take it back."""
    digest = _digest(
        to, translates, also_had=also_had, other=bool(updates or later or only or topic or segment or everybody)
    )
    limits = tuple(later or ()), *_limits(only, topic, segment, everybody=everybody)
    asked = _Asked(tuple(files), digest, operator, updates, *limits, translates, also_had)
    with newsletter() as made:
        asked.waiting(made)
        number = asked.draft(made)
    show({"mailing": number, "state": "draft"}, as_json=as_json)


def _limits(
    only: list[str] | None, topic: list[str] | None, segment: str | None, *, everybody: bool
) -> tuple[tuple[str, ...] | None, Part | None]:
    """Return to whom an alert is limited; None of what nobody said: what follows an alert is as that is."""
    part = Part(tuple(topic or ()), segment or "") if topic or segment or everybody else None
    return tuple(only or ()) if only or everybody else None, part


def _digest(to: str | None, translates: int | None, *, also_had: bool, other: bool) -> str:
    """Return whose readers an alert is for; "" of a later language, which is for those of its alert."""
    if translates is None:
        if to is None:
            raise typer.BadParameter("--to names the digest whose readers get it")
        if also_had:
            raise typer.BadParameter("--also-had says for whom a language is that came later: it needs --translates")
        return to
    if to is not None or other:
        raise typer.BadParameter(
            "--translates goes to the readers of that alert: without --to, --updates, --later, --only, --topic and --segment"
        )
    return ""


def _say(message: str, **facts: object) -> None:
    screen.print(languages.say(message, **facts), soft_wrap=True, markup=False)


@app.command()
def edit(
    alert: Number,
    files: Files,
    operator: Operator = None,
    later: Later = None,
    only: Only = None,
    topic: Topic = None,
    segment: InSegment = None,
    everybody: Everybody = False,
    as_json: AsJson = False,
) -> None:
    """Write an alert anew that has not gone; to whom it goes stays unless it is said. Its lock and approval are void."""
    wait, (readers_of, part) = tuple(later) if later else None, _limits(only, topic, segment, everybody=everybody)
    with newsletter() as made:
        drafting.edit(made.parts, alert, files, by=operator, later=wait, only=readers_of, part=part)
        if operator is None and journey.would_lock(made.parts, alert) > made.parts.house.rules.few:
            _say("alert.no-name-to-it")
    show({"mailing": alert, "state": "draft"}, as_json=as_json)


@app.command()
def lock(alert: Number, operator: Operator = None, anew: Anew = False, as_json: AsJson = False) -> None:
    """Read an alert, and fix everything about it: text, links, sender, audience. Any later edit unlocks it."""
    with newsletter() as made:
        journey.lock(made.parts, alert, by=operator, seen=reading.draft(made, alert), anew=anew)
        _show(made, alert, as_json=as_json)


@app.command()
def approve(
    alert: Number,
    operator: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Number of the operator who approves: another than the author.")
    ],
    as_json: AsJson = False,
) -> None:
    """Read what another has locked, and approve it by the code of the phone, which is asked for or read from stdin.

    What somebody sends alone, and still waits, goes at once by it.
    """
    with newsletter() as made:
        seen = reading.read(made, alert, reader=operator)
        journey.approve_by_code(made.parts, alert, by=operator, code=ask_code(), seen=seen)
        _show(made, alert, as_json=as_json)


@app.command()
def release(
    alert: Number,
    operator: Operator = None,
    alone: Annotated[
        bool,
        typer.Option(
            help="Nobody else can be reached: send after the delay in which all may stop it; asks for your code."
        ),
    ] = False,
    mandate: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Number of a mandate of yours; asks for your code.")
    ] = None,
    wait: Wait = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Read what is to go, and let it go: an alert that is approved, or that one person may send."""
    if mandate is not None and (alone or operator is None):
        raise typer.BadParameter("--mandate needs --operator, its holder, and is another way than --alone")
    if alone and operator is None:
        raise typer.BadParameter("--alone needs --operator: whoever sends alone proves who they are by their code")
    with newsletter() as made:
        if dry_run:
            count = (
                by_mandate.may_release(made.parts, alert, mandate=mandate, by=operator or 0)
                if mandate is not None
                else journey.may_release(made.parts, alert, alone=alone)
            )
            return show({"mailing": alert, "dry_run": True, "would_send": count}, as_json=as_json)
        seen = reading.read(made, alert)
        if mandate is not None:
            by_mandate.release_by_code(made.parts, alert, mandate=mandate, by=operator or 0, code=ask_code(), seen=seen)
        elif alone:
            answer = ask_code()
            journey.send_alone(made.parts, alert, by=operator or 0, factor=Factor.TOTP, answer=answer, seen=seen)
            return _show(made, alert, as_json=as_json)
        else:
            agree(languages.say("alert.send-now"))
            journey.release(made.parts, alert, by=operator, seen=seen)
        waiting.report(made, alert, wait=wait, as_json=as_json)
    return None


@app.command()
def stop(alert: Number, operator: Operator = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """End an alert for good: one person, no code. What is on the wire in this half second still goes."""
    with newsletter() as made:
        along = stopping.running(made.parts, alert)
        if along:
            _say("alert.stopped-along", languages=", ".join(str(one) for one in along))
        if dry_run:
            due = sum(mailings.status(made.parts, one).due for one in (alert, *along))
            return show({"mailing": alert, "dry_run": True, "would_cancel": due}, as_json=as_json)
        cancelled = journey.stop(made.parts, alert, by=operator)
        show(
            {"mailing": alert, "state": journey.standing(made.parts, alert).state, "cancelled": cancelled},
            as_json=as_json,
        )
    return None


@app.command()
def retract(
    alert: Number, operator: Operator = None, wait: Wait = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Take an alert back, on every page at once and by mail to all who have it or may have it: one person, no code."""
    with newsletter() as made:
        if dry_run:
            count = retracting.would_retract(made.parts, alert)
            return show({"mailing": alert, "dry_run": True, "would_send": count}, as_json=as_json)
        done = retracting.retract(made.parts, alert, by=operator)
        if done.others:
            _say("alert.retracted-along", others=", ".join(str(one) for one in done.others))
        waiting.report(made, done.retraction, wait=wait, as_json=as_json)
    return None


@app.command()
def extend(
    alert: Number,
    hours: Annotated[int, typer.Option(min=1, max=1000, help="How much longer it may be sent.")],
    operator: Operator = None,
    as_json: AsJson = False,
) -> None:
    """Give an alert longer that would expire before all have it, as far as its lock allows."""
    with newsletter() as made:
        done = expiring.extend(made.parts, alert, timedelta(hours=hours), by=operator)
    if done.shortened:
        screen.print(languages.say("alert.extended-less", mailing=alert, hours=hours), soft_wrap=True, markup=False)
    show(done, as_json=as_json)


@app.command()
def status(alert: Number, as_json: AsJson = False) -> None:
    """Show where an alert stands, what it says and waits for, and what changed since it was locked before."""
    with newsletter() as made:
        _show(made, alert, as_json=as_json, said=desk.shown(made.parts, alert).texts)


@app.command()
def send(
    files: Files,
    to: To = None,
    operator: Operator = None,
    updates: Updates = None,
    later: Later = None,
    only: Only = None,
    topic: Topic = None,
    segment: InSegment = None,
    everybody: Everybody = False,
    translates: Translates = None,
    also_had: AlsoHad = False,
    wait: Wait = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Draft and lock an alert, and let it go where one person may; else say what it waits for."""
    digest = _digest(
        to, translates, also_had=also_had, other=bool(updates or later or only or topic or segment or everybody)
    )
    limits = tuple(later or ()), *_limits(only, topic, segment, everybody=everybody)
    asked = _Asked(tuple(files), digest, operator, updates, *limits, translates, also_had)
    with newsletter() as made:
        counts = asked.waiting(made)
        if dry_run:
            found = {"mailing": None, "dry_run": True} | asked.would_send(made, counts)
            return show(found, as_json=as_json)
        alert = asked.draft(made)
        lacking = journey.send_draft(made.parts, alert, by=operator)
        if lacking or journey.standing(made.parts, alert).state is State.LOCKED:
            return _show(made, alert, as_json=as_json, lacking=lacking)
        for one in translating.waiting(made.parts, alert):
            _say("alert.waits", language=one.language, waiting=one.waiting)
        waiting.report(made, alert, wait=wait, as_json=as_json)
    return None


def _show(
    made: Newsletter,
    alert: int,
    *,
    as_json: bool,
    said: tuple[Manuscript, ...] = (),
    lacking: journey.NotEnough | None = None,
) -> None:
    """Print where an alert stands; of one that goes, its books as well.

    said      its texts, for whoever is to read them
    lacking   why it could not be locked
    """
    found = journey.standing(made.parts, alert)
    if lacking is not None:
        found = replace(found, waits_for=lacking)
    document = _document(found) | asdict(retracting.relatives(made.parts, alert)) | _ahead(made, found)
    place = translating.languages(made.parts, alert)
    document |= {"only": place.only, "topics": place.limits.keys, "segment": place.limits.segment or None}
    document["translations"] = dict(document["translations"])
    document["may_approve"] = _may_approve(made, found)
    document["waiting"] = {one.language: one.waiting for one in translating.waiting(made.parts, alert)}
    if found.state in RELEASED:
        document |= asdict(mailings.status(made.parts, alert))
    show(document, as_json=as_json, words=lambda: _words(document, said, found.since if document["lock"] else None))


def _may_approve(made: Newsletter, found: Standing) -> list[dict[str, Any]] | None:
    """Return whom an alert waits for that needs another's word, or who could let it go sooner; None where nobody is asked."""
    if not found.alone and (found.waits_for is None or found.state not in (State.DRAFT, State.LOCKED)):
        return None
    return [{"operator": one.id, "name": one.name} for one in calling.approvers(made.parts, found.mailing)]


def _ahead(made: Newsletter, found: Standing) -> dict[str, list[str]]:
    """Return in sentences by which road an alert that has not gone will go and what is promised; else promise and truth."""
    shown = desk.shown(made.parts, found.mailing)
    checked = desk.checked(made.parts, shown) if found.state in NOT_GONE else None
    said = {
        "plan": checked.plan if checked else (),
        "promise": checked.promise if checked else desk.kept(made.parts, shown),
    }
    sentences = {name: [languages.say(message, **facts) for message, facts in lines] for name, lines in said.items()}
    if shown.until is not None and found.state in NOT_GONE:
        what = "alert.message-over" if shown.outdated else "alert.message-until"
        facts = {"mailing": found.mailing, "until": errors.fact(shown.until)}
        sentences["plan"].insert(0, languages.say(what, **facts))
    return sentences


def _document(found: Standing) -> dict[str, Any]:
    # What was given up is locked no more, whatever stands in its row.
    locked = asdict(found.locked) if found.locked and found.state is not State.CANCELLED else {}
    return {
        "mailing": found.mailing,
        "state": found.state,
        "lock": locked.get("number"),
        "audience": locked.get("count"),
        "fingerprint": locked.get("fingerprint"),
        "code": locked.get("code"),
        "author": found.author,
        "approved_by": found.approved_by,
        "waits_for": found.waits_for.message if found.waits_for else None,
        "sentence": languages.say(found.waits_for.message, **found.waits_for.facts) if found.waits_for else None,
        "refusals": [asdict(one) | {"sentence": _why(one)} for one in found.refusals],
        "starts_at": found.start_at,
        "changes": [asdict(change) for change in found.changes] if locked else [],
        "changes_since": found.since.number if locked and found.since else None,
        "locks_between": found.since.between if locked and found.since else None,
    }


def _why(one: RefusalView) -> str:
    why = languages.say(one.why, **one.facts)
    return f"{why} {languages.say('halted.' + one.facts['why'])}" if one.held else why


def _heard(one: dict[str, Any], alert: int, languages_of: Collection[int]) -> str:
    own = one["mailing"] == alert
    if one["mailing"] in languages_of:
        return languages.say("alert.held-language", mailing=one["mailing"], why=one["sentence"])
    if own and one["why"] == "mailing.held":
        return str(one["sentence"])
    heard = "alert.refused" if own else "alert.refused-back"
    return languages.say(heard, moment=f"{one['at']:%Y-%m-%d %H:%M}", why=one["sentence"])


def _words(document: dict[str, Any], said: tuple[Manuscript, ...], since: Since | None) -> None:
    sentence, waits = document.pop("sentence"), document.pop("waiting")
    plan = [*document.pop("plan"), " ".join(document.pop("promise"))]
    refused, asked = document.pop("refusals"), document.pop("may_approve")
    for name in ("waits_for", "fingerprint", "changes", "changes_since", "locks_between"):
        document.pop(name)
    listing(
        [{"": name.replace("_", " "), " ": value} for name, value in document.items() if value not in (None, (), {})],
        empty="",
    )
    for one in refused:
        page.print(_heard(one, document["mailing"], document["translations"]), soft_wrap=True, markup=False)
    for line in plan:
        page.print(line, soft_wrap=True, markup=False)
    for language, count in waits.items():
        page.print(languages.say("alert.waits", language=language, waiting=count), soft_wrap=True, markup=False)
    reading.show(reading.words(said))
    reading.show(reading.changes(since))
    if asked or (asked is not None and document["state"] != State.APPROVED):
        names = ", ".join(f"{one['name']} ({one['operator']})" for one in asked)
        ahead = "alert.sooner" if document["state"] == State.APPROVED else "alert.waits-for"
        _say(ahead if asked else "alert.waits-for-nobody", names=names)
    if sentence and document["state"] == State.DRAFT:
        _say("alert.kept", mailing=document["mailing"])
    if sentence:
        screen.print(sentence, soft_wrap=True, markup=False)
