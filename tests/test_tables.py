"""The database's structure: what the models say is what the migrations make, and the roles can do no more than they must."""

import importlib
import pkgutil

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from newsletter import migrations, models
from newsletter.models.base import Base


def connect(url):
    return psycopg.connect(
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
    )


def test_migrations_make_what_the_models_say(database_urls):
    """A column that only exists in the code fails on the first night it is needed."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    for module in pkgutil.iter_modules(models.__path__):
        importlib.import_module(f"newsletter.models.{module.name}")
    engine = create_engine(database_urls.owner)
    with engine.connect() as connection:
        partitions = {name for (name,) in connection.execute(text("SELECT relname FROM pg_class WHERE relispartition"))}
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _parents: kind != "table" or name not in partitions}
        )
        found = [change for change in compare_metadata(context, Base.metadata) if "alembic" not in str(change)]
    engine.dispose()
    assert found == []


def test_migrating_twice_does_nothing(database_urls):
    """Every start of every machine runs it."""
    assert migrations.upgrade(database_urls.owner) == []


_FACT = {"consent_event": "kind", "import_run": "basis", "consent_detail": "details_sealed", "wording": "words"}


@pytest.mark.parametrize("table", sorted(_FACT))
@pytest.mark.parametrize("role", ["worker", "web"])
def test_the_proof_of_consent_cannot_be_rewritten(database_urls, table, role):
    """Whoever takes over the application must not be able to invent permissions after the fact, or make them vanish."""
    with connect(getattr(database_urls, role)) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"TRUNCATE {table} CASCADE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"UPDATE {table} SET {_FACT[table]} = NULL")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                f"CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            )


def test_the_pages_cannot_write_what_goes_out(database_urls):
    """A hole in a web page must not put words into everyone's inbox."""
    with connect(database_urls.web) as connection:
        for forbidden in (
            "INSERT INTO block (digest, data) VALUES ('x', 'y')",
            "INSERT INTO variant (mailing_id, number, language, head, blocks) VALUES (1, 1, 'en', 'x', '{}')",
            "UPDATE variant SET head = 'x'",
            "INSERT INTO mailing (kind, lane) VALUES ('alert', 'urgent')",
            "DELETE FROM subscriber",
            "UPDATE mailing SET state = 'approved', fingerprint = 'x'",
            "UPDATE mailbox SET address_sealed = 'x'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)


def test_a_partition_is_there_for_every_month(database_urls):
    """The first mailing of a new month must not fail because nobody made room for it."""
    with connect(database_urls.worker) as connection:
        connection.execute("SELECT deliveries_of_month('2031-02-14')")
        found = connection.execute("SELECT to_regclass('delivery_2031_02')").fetchone()
        assert found is not None
        assert found[0] is not None
