"""Readers at risk: what arrives is what was promised them, through the planner, the worker and the wire."""

import json
import re

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter.composer.styles import Style
from newsletter.issues import digests
from newsletter.journeys import alert, drafting, joining, mailing, publish, retracting, styling
from newsletter.ledger import books, locks, variants
from newsletter.subscribers.signup import Wish as Signup
from newsletter.subscribers.styles import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.web import create
from tests import house
from tests.journeys.alerting import read, recipients, status
from tests.journeys.test_translating import send_late

FIRST, MIRROR = "https://first.example", "https://weather.example"
STYLES = {"plain": "", "text": "t", "discreet": "d", "full": "f", "mirror": "m", "all": "dfmt"}
ADDRESSES = {name: f"{name}@example.org" for name in STYLES}
NAMES = ("Sarand", "Weekly", "weekly")
WHOLE = "Fourteen lorries stand at the gate. " * 40
ALERT = (
    "---\nsubject: Lorries at Sarand\naction: Look | https://first.example/help\n---\n"
    "Dear {{ name }}, fourteen lorries stand at the gate. [Ask](https://first.example/privacy).\n"
)


@pytest.fixture
def made(tmp_path, database_urls, sink):
    built = house.build(tmp_path, database_urls, f"{sink.url}?connections=2", mirror_url=MIRROR, base_url=FIRST)
    yield built
    built.close()


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "alert.md"
    path.write_text(ALERT)
    return [str(path)]


def at(made, address):
    """Return the number of the reader of an address."""
    with made.parts.database.transaction() as session:
        from newsletter.addresses import EmailAddress
        from newsletter.subscribers import people

        return people.find_by_address(session, EmailAddress.parse(address)).id


def choose(made, address, code, *, nameless=False):
    with made.parts.database.transaction() as session:
        styling.apply(session, at(made, address), Wish(Style.parse(code), nameless=nameless))


