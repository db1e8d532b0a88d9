"""Operators in PostgreSQL, as the pages' role: what holds when two come at once, and what that role cannot do at all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.operators import audit, codes, enrolment, factors, people, sessions, throttle, tokens
from newsletter.operators.enrolment import Calling, Given
from newsletter.operators.roles import May, Role
from newsletter.operators.sessions import Factor
from newsletter.operators.throttle import Door, Knock
from tests.operators.asking import connect, now_of
from tests.operators.crew import PASSWORD

MINUTE = timedelta(minutes=1)


# people


def test_an_operator_is_added_sealed_and_found(crew, database_urls):
    """Who works for the campaign is as much a secret as who reads it."""
    number, _ = crew.add(Role.SENDER, Role.AUDITOR, name="Mina Moradi", address="mina@sarand.example")
    with crew.web.transaction() as session:
        found = people.find(session, EmailAddress.parse("MINA@sarand.example"))
    assert (found.id, found.name, found.roles) == (number, "Mina Moradi", (Role.AUDITOR, Role.SENDER))
    assert not found.active
    with connect(database_urls.owner) as connection:
        dump = str(
            [connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("operator", "mailbox", "audit")]
        )
    assert "Mina" not in dump
    assert "mina" not in dump


def test_one_address_is_one_operator_and_none_is_without_a_role(crew):
    """Two accounts of one person would be two signatures."""
    crew.add(Role.SENDER, address="mina@sarand.example")
    with pytest.raises(people.KnownAlready):
        crew.add(Role.APPROVER, address="Mina@sarand.example")
    with crew.worker.transaction() as session, pytest.raises(people.NoRole):
        people.add(session, EmailAddress.parse("x@sarand.example"), name="X", given=(), now=database.now(session))


def test_roles_are_given_anew(crew):
    """Somebody becomes a trustee, and stops writing."""
    mina = crew.member(Role.WRITER)
    with crew.worker.transaction() as session:
        people.set_roles(session, mina.id, [Role.APPROVER], now=database.now(session))
        assert people.by_id(session, mina.id).roles == (Role.APPROVER,)
        with pytest.raises(people.UnknownOperator):
            people.set_roles(session, 4711, [Role.APPROVER], now=database.now(session))


def test_a_disabled_operator_s_invitation_ends(crew):
    """Whoever has left must not come back by a link in an old mail."""
    number, token = crew.add()
    with crew.web.transaction() as session:
        people.disable(session, number, by=audit.SHELL, now=database.now(session))
    with pytest.raises(enrolment.BadInvitation):
        crew.enrol(token)
    mina = crew.member()
    with crew.web.transaction() as session, pytest.raises(people.NotOneself):
        people.disable(session, mina.id, by=mina.id, now=database.now(session))


# enrolment


def test_a_link_works_once(crew):
    """It lies in a mail or a chat for ever."""
    _, token = crew.add()
    crew.enrol(token)
    with pytest.raises(enrolment.BadInvitation):
        crew.enrol(token)


def test_a_link_is_good_for_three_days_and_the_newest_counts(crew):
    """A second link means that the first went astray."""
    number, first = crew.add()
    with crew.worker.transaction() as session:
        now = database.now(session)
        second = enrolment.invite(session, number, Calling.NEW, by=audit.SHELL, now=now)
    with crew.web.transaction() as session:
        for token, moment in ((first, now), ("x" * 43, now), (second.token, now + timedelta(hours=72))):
            with pytest.raises(enrolment.BadInvitation):
                enrolment.look(session, token, now=moment)
        assert enrolment.look(session, second.token, now=now + timedelta(hours=71)).operator.id == number
    assert second.token not in repr(second)


def test_a_refused_enrolment_changes_nothing(crew):
    """A mistyped code must not use up the link."""
    number, token = crew.add(name="Mina Moradi")
    now = now_of(crew.web)
    secret = codes.new_secret()
    right = codes.hotp(codes.read_secret(secret), codes.step_of(now))
    for given, why in (
        (Given("short", secret, right), "operator.password-short"),
        (Given("mina moradi 12", secret, right), "operator.password-guessable"),
        (Given(PASSWORD, secret, "000000" if right != "000000" else "000001"), "operator.wrong-factor"),
        (Given(PASSWORD, "AAAA", right), "operator.wrong-factor"),
    ):
        with pytest.raises(Exception, match=why), crew.web.transaction() as session:
            enrolment.enrol(session, token, given, now=now)
    with crew.web.transaction() as session:
        assert not people.by_id(session, number).active
        enrolment.enrol(session, token, Given(PASSWORD, secret, right), now=now)
        assert people.by_id(session, number).active
        # The code that proved the app has been used.
        assert not factors.check_totp(session, number, right, now=now)


def prove(crew, member):
    _, view = crew.session(member)
    with crew.web.transaction() as session:
        return factors.fresh(view, now=database.now(session))


def test_a_lost_phone_takes_two_others(crew):
    """One stolen account must not open a second; two people who know each other's voice are the way back."""
    mina, noor, omid = (crew.member(name=name) for name in ("Mina Moradi", "Noor Holm", "Omid Keller"))
    proofs = {one.id: prove(crew, one) for one in (mina, noor, omid)}
    now = now_of(crew.web)
    with crew.web.transaction() as session:
        with pytest.raises(enrolment.NotForYourself):
            enrolment.vouch(session, mina.id, proofs[mina.id], now=now)
        assert enrolment.vouch(session, mina.id, proofs[noor.id], now=now).signers == (noor.id,)
    with crew.web.transaction() as session, pytest.raises(enrolment.SignedAlready):
        enrolment.vouch(session, mina.id, proofs[noor.id], now=now)
    with crew.worker.transaction() as session:
        assert enrolment.due(session, now=now) == []
    with crew.web.transaction() as session:
        assert set(enrolment.vouch(session, mina.id, proofs[omid.id], now=now).signers) == {noor.id, omid.id}
    with crew.worker.transaction() as session:
        assert enrolment.due(session, now=now) == [mina.id]
        assert enrolment.due(session, now=now) == []
        link = enrolment.invite(session, mina.id, Calling.LOST, by=audit.SHELL, now=now)
    # The old phone works until the new one does; then nothing of before is worth anything.
    token, _ = crew.session(mina)
    with pytest.raises(enrolment.WrongPassword):
        crew.enrol(link.token, password="somebody else's words")
    again = crew.enrol(link.token)
    with crew.web.transaction() as session:
        moment = database.now(session)
        assert sessions.find(session, token, now=moment) is None
        assert not factors.check_totp(session, mina.id, mina.code(moment), now=moment)
        assert not factors.check_recovery(session, mina.id, mina.recovery[0], now=moment)
        assert factors.check_totp(session, mina.id, again.code(moment), now=moment)


