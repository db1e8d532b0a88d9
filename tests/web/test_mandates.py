"""Watch mandates as people use them: written and signed on phones in the evening, used by one at night, ended by anyone."""

import html
import re

import pytest
from starlette.testclient import TestClient

from newsletter import database
from newsletter.journeys import errands, team
from newsletter.operators import factors, passkeys, people
from newsletter.operators.audit import SHELL
from newsletter.operators.passkeys import Site
from newsletter.operators.roles import Role
from newsletter.web import create
from tests import house
from tests.fakes.authenticator import Authenticator
from tests.web import evenings
from tests.web.evenings import crew as crew
from tests.web.evenings import database_urls as database_urls
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import fingerprint, written
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import worker as worker
from tests.web.visiting import BASE, Browser, acts, inside, rows, step

ASKED = {
    "digest": "weekly",
    "cause": "Sarand camp",
    "until": "08:00",
    "frame": "raid",
    "most_alerts": "2",
    "most_readers": "5",
}
LARGE = {"most_readers": "50"}


def gathered(stage):
    """Tell how a holder and two trustees log in, of an alert that four readers are to have; leave the three."""
    stage.readers(4)
    roles = (Role.SENDER, Role.APPROVER, Role.APPROVER)
    return [inside(stage.browse, stage.crew, stage.now, role) for role in roles]


def agreed(stage):
    """Tell how they go on to a mandate that both trustees sign; leave the three."""
    team = gathered(stage)
    member, phone = team[0]
    signed(asked(phone, member), team[1:], stage.now)
    return team


@pytest.fixture(scope="module")
def before(servers, tmp_path_factory):
    return evenings.told(servers, tmp_path_factory.mktemp("before"), gathered, one_person_up_to=2, codes_up_to=5)


@pytest.fixture(scope="module")
def after(servers, tmp_path_factory):
    return evenings.told(servers, tmp_path_factory.mktemp("after"), agreed, one_person_up_to=2, codes_up_to=5)


@pytest.fixture
def evening(request):
    """Before the mandate is written, or after it was signed, for what asks for `mandate`."""
    return request.getfixturevalue("after" if "mandate" in request.fixturenames else "before")


@pytest.fixture
def mandate():
    """Return the page of the mandate that was signed."""
    return "/console/mandates/1"


@pytest.fixture
def holder(evening, browse):
    member, phone = evening.left[0]
    return member, evenings.again(browse, phone)


@pytest.fixture
def trustees(evening, browse):
    return [(member, evenings.again(browse, phone)) for member, phone in evening.left[1:]]


def asked(browser, member, **more):
    """Have a mandate written down, and return its page's path."""
    browser.open("/console/mandates/new")
    browser.post("/console/mandates", **(ASKED | {"holder": str(member.id)} | more))
    return re.search(r'href="(/console/mandates/\d+)"', browser.text)[1] if not browser.problem else ""


def signed(here, trustees, now):
    for member, phone in trustees:
        phone.open(here).post(f"{here}/sign", factor="totp", answer=step(member, now, 1))
        assert phone.problem == ""


def framed(browser, place="Sarand"):
    """Write an alert from the frame, lock it, and return its path."""
    browser.open("/console/alerts/new?frame=raid")
    text = html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", browser.text, re.DOTALL)[1])
    words = re.sub(r"\{\{.*?\}\}", place, text)
    subject = f"{place} are in danger at {place}"
    browser.post("/console/alerts", digest="weekly", **{"frame-en": "raid", "subject-en": subject, "text-en": words})
    here = browser.path
    browser.post(f"{here}/lock")
    assert browser.problem == ""
    return here


def phone_of(crew, worker, member):
    """Give somebody a passkey, and pin the team's."""
    key, site = Authenticator("news.sarand.example", BASE), Site("news.sarand.example", BASE, "x")
    with crew.worker.transaction() as session:
        options = passkeys.creation(site, handle=b"1" * 16, account="x", challenge=b"c" * 32, have=[])
        known = passkeys.created(site, key.create(options), challenge=b"c" * 32)
        factors.add_passkey(session, member.id, known, label="phone", now=database.now(session))
    team.pin(worker.parts, worker.settings.pins)
    return key


