"""What the stories of the night share: a product in which two readers are few, its pages, its team, and a text."""

from contextlib import ExitStack, closing
from functools import partial

import pytest
from sqlalchemy import text
from webauthn.helpers import bytes_to_base64url

from newsletter import database
from newsletter.journeys import alert, drafting, team
from newsletter.operators import factors, night, passkeys
from newsletter.operators.night import Rule
from newsletter.operators.passkeys import Site
from newsletter.operators.roles import Role
from newsletter.operators.sessions import Factor
from tests import house
from tests.fakes import smtp
from tests.fakes.authenticator import Authenticator
from tests.operators.crew import Crew

HOST = "news.sarand.example"
SITE = Site(HOST, f"https://{HOST}", "Friends of Sarand")
RULES = {"one_person_up_to": 2, "alone_after": 15, "codes_up_to": 5, "base_url": SITE.origin}
TEXT = "# Lorries at Sarand\n\nFourteen lorries stand at the second gate.\n\n- Write <now>\n- Tell {{ name }}\n"

TEAM = {
    "author": lambda crew: crew.member(Role.SENDER),
    "approver": lambda crew: crew.member(Role.APPROVER, name="Noor Holm"),
    "holder": lambda crew: crew.member(Role.SENDER),
    "signers": lambda crew: [crew.member(Role.APPROVER, name=name) for name in ("Noor Holm", "Omid Keller")],
}
BEGINNINGS = {*TEAM, "on_its_way"}


@pytest.fixture
def begun(request, moulds, tmp_path):
    """How the night begins: a copy of a product in which those have enrolled already for whom the test asks."""
    asked = frozenset(BEGINNINGS & set(request.fixturenames))
    with moulds.copied(("night", asked), partial(begin, asked=asked), tmp_path) as begun:
        yield begun


@pytest.fixture
def made(tmp_path, database_urls, sink):
    """A product in which two readers are few, and a code is enough for five."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", **RULES)
    yield made
    made.close()


@pytest.fixture
def pages(tmp_path, database_urls, sink, made):
    """The same product as the pages run it."""
    web = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", web=True, **RULES)
    yield web
    web.close()


@pytest.fixture
def crew(made, pages, begun):
    return Crew(made.parts.database, pages.parts.database, before=begun.facts["enrolled"])


@pytest.fixture
def author(begun):
    return begun.facts["author"]


@pytest.fixture
def approver(begun):
    return begun.facts["approver"]


@pytest.fixture
def holder(begun):
    return begun.facts["holder"]


@pytest.fixture
def signers(begun):
    return begun.facts["signers"]


@pytest.fixture
def on_its_way(begun):
    """The number of an alert on its way to two, of which the team was told."""
    return begun.facts["on_its_way"]


def begin(urls, folder, *, asked):
    """Make what a night begins with, of a fresh database: who of the team is asked for, and the alert on its way (`BEGINNINGS`)."""
    with ExitStack() as stack:
        sink = stack.enter_context(smtp.running(smtp.Sink()))
        made = stack.enter_context(closing(house.build(folder, urls, sink.url, **RULES)))
        web = stack.enter_context(closing(house.build(folder, urls, sink.url, web=True, **RULES)))
        crew = Crew(made.parts.database, web.parts.database)
        facts = {name: enrol(crew) for name, enrol in TEAM.items() if name in asked}
        facts["enrolled"] = crew.count
        if "on_its_way" in asked:
            facts["on_its_way"] = locked(made, folder, facts["author"], 2)
            alert.release(made.parts, facts["on_its_way"], by=facts["author"].id)
            made.deliver("transactional")
    return facts


def write(tmp_path, words, name="alert.md"):
    path = tmp_path / name
    path.write_text(words)
    return [str(path)]


def locked(made, tmp_path, author, count, words=TEXT):
    """Return the number of an alert to `count` readers, locked by its author."""
    house.add_readers(made, tmp_path, house.addresses(count))
    number = drafting.draft(made.parts, write(tmp_path, words), digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    return number


def alone(made, number, member):
    """Have somebody send an alert alone: it goes after the delay."""
    alert.send_alone(made.parts, number, by=member.id, factor=Factor.TOTP, answer=member.code(now(made)))


def now(made):
    with made.parts.database.transaction() as session:
        return database.now(session)


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def calls(made):
    """Return what the hook was to be told: event and facts."""
    return [(row.event, row.facts) for row in ask(made, "SELECT event, facts FROM hook_call ORDER BY id")]


def acts(made):
    return [row.content for row in ask(made, "SELECT content FROM audit ORDER BY number")]


def phone_of(crew, made, member):
    """Give an operator a passkey, and pin the team's."""
    phone = Authenticator(HOST, SITE.origin)
    with crew.worker.transaction() as session:
        options = passkeys.creation(SITE, handle=b"1" * 16, account="x", challenge=b"c" * 32, have=[])
        known = passkeys.created(SITE, phone.create(options), challenge=b"c" * 32)
        factors.add_passkey(session, member.id, known, label="phone", now=database.now(session))
    team.pin(made.parts, made.settings.pins)
    return phone


def signature(made, phone, number, deed=Rule.TWO, *, mandate=b""):
    """Return a passkey's signature over what somebody does to an alert."""
    fingerprint = bytes.fromhex(alert.standing(made.parts, number).locked.fingerprint)
    return phone.sign(bytes_to_base64url(night.challenge(deed, fingerprint, mandate=mandate)))


def by_passkey(pages, made, number, member, assertion):
    """Approve an alert on a page by a passkey's assertion, and have the desk settle it."""
    seen = alert.standing(made.parts, number).locked.fingerprint
    alert.sign(pages.parts, number, by=member.id, factor=Factor.PASSKEY, answer=assertion, seen=seen)
    alert.settle(made.parts, number, by=member.id)
