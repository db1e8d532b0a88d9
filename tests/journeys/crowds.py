"""Strangers by the hundred who were asked whether they wish to join: rows are what is counted, and each question costs 5 ms."""

from sqlalchemy import text

from newsletter.journeys import joining
from newsletter.subscribers.signup import Wish
from tests import house

_COLUMNS = """
    SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
    WHERE table_name = 'signup' AND column_name NOT IN ('id', 'pending')
"""


def crowd(made, urls, count, *, form="page"):
    """Have so many strangers asked who do not answer: the first in truth, the others by copies of that row. form: its name."""
    joining.ask(made.parts, Wish("first@example.org", "en", {house.DIGEST: "weekly"}, form=form))
    joining.work(made.parts)
    with made.parts.database.transaction() as session:
        columns = session.execute(text(_COLUMNS)).scalar_one()
    house.by_owner(
        urls,
        f"INSERT INTO signup (pending, {columns})"
        f" SELECT convert_to('copy ' || copy, 'UTF8'), {columns} FROM signup, generate_series(2, %s) AS copy",
        count,
    )
