"""The database's history: one idea a revision, one head, forwards on live data, run as the owner.

`upgrade` needs nothing but a URL, so that the command line, the tests and compose's one-shot run the same thing.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from newsletter.errors import Conflict, NotFound

# The roles the application logs in as: not owners, no TRUNCATE, no triggers (architecture, decision 12).
ROLES = ("newsletter_web", "newsletter_worker")


class MissingRoles(Conflict):
    """The database lacks a role that the migration grants rights to, and the owner may not create it."""

    def __init__(self, roles: list[str]) -> None:
        super().__init__("migrations.missing-roles", roles=", ".join(roles))


class OldServer(Conflict):
    """The PostgreSQL is older than 15."""

    def __init__(self, version: str) -> None:
        super().__init__("migrations.old-server", version=version)


class NoServer(NotFound):
    """No PostgreSQL answers where migrations should run."""

    def __init__(self, where: str) -> None:
        super().__init__("database.unreachable", where=where)


def upgrade(url: str) -> list[str]:
    """Bring the database at `url` (as its owner) to the head; return the revisions that were run, oldest first."""
    engine = create_engine(url, connect_args={"connect_timeout": 5})
    try:
        _check_server(engine)
        before = current(engine)
        with engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return _between(before, current(engine))
    except OperationalError as error:
        raise NoServer(f"{engine.url.host}:{engine.url.port}/{engine.url.database}") from error
    finally:
        engine.dispose()


def current(engine: Engine) -> str | None:
    """Return the revision a database is at, or None for an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """Return the newest revision this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _between(before: str | None, after: str | None) -> list[str]:
    if before == after:
        return []
    script = ScriptDirectory.from_config(_config())
    return [revision.revision for revision in script.iterate_revisions(after, before)][::-1]


def _check_server(engine: Engine) -> None:
    with engine.begin() as connection:
        number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        if number < 150000:
            raise OldServer(str(number // 10000))
        known = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
        missing = [role for role in ROLES if role not in known]
        if (
            missing
            and not connection.execute(
                text("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
            ).scalar_one()
        ):
            raise MissingRoles(missing)
        for role in missing:
            connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