def test_a_rescue_does_not_wait_for_ever_and_a_disabled_signer_does_not_count(crew):
    """A signature given in one emergency must not meet another a month later."""
    mina, noor, omid = (crew.member(name=name) for name in ("Mina Moradi", "Noor Holm", "Omid Keller"))
    now = now_of(crew.web)
    with crew.web.transaction() as session:
        enrolment.vouch(session, mina.id, prove(crew, noor), now=now)
        later = now + enrolment.RESCUE_LIFE
        assert enrolment.vouch(session, mina.id, prove(crew, omid), now=later).signers == (omid.id,)
        assert enrolment.vouch(session, mina.id, prove(crew, noor), now=later).signers == (noor.id, omid.id)
        assert enrolment.vouchings(session, now=later)[mina.id].signers == (noor.id, omid.id)
        people.disable(session, omid.id, by=noor.id, now=later)
    with crew.worker.transaction() as session:
        assert enrolment.due(session, now=later) == []
        with pytest.raises(people.Disabled):
            enrolment.vouch(session, omid.id, prove(crew, noor), now=later)
        unborn, _ = crew.add()
        with pytest.raises(enrolment.NotEnrolled):
            enrolment.vouch(session, unborn, prove(crew, noor), now=later)


def test_a_signer_whose_role_was_taken_does_not_count(crew):
    """Two stolen accounts, found out in time, must not open a third all the same."""
    mina, noor, omid = (crew.member(name=name) for name in ("Mina Moradi", "Noor Holm", "Omid Keller"))
    now = now_of(crew.web)
    with crew.web.transaction() as session:
        for signer in (noor, omid):
            enrolment.vouch(session, mina.id, prove(crew, signer), now=now)
    with crew.worker.transaction() as session:
        people.set_roles(session, omid.id, [Role.AUDITOR], now=now)
        assert enrolment.due(session, now=now) == []
        people.set_roles(session, omid.id, [Role.APPROVER], now=now)
        assert enrolment.due(session, now=now) == [mina.id]


