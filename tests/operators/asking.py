"""Asking the database beside the product: as a role of its own, and for its clock."""

import psycopg
from sqlalchemy import make_url

from newsletter import database


def connect(url):
    """Return a connection as the role of a URL; each statement is a transaction."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def now_of(web):
    """Return the database's time."""
    with web.transaction() as session:
        return database.now(session)
