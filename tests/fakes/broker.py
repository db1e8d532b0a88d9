"""A real broker of its own whose disk can be made to be full: it answers, and takes nothing more."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from newsletter.embedded.programs import choose_redis
from newsletter.embedded.state import State
from tests.fakes.ports import free_port
from tests.reliability.machine import wait_for


class Broker:
    """A handle on it."""

    def __init__(self, folder: Path, port: int) -> None:
        self._in_the_way = folder / "dump.rdb"  # a folder of that name cannot be replaced by a file
        self.url = f"redis://127.0.0.1:{port}/0"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def fill(self) -> None:
        """Let nothing more be saved; return once it refuses what would be written (MISCONF)."""
        self._in_the_way.mkdir()
        (self._in_the_way / "file").touch()
        with self.client as client:
            client.config_set("save", "1 1")
            wait_for(lambda: self._refuses(client), seconds=20, every=0.1)

    def free(self) -> None:
        """Make room again."""
        shutil.rmtree(self._in_the_way)
        with self.client as client:
            with suppress(redis.ResponseError):  # it is at one of its own, which it tries each few seconds
                client.bgsave()
            wait_for(lambda: not self._refuses(client), seconds=20, every=0.1)

    def _refuses(self, client: redis.Redis) -> bool:
        try:
            client.set("some", "thing")
        except redis.ResponseError:
            return True
        return False


@contextmanager
def running(folder: Path) -> Iterator[Broker]:
    """Run one that keeps its file in a folder, until the block ends."""
    folder.mkdir()
    port = free_port()
    command = [choose_redis(State({})).path, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    process = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    broker = Broker(folder, port)
    try:
        wait_for(lambda: _answers(broker), seconds=20, every=0.1)
        yield broker
    finally:
        process.kill()  # asked to end it would save first, and stay where it cannot
        process.wait(10)


def _answers(broker: Broker) -> bool:
    try:
        with broker.client as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        time.sleep(0.05)
        return False