def test_signed_by_two_in_the_evening_and_sent_by_one_thumb(holder, trustees, desk, worker, sink, now):
    """The whole of it by codes: nobody has a shell, nobody else is awake."""
    member, phone = holder
    here = asked(phone, member)
    assert "signatures: 0 of 2" in phone.text
    for _, trustee in trustees:
        page = trustee.open(here).text
        assert "up to 2 alerts, each to at most 5 readers of “The Weekly”" in page
        assert "and no rumour" in page
    signed(here, trustees, now)
    assert "It holds" in phone.open("/console/mandates").text
    alert = framed(phone)
    assert "You hold a mandate" in phone.text
    assert "By the urgent lane" in phone.text
    phone.post(f"{alert}/mandated", mandate="1", fingerprint=fingerprint(phone), answer=step(member, now, 1))
    assert (phone.problem, phone.path) == ("", alert)
    assert "On its way" in phone.text
    worker.deliver("urgent")
    assert len(sink.messages) == 4
    assert "1 of 2 used" in phone.open(here).text
    [added] = rows(worker, "SELECT content::jsonb ->> 'by' FROM audit WHERE content LIKE '%mandate.added%'")
    assert added == (str(member.id),)
    assert [act for act in acts(worker) if act.startswith(("mandate.", "alert."))] == [
        "mandate.added",
        "mandate.signed",
        "mandate.signed",
        "alert.drafted",
        "alert.locked",
        "alert.mandated",
        "alert.released",
        "alert.vouched",
    ]


def test_a_large_audience_takes_three_passkeys(holder, trustees, desk, readers, worker, crew, sink, now):
    """Each over what stood on its own page: two over the mandate, one over the alert."""
    readers(8)
    (member, phone), keys = holder, [phone_of(crew, worker, one) for one, _ in trustees]
    here = asked(phone, member, **LARGE)
    for (signer, trustee), key in zip(trustees, keys, strict=True):
        trustee.open(here)
        trustee.post(f"{here}/sign", factor="totp", answer=step(signer, now, 1))
        assert "with a passkey" in trustee.problem
        trustee.post(f"{here}/sign", factor="passkey", answer=key.get(trustee.options()))
        assert trustee.problem == ""
    alert = framed(phone)
    assert "So many readers need a passkey" in phone.text
    mine = phone_of(crew, worker, member)
    phone.open(alert)
    theirs = keys[0].get(phone.options())
    seen = {"mandate": "1", "fingerprint": fingerprint(phone), "factor": "passkey"}
    phone.post(f"{alert}/mandated", **seen, answer=theirs)
    assert "not one of this alert" in phone.problem
    phone.post(f"{alert}/mandated", **seen, answer=mine.get(phone.options()))
    assert "On its way" in phone.text
    worker.deliver("urgent")
    assert len(sink.messages) == 8


def test_a_page_offers_what_would_not_be_refused(holder, trustees, browse, crew, desk, now):
    """Nobody signs their own, or twice; a writer writes none; and no thumb is offered where the mandate would not do."""
    member, phone = holder
    here = asked(phone, member)
    assert "Sign with this code" not in phone.open(here).text
    assert phone.post(f"{here}/sign", answer=step(member, now, 1)).page.status_code == 403
    alert = framed(phone)
    assert "You hold a mandate" not in phone.text
    signed(here, trustees, now)
    assert "Sign with this code" not in trustees[0][1].open(here).text
    assert "You hold a mandate" in phone.open(alert).text
    _, other = inside(browse, crew, now, Role.SENDER)
    assert "You hold a mandate" not in other.open(alert).text
    _, writer = inside(browse, crew, now, Role.WRITER)
    assert "Write a mandate" not in writer.open("/console/mandates").text
    assert writer.open("/console/mandates/new").page.status_code == 403
    writer.open("/console/mandates")
    assert writer.post("/console/mandates", **ASKED, holder=str(member.id)).page.status_code == 403
    assert "Write a mandate" in trustees[0][1].open("/console/mandates").text


