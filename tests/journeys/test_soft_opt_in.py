"""The charity soft opt-in of the United Kingdom: a basis for those who could be told of it, and for nobody before."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter.addresses import EmailAddress
from newsletter.journeys import moving_in, privacy
from newsletter.subscribers import consent


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql)).all()


def test_a_soft_opt_in_stands_on_its_facts(newsletter, tmp_path):
    """British charities may write to supporters without consent under conditions; each must be said before anybody comes in."""
    path = tmp_path / "supporters.csv"
    path.write_text("email\nben@example.org\n")

    def bring(soft):
        permission = moving_in.Permission(consent.Basis.SOFT_OPT_IN, "donations of spring", soft)
        return moving_in.import_subscribers(newsletter.parts, str(path), digest_key="weekly", permission=permission)

    [(today,)] = ask(newsletter, "SELECT current_date")
    good = consent.SoftOptIn(consent.Came.SUPPORT, today, "Tick here and we will not write")
    for bad in (
        None,
        consent.SoftOptIn(consent.Came.SUPPORT, consent.SOFT_FROM - timedelta(days=1), "Tick here"),
        consent.SoftOptIn(consent.Came.SUPPORT, today + timedelta(days=2), "Tick here"),
        consent.SoftOptIn(consent.Came.INTEREST, today, " "),
    ):
        with pytest.raises(consent.NotSoft):
            bring(bad)
    assert ask(newsletter, "SELECT 1 FROM subscriber") == []
    assert bring(good).added == 1
    found = privacy.report(newsletter.parts, reference=None, address=EmailAddress.parse("ben@example.org"), by=None)
    [given] = [one for one in found.entries if one["what"] == "permission given"]
    assert given["basis"] == "soft-opt-in"
    assert "came_by: support" in given["evidence"]
    assert "could_refuse_by: Tick here and we will not write" in given["evidence"]


def test_who_asked_before_a_soft_opt_in_could_hold_is_not_taken_on_one(newsletter, tmp_path):
    """Their own record says 2019: a permission that says collected in 2026 beside it is false on its face."""
    path = tmp_path / "supporters.csv"
    path.write_text(
        "email,optin_time,confirm_time\n"
        "old@example.org,2019-04-18 13:51:14,\n"
        "late@example.org,2026-02-04 23:59:59,2026-02-06 10:00:00\n"
        "east@example.org,,2026-02-05T03:00:00+05:00\n"
        "first@example.org,2026-02-05 00:00:00,\n"
        "unsaid@example.org,,\n"
    )
    soft = consent.SoftOptIn(consent.Came.SUPPORT, consent.SOFT_FROM, "Tick here and we will not write")
    for basis, taken in ((consent.Basis.SOFT_OPT_IN, 2), (consent.Basis.IMPORTED, 3)):
        permission = moving_in.Permission(basis, "donations of spring", soft)
        done = moving_in.import_subscribers(newsletter.parts, str(path), digest_key="weekly", permission=permission)
        assert done.added == taken
        if basis is consent.Basis.SOFT_OPT_IN:
            refused = done.rejects.read_text().splitlines()[1:]
            assert [line.split(",")[:2] for line in refused] == [
                ["2", "optin_time"], ["3", "optin_time"], ["4", "confirm_time"],
            ]  # fmt: skip
            assert "is before 5 February 2026: who asked earlier cannot be taken on this basis" in refused[0]


@pytest.mark.parametrize("heading", ["email", "Email Address,LEID"])
@pytest.mark.parametrize("when", ["18/04/2019 13:51", "1985-04-18", "32873.9", "spring of 2019"])
def test_a_time_that_cannot_be_read_is_taken_on_no_soft_opt_in(newsletter, tmp_path, heading, when):
    """British charities write 18/04/2019: unread it contradicts nothing, and 2019 would be mailed, whose export it ever is."""
    path = tmp_path / "supporters.csv"
    blank = "," * heading.count(",")
    path.write_text(f"{heading},optin_time\nold@example.org{blank},{when}\nnew@example.org{blank},\n")
    soft = consent.SoftOptIn(consent.Came.SUPPORT, consent.SOFT_FROM, "Tick here and we will not write")
    permission = moving_in.Permission(consent.Basis.SOFT_OPT_IN, "donations of spring", soft)
    done = moving_in.import_subscribers(newsletter.parts, str(path), digest_key="weekly", permission=permission)
    assert (done.added, done.rejected) == (1, 1)
    assert done.rejects.read_text().splitlines()[1].startswith("2,optin_time,")
