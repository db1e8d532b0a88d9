"""Invented people in any number, the same for the same seed: for the demo, and for measuring."""

import csv
import random
from pathlib import Path

_GIVEN = (
    "Ann",
    "Béla",
    "Chidi",
    "Dara",
    "Elif",
    "Farid",
    "Grace",
    "Hana",
    "Ivo",
    "Jun",
    "Leïla",
    "Mina",
    "Noor",
    "Omid",
    "مریم",
    "نرگس",
)
_FAMILY = (
    "Abara",
    "Brandt",
    "Castle",
    "Dural",
    "Ekwueme",
    "Farahani",
    "Greene",
    "Holm",
    "Ivanov",
    "Keller",
    "Moradi",
    "احمدی",
)
_DOMAINS = ("example.org", "example.com", "example.net", "mail.example", "post.example", "bücher.example")
_LANGUAGES = ("en", "en", "en", "en", "fa", "fr", "ar", "en-GB")
_ZONES = ("Europe/London", "Europe/Paris", "America/New_York", "Asia/Tehran", "UTC")


def write(path: Path, count: int, *, seed: int = 1) -> Path:
    """Write a CSV of `count` people with the columns that need no mapping; return its path."""
    draw = random.Random(seed)  # noqa: S311 (nothing secret is drawn)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "name", "language", "time_zone", "postcode"))
        for number in range(count):
            name = f"{draw.choice(_GIVEN)} {draw.choice(_FAMILY)}"
            row = (f"reader{number}@{draw.choice(_DOMAINS)}", name, draw.choice(_LANGUAGES), draw.choice(_ZONES), "")
            writer.writerow(row)
    return path
