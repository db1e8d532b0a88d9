"""Readers who are awake now, and readers who sleep, whatever the hour is."""

import csv
from pathlib import Path

from newsletter import database
from newsletter.assembly import Newsletter
from tests import house


def waking(made: Newsletter) -> tuple[str, str]:
    """Return a time zone in which it is noon, and one in which it is three in the morning."""
    with made.parts.database.transaction() as session:
        hour = database.now(session).hour
    return _zone(12 - hour), _zone(3 - hour)


def _zone(ahead: int) -> str:
    # POSIX turns the sign around: Etc/GMT-9 is nine hours ahead.
    ahead = (ahead + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "UTC"


def living(made: Newsletter, tmp_path: Path, zones: dict[str, str], *, language: str = "en") -> None:
    """Import readers, each in a time zone."""
    path = tmp_path / "living.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "time_zone", "language"))
        writer.writerows((address, zone, language) for address, zone in zones.items())
    house.bring(made, path)
