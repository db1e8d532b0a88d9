"""A real PostgreSQL: its data folder, its settings, its roles."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from newsletter.embedded.guise import Guise, guise_of_process, hand_over, run_as, within_reach
from newsletter.embedded.launching import Launch, attached, failed, launch
from newsletter.embedded.programs import choose_postgresql
from newsletter.embedded.state import DATABASE, OWNER, WEB, WORKER, State

# Sized for one machine with 1 to 4 GB that also runs the workers. The log must never quote a row (DETAIL) or a statement.
POSTGRESQL_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "maintenance_work_mem": "64MB",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


THROW_AWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def start_postgresql(home: Path, state: State, *, durable: bool) -> State:
    """Start PostgreSQL or attach to it, make its roles, and return the state with its program and port."""
    if "postgresql" in state.ports and attached(home, "postgresql", lambda: postgresql_answers(state)):
        return state
    program = choose_postgresql(home, state)
    guise = guise_of_process()
    programs = within_reach(program, guise)
    data = home / "postgresql"
    if not data.exists():
        _make_cluster(home, programs, guise, state.passwords["postgres"])
    hand_over(data, guise.owner)
    options = POSTGRESQL_SETTINGS if durable else POSTGRESQL_SETTINGS | THROW_AWAY

    def command(port: int) -> list[str]:
        # Nobody lives in there, the lock said so; an id in this file can only belong to a stranger.
        (data / "postmaster.pid").unlink(missing_ok=True)
        flags = [flag for name, value in options.items() for flag in ("-c", f"{name}={value}")]
        # The working folder names the data even where its parents are closed to the id the server runs as.
        server = [str(programs / "postgres"), "-D", "/proc/self/cwd", "-c", f"port={port}", *flags]
        return [*guise.prefix, *server]

    plan = Launch(home, "postgresql", program, data, guise)
    state = launch(plan, state, command, postgresql_answers)
    _make_roles(state)
    return state


def _make_cluster(home: Path, programs: Path, guise: Guise, password: str) -> None:
    """Make the data folder beside its place and move it there complete, so that a crash leaves none or a whole one."""
    draft = home / "postgresql.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    hand_over(draft, guise.owner)
    secret = _secret(password, guise.owner)
    try:
        command = [str(programs / "initdb"), "-D", "/proc/self/cwd", "-U", "postgres", "--encoding=UTF8"]
        command += [
            "--locale=C.UTF-8",
            "--auth=scram-sha-256",
            f"--pwfile=/proc/self/fd/{secret}",
            "--no-instructions",
        ]
        made = run_as(guise, command, cwd=draft, pass_fds=(secret,), capture_output=True)
    finally:
        os.close(secret)
    if made.returncode:
        refusal = failed(home, "postgresql", made.stdout + made.stderr)
        (home / "postgresql.log").write_text(made.stdout + made.stderr)
        raise refusal
    (draft / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    draft.rename(home / "postgresql")


def _secret(text: str, owner: int) -> int:
    """Return a file in memory, readable by its owner alone, that never has a name on disk."""
    file = os.memfd_create("password")
    os.write(file, text.encode() + b"\n")
    if os.geteuid() == 0:
        os.fchown(file, owner, owner)
    os.fchmod(file, 0o600)
    return file


def _connect(state: State, database: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host="127.0.0.1",
        port=state.ports["postgresql"],
        user="postgres",
        password=state.passwords["postgres"],
        dbname=database,
        connect_timeout=5,
        autocommit=True,
    )


def postgresql_answers(state: State) -> bool:
    """Return whether the server at the remembered port takes our password."""
    with contextlib.suppress(psycopg.OperationalError, KeyError), _connect(state, "postgres") as connection:
        return connection.execute("SELECT 1").fetchone() is not None
    return False


def _make_roles(state: State) -> None:
    """Make what is missing of the three roles and the database. Neither worker nor web owns anything."""
    with _connect(state, "postgres") as connection:
        roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in (OWNER, WORKER, WEB):
            if role not in roles:
                made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                connection.execute(made.format(sql.Identifier(role), sql.Literal(state.passwords[role])))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            made = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0")
            connection.execute(made.format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
        database, others = sql.Identifier(DATABASE), sql.SQL(", ").join(map(sql.Identifier, (WORKER, WEB)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        # TEMPORARY: imports are copied into a table of their session before they are merged.
        connection.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, others))
