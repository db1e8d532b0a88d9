"""The team's own mail: the day's head to everyone, and a link after a lost phone to the address on file alone."""

import email
import email.policy
import re
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from newsletter import database
from newsletter.journeys import entering, team
from newsletter.journeys.entering import Answer, Where
from newsletter.operators import audit, enrolment, factors, people, roles
from newsletter.operators.audit import Head
from newsletter.operators.roles import Role
from newsletter.operators.sessions import Factor
from newsletter.operators.throttle import TooMany
from tests import house
from tests.journeys import nights, traces
from tests.operators.crew import PASSWORD, Crew

HERE = Where("192.0.2.7", "Firefox, Android")


@pytest.fixture
def pages(newsletter, tmp_path, database_urls, sink):
    """The product as the pages' role."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", web=True)
    yield made
    made.close()


@pytest.fixture
def crew(newsletter, pages):
    return Crew(newsletter.parts.database, pages.parts.database)


def visitor(pages, crew, member):
    token, _ = crew.session(member)
    return entering.acting(pages.parts, token)


def read(sink, member):
    """Return what was mailed to somebody, parsed."""
    found = [message.content for message in sink.messages_for(member.address)]
    return [email.message_from_bytes(data, policy=email.policy.default) for data in found]


def at_night(newsletter):
    """Return a moment of today before any head is mailed."""
    with newsletter.parts.database.transaction() as session:
        return database.now(session).replace(hour=0, minute=0, second=0)


def plain(mail):
    return mail.get_body(("plain",)).get_content()


def test_the_head_is_mailed_to_everyone_once_a_day(newsletter, crew, sink):
    """What an intruder rewrites in the database still lies in five mailboxes."""
    mina, noor = crew.member(), crew.member(name="Noor Holm")
    crew.add()
    with newsletter.parts.database.transaction() as session:
        head = audit.head(session)
        now = database.now(session)
    morning = now.replace(hour=5, minute=0) - timedelta(days=2)
    assert team.tend(newsletter.parts, now=morning - timedelta(minutes=1)) == 0
    assert team.tend(newsletter.parts, now=morning) == 2
    assert team.tend(newsletter.parts, now=morning + timedelta(hours=3)) == 0
    assert team.tend(newsletter.parts, now=morning + timedelta(days=1)) == 2
    newsletter.deliver("transactional")
    for member in (mina, noor):
        mails = read(sink, member)
        assert len(mails) == 2
        for mail in mails:
            body = plain(mail)
            assert f"newsletter audit verify --against {head}" in body
            assert mail["List-Unsubscribe"] is None
            kept = Head.parse(re.search(r"--against (\S+)", body)[1])
            with newsletter.parts.database.transaction() as session:
                assert audit.verify(session, kept).sound
    assert len(sink.messages) == 4


def test_a_lost_phone_is_recovered_by_two_others_and_a_mail(newsletter, pages, crew, sink):
    """The whole way: two sign, the worker mails, the owner enrols with the password they have."""
    mina, noor, omid = (crew.member(name=name) for name in ("Mina Moradi", "Noor Holm", "Omid Keller"))
    team.vouch(pages.parts, visitor(pages, crew, noor), mina.id)
    [listed] = [one for one in team.members(pages.parts) if one.vouching]
    assert (listed.operator.id, listed.vouching.signers) == (mina.id, (noor.id,))
    team.vouch(pages.parts, visitor(pages, crew, omid), mina.id)
    assert team.tend(newsletter.parts, now=at_night(newsletter)) == 1
    assert team.tend(newsletter.parts, now=at_night(newsletter)) == 0
    newsletter.deliver("transactional")
    [mail] = read(sink, mina)
    [link] = re.findall(r"/e/([\w-]{43})", plain(mail))
    assert len(sink.messages) == 1
    again = crew.enrol(link)
    half = entering.enter(pages.parts, mina.address, PASSWORD, HERE)
    with pages.parts.database.transaction() as session:
        now = database.now(session)
    with pytest.raises(entering.WrongFactor):
        entering.second(pages.parts, half, Answer(Factor.TOTP, mina.code(now)), HERE, None)
    assert entering.second(pages.parts, half, Answer(Factor.TOTP, again.code(now)), HERE, None).recovery_left == 10


def test_who_may_not_sign_and_with_what(pages, crew):
    """A writer's account is the easiest to steal, and an hour-old log-in is anybody's."""
    mina, writer, sender = crew.member(), crew.member(Role.WRITER), crew.member(Role.SENDER)
    with pytest.raises(roles.NotAllowed):
        team.vouch(pages.parts, visitor(pages, crew, writer), mina.id)
    stale = visitor(pages, crew, sender)
    late = replace(stale, now=stale.now + timedelta(minutes=6))
    with pytest.raises(factors.NotFresh):
        team.vouch(pages.parts, late, mina.id)
    for act in (team.disable, team.end_sessions):
        with pytest.raises(roles.NotAllowed):
            act(pages.parts, visitor(pages, crew, sender), mina.id)


def test_an_approver_ends_another_s_access(pages, crew):
    """Somebody leaves in anger, at night."""
    mina, chair = crew.member(), crew.member(Role.APPROVER)
    token, _ = crew.session(mina)
    assert team.end_sessions(pages.parts, visitor(pages, crew, chair), mina.id) == 1
    assert entering.who(pages.parts, token) is None
    token, _ = crew.session(mina)
    team.disable(pages.parts, visitor(pages, crew, chair), mina.id)
    assert entering.who(pages.parts, token) is None
    with pytest.raises(entering.WrongLogin):
        entering.enter(pages.parts, mina.address, PASSWORD, HERE)


def test_whoever_is_disabled_learns_of_it_as_the_others_do(newsletter, pages, crew, sink):
    """By a mistake, or by somebody who wants nobody to be there at night: nobody is taken out of the team in silence."""
    mina, chair = crew.member(), crew.member(Role.APPROVER, name="Noor Holm")
    team.disable(pages.parts, visitor(pages, crew, chair), mina.id)
    assert team.tend(newsletter.parts, now=at_night(newsletter)) == 2
    assert team.tend(newsletter.parts, now=at_night(newsletter)) == 0
    newsletter.deliver("transactional")
    for member in (mina, chair):
        [mail] = read(sink, member)
        assert mail["subject"] == "Somebody can no longer log in"
        text = " ".join(plain(mail).split())
        assert "Noor Holm has ended the access of Mina Moradi to the team's pages" in text
        assert f"newsletter operators invite {mina.id}" in text
    assert nights.calls(newsletter) == [("disabled", {"operator": mina.id})]


def test_who_came_back_and_is_disabled_again_learns_of_it_again(newsletter, pages, crew, sink):
    """The second time is no echo of the first."""
    mina, chair = crew.member(), crew.member(Role.APPROVER, name="Noor Holm")
    for _ in range(2):
        team.disable(pages.parts, visitor(pages, crew, chair), mina.id)
        assert team.tend(newsletter.parts, now=at_night(newsletter)) == 2
        crew.enrol(team.invite(newsletter.parts, mina.id).token)
    newsletter.deliver("transactional")
    assert len(read(sink, mina)) == 2


@pytest.mark.parametrize("actor", [None, "4711", "link"])
def test_who_was_disabled_past_the_program_is_told_of_as_that(newsletter, pages, crew, sink, database_urls, actor):
    """The password of the pages' role is enough for it, and for whatever it likes in the audit: the team must hear all the more."""
    mina, noor = crew.member(), crew.member(name="Noor Holm")
    with psycopg.connect(traces.plain(database_urls.web), autocommit=True) as web:
        web.execute("UPDATE operator SET disabled_at = now() WHERE id = %s", (mina.id,))
    if actor:
        with pages.parts.database.transaction() as session:
            audit.append(session, "operator.disabled", by=actor, now=database.now(session), operator=mina.id)
    assert team.tend(newsletter.parts, now=at_night(newsletter)) == 2
    newsletter.deliver("transactional")
    for member in (mina, noor):
        [mail] = read(sink, member)
        assert "the record does not say by whom" in " ".join(plain(mail).split())


