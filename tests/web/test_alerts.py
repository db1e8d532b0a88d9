"""An alert on two phones: written on one, approved on the other, sent; over the pages' own database role, without JavaScript."""

import email
import email.policy
import html
import re
import time
from dataclasses import replace

import pytest
from webauthn.helpers import bytes_to_base64url

from newsletter.issues import digests
from newsletter.journeys import desk as desk_
from newsletter.journeys import drilling, errands
from newsletter.operators.roles import Role
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.templating import Templates
from tests import house
from tests.fakes import desk as at_desk
from tests.fakes.authenticator import Authenticator
from tests.web import visiting
from tests.web.visiting import BASE, acts, inside, rows, step

WORDS = {
    "digest": "weekly",
    "subject-en": "Lorries at Sarand",
    "text-en": "Fourteen lorries stand at the gate of Sarand.\n\n- Call your MP.",
    "label-en-0": "Write to your MP",
    "url-en-0": "https://sarand.example/act",
}


@pytest.fixture
def few():
    """Up to how many readers one person may send in these tests."""
    return 2


@pytest.fixture
def worker(tmp_path, database_urls, sink, few):
    made = house.build(tmp_path, database_urls, sink.url, base_url=BASE, one_person_up_to=few, codes_up_to=5)
    yield made
    made.close()


@pytest.fixture
def made(worker, tmp_path, database_urls, sink, few):
    made = house.build(tmp_path, database_urls, sink.url, web=True, base_url=BASE, one_person_up_to=few, codes_up_to=5)
    yield made
    made.close()


@pytest.fixture
def desk(worker):
    """The desk's worker, at its work."""
    with at_desk.working(worker):
        yield


@pytest.fixture
def readers(worker, tmp_path):
    """Add so many readers."""
    return lambda count: house.add_readers(worker, tmp_path, house.addresses(count))


@pytest.fixture
def author(browse, crew, now):
    return inside(browse, crew, now, Role.SENDER)[1]


@pytest.fixture
def trustee(browse, crew, now):
    """Another operator and their phone's browser."""
    return inside(browse, crew, now, Role.APPROVER)


def written(author, **more):
    """Write an alert and return its number."""
    author.open("/console/alerts/new")
    author.post("/console/alerts", **(WORDS | more))
    return int(re.fullmatch(r"/console/alerts/(\d+)", author.path)[1])


def fingerprint(browser):
    return re.search(r'name="fingerprint" value="([0-9a-f]{64})"', browser.text)[1]


def test_written_on_one_phone_approved_on_another_and_sent(author, trustee, desk, readers, worker, sink, now):
    """The whole night, as it should go."""
    readers(4)
    number = written(author)
    here = f"/console/alerts/{number}"
    assert "4 readers" in author.text
    author.post(f"{here}/lock")
    assert "waits for somebody" in author.text
    code = re.search(r'class="figure">([0-9a-f ]{14})<', author.text)[1]
    assert "Send now" not in author.text
    member, phone = trustee
    phone.open(here)
    assert "Read and approve" in phone.text
    phone.open(f"{here}/approve")
    assert "Fourteen lorries" in phone.text
    assert code in phone.text
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="totp", answer=step(member, now, 1))
    assert (phone.problem, phone.path) == ("", here)
    assert "Approved" in phone.text
    author.open(here)
    author.post(f"{here}/release")
    assert "On its way" in author.text
    assert "0 of 4 handed over" in author.text
    worker.deliver("urgent")
    assert len(sink.messages) == 4
    assert "4 of 4 handed over" in author.open(here).text
    assert [act for act in acts(worker) if act.startswith("alert.")] == [
        "alert.drafted",
        "alert.locked",
        "alert.signed",
        "alert.approved",
        "alert.released",
        "alert.vouched",
    ]


def test_the_lamp_of_the_lane_stands_above_the_alerts(author, worker, readers, sink):
    """Whoever opens this page at night has one look to know whether the way is clear."""
    assert "lane never tried" in author.open("/console/alerts").text
    readers(3)
    drilling.drill(worker.parts)
    worker.deliver("urgent")
    drilling.look(worker.parts)
    shown = author.open("/console/alerts").text
    assert re.search(r'class="soft" role="status">The urgent lane: lane proved .* reach 3, quota enough', shown)


