"""What a migration that fails leaves behind: all of what was there before, so that the version before goes on."""

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ProgrammingError

from newsletter import languages, migrations


def at(url, revision):
    """Bring an empty database to a revision."""
    engine = create_engine(url)
    with engine.begin() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def connect(url):
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def test_a_migration_that_fails_in_the_middle_leaves_the_database_as_it_was(empty_database_urls):
    """The third of several breaks at night: the version before must find every table as it knows it, and send alerts."""
    url = empty_database_urls.owner
    at(url, "0019")
    with connect(url) as owner:
        # In the way of 0022; 0020 and 0021 run before it.
        owner.execute("CREATE INDEX subscribers_by_zone ON subscriber (id)")
        with pytest.raises(ProgrammingError):
            migrations.upgrade(url)
        assert owner.execute("SELECT version_num FROM alembic_version").fetchall() == [("0019",)]
        assert owner.execute("SELECT to_regproc('gather_retries')").fetchone() == (None,)
        owner.execute("DROP INDEX subscribers_by_zone")
    assert migrations.upgrade(url)[:3] == ["0020", "0021", "0022"]


def test_errands_and_questions_of_before_the_update_mean_what_they_did(empty_database_urls):
    """Errands held JSON's null, which no question for NULL finds.

    A mail that asks must not be worth less, or more, than on the day it went, in whosever box it lies; nobody is asked after weeks.
    """
    url = empty_database_urls.owner
    at(url, "0036")
    rows = (
        # wish, state, asked, came so long ago, digests
        (b"1", "asked", True, "1 hour", [1]),
        (b"2", "beside", False, "30 minutes", [1]),
        (b"3", "beside", False, "30 minutes", [1, 2]),
        (b"4", "beside", False, "9 days", [2]),
    )
    with connect(url) as owner:
        owner.execute("""
            INSERT INTO errand (act, done_at, refused) VALUES
                ('check', now(), 'null'), ('check', now(), '{"message": "errand.failed", "facts": {}}'), ('check', NULL, NULL)
        """)
        owner.execute("INSERT INTO mailbox (provider, domain_index) VALUES ('other', '')")
        for pending, state, asked, ago, wanted in rows:
            owner.execute(
                "INSERT INTO signup (pending, wish_sealed, state, mailbox_id, came_at, asked_at, digest_ids)"
                " SELECT %s, '', %s, min(id), now() - %s::interval, CASE WHEN %s THEN now() END, %s FROM mailbox",
                (pending, state, ago, asked, wanted),
            )
        assert "0037" in migrations.upgrade(url)
        errands = owner.execute("SELECT refused IS NULL, refused ->> 'message' FROM errand ORDER BY id").fetchall()
        asked = owner.execute("SELECT named, again_at IS NOT NULL FROM signup ORDER BY pending").fetchall()
    assert errands == [(True, None), (False, "errand.failed"), (True, None)]
    assert asked == [([1], False), ([], False), ([], True), ([], False)]


def test_languages_have_one_spelling_afterwards(empty_database_urls):
    """Lists were taken as they were written; a segment looks for one spelling, and would miss whoever has another."""
    url = empty_database_urls.owner
    at(url, "0040")
    before = ["FA", "fa", "Fa-ir", "EN-gb", "zh-HANT-tw", "en"]
    with connect(url) as owner:
        for number, language in enumerate(before):
            box = owner.execute(
                "INSERT INTO mailbox (domain_index, provider) VALUES ('x', 'other') RETURNING id"
            ).fetchone()[0]
            owner.execute(
                "INSERT INTO subscriber (mailbox_id, reference, language) VALUES (%s, %s, %s)",
                (box, f"AAAAAAA{number}", language),
            )
        assert migrations.upgrade(url)[0] == "0041"
        found = [row[0] for row in owner.execute("SELECT language FROM subscriber ORDER BY id")]
        assert found == ["fa", "fa", "fa-IR", "en-GB", "zh-Hant-TW", "en"]
        assert found == [languages.canonical(one) for one in before]
        with pytest.raises(psycopg.errors.CheckViolation):
            owner.execute("UPDATE subscriber SET language = 'FA' WHERE language = 'en'")