def test_whose_access_was_ended_is_not_rescued(crew):
    """Two sign that a phone was lost; then somebody learns who has it. The link would have brought them in."""
    mina, noor, omid = (crew.member(name=name) for name in ("Mina Moradi", "Noor Holm", "Omid Keller"))
    now = now_of(crew.web)
    with crew.web.transaction() as session:
        for signer in (noor, omid):
            enrolment.vouch(session, mina.id, prove(crew, signer), now=now)
        people.disable(session, mina.id, by=noor.id, now=now)
        assert enrolment.vouchings(session, now=now) == {}
    with crew.worker.transaction() as session:
        assert enrolment.due(session, now=now) == []
        with pytest.raises(people.Disabled):
            enrolment.invite(session, mina.id, Calling.LOST, by=audit.WORKER, now=now)


def test_the_pages_invite_nobody_back(crew):
    """Whoever takes the pages over would otherwise undo what stopped them."""
    mina = crew.member()
    now = now_of(crew.web)
    with crew.worker.transaction() as session:
        people.disable(session, mina.id, by=audit.SHELL, now=now)
    with pytest.raises(DBAPIError), crew.web.transaction() as session:
        enrolment.invite(session, mina.id, Calling.NEW, by=audit.SHELL, now=now)


# factors


def test_a_code_is_used_once_even_by_two_at_once(crew):
    """Whoever relays a code in the same second must be one too many."""
    mina = crew.member()
    now = now_of(crew.web)

    def attempt(_):
        with crew.web.transaction() as session:
            return factors.check_totp(session, mina.id, mina.code(now), now=now)

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(attempt, range(6))) == [False] * 5 + [True]


def test_five_tries_however_many_come_at_once(crew):
    """A hundred guesses in one second are a hundred guesses."""
    mina = crew.member()
    now = now_of(crew.web)

    def attempt(_):
        try:
            with crew.web.transaction() as session:
                factors.count_try(session, mina.id, now=now)
        except factors.Locked:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(24))) == factors.TRIES
    with crew.web.transaction() as session:
        with pytest.raises(factors.Locked):
            factors.count_try(session, mina.id, now=now + 14 * MINUTE)
        factors.count_try(session, mina.id, now=now + 15 * MINUTE)
        assert factors.check_totp(session, mina.id, mina.code(now), now=now)
        for _ in range(factors.TRIES):
            factors.count_try(session, mina.id, now=now + 16 * MINUTE)


def test_each_recovery_code_works_once_and_new_ones_end_the_old(crew):
    """Paper is found, and photographed."""
    mina = crew.member()
    now = now_of(crew.web)
    with crew.web.transaction() as session:
        assert factors.recovery_left(session, mina.id) == 10
        assert factors.check_recovery(session, mina.id, mina.recovery[3].lower(), now=now)
        assert not factors.check_recovery(session, mina.id, mina.recovery[3], now=now)
        assert factors.recovery_left(session, mina.id) == 9
        fresh = factors.renew_recovery(session, mina.id)
        assert not factors.check_recovery(session, mina.id, mina.recovery[4], now=now)
        assert factors.check_recovery(session, mina.id, fresh[0], now=now)
    other = crew.member(name="Noor Holm")
    with crew.web.transaction() as session:
        assert not factors.check_recovery(session, other.id, fresh[1], now=now)


# sessions


def test_a_session_lives_by_posts_alone_and_ends_at_its_time(crew):
    """A page that reloads itself on a forgotten screen must not keep the door open."""
    mina = crew.member()
    token, view = crew.session(mina)
    with crew.web.transaction() as session:
        began = view.began_at
        assert sessions.find(session, token, now=began + 29 * MINUTE) is not None
        assert sessions.find(session, token, now=began + 30 * MINUTE) is None
        sessions.touch(session, view.id, now=began + 29 * MINUTE)
        assert sessions.find(session, token, now=began + 58 * MINUTE) is not None
        sessions.touch(session, view.id, now=began + timedelta(hours=11, minutes=50))
        assert sessions.find(session, token, now=began + timedelta(hours=12)) is None
        assert sessions.find(session, token + "x", now=began) is None


