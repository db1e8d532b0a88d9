"""The pure rules: who may what, how long, how often, and what breaks a chain."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.operators import audit, factors, passwords, roles, sessions, throttle
from newsletter.operators.audit import Fault, Head
from newsletter.operators.roles import MAY, May, Role
from newsletter.operators.sessions import Factor, SessionView, Stage

NOW = datetime(2026, 11, 25, 2, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


# who may what


def test_only_the_data_officer_ever_sees_an_address():
    """Whoever writes texts has no business with the people who read them, some of whom are at risk."""
    assert [role for role in Role if May.PEOPLE in MAY[role]] == [Role.DATA_OFFICER]


def test_who_signs_does_not_write():
    """An approval is worth something because it is another's."""
    assert [role for role in Role if May.APPROVE in MAY[role]] == [Role.APPROVER]
    assert not MAY[Role.APPROVER] & {May.WRITE, May.SEND}


def test_everyone_may_stop():
    """Whoever sees a mistake go out must not look for somebody who may end it."""
    assert all(May.STOP in MAY[role] for role in Role)


@pytest.mark.parametrize(("role", "act"), list(product(Role, May)))
def test_each_role_may_what_its_row_says_and_no_more(role, act):
    """Every legal act and every illegal one."""
    if act in MAY[role]:
        roles.require(roles.of([role]), act)
    else:
        with pytest.raises(roles.NotAllowed):
            roles.require(roles.of([role]), act)


def test_no_role_may_nothing():
    """An account whose roles were all taken back is an empty shell."""
    assert roles.of([]) == frozenset()
    assert roles.of([Role.WRITER, Role.AUDITOR]) == MAY[Role.WRITER] | MAY[Role.AUDITOR]


# passwords


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "short"),
        ("x" * 201, "long"),
        ("aaaaaaaaaaaaaaa", "monotonous"),
        ("abababababababab", "monotonous"),
        ("Password12345", "guessable"),
        ("mehrsarand2026", "guessable"),
    ],
)
def test_what_is_guessed_first_is_refused(password, why):
    """Lists of such passwords are tried on every log-in page there is."""
    with pytest.raises(passwords.WeakPassword) as refusal:
        passwords.require_strong(password, known=("Mehr", "sarand"))
    assert refusal.value.message == f"operator.password-{why}"


@pytest.mark.parametrize(
    "password", ["lantern yard by rain", "correct horse battery", "رمز عبور بلند من", "Tr0ub4dor&3xyz"]
)
def test_a_sentence_is_a_password(password):
    """No rule asks for digits or capitals; length is what counts."""
    passwords.require_strong(password, known=("Mehr", "sarand"))


def test_a_password_is_kept_as_argon2id_and_nothing_else_matches():
    """A stolen table must cost years for each guess."""
    stored = passwords.hash_("lantern yard by rain")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.matches(stored, "lantern yard by rain")
    assert not passwords.matches(stored, "lantern yard by rain ")
    assert not passwords.matches(None, "lantern yard by rain")
    assert not passwords.matches("no hash", "lantern yard by rain")
    assert not passwords.outdated(stored)
    assert not passwords.outdated(
        passwords._NOBODY
    )  # or an unknown account would answer sooner or later than a known one
    assert passwords.outdated("$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ")


def test_a_flood_of_log_ins_leaves_room_for_everyone_else():
    """Whoever wants to unsubscribe in that minute must find a thread of the page free."""

    def guess(_):
        try:
            return passwords.matches(None, "guess")
        except passwords.Busy:
            return None

    with ThreadPoolExecutor(40) as threads:
        found = list(threads.map(guess, range(40)))
    assert set(found) == {False, None}
    assert passwords.matches(None, "guess") is False


# how long


@pytest.mark.parametrize(
    ("stage", "began", "seen", "over"),
    [
        (Stage.HALF, timedelta(minutes=9), timedelta(0), False),
        (Stage.HALF, timedelta(minutes=10), timedelta(0), True),
        (Stage.FULL, timedelta(hours=1), timedelta(minutes=29), False),
        (Stage.FULL, timedelta(hours=1), timedelta(minutes=30), True),
        (Stage.FULL, timedelta(hours=11, minutes=59), timedelta(0), False),
        (Stage.FULL, timedelta(hours=12), timedelta(0), True),
    ],
)
def test_a_session_ends_by_idleness_and_by_age(stage, began, seen, over):
    """A phone left on a table, and one that is never left alone."""
    assert (sessions.ends_at(stage, began_at=NOW - began, seen_at=NOW - seen) <= NOW) is over


def test_a_session_comes_by_one_way_only():
    """Nobody is logged in fully without a half session, and nothing comes back to life."""
    assert {
        None: {Stage.HALF},
        Stage.HALF: {Stage.FULL, None},
        Stage.FULL: {None},
    } == sessions.MOVES


VIEW = SessionView(7, 3, Stage.FULL, "", NOW, NOW, Factor.TOTP, NOW)