def test_few_readers_are_sent_to_by_one(author, desk, readers, worker, sink):
    """No second person where the rules ask for none."""
    readers(2)
    number = written(author)
    author.post(f"/console/alerts/{number}/lock")
    assert "Send now to 2 readers" in author.text
    author.post(f"/console/alerts/{number}/release")
    worker.deliver("urgent")
    assert len(sink.messages) == 2


def test_nobody_approves_their_own_on_a_page(browse, crew, now, desk, readers, worker):
    """Both roles in one person: the page says so, and a forged form does no better."""
    readers(4)
    member, browser = inside(browse, crew, now, Role.SENDER, Role.APPROVER)
    number = written(browser)
    here = f"/console/alerts/{number}"
    browser.post(f"{here}/lock")
    assert "Read and approve" not in browser.text
    browser.open(f"{here}/approve")
    assert "You locked this yourself" in browser.text
    print_ = rows(worker, "SELECT encode(fingerprint, 'hex') FROM lock")[0][0]
    browser.post(f"{here}/approve", fingerprint=print_, factor="totp", answer=step(member, now, 1))
    assert "Nobody approves" in browser.problem
    browser.post(f"{here}/release", seen=print_)
    assert "Another of the team approves" in browser.problem


def test_what_changed_while_somebody_read_is_not_approved(author, trustee, desk, readers, now):
    """The author corrects a figure in the minute in which the approver reads."""
    readers(4)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    member, phone = trustee
    seen = fingerprint(phone.open(f"{here}/approve"))
    author.open(f"{here}/edit")
    assert "Fourteen lorries" in author.text
    author.post(f"{here}/edit", **(WORDS | {"text-en": "Forty lorries stand at the gate of Sarand."}))
    author.post(f"{here}/lock")
    phone.post(f"{here}/approve", fingerprint=seen, factor="totp", answer=step(member, now, 1))
    assert "locked anew while you were reading" in phone.problem
    assert "+Forty lorries" in phone.text
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="totp", answer=step(member, now, 1))
    assert "Approved" in phone.text


def test_many_readers_take_a_passkey_over_the_fingerprint(author, trustee, desk, readers, worker, crew, sink, now):
    """Six readers here, ten thousand and one elsewhere."""
    from newsletter import database
    from newsletter.journeys import team
    from newsletter.operators import factors, passkeys
    from newsletter.operators.passkeys import Site

    readers(6)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    member, phone = trustee
    phone.open(f"{here}/approve")
    assert "So many readers need a passkey" in phone.text
    key = Authenticator("news.sarand.example", BASE)
    site = Site("news.sarand.example", BASE, "x")
    with crew.worker.transaction() as session:
        options = passkeys.creation(site, handle=b"1" * 16, account="x", challenge=b"c" * 32, have=[])
        known = passkeys.created(site, key.create(options), challenge=b"c" * 32)
        factors.add_passkey(session, member.id, known, label="phone", now=database.now(session))
    phone.open(f"{here}/approve")
    answer = key.get(phone.options())
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="passkey", answer=answer)
    assert "pinned" in phone.problem
    team.pin(worker.parts, worker.settings.pins)
    wrong = key.sign(bytes_to_base64url(bytes(32)))
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="passkey", answer=wrong)
    assert "not one of this alert" in phone.problem
    answer = key.get(phone.options())
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="passkey", answer=answer)
    assert "Approved" in phone.text
    author.open(here)
    author.post(f"{here}/release")
    worker.deliver("urgent")
    assert len(sink.messages) == 6