def test_sessions_are_listed_and_ended_by_their_owner_alone(crew):
    """A lost phone is ended from the other one, and nobody ends a stranger's."""
    mina, noor = crew.member(), crew.member(name="Noor Holm")
    (first, one), (second, two), (third, three) = (crew.session(mina) for _ in range(3))
    with crew.web.transaction() as session:
        now = database.now(session)
        assert [each.id for each in sessions.listed(session, mina.id, now=now)] == [three.id, two.id, one.id]
        assert not sessions.end(session, one.id, operator_id=noor.id, now=now)
        assert sessions.end(session, one.id, operator_id=mina.id, now=now)
        assert not sessions.end(session, one.id, operator_id=mina.id, now=now)
        assert sessions.end_all(session, mina.id, but=three.id, now=now) == 1
        alive = [sessions.find(session, token, now=now) is not None for token in (first, second, third)]
    assert alive == [False, False, True]


def test_a_half_session_becomes_full_once_under_a_new_token(crew):
    """Session fixation: a cookie that was planted before log-in must be worth nothing after it."""
    mina = crew.member()
    with crew.web.transaction() as session:
        now = database.now(session)
        planted = sessions.begin(session, mina.id, device="", now=now)
        half = sessions.find(session, planted, now=now)
        with pytest.raises(factors.NotFresh):
            factors.fresh(half, now=now)
        token = sessions.complete(session, half, Factor.PASSKEY, now=now)
        assert token != planted
        assert sessions.find(session, planted, now=now) is None
        with pytest.raises(sessions.NotLoggedIn):
            sessions.complete(session, half, Factor.PASSKEY, now=now)
        with pytest.raises(sessions.NotLoggedIn):
            sessions.complete(session, sessions.find(session, token, now=now), Factor.PASSKEY, now=now)


def test_a_challenge_counts_once_for_its_purpose_and_five_minutes(crew):
    """An assertion made for logging in must not sign an approval, and none counts twice."""
    _, view = crew.session(crew.member())
    with crew.web.transaction() as session:
        now = database.now(session)
        made = sessions.challenge(session, view.id, "log in", now=now)
        assert sessions.take_challenge(session, view.id, "approve", now=now) is None
        assert sessions.take_challenge(session, view.id, "log in", now=now) == made
        assert sessions.take_challenge(session, view.id, "log in", now=now) is None
        sessions.challenge(session, view.id, "log in", now=now)
        assert sessions.take_challenge(session, view.id, "log in", now=now + 5 * MINUTE) is None
        assert sessions.challenge(session, view.id, "approve", signing=b"f" * 32, now=now) == b"f" * 32


def test_the_table_of_sessions_opens_none(crew, database_urls):
    """Whoever reads the database must not be able to walk in with what stands there."""
    mina = crew.member()
    token, _ = crew.session(mina)
    with crew.web.transaction() as session:
        made = tokens.add(
            session,
            people.by_id(session, mina.id),
            label="bot",
            scopes=[May.STOP],
            life=timedelta(days=1),
            by=mina.id,
            now=database.now(session),
        )
    assert made.secret not in repr(made)
    with connect(database_urls.owner) as connection:
        names = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        dump = str([connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names])
    for secret in (token, made.secret, mina.secret, PASSWORD, mina.recovery[0], mina.recovery[0].replace("-", "")):
        assert secret not in dump


# throttle


def test_attempts_are_counted_whoever_comes_at_once(crew):
    """Parallel guesses are the first thing that is tried."""
    knocks = [Knock(Door.ADDRESS, "192.0.2.7"), Knock(Door.ACCOUNT, "mina@sarand.example")]
    now = now_of(crew.web)

    def attempt(_):
        with crew.web.transaction() as session:
            return throttle.count(session, knocks, now=now) == timedelta(0)

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(30))) == throttle.MOST[Door.ACCOUNT]
    with crew.web.transaction() as session:
        assert throttle.count(session, knocks, now=now + throttle.WINDOW) == timedelta(0)
        throttle.forget(session, knocks)
        rows = session.execute(text("SELECT tries FROM login_throttle")).scalars().all()
        # The address keeps its count: one right password must not buy forty wrong ones elsewhere.
        assert rows == [1]
        throttle.clear(session, now=now + 2 * throttle.WINDOW)
        assert session.execute(text("SELECT count(*) FROM login_throttle")).scalar_one() == 0


