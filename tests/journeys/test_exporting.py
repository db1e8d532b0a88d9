"""The list leaves the house: who may, what the others hear of it, and what a copy that turns up says of itself."""

import csv
import email
import email.policy
import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from newsletter import database, settings
from newsletter.addresses import EmailAddress
from newsletter.issues import digests
from newsletter.journeys import canaries, exporting, finding, leaving
from newsletter.journeys.acting import NobodyNamed
from newsletter.operators import audit
from newsletter.operators.factors import WrongFactor
from newsletter.operators.roles import NotAllowed, Role
from newsletter.subscribers import listing, suppression
from newsletter.subscribers.finding import NothingAsked, Query
from newsletter.subscribers.people import UnknownPerson
from tests import house
from tests.operators.crew import Crew

CANARIES = ("lamp@sarand.example", "wells@sarand.example")
PEOPLE = [f"reader{number}@example.org" for number in range(6)]


SET = {"canaries": " ".join(CANARIES), "export_alone_up_to": 5}


@pytest.fixture
def made(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, **SET)
    yield made
    made.close()


def enrolled(urls, folder):
    """Make a product whose team has enrolled."""
    with closing(house.build(folder, urls, "smtp://127.0.0.1:9", **SET)) as made:
        crew = Crew(made.parts.database, made.parts.database)
        officers = crew.member(Role.DATA_OFFICER), crew.member(Role.DATA_OFFICER, name="Omid")
        return {"officers": (*officers, crew.member(Role.SENDER))}


@pytest.fixture
def begun(moulds, tmp_path):
    """A copy of it."""
    with moulds.copied(__name__, enrolled, tmp_path) as begun:
        yield begun


@pytest.fixture
def officers(begun, made):
    """Two who deal with people's data, and one who does not."""
    return begun.facts["officers"]


@pytest.fixture
def code(made):
    """Return what a phone shows, each code once."""
    used = {}

    def show(member):
        with made.parts.database.transaction() as session:
            moment = database.now(session)
        step = used.setdefault(member.id, 0)
        used[member.id] += 1
        # Codes of one step before and after now are taken too: three uses in one test.
        return member.code(moment + timedelta(seconds=30 * (step - 1)))

    return show


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def acts(made):
    return [json.loads(content)["act"] for (content,) in ask(made, "SELECT content FROM audit ORDER BY number")]


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_two_addresses_of_our_own_live_in_the_list_from_the_first_day(made):
    """Mail to them that is not ours says that somebody else has the list."""
    assert canaries.settle(made.parts) == 2
    assert canaries.settle(made.parts) == 0
    listed = ask(
        made,
        "SELECT e.basis, count(*) FROM subscription s JOIN consent_event e ON e.id = s.granted_by"
        " WHERE s.ended_at IS NULL GROUP BY 1",
    )
    assert listed == [("imported", 2)]
    [(reader, digest)] = ask(made, "SELECT subscriber_id, digest_id FROM subscription ORDER BY id LIMIT 1")
    leaving.leave(made.parts, made.parts.tokens.leave(reader, digest, 1))
    assert canaries.settle(made.parts) == 0


@pytest.mark.parametrize("why", ["left everything", "complained"])
def test_a_canary_that_no_list_may_bring_in_is_left_alone(made, why):
    """A new digest came, and every minute another import was refused them: a row and a file each, and doctor said nothing."""
    canaries.settle(made.parts)
    [(reader, box)] = ask(made, "SELECT id, mailbox_id FROM subscriber ORDER BY id LIMIT 1")
    with made.parts.database.transaction() as session:
        now = database.now(session)
        if why == "complained":
            suppression.add(session, box, reason=suppression.Reason.COMPLAINT, now=now)
        else:
            leaving.end(session, reader, None)
        digests.add(session, "news", name="News", languages=("en",), rhythm=digests.by_key(session, "weekly").rhythm)
    before = ask(made, "SELECT count(*) FROM import_run")
    assert [canaries.settle(made.parts) for _ in range(3)] == [1, 0, 0], "the other one takes it"
    assert ask(made, "SELECT count(*) FROM import_run")[0][0] == before[0][0] + 1
    assert (canaries.waiting(made.parts), canaries.barred(made.parts)) == (0, 1)


def test_a_canary_that_is_no_address_is_refused():
    """A slip of the hand there would show on the day on which the list is used by others."""
    with pytest.raises(settings.BadSettings, match="CANARIES"):
        settings.read(canaries="lamp@sarand.example, wells")
    assert [one.wire for one in settings.read(canaries="a@b.example, c@d.example").canaries] == [
        "a@b.example",
        "c@d.example",
    ]


