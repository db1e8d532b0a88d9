"""What is said of an import: what the file was taken for, what became of it, who may be mailed now, and how long that takes."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

import typer

from newsletter.assembly import Newsletter
from newsletter.cli import seldom
from newsletter.cli.door import screen, warn
from newsletter.journeys import moving_in
from newsletter.subscribers.importing import ImportReport
from newsletter.subscribers.luggage import Luggage
from newsletter.subscribers.undoing import Undone

_NAMES = {"cp1252": "Windows-1252", "cp1256": "Windows-1256", "utf-8-sig": "UTF-8", "utf-16": "UTF-16"}
_COUNTS = (
    "read",
    "added",
    "changed",
    "unchanged",
    "rejected",
    "suppressed",
    "unproven",
    "interests",
    "altered",
    "kept",
    "silent",
    "also",
)
_DAYS_NAMED = 7
_TABLES_NAMED = 20


def _say(sentence: str) -> None:
    screen.print(sentence, markup=False, soft_wrap=True)


def say_what(brought: Luggage, *, in_full: bool) -> None:
    """Say what a file is taken for where that was guessed; in full also what each column becomes."""
    if brought.guessed or in_full:
        letters = ", ".join(dict.fromkeys(_NAMES[part.encoding] for part in brought.parts if part.encoding))
        _say(f"Taken for: {brought.kind}{f', {letters}' if letters else ''}. --from and --encoding say otherwise.")
    if brought.left_out:
        named, more = ", ".join(brought.left_out[:_TABLES_NAMED]), len(brought.left_out) - _TABLES_NAMED
        what = "Of a zip only lists are read whose people's wish is known, of a workbook the first sheet."
        _say(f"Left out: {named}{f' and {more:,} more' if more > 0 else ''}. {what}")
    warn(brought.doubts)
    for part in brought.parts if in_full else ():
        said = f"{part.name or 'The table'}: {part.standing or 'each row says who has left'}"
        columns = ", ".join(f"“{name}” → {column}" for name, column in part.headings.columns.items())
        _say(f"{said}; {columns}.")


def say_rest(done: ImportReport) -> None:
    """Say what did not come in: columns, tags, rows."""
    if done.ignored:
        _say(f"Columns that say nothing to us were left out: {', '.join(done.ignored)}.")
    if done.strange:
        tags = ", ".join(f"{tag} ({number:,})" for tag, number in done.strange.items())
        _say(f"Tags that are no topic here: {tags}. Add them with “newsletter topics add”, or give --tags all.")
    if done.rejects:
        rows = "1 row was" if done.rejected == 1 else f"{done.rejected:,} rows were"
        _say(f"{rows} not taken; see {done.rejects} (kept for 24 hours).")
    if done.also:
        people = "1 reader takes" if done.also == 1 else f"{done.also:,} readers take"
        _say(
            f"{people} it already by another list: what this one shows is kept besides, and outlives the undoing of that."
        )
    if done.silent:
        people = "1 person was" if done.silent == 1 else f"{done.silent:,} people were"
        _say(f"{people} left out: asked because of an earlier list, they did not answer, and are not asked again.")
    if done.altered:
        people = "1 person known before is" if done.altered == 1 else f"{done.altered:,} people known before are"
        _say(f"{people} written over by the list (name, postcode, language or zone): undoing leaves that.")
    if done.kept:
        people = "1 person" if done.kept == 1 else f"{done.kept:,} people"
        _say(
            f"Of {people} known before the list says another name, postcode, language or zone. What is known stays,"
            " for readers set it themselves; --overwrite takes the list's word."
        )


def summary(made: Newsletter, done: ImportReport, brought: Luggage, *, digest: str, dry_run: bool) -> dict[str, Any]:
    """Return the document of an import; say who may be mailed now, and how long a digest to all of them takes."""
    assert done.reach is not None, "every import counts whom it reaches"
    reach = moving_in.spelled(made.parts, done.reach)
    _say(_reach(reach, None if dry_run else moving_in.unasked(made.parts)))
    if not dry_run:
        seldom.say(digest, moving_in.waiting_for(made.parts, digest))
    days = _pace(made, reach["digests"].get(digest, 0))
    return {
        "import": None if dry_run else done.number,
        "from": str(brought.kind),
        "left_out": list(brought.left_out),
        **{name: getattr(done, name) for name in _COUNTS},
        "rejects": str(done.rejects) if done.rejects else None,
        "reach": reach,
        "days": days,
        "dry_run": dry_run,
    }


def told(row: dict[str, Any]) -> Iterator[str]:
    """Yield what is said of an import in the list of them: three lines at most, for a table of all its counts fits no screen."""
    yield f"{row['import']} · {_minute(row['at'])} · {row['source']} → {row['digest']}"
    counts = ("added", "changed", "rejected", "suppressed", "unproven", "altered", "silent")
    yield "   " + (", ".join(f"{name} {row[name]:,}" for name in counts if row[name]) or "nothing new")
    if row["undone"]:
        yield f"   undone {_minute(row['undone'])}"
    elif row["reach"]:
        yield f"   might be mailed then: {reached(row['reach'])}"


def _minute(moment: Any) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def reached(reach: dict[str, Any] | None) -> str | None:
    """Return in a line who might be mailed when an import was through; None: that was not kept yet."""
    if reach is None:
        return None
    counts = {**reach["digests"], "alerts": reach["alerts"], "without evidence": reach["unproven"]}
    return " · ".join(f"{name} {count:,}" for name, count in counts.items())


def _reach(reach: dict[str, Any], unasked: dict[int, int] | None) -> str:
    """Return who may be mailed, and who waits. unasked: how many by import; None after a dry run, whose import is gone."""
    each = " · ".join(f"{key} {count:,}" for key, count in [*reach["digests"].items(), ("alerts", reach["alerts"])])
    if not reach["unproven"]:
        return f"May be mailed: {each}."
    sentence = f"May be mailed: {each}; {_people(reach['unproven'])} without evidence"
    if unasked is None:
        return f"{sentence}: re-permission prepared."
    if not unasked:
        return f"{sentence}, asked already and not answered yet."
    ask = ", ".join(f"“newsletter subscribers ask {number}” asks {count:,}" for number, count in unasked.items())
    asked = reach["unproven"] - sum(unasked.values())
    return f"{sentence}: re-permission prepared ({ask}{f'; {asked:,} asked already' if asked else ''})."


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def _pace(made: Newsletter, messages: int) -> int | None:
    """Say how many days a digest to all of them takes at the relay's warm-up and quotas; return that, None: no limit."""
    promised = moving_in.pace(made.parts, messages)
    if promised is None:
        _say("Nothing limits the relay of bulk mail: a digest to all of them leaves at once.")
        return None
    days = len(promised.by_day)
    shown = ", ".join(f"{number:,}" for number in promised.by_day[:_DAYS_NAMED]) + (" …" if days > _DAYS_NAMED else "")
    took = "within a day" if days == 1 else f"in {days} days ({shown})"
    _say(f"By the warm-up plan and quotas of the relay a digest to all of them leaves {took}.")
    if promised.held_by == "warm-up":
        _say(
            "If that relay sent your mail before, “newsletter relays warm HOST:PORT” says so, and the plan falls away."
        )
    return days


def ask_undo(would: Undone) -> None:
    """Say what undoing does, and ask. Ends the command where the answer is no."""
    _say(
        f"{would.ended:,} subscriptions and {would.interests:,} topics end, {would.forgotten:,} people are forgotten,"
        f" {would.handed:,} subscriptions go on by another list or the reader's own word,"
        f" {would.kept:,} people stay because something else is known of them, {would.lifted:,} leave the do-not-mail list,"
        f" {would.topics:,} topics that it made go."
    )
    say_altered(would)
    typer.confirm("Undo this import?", abort=True, err=True)


def say_altered(done: Undone) -> None:
    """Say what undoing leaves of a list: what it wrote over is not kept anywhere."""
    if done.altered is None:
        _say(
            "Whose name, postcode, language or zone it changed was not counted yet when it came in: those stay as changed."
        )
    elif done.altered:
        people = "1 person" if done.altered == 1 else f"{done.altered:,} people"
        _say(
            f"Name, postcode, language or zone of {people} known before stay as the list said: what stood there is not kept."
        )
