"""The eight letters that stand in every footer, by which a person is found without the address."""

import base64
import os

from sqlalchemy import text
from sqlalchemy.orm import Session


def fresh(session: Session, count: int) -> list[str]:
    """Return fresh references of eight letters and digits: 40 random bits each, none of them in use."""
    found: set[str] = set()
    while len(found) < count:
        wanted = count - len(found)
        letters = base64.b32encode(os.urandom(5 * wanted)).decode("ascii")
        drawn = {letters[place : place + 8] for place in range(0, 8 * wanted, 8)}
        used = session.execute(
            text("SELECT reference FROM subscriber WHERE reference = ANY (CAST(:drawn AS bpchar[]))"),
            {"drawn": list(drawn)},
        )
        found |= drawn - set(used.scalars())
    return list(found)