def test_one_takes_a_short_list_by_their_code_and_all_are_told(made, officers, code, tmp_path, sink):
    """A reason, a code, a mail to everybody: nobody finds out from a newspaper."""
    officer, _, _ = officers
    house.add_readers(made, tmp_path, PEOPLE[:3])
    canaries.settle(made.parts)
    asked = exporting.ask(made.parts, by=officer.id, reason="move to the new  office system")
    assert (asked.people, asked.alone, asked.marked) == (5, True, True)
    path = tmp_path / "out.csv"
    with pytest.raises(WrongFactor):
        exporting.take(made.parts, asked.export, str(path), by=officer.id, code="000000")
    assert not path.exists()
    taken = exporting.take(made.parts, asked.export, str(path), by=officer.id, code=code(officer))
    assert (taken.people, taken.canaries) == (5, 2)
    assert path.stat().st_mode & 0o777 == 0o600
    found = rows(path)
    assert sorted(row["email"] for row in found if "example.org" in row["email"]) == PEOPLE[:3]
    assert {row["name"] for row in found} >= {"Reader 0", "Reader 1", "Reader 2"}
    assert {row["digests"] for row in found} == {"weekly"}
    made.deliver("transactional", seconds=5)
    mails = [email.message_from_bytes(one.content, policy=email.policy.default) for one in sink.messages]
    assert len({one.recipient for one in sink.messages}) == 3
    assert {mail["subject"] for mail in mails} == {f"Export {asked.export} of the list was taken"}
    said = " ".join(mails[0].get_body(("plain",)).get_content().split())
    assert "move to the new office system" in said
    assert "holds addresses of our own" in said
    assert acts(made)[-2:] == ["list.asked", "list.taken"]
    with pytest.raises(exporting.Over):
        exporting.take(made.parts, asked.export, str(tmp_path / "again.csv"), by=officer.id, code=code(officer))
    assert not (tmp_path / "again.csv").exists()


def test_an_unmarked_list_says_that_it_is(tmp_path, database_urls, sink):
    """Where nobody set addresses of their own, nobody shall believe that a leak will name its export."""
    made = house.build(tmp_path, database_urls, sink.url)
    officer = Crew(made.parts.database, made.parts.database).member(Role.DATA_OFFICER)
    house.add_readers(made, tmp_path, PEOPLE[:3])
    asked = exporting.ask(made.parts, by=officer.id, reason="an audit")
    assert not asked.marked
    with made.parts.database.transaction() as session:
        shown = officer.code(database.now(session))
    taken = exporting.take(made.parts, asked.export, str(tmp_path / "out.csv"), by=officer.id, code=shown)
    assert taken.canaries == 0
    made.deliver("transactional", seconds=5)
    made.close()
    [mail] = [email.message_from_bytes(one.content, policy=email.policy.default) for one in sink.messages]
    said = " ".join(mail.get_body(("plain",)).get_content().split())
    assert "The file is unmarked" in said
    assert "holds addresses of our own" not in said


def test_a_long_list_takes_two(made, officers, code, tmp_path, sink):
    """One stolen phone, or one angry person, is not enough for everybody."""
    officer, other, sender = officers
    house.add_readers(made, tmp_path, PEOPLE)
    asked = exporting.ask(made.parts, by=officer.id, reason="an audit")
    assert not asked.alone
    path = tmp_path / "out.csv"
    with pytest.raises(exporting.NeedsAnother):
        exporting.take(made.parts, asked.export, str(path), by=officer.id, code=code(officer))
    with pytest.raises(exporting.NotOneself):
        exporting.approve(made.parts, asked.export, by=officer.id, code=code(officer))
    with pytest.raises(NotAllowed):
        exporting.approve(made.parts, asked.export, by=sender.id, code=code(sender))
    exporting.approve(made.parts, asked.export, by=other.id, code=code(other))
    with pytest.raises(exporting.NotOneself):
        exporting.take(made.parts, asked.export, str(path), by=other.id, code=code(other))
    taken = exporting.take(made.parts, asked.export, str(path), by=officer.id, code=code(officer))
    # Our own addresses are in it, though they are not on the list yet.
    assert taken.people == 6
    assert len(rows(path)) == 8
    made.deliver("transactional", seconds=5)
    assert len(sink.messages) == 6
    assert acts(made)[-3:] == ["list.asked", "list.approved", "list.taken"]