@pytest.mark.parametrize(("age", "good"), [(0, True), (299, True), (300, False), (3600, False), (-1, False)])
def test_a_proof_is_good_for_five_minutes(age, good):
    """An approval asks who holds the phone now, not who held it this morning."""
    view = replace(VIEW, factor_at=NOW - age * SECOND)
    if good:
        proof = factors.fresh(view, now=NOW)
        assert (proof.operator_id, proof.session_id, proof.factor) == (3, 7, Factor.TOTP)
        assert proof.at == view.factor_at
    else:
        with pytest.raises(factors.NotFresh):
            factors.fresh(view, now=NOW)


def test_without_a_second_factor_nothing_is_proven():
    """A half session knows a password, which is what gets stolen."""
    with pytest.raises(factors.NotFresh):
        factors.fresh(replace(VIEW, stage=Stage.HALF, factor=None, factor_at=None), now=NOW)


# how often


def test_the_fifth_wrong_code_locks_for_a_quarter_of_an_hour():
    """A million codes, five tries: one in seventy thousand, and then a wait."""
    tries, locked = 0, None
    for number in range(1, 6):
        tries, locked = factors.counted(tries, locked, now=NOW)
        assert tries == number
        assert (locked is not None) is (number == 5)
    with pytest.raises(factors.Locked):
        factors.counted(tries, locked, now=NOW + factors.LOCK - SECOND)
    assert factors.counted(tries, locked, now=NOW + factors.LOCK) == (1, None)


@pytest.mark.parametrize(
    ("tries", "passed", "waits"),
    [
        (1, timedelta(0), timedelta(0)),
        (10, timedelta(0), timedelta(0)),
        (11, timedelta(0), throttle.WINDOW),
        (500, timedelta(minutes=10), timedelta(minutes=5)),
        (500, throttle.WINDOW, timedelta(0)),
    ],
)
def test_who_knocks_too_often_waits_for_the_window_to_pass(tries, passed, waits):
    """Long enough that guessing is hopeless, short enough that a person comes back."""
    assert throttle.wait(tries, NOW - passed, most=10, now=NOW) == waits


# the chain


def chain(length):
    rows, before = [], audit.BEGINNING
    for number in range(1, length + 1):
        content = audit.canonical(number, NOW, "3", "operator.invited", {"operator": number, "name": "é"})
        before = audit.link(before, content)
        rows.append((number, content, before))
    return rows


def head_of(rows, number):
    return Head(number, rows[number - 1][2].hex())


def test_an_untouched_chain_is_sound():
    """What nobody touched must not alarm anybody."""
    rows = chain(20)
    verdict = audit.judge(rows, head_of(rows, 12))
    assert (verdict.sound, verdict.rows, verdict.head) == (True, 20, head_of(rows, 20))
    assert audit.judge([]).sound
    assert audit.judge(rows, Head(20, rows[-1][2].hex()[:16])).sound


@given(length=st.integers(1, 30), data=st.data())
def test_any_change_is_named_by_its_place(length, data):
    """Somebody has to look at that row, and at nothing else."""
    rows = chain(length)
    place = data.draw(st.integers(0, length - 1))
    number, content, digest = rows[place]
    at = data.draw(st.integers(0, len(content) - 1))
    rows[place] = (number, content[:at] + chr(ord(content[at]) ^ 1) + content[at + 1 :], digest)
    verdict = audit.judge(rows)
    assert (verdict.fault, verdict.number) == (Fault.CHANGED, place + 1)


@given(length=st.integers(2, 30), data=st.data())
def test_a_missing_row_is_named(length, data):
    """Leaving out is the quietest lie."""
    rows = chain(length)
    place = data.draw(st.integers(0, length - 2))
    del rows[place]
    verdict = audit.judge(rows)
    assert (verdict.fault, verdict.number) == (Fault.MISSING, place + 1)


def test_a_chain_written_anew_shows_against_a_head_that_was_kept():
    """The database's owner can make it sound again, but not equal to what was mailed yesterday."""
    rows = chain(10)
    kept = head_of(rows, 8)
    forged, before = rows[:4], rows[3][2]
    for number in range(5, 11):
        content = audit.canonical(number, NOW, "1", "nothing.happened", {})
        before = audit.link(before, content)
        forged.append((number, content, before))
    assert audit.judge(forged).sound
    verdict = audit.judge(forged, kept)
    assert (verdict.fault, verdict.number) == (Fault.FORKED, 8)


def test_a_chain_cut_short_shows_against_a_head_that_was_kept():
    """The last night's rows are those worth removing."""
    rows = chain(10)
    verdict = audit.judge(rows[:6], head_of(rows, 10))
    assert (verdict.fault, verdict.number) == (Fault.CUT, 10)
    assert audit.judge([], head_of(rows, 1)).fault is Fault.CUT


@pytest.mark.parametrize("written", ["", "12", "12:", ":abc", "12:xyz", "12:abc", "-1:" + "a" * 64, "1:" + "a" * 65])
def test_what_is_no_head_is_refused(written):
    """A comparison with nothing would always agree."""
    with pytest.raises(audit.BadHead):
        Head.parse(written)


def test_a_head_is_read_as_it_is_printed():
    """It is copied from a mail by hand, with the line break some client put into it."""
    head = head_of(chain(3), 3)
    assert Head.parse(str(head)) == head
    assert Head.parse(f" 3:{head.digest[:30]}\n{head.digest[30:].upper()} ") == head
