"""People of a list that shows no permission are asked in their own way: at no stranger's cost, and only silent once they were asked."""

import pytest
from sqlalchemy import text

from newsletter.journeys import joining, moving_in
from newsletter.subscribers import held
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.signup import Wish
from tests import house

LISTED, STRANGERS = 590, 30


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def bring(made, tmp_path, count, *, again=""):
    """Import a list of so many people of whom nothing is shown; return the import's number."""
    path = tmp_path / f"old{again}.csv"
    rows = "".join(f"old{number}@example.org,\n" for number in range(count))
    path.write_text(f"email,optin_time\n{rows}", encoding="utf-8")
    permission = moving_in.Permission(Basis.IMPORTED, "")
    return moving_in.import_subscribers(made.parts, str(path), digest_key=house.DIGEST, permission=permission).number


def form(made, address):
    joining.ask(made.parts, Wish(address, "en", {house.DIGEST: "weekly"}, form="import"))


@pytest.mark.parametrize("together", [False, True], ids=["a moment later", "in the same turn"])
def test_whom_an_operator_asks_takes_no_strangers_room(newsletter, tmp_path, together):
    """Six hundred of a list in ten minutes: fifty of sixty who signed up meanwhile were held, and the team read of an attack."""
    moving_in.ask(newsletter.parts, bring(newsletter, tmp_path, LISTED))
    if not together:
        joining.work(newsletter.parts)
    for number in range(STRANGERS):
        form(newsletter, f"new{number}@example.net")
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT state, count(*) FROM signup GROUP BY state") == [("asked", LISTED + STRANGERS)]
    with newsletter.parts.database.transaction() as session:
        assert held.wave(session) is None


def test_whatever_a_stranger_calls_their_form_counts(newsletter):
    """The name of a form is whatever its sender says: else everybody would call theirs the operator's."""
    for number in range(610):
        form(newsletter, f"new{number}@example.net")
    joining.work(newsletter.parts)
    states = dict(tuple(row) for row in ask(newsletter, "SELECT state, count(*) FROM signup GROUP BY state"))
    assert states == {"asked": 600, "held": 10}