def test_a_mandate_that_does_not_do_says_why(holder, trustees, desk, now):
    """At night nobody should wonder where the button is: the words are free, or the readers too many."""
    member, phone = holder
    signed(asked(phone, member, most_readers="3"), trustees, now)
    framed(phone)
    assert "it does not let this one go: Alert 1 goes to 4 readers, which is more than the mandate allows" in phone.text
    free = written(phone)
    phone.post(f"/console/alerts/{free}/lock")
    assert "another digest or frame" in phone.text
    assert "You hold a mandate<" not in phone.text


def test_whose_signature_counts_no_more_is_said(holder, trustees, mandate, desk, worker, now):
    """In the evening “it holds” was read; a signer was disabled since, and at night the thumb would be refused."""
    _, phone = holder
    assert "It holds" in phone.open(mandate).text
    with worker.parts.database.transaction() as session:
        people.disable(session, trustees[0][0].id, by=SHELL, now=now)
    for page in (mandate, "/console/mandates"):
        text = phone.open(page).text
        assert "It holds<" not in text
        assert "It holds no more: Mina Moradi may not do that any more" in text
        assert "Waits for signatures: 1 of 2" in text


def test_who_came_back_since_they_signed_is_told_what_to_do(trustees, mandate, desk, database_urls, now):
    """Their signature counts no more and no second one is added: the press said nothing, and “1 of 2” stood there all night."""
    member, back = trustees[0]
    house.by_owner(database_urls, "UPDATE operator SET readmitted_at = now() WHERE id = %s", member.id)
    told = "nobody signs one mandate twice. Have it written down anew"
    assert told in back.open(mandate).text
    assert told not in trustees[1][1].open(mandate).text
    back.post(f"{mandate}/sign", factor="totp", answer=step(member, now, 2))
    assert told in back.problem


def test_nobody_is_asked_to_sign_for_who_may_not_hold_it(holder, trustees, desk, worker, now):
    """No signature makes it hold: its page says that its holder is out, and asked for one all the same."""
    here = asked(holder[1], holder[0])
    _, trustee = trustees[0]
    assert "Sign with this code" in trustee.open(here).text
    with worker.parts.database.transaction() as session:
        people.disable(session, holder[0].id, by=SHELL, now=now)
    assert "Sign with this code" not in trustee.open(here).text
    assert 'action="/console/mandates' in trustee.text, "ending it is all that is left"


def test_anyone_ends_one_without_a_code(holder, mandate, browse, crew, desk, worker, now):
    """Whoever sees it misused need not find their phone's app first."""
    member, phone = holder
    alert = framed(phone)
    seen = fingerprint(phone)
    _, auditor = inside(browse, crew, now, Role.AUDITOR)
    auditor.open(mandate).post(f"{mandate}/end")
    assert "Over" in auditor.text
    assert "End it now" not in auditor.text
    phone.post(f"{alert}/mandated", mandate="1", fingerprint=seen, answer=step(member, now, 1))
    assert phone.problem == "The mandate is over."
    assert "You hold a mandate" not in phone.text
    assert acts(worker)[-1] == "mandate.ended"


def test_what_changed_since_it_was_read_does_not_go(holder, mandate, desk, now):
    """A colleague locks other words while the thumb is on its way: it was meant for those before one's eyes."""
    member, phone = holder
    alert = framed(phone)
    phone.post(f"{alert}/mandated", mandate="1", fingerprint="0" * 64, answer=step(member, now, 1))
    assert "locked anew while you were reading" in phone.problem
    phone.post(f"{alert}/mandated", mandate="1", fingerprint=fingerprint(phone), answer="000000")
    assert "not right" in phone.problem