def test_roles_see_and_do_what_is_theirs(browse, crew, now, author, desk, readers):
    """A writer locks nothing, an approver writes nothing, and nobody's page offers what would be refused."""
    readers(4)
    number = written(author)
    here = f"/console/alerts/{number}"
    _, writer = inside(browse, crew, now, Role.WRITER)
    writer.open(here)
    assert "Lock it" not in writer.text
    assert writer.post(f"{here}/lock").page.status_code == 403
    _, auditor = inside(browse, crew, now, Role.AUDITOR)
    assert auditor.open("/console/alerts/new").page.status_code == 403
    assert auditor.open(f"{here}/approve").page.status_code == 403
    assert auditor.open(here).page.status_code == 200


def test_what_was_typed_is_kept_when_it_is_refused(author, desk):
    """Nobody writes a text twice at night because a link lacked its https."""
    author.open("/console/alerts/new")
    author.post("/console/alerts", **(WORDS | {"url-en-0": "sarand.example/act"}))
    assert author.problem
    assert "Fourteen lorries" in author.text
    assert 'value="sarand.example/act"' in author.text
    author.post("/console/alerts", **(WORDS | {"text-en": "", "subject-en": "", "label-en-0": "", "url-en-0": ""}))
    assert "Write a subject and a text" in author.problem
    author.post("/console/alerts", **(WORDS | {"text-en": "Hello {{ nmae }}"}))
    assert "nmae" in author.problem
    assert "Hello {{ nmae }}" in author.text


def test_the_check_list_names_what_a_tired_person_overlooks(author, desk, readers, worker):
    """A dead link, a name in two spellings."""
    readers(4)
    number = written(
        author, **{"text-en": "They are held at Sarand. Call Sarrand now.", "url-en-0": "https://127.0.0.1:9/act"}
    )
    at_desk.rest(worker)
    assert "They are being tried" not in author.open(f"/console/alerts/{number}").text
    assert "“Sarand”: elsewhere it is “Sarrand”" in author.text
    assert "https://127.0.0.1:9/act" in author.text
    assert "answers" not in author.text.partition("Links")[2].partition("Names")[0]


def test_a_preview_is_the_mail_in_a_sandbox_with_links_that_do_nothing(author, desk, readers, worker):
    """Whoever presses unsubscribe in a preview must not unsubscribe anybody."""
    readers(1)
    number = written(author, **{"text-en": "Dear {{ name }}, lorries."})
    page = author.open(f"/console/alerts/{number}/preview/1?name=Ann%3Cb%3E").page
    assert "Dear Ann&lt;b&gt;, lorries." in page.text
    assert "sandbox" in page.headers["content-security-policy"]
    for link in re.findall(r'href="[^"]*/(u/[^"]+)"', page.text):
        visiting.Browser(author.client).open(f"/{link}")
        author.client.post(f"/{link}")
    assert rows(worker, "SELECT count(*) FROM subscription WHERE ended_at IS NOT NULL") == [(0,)]
    assert author.open(f"/console/alerts/{number}/preview/2").page.status_code == 404


def test_a_page_that_waits_goes_on_by_itself(author, readers, worker):
    """The desk is busy for a minute: nobody presses twice."""
    readers(1)
    author.open("/console/alerts/new")
    author.post("/console/alerts", **WORDS)
    assert author.path.startswith("/console/alerts/errands/")
    assert author.page.headers["refresh"]
    errands.run(worker.parts)
    author.open(author.path)
    assert re.fullmatch(r"/console/alerts/\d+", author.path)


def test_an_errand_is_shown_to_whoever_asked(author, browse, crew, now, readers):
    """What one person asked for is not another's to see."""
    readers(1)
    author.open("/console/alerts/new")
    author.post("/console/alerts", **WORDS)
    _, other = inside(browse, crew, now, Role.SENDER)
    assert other.open(author.path).page.status_code == 404


