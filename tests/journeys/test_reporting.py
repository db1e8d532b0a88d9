"""What a regulator is told of somebody whom a list brought: which list, when, and what was said of it."""

import pytest
from sqlalchemy import text

from newsletter.addresses import EmailAddress
from newsletter.journeys import moving_in, privacy
from newsletter.subscribers import consent
from newsletter.subscribers.people import UnknownPerson
from tests import house


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql)).all()


def test_an_imported_reader_s_report_names_the_evidence(newsletter, tmp_path):
    """Who came by a list has no form to show: what the operator said of it is the proof, for each of them."""
    house.add_readers(newsletter, tmp_path, ["ben@example.org"])
    found = privacy.report(newsletter.parts, reference=None, address=EmailAddress.parse("BEN@example.org"), by=None)
    [given] = [one for one in found.entries if one["what"] == "permission given"]
    assert (given["basis"], given["evidence"]) == ("imported", "a test")
    with pytest.raises(UnknownPerson):
        privacy.report(newsletter.parts, reference=None, address=EmailAddress.parse("no@example.org"), by=None)


def test_the_report_of_who_came_without_evidence_says_how(newsletter, tmp_path):
    """A regulator asks why an address is held of which no permission is known: the list, its day, and that its owner was asked."""
    path = tmp_path / "members_export.csv"
    path.write_text("Email Address,MEMBER_RATING,LEID,OPTIN_TIME\nzed@example.org,4,1,\n")
    permission = moving_in.Permission(consent.Basis.IMPORTED, "")
    moving_in.import_subscribers(newsletter.parts, str(path), digest_key="weekly", permission=permission)
    zed = EmailAddress.parse("zed@example.org")

    def told():
        entries = privacy.report(newsletter.parts, reference=None, address=zed, by=None).entries
        return {one["what"]: one for one in entries}

    [named] = told().values()
    [(at, source)] = ask(newsletter, "SELECT at, source FROM import_run")
    assert named["what"] == "named by a list without evidence"
    assert (named["at"], named["digest"], named["import"], named["source"]) == (at, "weekly", 1, source)
    assert "mailchimp" in named["evidence"]
    moving_in.ask(newsletter.parts, 1)
    assert told()["asked because of that list"]["import"] == 1


def test_the_report_names_the_list_behind_an_entry_of_the_do_not_mail_list(newsletter, tmp_path):
    """Who asks why they get nothing, or who said that they left, must hear which list said so, and who vouched for it."""
    path = tmp_path / "unsubscribed_members_export.csv"
    path.write_text("Email Address,MEMBER_RATING,LEID,UNSUB_TIME\nzed@example.org,4,1,2024-01-01 00:00:00\n")
    permission = moving_in.Permission(consent.Basis.IMPORTED, "the old account")
    for _ in range(2):
        moving_in.import_subscribers(newsletter.parts, str(path), digest_key="weekly", permission=permission)
    found = privacy.report(newsletter.parts, reference=None, address=EmailAddress.parse("zed@example.org"), by=None)
    [entry] = [one for one in found.entries if one["what"] == "on the do-not-mail list"]
    assert (entry["reason"], entry["import"], entry["evidence"]) == ("left", 1, "the old account")
    assert entry["named_by_further_imports"] == [2]