def test_nobody_is_named_for_what_they_did_once_before(newsletter, pages, crew, sink, database_urls):
    """Noor ended it in May, and Mina came back: today it is past the program, and not Noor's."""
    mina, noor = crew.member(), crew.member(name="Noor Holm")
    with newsletter.parts.database.transaction() as session:
        long_ago = database.now(session) - timedelta(days=2)
        audit.append(session, "operator.disabled", by=str(noor.id), now=long_ago, operator=mina.id)
    with psycopg.connect(traces.plain(database_urls.web), autocommit=True) as web:
        web.execute("UPDATE operator SET disabled_at = now() WHERE id = %s", (mina.id,))
    assert team.tend(newsletter.parts, now=at_night(newsletter)) == 2
    newsletter.deliver("transactional")
    [mail] = read(sink, noor)
    assert "the record does not say by whom" in " ".join(plain(mail).split())


def test_who_is_disabled_has_the_day_s_head_once_more(newsletter, crew, sink):
    """What somebody rewrites after they have ended every other access still lies in another's mailbox."""
    mina, noor = crew.member(), crew.member(name="Noor Holm")
    with newsletter.parts.database.transaction() as session:
        now = database.now(session)
        people.disable(session, mina.id, by=noor.id, now=now)
    team.tend(newsletter.parts, now=now.replace(hour=5, minute=0) - timedelta(days=1))
    newsletter.deliver("transactional")
    assert any("audit verify" in plain(mail) for mail in read(sink, mina))


def test_a_found_link_is_not_a_place_to_guess_passwords(newsletter, pages, crew):
    """Whoever reads a mailbox holds the link, and still lacks the password."""
    mina = crew.member()
    with newsletter.parts.database.transaction() as session:
        now = database.now(session)
        link = enrolment.invite(session, mina.id, enrolment.Calling.LOST, by=audit.WORKER, now=now)
    given = enrolment.Given("some guess or other", mina.secret, "000000")
    for _ in range(10):
        with pytest.raises(enrolment.WrongPassword):
            team.enrol(pages.parts, link.token, given)
    with pytest.raises(TooMany):
        team.enrol(pages.parts, link.token, given)