def test_a_mistake_is_taken_back_by_one_thumb(author, browse, crew, now, desk, readers, worker, sink):
    """Whoever sees it may: stopped, off the page, and everybody who has it is told."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    worker.deliver("urgent")
    assert f'href="{BASE}/alerts/{number}/en"' in plain(sink.messages[0])
    assert "Fourteen lorries" in author.open(f"/alerts/{number}/en").text
    _, auditor = inside(browse, crew, now, Role.AUDITOR)
    auditor.open(here)
    auditor.post(f"{here}/retract")
    assert "Taken back" in auditor.text
    worker.deliver("urgent")
    assert [message.recipient for message in sink.messages] == [*house.addresses(2), *house.addresses(2)]
    time.sleep(0.5)
    assert "We take our alert back" in author.open(f"/alerts/{number}/en").text


def plain(message):
    """Return the HTML part of a message as it was written."""
    parsed = email.message_from_bytes(message.content, policy=email.policy.default)
    return parsed.get_body(("html",)).get_content()


def test_it_is_paused_let_go_on_and_stopped(author, browse, crew, now, desk, readers, worker, sink):
    """The four lines, and two buttons that anyone of the team may press, without a code."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    _, auditor = inside(browse, crew, now, Role.AUDITOR)
    auditor.open(here)
    auditor.post(f"{here}/pause")
    assert "Paused" in auditor.text
    worker.deliver("urgent")
    assert sink.messages == []
    assert auditor.post(f"{here}/resume").page.status_code == 403
    author.open(here)
    author.post(f"{here}/resume")
    assert "On its way" in author.text
    auditor.open(here)
    auditor.post(f"{here}/stop")
    assert "Stopped" in auditor.text
    worker.sweep()
    worker.deliver("urgent")
    assert sink.messages == []
    assert "still to go" not in author.open(here).text


def test_a_draft_is_given_up(author, desk, readers, worker):
    """Morning: nobody needs it any more."""
    readers(2)
    number = written(author)
    author.post(f"/console/alerts/{number}/stop")
    assert "Given up" in author.text
    author.post(f"/console/alerts/{number}/stop")
    assert (author.page.status_code, author.problem) == (200, "")


def test_a_text_begins_with_a_frame_and_keeps_its_name(author, desk, readers, worker):
    """At night nobody finds words: two people found them in the evening."""
    readers(1)
    assert "raid" in author.open("/console/alerts/new").text
    author.open("/console/alerts/new?frame=raid")
    text = html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", author.text, re.DOTALL)[1])
    assert "{{ how many }} people" in text
    filled = re.sub(r"\{\{.*?\}\}", "Eleven hundred", text)
    author.post(
        "/console/alerts",
        digest="weekly",
        **{"frame-en": "raid", "subject-en": "Eleven hundred are in danger at Eleven hundred", "text-en": filled},
    )
    assert author.problem == ""
    number = int(author.path.rpartition("/")[2])
    author.post(f"/console/alerts/{number}/lock")
    assert author.problem == ""
    frames = rows(worker, "SELECT manifest::jsonb -> 'versions' -> 0 ->> 'frame' FROM lock")
    assert frames[0][0].startswith("raid")
    assert author.open("/console/alerts/new?frame=nowhere").page.status_code == 404


def test_an_alert_in_two_languages_begins_with_a_frame_in_each(author, desk, readers, worker, tmp_path):
    """A mandate for the night wants a frame of every language, and the phone is where they are filled."""
    readers(1)
    with worker.parts.database.transaction() as session:
        digests.add(session, "hafte", name="Hafte", languages=("en", "fa"), rhythm=Rhythm.WEEKLY)
    house.add_readers(worker, tmp_path, ["ann@example.org"], digest="hafte")
    author.open("/console/alerts/new?frame=raid")
    [further] = re.findall(r'href="([^"]*frame=raid&amp;frame=raid-fa)"', author.text)
    assert 'href="/console/alerts/new?frame=transport"' in author.text, (
        "in the same language it takes the other's place"
    )
    author.open(html.unescape(further))
    found = dict(re.findall(r'<textarea id="text-(\w\w)"[^>]*>(.*?)</textarea>', author.text, re.DOTALL))
    subjects = dict(re.findall(r'id="subject-(\w\w)"[^>]*value="([^"]*)"', author.text))
    assert re.findall(r'name="frame-(\w\w)" value="([^"]*)"', author.text) == [("en", "raid"), ("fa", "raid-fa")]

    def filled(text):
        return re.sub(r"\{\{.*?\}\}", "Sarand", html.unescape(text))

    fields = {f"text-{code}": filled(text) for code, text in found.items()}
    fields |= {f"subject-{code}": filled(subjects[code]) for code in found}
    author.post("/console/alerts", digest="hafte", **{"frame-en": "raid", "frame-fa": "raid-fa"}, **fields)
    assert author.problem == ""
    author.post(f"/console/alerts/{int(author.path.rpartition('/')[2])}/lock")
    assert author.problem == ""
    [(versions,)] = rows(worker, "SELECT manifest::jsonb -> 'versions' FROM lock")
    assert [one["frame"].partition("@")[0] for one in versions] == ["raid", "raid-fa"]


