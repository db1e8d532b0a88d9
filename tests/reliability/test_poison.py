"""One recipient, one value or one version that breaks things must not keep the mail of all others back."""

import csv

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from newsletter.journeys import mailing, moving_in, publish
from newsletter.subscribers.consent import Basis
from tests import house
from tests.reliability import forms
from tests.reliability.auditor import audit
from tests.reliability.machine import hurry, wait_for

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]
NAMES = (
    "{{ 7 * 7 }} {% for x in y %}",
    "Ann\r\nBcc: everybody@example.org",
    "</html><script>alert(1)</script>",
    "=?utf-8?q?=0D=0ABcc:_x?=",
    "\u202eright to left",
    "a\u0300" * 300,
    "." * 400,
    "\x00null",
    "é" * 2000,
    "🤦🏽‍♀️ 𝔘𝔫𝔦 مریم",
)


def released(made, folder, title):
    """Release a mailing to everybody; return its number."""
    (folder / "text.md").write_text(f"# {title}\n\nCome and help.\n")
    number = mailing.draft(made.parts, str(folder / "text.md"), digest_key=house.DIGEST).mailing
    publish.release(made.parts, number)
    return number


@forms.either
def test_a_recipient_at_whom_sessions_die_delays_nobody_else(estate, relay, figures, form):
    """A server that falls over one address, each time: all others have theirs, and that one is given up in the end."""
    readers = forms.of(form, short=400, full=10_000)
    made = estate.product(connections=4)
    house.add_readers(made, estate.folder, ["poison@example.org", *house.addresses(readers)])
    relay.be(stage="rcpt", how="close", only="poison@", times=1000)
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    sent = released(made, estate.folder, "The well runs dry")
    wait_for(lambda: made.sweep() and mailing.status(made.parts, sent).accepted == readers, seconds=100, every=0.2)
    for _ in range(3):
        hurry(made)
        wait_for(lambda: tries(made, "deferred") == 0 or (made.sweep() and not leased(made)), every=0.2)
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET first_tried = now() - interval '73 hours' WHERE state = 'deferred'"))

    def given_up():
        hurry(made)
        return mailing.status(made.parts, sent).over

    wait_for(given_up, every=0.3)
    found = audit(made, relay.record(), sent).sound()
    figures("11", "a recipient at whom every session dies", sessions_broken=relay.be()["broken"], **found.figures())
    assert (found.accepted, found.ever_in_doubt) == (readers, 0)
    assert found.planned == readers + 1


def tries(made, state):
    """Return how many rows are in a state."""
    with made.parts.database.transaction() as session:
        return session.execute(
            text("SELECT count(*) FROM delivery WHERE state = :state"), {"state": state}
        ).scalar_one()


def leased(made):
    """Return how many shards somebody holds or may take."""
    with made.parts.database.transaction() as session:
        return session.execute(text("SELECT count(*) FROM shard WHERE state = 'open'")).scalar_one()


@forms.either
def test_values_that_look_like_commands_are_names(estate, relay, figures, form):
    """A name of a list somebody else kept: templates, headers, scripts, and what no font can show."""
    readers = forms.of(form, short=200, full=5000)
    made = estate.product(connections=4)
    path = estate.folder / "poison.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("email", "name"), *((f"odd{n}@example.org", name) for n, name in enumerate(NAMES))]
        )
    permission = moving_in.Permission(Basis.IMPORTED, "a test")
    taken = moving_in.import_subscribers(made.parts, str(path), digest_key=house.DIGEST, permission=permission)
    house.add_readers(made, estate.folder, house.addresses(readers))
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep")
    sent = released(made, estate.folder, "The well runs dry")
    wait_for(lambda: made.sweep() and mailing.status(made.parts, sent).over, every=0.2)
    found = audit(made, relay.record(), sent).sound()
    figures("11 names", "poison values", odd=taken.added, refused_at_import=taken.rejected, **found.figures())
    assert found.accepted + found.rejected == readers + taken.added
    assert found.accepted >= readers
    assert taken.added > 0, "values that no import takes prove nothing of sending"


@forms.either
def test_a_damaged_row_or_version_holds_up_nobody_else(estate, relay, figures, form):
    """A disk that returns garbage, a restore that went half way: one seal cannot be opened, one version has lost its blocks."""
    readers = forms.of(form, short=300, full=5000)
    made = estate.product(connections=4)
    house.add_readers(made, estate.folder, house.addresses(readers))
    url = make_url(estate.urls.admin).set(drivername="postgresql").render_as_string(hide_password=False)
    broken = released(made, estate.folder, "Nobody will read this")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("UPDATE mailbox SET address_sealed = 'garbage'::bytea WHERE id = (SELECT min(id) FROM mailbox)")
        admin.execute(
            "UPDATE subscriber SET name_sealed = 'garbage'::bytea WHERE id = (SELECT max(id) FROM subscriber)"
        )
        admin.execute("UPDATE variant SET blocks = '{999999}' WHERE mailing_id = %s", [broken])
    sent = released(made, estate.folder, "The well runs dry")
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep")
    machine.beat()
    wait_for(lambda: mailing.status(made.parts, sent).over, seconds=40, every=0.2, what="the sound mailing")
    found = audit(made, relay.record(), sent).sound()
    figures("11 rows", "a damaged address and a damaged version", **found.figures())
    assert (found.accepted, found.cancelled) == (readers - 1, 1)
    assert mailing.status(made.parts, broken).accepted == 0
