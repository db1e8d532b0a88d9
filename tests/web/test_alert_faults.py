"""What an alert's page shows when something behind it is broken, and which buttons it keeps."""

from newsletter.journeys import alert
from newsletter.operators.sessions import Factor
from tests.web.test_alerts import WORDS, fingerprint
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.visiting import step


def test_a_signature_whose_errand_was_lost_is_offered_to_be_sent(awaited, made, now):
    """The word is there; the page no longer waits for it."""
    author, (member, phone), number = awaited
    here = f"/console/alerts/{number}"
    seen = fingerprint(phone.open(f"{here}/approve"))
    alert.sign(made.parts, number, by=member.id, factor=Factor.TOTP, answer=step(member, now, 1), seen=seen)
    assert f'action="{here}/release"' in author.open(here).text


def test_a_spoiled_file_of_keys_takes_no_button_away(awaited, made, now):
    """It was a refusal with a path of the machine in it, in place of the page with Stop."""
    author, (member, phone), number = awaited
    here = f"/console/alerts/{number}"
    made.settings.pins.parent.mkdir(parents=True, exist_ok=True)
    made.settings.pins.write_text("{")
    seen = fingerprint(phone.open(f"{here}/approve"))
    phone.post(f"{here}/approve", fingerprint=seen, factor="passkey", answer="{}")
    assert "cannot read the passkeys it trusts" in phone.problem
    assert str(made.settings.pins) not in phone.text
    alert.sign(made.parts, number, by=member.id, factor=Factor.TOTP, answer=step(member, now, 1), seen=seen)
    author.open(here)
    assert (author.page.status_code, f'action="{here}/stop"' in author.text) == (200, True)
    author.post(f"{here}/release")
    assert f'action="{here}/stop"' in author.open(here).text


def test_where_a_code_suffices_its_page_says_what_it_cannot_stop(awaited):
    """Whoever believes that a code proves as much as a passkey leaves the pages' machine as it is."""
    author, (_, phone), number = awaited
    here = f"/console/alerts/{number}"
    assert "A code stops nobody who has broken into these pages" in phone.open(f"{here}/approve").text
    assert "A code stops nobody" not in author.open(here).text


BIG = 2**63


def test_what_no_column_holds_and_what_is_not_there_is_refused_and_no_failure(awaited):
    """An address that was cut or typed wrongly said "something is broken here", by which somebody would wake who repairs it."""
    author, _, number = awaited
    here = f"/console/alerts/{number}"
    for path, sent, status in (
        (f"/console/alerts/new?like={BIG}", None, 422),
        ("/console/alerts/4711/lock", {}, 404),
        ("/console/alerts/4711/want-lock", {}, 404),
        (f"{here}/mandated", {"mandate": str(BIG), "factor": "totp", "answer": "123456"}, 422),
        (f"{here}/alone", {"factor": "passkey", "answer": "\0"}, 409),
        ("/console/alerts", WORDS | {"subject-en": "Lorries\0 at Sarand"}, 200),
        (f"/console/account/sessions/{BIG}/end", {}, 422),
        (f"/console/team/{BIG}/vouch", {}, 422),
        (f"/console/audit?before={BIG}", None, 422),
    ):
        author.open(here)
        if sent is None:
            author.open(path)
        else:
            author.post(path, **sent)
        assert author.page.status_code == status, path
