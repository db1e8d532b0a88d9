"""Whether an address is on the list is not to be learned from us: the page and the API answer each kind alike, and as fast."""

import random
import statistics
import time

import pytest
from sqlalchemy import event, text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.subscribers import suppression
from newsletter.subscribers.suppression import Reason
from newsletter.web import create
from tests import house


@pytest.fixture
def browser(newsletter, tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, web=True)
    with TestClient(create(made), raise_server_exceptions=False) as client:
        client.made = made
        yield client
    made.close()


@pytest.fixture
def kinds(newsletter, tmp_path) -> dict[str, str]:
    """One address of each kind: nobody's, a reader's, one of who left, and one that must not be written to."""
    kinds = {kind: f"{kind}-ann@example.org" for kind in ("stranger", "reading", "goneby", "neverme")}
    house.add_readers(newsletter, tmp_path, [kinds[kind] for kind in ("reading", "goneby", "neverme")])
    with newsletter.parts.database.transaction() as session:
        now = database.now(session)
        people = session.execute(text("SELECT id, mailbox_id FROM subscriber ORDER BY id")).all()
        session.execute(
            text("UPDATE subscription SET ended_at = now(), end_reason = 'left' WHERE subscriber_id = :id"),
            {"id": people[1].id},
        )
        suppression.add(session, people[2].mailbox_id, reason=Reason.COMPLAINT, now=now)
    return kinds


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
def test_four_kinds_of_address_cause_one_list_of_statements(browser, kinds, door) -> None:
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
    assert said["reading"] == said["goneby"] == said["neverme"] == said["stranger"]


@pytest.mark.proof
@pytest.mark.short
@pytest.mark.parametrize("door", DOORS)
def test_four_kinds_of_address_take_the_same_time(browser, kinds, door) -> None:
    """TOST: that no two medians lie 2 ms apart is shown, not just that no difference was found (α = 0.05 for each side).

    On a machine that is busy the interval is wide at first, and what is measured goes on until it is narrow.
    """
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    found: dict[str, tuple[float, float]] = {}
    for _ in range(12):
        for place in range(100):
            order = list(kinds.items())
            for kind, address in order[place % 4 :] + order[: place % 4]:
                began = time.perf_counter()
                assert DOORS[door](browser, address)
                took[kind].append((time.perf_counter() - began) * 1_000)
        found = {kind: interval(took["stranger"], took[kind]) for kind in ("reading", "goneby", "neverme")}
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