def test_a_long_list_in_parts_takes_two_as_well(made, officers, code, tmp_path, database_urls):
    """Who takes everybody digest by digest, or the same digest again, has taken everybody alone."""
    officer, other, _ = officers
    with made.parts.database.transaction() as session:
        digests.add(session, "news", name="News", languages=("en",), rhythm=digests.by_key(session, "weekly").rhythm)
    house.add_readers(made, tmp_path, PEOPLE[:3])
    house.add_readers(made, tmp_path, PEOPLE[3:], digest="news")

    def take(digest, member, name):
        asked = exporting.ask(made.parts, by=member.id, reason="an audit", digest=digest)
        path = str(tmp_path / name)
        return asked, lambda: exporting.take(made.parts, asked.export, path, by=member.id, code=code(member))

    # Both asked for before one is taken, as whoever means to go round it would.
    (first, take_first), (second, take_second) = take("weekly", officer, "1.csv"), take("news", officer, "2.csv")
    assert (first.alone, second.alone) == (True, True)
    assert take_first().people == 3
    with pytest.raises(exporting.NeedsAnother):
        take_second()
    assert not take("weekly", officer, "3.csv")[0].alone
    assert take("news", other, "4.csv")[0].alone, "what one took alone is nothing to another"
    exporting.approve(made.parts, second.export, by=other.id, code=code(other))
    assert take_second().people == 3
    # Nor does what two took count, or what is longer ago.
    house.by_owner(database_urls, "UPDATE list_export SET taken_at = taken_at - interval '30 days'")
    assert take("news", officer, "5.csv")[0].alone


def test_the_database_refuses_an_approval_of_one_s_own(made, officers):
    """Whoever writes past the program is stopped by the table."""
    officer, _, _ = officers
    asked = exporting.ask(made.parts, by=officer.id, reason="an audit")
    with pytest.raises(IntegrityError), made.parts.database.transaction() as session:
        listing.approve(session, asked.export, by=officer.id, now=database.now(session))


def test_an_hour_later_nobody_takes_it(made, officers, code, tmp_path, database_urls):
    """What was agreed to on Monday is not what somebody does on Friday."""
    officer, _, _ = officers
    asked = exporting.ask(made.parts, by=officer.id, reason="an audit")
    house.by_owner(database_urls, "UPDATE list_export SET asked_at = asked_at - interval '61 minutes'")
    with pytest.raises(exporting.Over):
        exporting.take(made.parts, asked.export, str(tmp_path / "out.csv"), by=officer.id, code=code(officer))


def test_a_list_that_grew_since_is_not_taken_alone(made, officers, code, tmp_path):
    """Who asks while the list is short and takes it when it is long has gone round the second person."""
    officer, _, _ = officers
    asked = exporting.ask(made.parts, by=officer.id, reason="an audit")
    house.add_readers(made, tmp_path, PEOPLE)
    with pytest.raises(exporting.NeedsAnother):
        exporting.take(made.parts, asked.export, str(tmp_path / "out.csv"), by=officer.id, code=code(officer))


def test_who_may_not_see_people_asks_in_vain(made, officers):
    """Whoever writes and sends never needs an address."""
    _, _, sender = officers
    with pytest.raises(NotAllowed):
        exporting.ask(made.parts, by=sender.id, reason="curiosity")
    for reason in ("", "  ", "x" * 400):
        with pytest.raises(exporting.NoReason):
            exporting.ask(made.parts, by=officers[0].id, reason=reason)


def test_a_file_that_is_there_is_not_written_over(made, officers, code, tmp_path):
    """A list that lands in somebody else's file is readable by them; a link there would lead it elsewhere."""
    officer, _, _ = officers
    asked = exporting.ask(made.parts, by=officer.id, reason="an audit")
    there, led = tmp_path / "there.csv", tmp_path / "led.csv"
    there.write_text("mine")
    led.symlink_to(tmp_path / "elsewhere.csv")
    for path in (there, led, tmp_path / "no" / "folder.csv"):
        with pytest.raises(exporting.Unwritable):
            exporting.take(made.parts, asked.export, str(path), by=officer.id, code=code(officer))
    assert there.read_text() == "mine"
    assert not (tmp_path / "elsewhere.csv").exists()