def everyone(made, tmp_path):
    """Bring in a reader of each style."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    for name, code in STYLES.items():
        choose(made, ADDRESSES[name], code)


def article(made, tmp_path):
    item = {
        "id": "1",
        "url": "https://sarand.example/1",
        "title": "Lorries at Sarand",
        "content_html": f"<p>{WHOLE}</p><p>The <b>end</b> of it.</p>",
        "date_published": "2026-06-01T08:00:00Z",
    }
    path = tmp_path / "feed.json"
    path.write_text(json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "Sarand", "items": [item]}))
    publish.import_articles(made.parts, str(path), as_news=True)


def arrived(sink, name):
    """Return the one mail that a reader of a style has."""
    (message,) = sink.messages_for(ADDRESSES[name])
    return read(message)


def parts_of(message):
    """Return the parts of a mail by type."""
    return {one.get_content_type(): one.get_content() for one in message.walk() if not one.is_multipart()}


def links(message):
    """Return every address that a mail holds, in its head and its parts."""
    fields = "\n".join(str(value) for value in message.values())
    return set(re.findall(r"https?://[^\s\"<>()]+", "\n".join((fields, *parts_of(message).values()))))


def check_all(sink):
    """What holds for each style, whatever the mail is about."""
    for name, code in STYLES.items():
        message = arrived(sink, name)
        found = parts_of(message)
        assert ("text/html" in found) is ("t" not in code), name
        assert message.is_multipart() is ("t" not in code), name
        assert "Sarand" in found["text/plain"], "the facts reach everybody"
        assert "7 Lantern Yard, London" in found["text/plain"], "and who sends it, by law"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        host = MIRROR if "m" in code else FIRST
        assert f"<{host}/u/" in message["List-Unsubscribe"], name
        ours = {link for link in links(message) if not link.startswith("https://sarand.example/")}
        assert all(link.startswith(f"{host}/") for link in ours), (name, ours)
        assert len(ours) > 3
        if "d" in code:
            check_discreet(message, found)
        else:
            assert message["From"].addresses[0].display_name == "Friends of Sarand"


def check_discreet(message, found):
    """Nothing that an inbox or a locked telephone shows says whose mail it is."""
    assert message["From"].addresses[0].display_name == "News"
    assert re.fullmatch(r"Your reading for \d+ \w+ \d{4}", message["Subject"])
    # The address says what it says, and with it whatever must be at its domain.
    fields = {name: value.replace("sarand.example", "").replace("sarandexample", "") for name, value in message.items()}
    for name in NAMES:
        assert not any(name in value for value in fields.values()), name
        assert name not in found["text/plain"][:140]
    assert message["List-Id"].endswith("<list-1.sarand.example>")
    if "text/html" in found:
        above, _, footer = found["text/html"].partition('class="foot"')
        assert "Friends of Sarand" not in above
        assert "Friends of Sarand" in footer
        assert re.search(r'preheader"[^>]*>Good day', found["text/html"])


def test_an_issue_comes_to_each_in_their_style(made, sink, tmp_path):
    """The promise made on the page of preferences, kept on the wire."""
    everyone(made, tmp_path)
    article(made, tmp_path)
    composed = publish.compose(made.parts, house.DIGEST)
    assert composed.variants == len(STYLES)
    publish.send(made.parts, composed.issue)
    made.deliver("bulk", seconds=10)
    check_all(sink)
    for name, code in STYLES.items():
        found = parts_of(arrived(sink, name))
        assert all(("end of it" in re.sub(r"<[^>]+>", "", part)) is ("f" in code) for part in found.values()), name
        assert all(("sarand.example/1" in part) is ("f" not in code) for part in found.values()), name


def test_an_alert_and_what_takes_it_back_come_to_each_in_their_style(made, sink, tmp_path, words):
    """The most dangerous mail is the urgent one: it comes when nobody has time to look who stands behind them."""
    everyone(made, tmp_path)
    number = alert.send(made.parts, words, digest_key=house.DIGEST)
    with made.parts.database.transaction() as session:
        # Of an alert there is no fuller version, since it is whole already.
        assert sorted(variants.styles(session, number)) == ["", "d", "dmt", "m", "t"]
    made.deliver("urgent", seconds=10)
    check_all(sink)
    assert "Dear Reader 0" in parts_of(arrived(sink, "plain"))["text/plain"]
    sink.messages.clear()
    retracting.retract(made.parts, number, patience_seconds=10)
    made.deliver("urgent", seconds=10)
    check_all(sink)
    assert all("We take our alert back" in parts_of(arrived(sink, name))["text/plain"] for name in STYLES)
    assert status(made, number).planned == len(STYLES)


def test_an_ordinary_mailing_comes_to_each_in_their_style(made, sink, tmp_path, words):
    """Discretion that one kind of mail does not know is none."""
    everyone(made, tmp_path)
    path = tmp_path / "mailing.md"
    path.write_text(
        "---\nsubject: A word from Sarand\n---\nThe replies of Sarand are [here](https://first.example/help).\n"
    )
    drafted = mailing.draft(made.parts, str(path), digest_key=house.DIGEST)
    publish.release(made.parts, drafted.mailing)
    made.deliver("bulk", seconds=10)
    check_all(sink)


def test_the_links_of_the_second_host_lead_to_pages(made, sink, tmp_path, database_urls, words):
    """A mirror whose links end in nothing is no mirror: leaving, preferences and the alert are answered there."""
    everyone(made, tmp_path)
    number = alert.send(made.parts, words, digest_key=house.DIGEST)
    made.deliver("urgent", seconds=10)
    mail = arrived(sink, "mirror")
    web = house.build(tmp_path, database_urls, sink.url, web=True, mirror_url=MIRROR, base_url=FIRST)
    with TestClient(create(web), base_url=MIRROR) as client:
        for link in links(mail):
            if link.startswith(f"{MIRROR}/"):
                assert client.get(link).status_code == 200, link
        page = client.get(f"/alerts/{number}/en").text
        assert f'rel="canonical" href="{MIRROR}/alerts/{number}/en"' in page
        assert FIRST not in page.replace("https://first.example/privacy", "").replace("https://first.example/help", "")
        first = client.get(f"/alerts/{number}/en", headers={"host": "evil.example"}).text
        assert f"https://first.example/alerts/{number}/en" in first, "a host that a request names is not printed"
        assert "evil.example" not in first
        leave = next(link for link in links(mail) if "/u/" in link)
        assert client.post(leave).status_code == 200
    web.close()
    made.deliver("urgent", seconds=1)
    with made.parts.database.transaction() as session:
        left = "SELECT count(*) FROM subscription WHERE ended_at IS NOT NULL"
        assert session.execute(text(left)).scalar_one() == 1


def test_a_style_chosen_after_the_lock_gets_what_does_all_of_it(made, sink, tmp_path, words):
    """What was locked stays as it was signed; who chose meanwhile gets the version that shows least, and gets it now."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    choose(made, ADDRESSES["discreet"], "d")
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST)
    locked = alert.lock(made.parts, number)
    choose(made, ADDRESSES["text"], "t")
    assert alert.release(made.parts, number).value == "sending"
    made.deliver("urgent", seconds=10)
    assert status(made, number).planned == len(STYLES)
    assert alert.standing(made.parts, number).locked.fingerprint == locked.fingerprint
    late = arrived(sink, "text")
    check_discreet(late, parts_of(late))
    assert not late.is_multipart()
    assert arrived(sink, "plain").is_multipart()