ALERTS = (
    # state of the alert, state of what takes it back, and what that is afterwards
    ("done", "cancelled", "draft"),
    ("retracted", "cancelled", "cancelled"),
    ("done", "draft", "draft"),
    ("retracted", "done", "done"),
)
ADD = (
    "INSERT INTO mailing (kind, lane, subject, state, fingerprint, retracts)"
    " VALUES (%s, 'urgent', '', %s, 'x', %s) RETURNING id"
)


def test_what_was_taken_back_or_given_up_before_the_update(empty_database_urls):
    """What operators took back is nobody's word: else readers of last year's attack stay barred by a no that they never said.

    What takes an alert back lies ready again: it was cancelled like any draft, and the wrong page could never be taken back; one of
    long ago mails nobody now.
    """
    url = empty_database_urls.owner
    at(url, "0054")
    with connect(url) as owner:
        owner.execute("""
            INSERT INTO digest (key, name, languages) VALUES ('weekly', 'Weekly', '{en}');
            INSERT INTO topic (key, name) VALUES ('water', 'Water');
            INSERT INTO mailbox (provider, domain_index) VALUES ('other', '');
            INSERT INTO subscriber (mailbox_id, reference) SELECT id, 'AAAAAAAA' FROM mailbox;
            INSERT INTO consent_event (subscriber_id, kind, basis, purpose) VALUES
                (1, 'granted', 'consent', 'digest:1'), (1, 'granted', 'consent', 'topic:1'), (1, 'granted', 'imported', 'topic:1');
            INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by, ended_at, end_reason)
                VALUES (1, 1, 'weekly', 1, '2026-03-02 09:00Z', 'sign-up undone');
            INSERT INTO interest (subscriber_id, topic_id, granted_by, ended_at, end_reason)
                VALUES (1, 1, 2, '2026-03-02 10:00Z', 'topic removed');
            INSERT INTO consent_event (subscriber_id, kind, purpose, at) VALUES
                (1, 'withdrawn', 'digest:1', '2026-03-02 09:00Z'), (1, 'withdrawn', 'topic:1', '2026-03-02 10:00Z'),
                (1, 'withdrawn', 'digest:1', '2026-03-02 11:00Z')
        """)
        for alert, back, _ in ALERTS:
            number = owner.execute(ADD, ("alert", alert, None)).fetchone()[0]
            owner.execute(ADD, ("retraction", back, number))
        assert "0058" in migrations.upgrade(url)
        withdrawn = "SELECT undoes, purpose FROM consent_event WHERE kind = 'withdrawn' ORDER BY id"
        found = owner.execute(withdrawn).fetchall()
        assert found == [(1, "digest:1"), (2, "topic:1"), (None, "digest:1"), (3, "topic:1")]
        found = owner.execute("SELECT state FROM mailing WHERE kind = 'retraction' ORDER BY id").fetchall()
        assert [state for (state,) in found] == [after for _, _, after in ALERTS]
        with pytest.raises(psycopg.errors.CheckViolation, match="a_retraction_stays"):
            owner.execute("UPDATE mailing SET state = 'cancelled' WHERE kind = 'retraction'")


def test_of_whom_the_team_was_told_it_is_not_told_again(empty_database_urls):
    """After the update a mail would say of everybody who ever left that they were disabled just now."""
    url = empty_database_urls.owner
    at(url, "0065")
    with connect(url) as owner:
        for told in ("now()", "NULL"):
            owner.execute(
                "WITH box AS (INSERT INTO mailbox (provider, domain_index) VALUES ('other', '') RETURNING id)"
                f" INSERT INTO operator (mailbox_id, name_sealed, disabled_at, told_at) SELECT id, '', now(), {told} FROM box"
            )
        migrations.upgrade(url)
        found = owner.execute(
            "SELECT operator_id FROM disabling d JOIN operator o ON (o.id, o.disabled_at) = (operator_id, at)"
        )
        assert found.fetchall() == [(1,)]