def test_without_its_holder_a_mandate_waits_for_no_signature(holder, trustees, mandate, desk, worker, now):
    """“It holds no more · Waits for signatures: 2 of 2” sends a third person for a signature that changes nothing."""
    member, phone = holder
    asked(phone, member, cause="Sarand road")
    with worker.parts.database.transaction() as session:
        people.disable(session, member.id, by=SHELL, now=now)
    signed_, unsigned = "It holds no more", "It does not hold"
    for path, said in (
        (mandate, {signed_}),
        ("/console/mandates/2", {unsigned}),
        ("/console/mandates", {signed_, unsigned}),
    ):
        text = trustees[0][1].open(path).text
        for words in (signed_, unsigned):
            whole = f"{words}: Mina Moradi may not do that any more, or came back since<"
            assert (whole in text.replace(" ·", "<")) is (words in said), (path, words)
        assert "Waits for signatures" not in text, path


def test_what_was_asked_is_kept_when_it_is_refused(holder, desk, worker):
    """Nobody ticks seven boxes twice in the evening."""
    member, phone = holder
    for more, words in (
        ({"until": "soon"}, "is no time"),
        ({"until": "0001-01-01T00:00+14:00"}, "is no time"),
        ({"until": "9999-12-31T23:59-14:00"}, "is no time"),
        ({"frame": ""}, "frame"),
        ({"frame": "nowhere"}, "nowhere"),
        ({"cause": " "}, "names a cause"),
        ({"most_readers": "many"}, "how many readers"),
        ({"most_alerts": "0"}, "how many alerts"),
        ({"digest": "monthly"}, "monthly"),
    ):
        asked(phone, member, **({"cause": "Sarand camp"} | more))
        assert words in phone.problem, more
        assert 'value="08:00"' in phone.text or more.get("until"), more
        assert rows(worker, "SELECT count(*) FROM mandate") == [(0,)], more


def test_a_signer_reads_what_is_signed_or_does_not_sign(
    holder, trustees, desk, worker, tmp_path, database_urls, sink, now
):
    """A frame that was edited since is not what this mandate names: its new words are not shown as if they were."""
    here = asked(holder[1], holder[0])
    own = tmp_path / "own" / "frames"
    own.mkdir(parents=True)
    own.joinpath("raid.md").write_text(worker.parts.house.frames("frames/raid.md").replace("no rumour", "send money"))
    changed = house.build(tmp_path, database_urls, sink.url, web=True, base_url=BASE, templates=own.parent)
    phone = Browser(TestClient(create(changed), base_url=BASE, cookies=trustees[0][1].client.cookies))
    page = phone.open(here).text
    assert "“raid” is not what it was" in page
    assert "send money" not in page
    assert "Sign with this code" not in page
    changed.close()


def test_a_page_that_waits_goes_on_to_the_mandate(holder, trustees, worker, now):
    """The desk is busy: nobody signs twice."""
    member, phone = holder
    phone.open("/console/mandates/new")
    phone.post("/console/mandates", **ASKED, holder=str(member.id))
    assert phone.path.startswith("/console/alerts/errands/")
    errands.run(worker.parts)
    assert phone.open(phone.path).path == "/console/mandates"
    signer, trustee = trustees[0]
    trustee.open("/console/mandates/1").post("/console/mandates/1/sign", answer=step(signer, now, 1))
    waiting = trustee.path
    errands.run(worker.parts)
    assert trustee.open(waiting).path == "/console/mandates/1"
    assert "1 of 2" in trustee.text


def test_the_number_of_no_mandate_is_not_found(holder, desk):
    """A slip of the thumb, or a link that was cut."""
    phone = holder[1]
    assert phone.open("/console/mandates/4711").page.status_code == 404
    assert phone.open("/console/mandates/new").post("/console/mandates/4711/end").page.status_code == 404