def test_a_style_chosen_between_the_draft_and_the_lock_is_composed_with_the_lock(made, sink, tmp_path, words):
    """A draft may lie for an afternoon: who chooses meanwhile has a version of their own."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST)
    choose(made, ADDRESSES["discreet"], "d")
    alert.lock(made.parts, number)
    with made.parts.database.transaction() as session:
        manifest = locks.current(session, number)
    assert [(one.number, one.language, one.style) for one in manifest.versions] == [
        (1, "en", ""),
        (2, "en", "d"),
        (3, "en", "dmt"),
    ]
    assert [one.style for one in manifest.retraction] == ["", "d", "dmt"]
    assert {one.words for one in manifest.versions} == {ALERT}
    alert.release(made.parts, number)
    made.deliver("urgent", seconds=10)
    found = arrived(sink, "discreet")
    check_discreet(found, parts_of(found))


def test_an_alert_and_what_takes_it_back_are_completed_each_by_itself(made, tmp_path, words):
    """Somebody may choose while the one is written and the other is not: neither may lack a version, or have it twice."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    choose(made, ADDRESSES["discreet"], "d")
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST)
    with made.parts.database.transaction() as session:
        session.execute(text("DELETE FROM variant WHERE mailing_id <> :alert AND style <> ''"), {"alert": number})
    alert.lock(made.parts, number)
    with made.parts.database.transaction() as session:
        manifest = locks.current(session, number)
    assert [one.style for one in manifest.versions] == ["", "d", "dmt"]
    assert [one.style for one in manifest.retraction] == ["", "d", "dmt"]


def test_where_nothing_does_what_a_reader_asked_they_get_nothing_and_the_books_say_so(made, sink, tmp_path, words):
    """The first reader of all who asks for discretion, minutes after a lock: a mail that names us would be worse than none."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST)
    alert.lock(made.parts, number)
    choose(made, ADDRESSES["discreet"], "d")
    alert.release(made.parts, number)
    made.deliver("urgent", seconds=10)
    assert sink.messages_for(ADDRESSES["discreet"]) == []
    found = status(made, number)
    assert (found.planned, found.excluded) == (len(STYLES) - 1, {"no version in their style": 1})
    sink.messages.clear()
    composed = publish.compose(made.parts, house.DIGEST)
    publish.send(made.parts, composed.issue)
    made.deliver("bulk", seconds=10)
    later = arrived(sink, "discreet")
    check_discreet(later, parts_of(later))
    assert "fourteen lorries" in parts_of(later)["text/plain"], "what they missed stands in their next issue"
    assert recipients(sink, back=False) == [ADDRESSES["discreet"]], "the others have had it"


@pytest.mark.parametrize("kind", ["alert", "digest"])
def test_a_style_that_was_chosen_after_planning_stops_what_would_show_more(made, sink, tmp_path, words, kind):
    """Somebody presses the button because somebody is coming: what lies in a queue must not arrive an hour later."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    number = planned(made, tmp_path, words, kind)
    choose(made, ADDRESSES["discreet"], "d")
    choose(made, ADDRESSES["full"], "f")
    made.deliver("urgent" if kind == "alert" else "bulk", seconds=10)
    assert sink.messages_for(ADDRESSES["discreet"]) == []
    # An alert is whole as it is; of an issue the whole texts come with the next.
    assert len(sink.messages_for(ADDRESSES["full"])) == (1 if kind == "alert" else 0)
    assert len(sink.messages_for(ADDRESSES["plain"])) == 1
    assert status(made, number).cancelled == (1 if kind == "alert" else 2)


def planned(made, tmp_path, words, kind):
    if kind == "alert":
        return alert.send(made.parts, words, digest_key=house.DIGEST)
    article(made, tmp_path)
    composed = publish.compose(made.parts, house.DIGEST)
    publish.send(made.parts, composed.issue)
    return composed.mailing