def test_a_frame_that_is_none_hides_no_other(tmp_path, author, worker, made):
    """Somebody saved a half-written one this evening: the form opens all the same."""
    assert desk_.frames_in(worker.parts) == {
        "en": ["raid", "transport"],
        "fa": ["raid-fa", "transport-fa"],
        "ar": ["raid-ar", "transport-ar"],
    }
    own = tmp_path / "own"
    (own / "frames").mkdir(parents=True)
    (own / "frames" / "half.md").write_text("Nothing yet")
    broken = replace(worker.parts.house, frames=Templates(own).source, framed=lambda: ["half", "raid-fa"])
    assert desk_.frames_in(replace(worker.parts, house=broken)) == {"en": ["half"], "fa": ["raid-fa"]}


def test_nobody_locks_or_overwrites_what_was_not_before_their_eyes(author, browse, crew, now, desk, readers):
    """A colleague corrects the text in the minute in which it is locked: two people must not each think it is the other's."""
    readers(4)
    number = written(author)
    here = f"/console/alerts/{number}"
    _, other = inside(browse, crew, now, Role.SENDER)
    other.open(f"{here}/edit")
    stale = inside(browse, crew, now, Role.SENDER)[1].open(f"{here}/edit")
    other.post(f"{here}/edit", **(WORDS | {"text-en": "Send money to me."}))
    author.post(f"{here}/lock")
    assert "while you were reading" in author.problem
    assert "Send money to me." in author.text
    stale.post(f"{here}/edit", **(WORDS | {"text-en": "Older words."}))
    assert "while you were reading" in stale.problem
    assert "Older words." in stale.text


def test_one_sends_alone_by_a_code_of_their_own(browse, crew, now, desk, readers, worker, sink):
    """Nobody can be reached: what an approval would ask, and a quarter of an hour in which everyone may stop it."""
    readers(4)
    member, browser = inside(browse, crew, now, Role.SENDER)
    number = written(browser)
    here = f"/console/alerts/{number}"
    browser.post(f"{here}/lock")
    assert f'href="{here}?alone=1"' in browser.text
    seen = fingerprint(browser.open(f"{here}?alone=1"))
    browser.post(f"{here}/alone", fingerprint=seen, factor="totp", answer="000000")
    assert "not right" in browser.problem
    browser.post(f"{here}/alone", fingerprint=seen, factor="totp", answer=step(member, now, 1))
    assert "goes at" in browser.text
    assert 850 < int(browser.page.headers["refresh"]) <= 901
    worker.deliver("urgent")
    assert sink.messages == []


def test_nobody_sends_what_was_not_before_their_eyes(author, browse, crew, now, desk, readers, worker, sink):
    """A colleague corrects and locks it anew; the thumb on the older page must not send words it never read."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    _, other = inside(browse, crew, now, Role.SENDER)
    other.open(f"{here}/edit")
    other.post(f"{here}/edit", **(WORDS | {"text-en": "Forty lorries stand at the gate of Sarand."}))
    other.post(f"{here}/lock")
    author.post(f"{here}/release")
    assert "while you were reading" in author.problem
    assert "Forty lorries" in author.text
    worker.deliver("urgent")
    assert sink.messages == []
    author.post(f"{here}/release")
    worker.deliver("urgent")
    assert (author.problem, len(sink.messages)) == ("", 2)