def test_a_copy_says_of_which_export_it_is(made, officers, code, tmp_path):
    """When one of our own addresses gets somebody else's mail, we know whose file it was, and when."""
    officer, other, _ = officers
    house.add_readers(made, tmp_path, PEOPLE[:2])
    canaries.settle(made.parts)
    files = []
    for member in (officer, other):
        asked = exporting.ask(made.parts, by=member.id, reason="an audit")
        files.append((asked.export, tmp_path / f"{asked.export}.csv"))
        exporting.take(made.parts, asked.export, str(files[-1][1]), by=member.id, code=code(member))
    ours = [{row["email"] for row in rows(path) if "sarand.example" in row["email"]} for _, path in files]
    assert [len(one) for one in ours] == [2, 2]
    assert not ours[0] & ours[1]
    assert not {one for found in ours for one in found} & set(CANARIES)
    for (export, _), found in zip(files, ours, strict=True):
        for address in found:
            origin = exporting.whose(made.parts, address.upper(), by=officer.id)
            assert origin.export.id == export
    assert exporting.whose(made.parts, CANARIES[0], by=officer.id) == exporting.Origin(None, True)
    assert exporting.whose(made.parts, "lamp+nothing@sarand.example", by=officer.id) == exporting.Origin(None, False)


@pytest.mark.parametrize(
    ("people", "settled"), [(40, True), (40, False), (2, True)], ids=["on the list", "not yet", "side by side"]
)
def test_no_line_of_ours_stands_out(made, officers, code, tmp_path, people, settled):
    """A thief drops the line that breaks the order, or the only one without a name, and nobody hears of the copy."""
    officer, other, _ = officers
    house.add_readers(made, tmp_path, house.addresses(people))
    if settled:
        canaries.settle(made.parts)
    asked, path = exporting.ask(made.parts, by=officer.id, reason="an audit"), tmp_path / "all.csv"
    exporting.approve(made.parts, asked.export, by=other.id, code=code(other))
    taken = exporting.take(made.parts, asked.export, str(path), by=officer.id, code=code(officer))
    lines = rows(path)
    assert (len(lines), taken.people) == (people + 2, people + 2 if settled else people)
    references = [row["reference"] for row in lines]
    assert references == sorted(set(references))
    ours = [row for row in lines if "sarand.example" in row["email"]]
    assert len(ours) == 2
    assert all(row["name"].startswith("Reader ") for row in ours)


def test_who_has_no_name_has_none_beside_the_nameless(made):
    """In a list without names a name stands out as well."""
    bare = listing.Line("a@example.org", "", "en", "UTC", "", "AAAAAAAA", "weekly", "2026-01-01")
    assert listing.alike(bare, [bare, bare]) == bare
    assert listing.alike(bare, []) == bare
    known = replace(bare, name="Ann Bell", postcode="AB1 2CD")
    assert listing.alike(bare, [known]) == known
    assert listing.alike(known, [bare]) == known
    far = replace(known, name="مریم احمدی", language="fa")
    assert listing.alike(bare, [far, known, far]).name == "Ann Bell"


def test_nobody_without_the_keys_can_tell_our_addresses_from_others(made):
    """A thief who could tell would take them out."""
    canary = EmailAddress.parse(CANARIES[0])
    vault = made.parts.database.vault
    tags = {listing.tag(vault, export, canary) for export in range(1, 200)}
    assert len(tags) == 199
    assert {len(one) for one in tags} == {8}


def test_who_left_or_is_suppressed_is_not_taken_out(made, officers, code, tmp_path):
    """A list that moves to another system must not bring back who left this one."""
    officer, _, _ = officers
    house.add_readers(made, tmp_path, PEOPLE[:3])
    [(reader, digest)] = ask(made, "SELECT subscriber_id, digest_id FROM subscription ORDER BY id LIMIT 1")
    leaving.leave(made.parts, made.parts.tokens.leave(reader, digest, 1))
    ask_one = (
        "INSERT INTO suppression (mailbox_id, reason) SELECT max(mailbox_id), 'complaint' FROM subscriber RETURNING 1"
    )
    ask(made, ask_one)
    asked = exporting.ask(made.parts, by=officer.id, reason="an audit", digest="weekly")
    path = tmp_path / "out.csv"
    exporting.take(made.parts, asked.export, str(path), by=officer.id, code=code(officer))
    assert [row["email"] for row in rows(path) if "example.org" in row["email"]] == [PEOPLE[1]]


def test_a_search_leaves_one_row_that_names_nobody(made, officers, tmp_path):
    """Who looks for people is seen to have looked; whom they found is not written down again."""
    officer, _, sender = officers
    house.add_readers(made, tmp_path, PEOPLE, name="Lena Müller")
    looked = replace(Query(), name="lena muller")
    with pytest.raises(NobodyNamed):
        finding.find(made.parts, looked, digest=None, topic=None, by=None, limit=10)
    with pytest.raises(NotAllowed):
        finding.find(made.parts, looked, digest=None, topic=None, by=sender.id, limit=10)
    with pytest.raises(NothingAsked):
        finding.find(made.parts, Query(), digest=None, topic=None, by=officer.id, limit=10)
    before = len(acts(made))
    count, found = finding.find(made.parts, looked, digest="weekly", topic=None, by=officer.id, limit=2)
    assert (count, len(found)) == (6, 2)
    assert found[0]["address"] == "r…@e…"
    assert len(acts(made)) == before + 1
    [(content,)] = ask(made, "SELECT content FROM audit ORDER BY number DESC LIMIT 1")
    assert json.loads(content)["facts"] == {"by_what": ["name", "digest_id"], "found": 6, "shown": 2}
    assert "lena" not in content.lower()