def test_a_style_that_is_chosen_while_rows_are_written_is_seen_before_they_go(made, sink, tmp_path, words):
    """Planning a million takes a minute, and looks at wishes as they were when it began."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    number = alert.send(made.parts, words, digest_key=house.DIGEST)
    house_wish = "UPDATE subscriber SET style = 'd' WHERE id = :id"
    with made.parts.database.transaction() as session:
        session.execute(text(house_wish), {"id": at(made, ADDRESSES["discreet"])})
    made.deliver("urgent", seconds=10)
    assert sink.messages_for(ADDRESSES["discreet"]) == []
    assert len(sink.messages) == len(STYLES) - 1
    with made.parts.database.transaction() as session:
        reasons = session.execute(text("SELECT reason FROM delivery WHERE state = 'cancelled'")).scalars().all()
        assert reasons == ["no version in their style"]
        assert books.faults(session, number) == []


def test_what_takes_an_alert_back_comes_in_the_style_of_now(made, sink, tmp_path, words):
    """Who had the alert in the open and is at risk since then must not be named by its retraction."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    choose(made, ADDRESSES["text"], "t")
    number = alert.send(made.parts, words, digest_key=house.DIGEST)
    made.deliver("urgent", seconds=10)
    assert arrived(sink, "discreet")["From"].addresses[0].display_name == "Friends of Sarand"
    sink.messages.clear()
    choose(made, ADDRESSES["discreet"], "d")
    choose(made, ADDRESSES["text"], "")
    retracting.retract(made.parts, number, patience_seconds=10)
    made.deliver("urgent", seconds=10)
    back = arrived(sink, "discreet")
    check_discreet(back, parts_of(back))
    assert arrived(sink, "text").is_multipart()
    assert len(sink.messages) == len(STYLES)


def test_a_language_that_comes_later_has_the_styles_too(made, sink, tmp_path):
    """A reader who waits for Persian asked for discretion in Persian."""
    with made.parts.database.transaction() as session:
        digests.add(session, "two", name="Two of Sarand", languages=("en", "fa"), rhythm=Rhythm.WEEKLY)
    house.add_readers(made, tmp_path, list(ADDRESSES.values()), digest="two")
    for name in ("discreet", "mirror"):
        choose(made, ADDRESSES[name], STYLES[name])
    with made.parts.database.transaction() as session:
        persian = [at(made, ADDRESSES[name]) for name in ("discreet", "text", "plain")]
        session.execute(text("UPDATE subscriber SET language = 'fa' WHERE id = ANY(:ids)"), {"ids": persian})
    files = {}
    for language, headline in (("en", "Lorries"), ("fa", "کامیون‌ها")):
        files[language] = tmp_path / f"{language}.md"
        files[language].write_text(f"---\nsubject: {headline}\nlanguage: {language}\n---\n{headline} in Sarand.\n")
    number = alert.send(made.parts, [str(files["en"])], digest_key="two", later=["fa"])
    made.deliver("urgent", seconds=10)
    assert len(sink.messages) == 3
    send_late(made, [str(files["fa"])], number, also_had=True)
    made.deliver("urgent", seconds=10)
    discreet = arrived(sink, "discreet")
    assert discreet["From"].addresses[0].display_name == "خواندنی‌ها"
    assert "خواندنی‌های شما برای" in discreet["Subject"]
    assert "کامیون‌ها" in parts_of(discreet)["text/plain"]
    assert "کامیون‌ها" in arrived(sink, "plain")["Subject"]
    assert "Friends" not in "".join(parts_of(discreet)["text/html"].partition('class="foot"')[0])


def test_a_greeting_without_a_name_is_a_friend_s(made, sink, tmp_path, words):
    """Whoever does not want to be named is not named in the first line."""
    house.add_readers(made, tmp_path, [ADDRESSES["plain"]])
    choose(made, ADDRESSES["plain"], "", nameless=True)
    alert.send(made.parts, words, digest_key=house.DIGEST)
    made.deliver("urgent", seconds=10)
    assert "Dear friend," in parts_of(arrived(sink, "plain"))["text/plain"]


def test_a_question_comes_in_the_style_of_whoever_reads_us_already(made, sink, tmp_path):
    """Anybody may type their address into the form: the mail that asks must show no more than any other."""
    house.add_readers(made, tmp_path, list(ADDRESSES.values()))
    choose(made, ADDRESSES["discreet"], "d")
    for name in ("discreet", "plain"):
        joining.ask(made.parts, Signup(ADDRESSES[name], "en", {"weekly": "weekly"}))
    joining.work(made.parts)
    made.deliver("transactional", seconds=5)
    asked = arrived(sink, "discreet")
    assert asked["From"].addresses[0].display_name == "News"
    assert "Sarand" not in asked["Subject"]
    assert arrived(sink, "plain")["From"].addresses[0].display_name == "Friends of Sarand"
