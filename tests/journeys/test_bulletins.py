"""From an authority's message to a draft: taken in once, in its order, or held and shown."""

import ipaddress
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from newsletter import assembly
from newsletter.campaigns import cap
from newsletter.campaigns.cap import Kind, Status
from newsletter.campaigns.ordering import State, Why
from newsletter.fetching import NotPublic, TooMuch
from newsletter.journeys import bulletins
from newsletter.journeys.bulletins import NotFetchable
from newsletter.journeys.publish import NoSuchFile
from tests.campaigns.samples import named, real, said
from tests.fakes.alerts import Alerts
from tests.journeys.test_picturing import site

A, U = named("A", 0), named("U", 2)
ALERT = cap.write(said("A", 0))
UPDATE = cap.write(said("U", 2, Kind.UPDATE, A))
CANCEL = cap.write(said("C", 4, Kind.CANCEL, A, U))


@pytest.fixture
def parts(newsletter):
    """The parts of a whole product."""
    return newsletter.parts


@pytest.fixture
def act():
    """Alerts that only remember."""
    return Alerts()


def test_a_message_becomes_a_draft_is_updated_and_ends(parts, act):
    """An authority warns, knows more, and takes it back."""
    new = bulletins.take(parts, ALERT, act=act)
    assert (new.state, new.why, new.followed) == (State.APPLIED, None, ())
    assert bulletins.take(parts, UPDATE, act=act).mailing == new.mailing
    assert bulletins.take(parts, CANCEL, act=act).mailing == new.mailing
    assert act.did == [("draft", new.mailing, "A"), ("update", new.mailing, "U"), ("cancel", new.mailing, "C")]


def test_what_names_nothing_known_is_held_and_shown(parts, act):
    """A cancel of what nobody here has heard of: applied to nothing, and in front of an operator."""
    taken = bulletins.take(parts, CANCEL, act=act)
    assert (taken.state, taken.why, taken.mailing) == (State.HELD, Why.UNKNOWN, None)
    assert act.did == []
    [found] = bulletins.held(parts)
    assert (found.id, found.name.identifier, found.why) == (taken.id, "C", Why.UNKNOWN)
    assert bulletins.shown(parts, taken.id)[1] == cap.read(CANCEL)


def test_the_missing_alert_brings_what_waited(parts, act):
    """Held messages follow in the order of `sent`, whatever order they came in."""
    bulletins.take(parts, CANCEL, act=act)
    bulletins.take(parts, UPDATE, act=act)
    taken = bulletins.take(parts, ALERT, act=act)
    assert [one.identifier for one in taken.followed] == ["U", "C"]
    assert [(what, letter) for what, _, letter in act.did] == [("draft", "A"), ("update", "U"), ("cancel", "C")]
    assert len({mailing for _, mailing, _ in act.did}) == 1
    assert bulletins.held(parts) == []
    assert {one.state for one in bulletins.listed(parts)} == {State.APPLIED}


def test_taking_the_same_again_changes_nothing(parts, act):
    """A feed is read every minute."""
    first = bulletins.take(parts, ALERT, act=act)
    again = bulletins.take(parts, ALERT, act=act)
    assert (again.id, again.mailing, again.state, again.why) == (
        first.id,
        first.mailing,
        State.IGNORED,
        Why.DUPLICATE,
    )
    assert len(act.did) == 1
    assert [one.state for one in bulletins.listed(parts)] == [State.APPLIED]


def test_an_exercise_is_kept_and_shown_and_not_acted_on(parts, act):
    """Sirens are tried on the first Wednesday of a month."""
    taken = bulletins.take(parts, cap.write(said("T", 0, status=Status.TEST)), act=act)
    assert (taken.state, taken.why) == (State.IGNORED, Why.NOT_ACTUAL)
    assert [one.status for one in bulletins.listed(parts)] == [Status.TEST]
    assert act.did == []


def test_the_real_messages_of_a_flood(parts, act):
    """Alert, a cancel that names nothing, and its copy that does: as England sent them in a night of 2020."""
    cancel = str(real("cap-wainfleet_cancel.xml"))
    assert bulletins.take(parts, cancel, act=act).why is Why.NAMES_NONE
    alert = bulletins.take(parts, str(real("cap-wainfleet.xml")), act=act)
    assert bulletins.held(parts)[0].why is Why.NAMES_NONE
    done = bulletins.take(parts, str(real("cap-wainfleet_cancel_minimal.xml")), act=act)
    assert (done.state, done.mailing) == (State.APPLIED, alert.mailing)
    assert [what for what, _, _ in act.did] == ["draft", "cancel"]
    assert bulletins.held(parts) == []


def test_the_real_update_and_the_large_one(parts, act):
    """An update of three messages that never came is held; a lake's outline of 170 kB is no hindrance."""
    assert bulletins.take(parts, str(real("cap-update.xml")), act=act).state is State.HELD
    assert bulletins.take(parts, str(real("cap-windemere.xml")), act=act).state is State.APPLIED


def test_what_fails_leaves_nothing(parts):
    """The message and what it did are there together or not at all; taken again, it does all of it."""
    with pytest.raises(RuntimeError):
        bulletins.take(parts, ALERT, act=Alerts(fails_on="draft"))
    assert bulletins.listed(parts) == []
    with parts.database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM mailing")).scalar_one() == 0
    assert bulletins.take(parts, ALERT, act=Alerts()).state is State.APPLIED


def test_two_at_once_make_one_draft(parts, act):
    """The page and the feed see it in the same second."""
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda raw: bulletins.take(parts, raw, act=act), [UPDATE, ALERT, ALERT, UPDATE]))
    assert sorted(one.state for one in taken if one.why is not Why.DUPLICATE) in (
        [State.APPLIED, State.APPLIED],
        [State.APPLIED, State.HELD],
    )
    assert [(what, letter) for what, _, letter in act.did] == [("draft", "A"), ("update", "U")]


def test_a_message_comes_from_the_web(tmp_path, newsletter, act):
    """As articles do: from public addresses only, and no larger than a message is."""
    with pytest.raises(NotPublic):
        bulletins.take(newsletter.parts, "http://127.0.0.1:9/cap.xml", act=act)
    allowed = newsletter.settings.model_copy(update={"fetch_allow": (ipaddress.ip_network("127.0.0.0/8"),)})
    made = assembly.assemble(allowed)
    try:
        with site({"/cap.xml": ALERT, "/huge.xml": b" " * (cap.MAX_BYTES + 1)}) as (base, _):
            assert bulletins.take(made.parts, f"{base}/cap.xml", act=act).state is State.APPLIED
            with pytest.raises(TooMuch):
                bulletins.take(made.parts, f"{base}/huge.xml", act=act)
    finally:
        made.close()


def test_what_cannot_be_read_is_refused_before_anything_is_stored(parts, tmp_path, act):
    """Nothing half-understood stands among what authorities said."""
    huge = tmp_path / "huge.xml"
    with huge.open("wb") as file:
        file.truncate(50 * 2**20)
    for source, refusal in (
        (str(huge), cap.TooLarge),
        (str(tmp_path / "none.xml"), NoSuchFile),
        ("ftp://example.org/cap.xml", NotFetchable),
        (b"<alert/>", cap.NotCap),
        (ALERT.replace(b"Actual", b"Real"), cap.BadCap),
    ):
        with pytest.raises(refusal):
            bulletins.take(parts, source, act=act)
    assert bulletins.listed(parts) == []
