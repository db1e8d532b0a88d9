"""Whether an address is on the list is not to be learned from us: the page and the API answer each kind alike, and as fast."""

import random
import re
import statistics
import time

import pytest
from sqlalchemy import event, text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.journeys import joining
from newsletter.subscribers import suppression
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.suppression import Reason
from newsletter.web import create
from tests import house


@pytest.fixture
def browser(newsletter, tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, web=True)
    with TestClient(create(made), raise_server_exceptions=False) as client, house.judging(newsletter):
        client.made = made
        yield client
    made.close()


@pytest.fixture
def kinds(newsletter, tmp_path) -> dict[str, str]:
    """One address of each kind: nobody's, a reader's, one of who left, one that must not be written to, and of who said no."""
    kinds = {kind: f"{kind}-ann@example.org" for kind in KINDS}
    house.add_readers(newsletter, tmp_path, [kinds[kind] for kind in ("reading", "goneby", "neverme")])
    with newsletter.parts.database.transaction() as session:
        now = database.now(session)
        people = session.execute(text("SELECT id, mailbox_id FROM subscriber ORDER BY id")).all()
        session.execute(
            text("UPDATE subscription SET ended_at = now(), end_reason = 'left' WHERE subscriber_id = :id"),
            {"id": people[1].id},
        )
        suppression.add(session, people[2].mailbox_id, reason=Reason.COMPLAINT, now=now)
    joining.ask(newsletter.parts, Wish(kinds["saysnot"], "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    with newsletter.parts.database.transaction() as session:
        asked = session.execute(text("SELECT id FROM signup")).scalar_one()
    assert joining.refuse_by_reply(newsletter.parts, asked)
    return kinds


# As long as one another: their length is no difference.
KINDS = ("stranger", "reading", "goneby", "neverme", "saysnot")


# By the page and by the API: each posts one form, and says whether it was taken.
DOORS = {
    "page": lambda browser, address: (
        browser.post("/join", data={"email": address, "digest": "weekly"}).status_code == 200
    ),
    "api": lambda browser, address: (
        browser.post("/api/v1/signups", json={"email": address, "digests": ["weekly"]}).status_code == 202
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_five_kinds_of_address_cause_one_list_of_statements(browser, kinds, door) -> None:
    """What a page asks its database of a member and not of a stranger would be seen in how long it takes."""
    said: dict[str, list[str]] = {}
    listening: list[str] = []
    engine = browser.made.parts.database.engine
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, sql, *_rest: listening.append(sql))
    assert DOORS[door](browser, "first@example.org")
    for kind, address in kinds.items():
        listening.clear()
        assert DOORS[door](browser, address)
        said[kind] = list(listening)
    assert "INSERT INTO signup" in "".join(said["stranger"])
    assert all(said[kind] == said["stranger"] for kind in KINDS)


# By the page and by the API: each posts one form, and says what its owner needs to try figures.
FORMS = {
    "page": lambda browser, address: re.search(
        r'name="pending" value="([^"]+)"', browser.post("/join", data={"email": address, "digest": "weekly"}).text
    )[1],
    "api": lambda browser, address: browser.post(
        "/api/v1/signups", json={"email": address, "digests": ["weekly"]}
    ).json()["pending"],
}
TRIES = {
    "page": lambda browser, tried: browser.post("/join/code", data=tried),
    "api": lambda browser, tried: browser.post("/api/v1/signups/code", json=tried),
}


@pytest.mark.parametrize("door", DOORS)
def test_wrong_figures_are_answered_alike_whether_or_not_a_question_went(browser, kinds, door, newsletter) -> None:
    """Anybody can type an address in, wait a minute and try figures: they must not learn that its owner was asked, or said no."""
    forms = {kind: FORMS[door](browser, address) for kind, address in kinds.items()}
    joining.work(newsletter.parts)
    # Its owner was asked a moment ago: this one waits beside that question. And one at which no worker has looked.
    forms["asked lately"] = FORMS[door](browser, kinds["stranger"])
    joining.work(newsletter.parts)
    forms["not looked at"] = FORMS[door](browser, "last@example.org")
    with newsletter.parts.database.transaction() as session:
        states = session.execute(text("SELECT DISTINCT state FROM signup")).scalars().all()
    assert sorted(states) == ["asked", "beside", "refused", "waiting"]
    sorts = set[str]()
    for turn in range(6):
        said = {
            kind: (answer.status_code, answer.text.replace(pending, "PENDING"), answer.headers.get("content-type"))
            for kind, pending in forms.items()
            for answer in [TRIES[door](browser, {"pending": pending, "code": "000000"})]
        }
        assert len(set(said.values())) == 1, (turn, {kind: one[1][-300:] for kind, one in said.items()})
        sorts.add(said["stranger"][1])
    assert len(sorts) == 5, "four tries are left, three, two, one; none"


def test_figures_are_good_as_long_after_the_form_for_everybody(browser, kinds, newsletter, database_urls) -> None:
    """A question that goes half a minute after its form must not be seen by figures that are refused half a minute later."""
    forms = [FORMS["page"](browser, kinds[kind]) for kind in ("stranger", "saysnot")]
    joining.work(newsletter.parts)
    house.by_owner(database_urls, "UPDATE signup SET came_at = now() - interval '60 minutes'")
    said = {browser.post("/join/code", data={"pending": one, "code": "000000"}).text for one in forms}
    assert len(said) == 1


@pytest.mark.proof
@pytest.mark.short
@pytest.mark.parametrize("door", DOORS)
def test_five_kinds_of_address_take_the_same_time(browser, kinds, door) -> None:
    """TOST: that no two medians lie 2 ms apart is shown, not just that no difference was found (α = 0.05 for each side).

    On a machine that is busy the interval is wide at first, and what is measured goes on until it is narrow.
    """
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    found: dict[str, tuple[float, float]] = {}
    for _ in range(12):
        for place in range(100):
            order = list(kinds.items())
            for kind, address in order[place % 5 :] + order[: place % 5]:
                began = time.perf_counter()
                assert DOORS[door](browser, address)
                took[kind].append((time.perf_counter() - began) * 1_000)
        found = {kind: interval(took["stranger"], took[kind]) for kind in KINDS[1:]}
        if all(low > -2 and high < 2 for low, high in found.values()):
            break
    print({kind: round(statistics.median(one), 2) for kind, one in took.items()}, found, len(took["stranger"]))
    assert all(low > -2 and high < 2 for low, high in found.values()), found


def interval(one: list[float], other: list[float]) -> tuple[float, float]:
    """Return the 90 % interval of the difference of two medians, by 1,000 draws: two one-sided tests at 5 % in one."""
    draw = random.Random(7)
    found = sorted(
        statistics.median(draw.choices(other, k=len(other))) - statistics.median(draw.choices(one, k=len(one)))
        for _ in range(1_000)
    )
    return found[50], found[949]
