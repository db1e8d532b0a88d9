"""A real Valkey or Redis: password, append-only file, and no eviction."""

import contextlib
import os
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from newsletter.embedded.guise import Guise
from newsletter.embedded.launching import Launch, attached, launch
from newsletter.embedded.programs import choose_redis
from newsletter.embedded.state import State


def start_redis(home: Path, state: State, *, durable: bool) -> State:
    """Start Valkey or Redis or attach to it; return the state with its program and port."""
    if "redis" in state.ports and attached(home, "redis", lambda: redis_answers(state)):
        return state
    program = choose_redis(state)
    # An older program cannot read a newer one's file. Jobs are nudges: a fresh folder loses nothing.
    data = home / f"redis-{Path(program.path).name}-{program.major}"
    data.mkdir(mode=0o700, exist_ok=True)

    def command(port: int) -> list[str]:
        lines = (
            "bind 127.0.0.1",
            f"port {port}",
            f"requirepass {state.passwords['redis']}",
            f"dir {_quoted(data)}",
            f"pidfile {_quoted(home / 'redis.pid')}",
            f"appendonly {'yes' if durable else 'no'}",
            'save ""',
            "maxmemory-policy noeviction",  # allkeys-lru would lose jobs without a word
            "databases 64",
        )
        configuration = home / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("\n".join(lines) + "\n")
        return [program.path, str(configuration)]

    plan = Launch(home, "redis", program, data, Guise((), None, os.geteuid()))
    return launch(plan, state, command, redis_answers)


def _quoted(path: Path) -> str:
    """A path as the configuration reads it: folders may hold blanks."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def redis_answers(state: State) -> bool:
    """Return whether the server at the remembered port takes our password."""
    if "redis" not in state.ports:
        return False
    port, password = state.ports["redis"], state.passwords["redis"]
    # Left to itself the client knocks three times more, with pauses: 5 s for a no we can have at once.
    once = Retry(NoBackoff(), 0)
    with (
        contextlib.suppress(redis.RedisError, OSError),
        redis.Redis(host="127.0.0.1", port=port, password=password, socket_timeout=5, retry=once) as client,
    ):
        return bool(client.ping())
    return False