# tokens


def test_a_token_may_what_its_scopes_and_its_operator_may(crew):
    """A program must never outlive or outgrow the person it acts for."""
    mina = crew.member(Role.SENDER, Role.AUDITOR)

    def add(scopes, life=timedelta(days=1)):
        with crew.web.transaction() as session:
            owner = people.by_id(session, mina.id)
            return tokens.add(
                session, owner, label="bot", scopes=scopes, life=life, by=mina.id, now=database.now(session)
            )

    for scopes in ([], [May.PEOPLE], [May.APPROVE], [May.TEAM], [May.STOP, May.WRITE], [May.SEND]):
        with pytest.raises(tokens.BadScopes):
            add(scopes)
    for life in (timedelta(0), timedelta(days=367)):
        with pytest.raises(tokens.BadLife):
            add([May.STOP], life)
    made = add([May.AUDIT, May.STOP])
    with crew.web.transaction() as session:
        now = database.now(session)
        assert tokens.bearer(session, made.secret, now=now).may == {May.AUDIT, May.STOP}
        assert tokens.listed(session, mina.id)[0].used_at == now
        for bad in (made.secret + "x", "", made.secret[3:]):
            with pytest.raises(tokens.BadBearer):
                tokens.bearer(session, bad, now=now)
        with pytest.raises(tokens.BadBearer):
            tokens.bearer(session, made.secret, now=now + timedelta(days=1))
    with crew.worker.transaction() as session:
        people.set_roles(session, mina.id, [Role.WRITER], now=database.now(session))
        assert tokens.bearer(session, made.secret, now=now).may == {May.STOP}
    with crew.web.transaction() as session:
        with pytest.raises(tokens.UnknownToken):
            tokens.revoke(session, made.token.id, owner=mina.id + 1, by=audit.SHELL, now=now)
        tokens.revoke(session, made.token.id, owner=mina.id, by=mina.id, now=now)
        with pytest.raises(tokens.BadBearer):
            tokens.bearer(session, made.secret, now=now)
    other = add([May.STOP])
    with crew.web.transaction() as session:
        people.disable(session, mina.id, by=audit.SHELL, now=now)
        with pytest.raises(tokens.BadBearer):
            tokens.bearer(session, other.secret, now=now)


# what the pages cannot do

FORBIDDEN = (
    "INSERT INTO operator (mailbox_id, name_sealed) VALUES (1, 'x')",
    "UPDATE operator SET mailbox_id = 1",
    "DELETE FROM operator",
    "INSERT INTO operator_role (operator_id, role) VALUES (1, 'approver')",
    "UPDATE operator_role SET role = 'approver'",
    "DELETE FROM operator_role",
    "INSERT INTO invitation (operator_id, calling, digest, expires_at) VALUES (1, 'new', 'x', now())",
    "UPDATE invitation SET expires_at = 'infinity'",
    "UPDATE passkey SET public_key = 'x'",
    "UPDATE passkey SET operator_id = 2",
    "UPDATE rescue_signature SET signer_id = 2",
    "DELETE FROM rescue_signature",
    "UPDATE operator_session SET operator_id = 2",
    "UPDATE operator_session SET stage = 'full'",
    "UPDATE operator_session SET began_at = now()",
    "UPDATE api_token SET scopes = '{people}'",
    "INSERT INTO audit_mail (day, number) VALUES ('2026-11-25', 1)",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_pages_can_make_nobody_and_give_nothing(database_urls, statement):
    """A hole in a page must not end in a new approver."""
    with connect(database_urls.web) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_nobody_signs_for_themselves_in_the_table_either(crew, database_urls):
    """The rule stands in the database, for whoever comes without our code."""
    mina = crew.member()
    with connect(database_urls.web) as connection:
        rescue = "INSERT INTO rescue (operator_id, expires_at) VALUES (%s, now()) RETURNING id"
        (number,) = connection.execute(rescue, [mina.id]).fetchone()
        sign = "INSERT INTO rescue_signature (rescue_id, operator_id, signer_id) VALUES (%s, %s, %s)"
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(sign, [number, mina.id, mina.id])
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(sign, [number, mina.id + 1, mina.id])