def test_more_than_a_few_are_an_export(made, officers, tmp_path):
    """The whole list by one command, without a second factor, a reason or a word to the others: that is a theft."""
    officer, other, _ = officers
    house.add_readers(made, tmp_path, [f"reader{number}@example.org" for number in range(120)])
    named = Query(name="reader")
    ways = {
        "find": lambda by, limit: finding.find(made.parts, named, digest=None, topic=None, by=by, limit=limit)[1],
        "newest": lambda by, limit: finding.newest(made.parts, digest=None, by=by, limit=limit),
    }
    for look in ways.values():
        with pytest.raises(finding.TooMany):
            look(officer.id, 101)
    assert len(ways["newest"](officer.id, 60)) == 60
    assert len(ways["find"](officer.id, 40)) == 40
    before = len(acts(made))
    for look in ways.values():
        for limit in (2, 1):
            with pytest.raises(finding.SeenEnough):
                look(officer.id, limit)
    assert acts(made)[before:] == ["people.searched"] * 4, "whoever is refused has looked as well"
    refused = ask(made, "SELECT content FROM audit ORDER BY number DESC LIMIT 4")
    told = [json.loads(content)["facts"] for (content,) in refused]
    assert {(one["by_what"][0], one["found"], one["shown"]) for one in told} == {
        ("name", 120, 0), ("newest", 2, 0), ("newest", 1, 0),
    }  # fmt: skip
    house.add_readers(made, tmp_path, ["lena@example.org"], name="Lena")
    found = finding.find(made.parts, Query(name="lena"), digest=None, topic=None, by=officer.id, limit=1)
    assert found[0] == 1, "who is the only one of that name"
    shown = finding.show(made.parts, reference=None, address=EmailAddress.parse(PEOPLE[0]), by=officer.id)
    assert shown, "somebody who writes to us is found on any day"
    assert len(ways["newest"](other.id, 100)) == 100, "each has a day of their own"


def test_what_was_seen_the_day_before_counts_no_more(made, officers, tmp_path):
    """Whoever answers letters looks people up every day."""
    officer, _, _ = officers
    house.add_readers(made, tmp_path, [f"reader{number}@example.org" for number in range(120)])
    with made.parts.database.transaction() as session:
        then = database.now(session) - timedelta(hours=25)
        audit.append(session, "people.searched", by=officer.id, now=then, by_what=["newest"], found=100, shown=100)
    assert len(finding.newest(made.parts, digest=None, by=officer.id, limit=100)) == 100


def test_a_look_at_one_person_or_at_the_newest_is_a_search(made, officers, tmp_path):
    """Whoever shows a person, or lists them, has looked at people: an officer alone may, and each look leaves its row."""
    officer, _, sender = officers
    house.add_readers(made, tmp_path, PEOPLE[:2], name="Lena Müller")
    ways = {
        "show": lambda by: finding.show(made.parts, reference=None, address=EmailAddress.parse(PEOPLE[0]), by=by),
        "newest": lambda by: finding.newest(made.parts, digest="weekly", by=by, limit=10),
    }
    for look in ways.values():
        with pytest.raises(NobodyNamed):
            look(None)
        with pytest.raises(NotAllowed):
            look(sender.id)
    before = len(acts(made))
    shown, listed = (look(officer.id) for look in ways.values())
    assert (shown["address"], len(listed)) == ("r…@e…", 2)
    with pytest.raises(UnknownPerson):
        finding.show(made.parts, reference="ABCDEFGH", address=None, by=officer.id)
    assert acts(made)[before:] == ["people.searched"] * 3
    rows_ = ask(made, "SELECT content FROM audit ORDER BY number DESC LIMIT 3")
    assert [json.loads(content)["facts"] for (content,) in rows_][::-1] == [
        {"by_what": ["address"], "found": 1, "shown": 1},
        {"by_what": ["newest", "digest_id"], "found": 2, "shown": 2},
        {"by_what": ["reference"], "found": 0, "shown": 0},
    ]
    assert not any(word in str(rows_).lower() for word in ("lena", "reader0"))
