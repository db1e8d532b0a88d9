"""What many tests begin with, made once by a process and copied for each: a database, the files beside it, what is known of it.

A team that enrols as people do costs its tests more than what they prove: two passwords alone are 0.1 s of argon2id.
"""

import shutil
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import Servers, Urls

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Begun:
    """A test's own copy: its database, and what its maker told of it."""

    urls: Urls
    facts: Facts


@dataclass(frozen=True, slots=True)
class _Mould:
    name: str
    folder: Path
    facts: Facts


class Moulds:
    """The moulds of one process.

    folder   where their files are
    """

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._servers = servers
        self._folder = folder
        self._made: dict[Hashable, _Mould] = {}

    @contextmanager
    def copied(self, key: Hashable, make: Callable[[Urls, Path], Facts], into: Path) -> Iterator[Begun]:
        """Give a test what `make` has made of a fresh database and an empty folder: once for each key, and then by copies.

        into   the test's folder: the files are copied there

        `make` must leave nothing open; what it returns is copied as well.
        """
        mould = self._made.get(key)
        if mould is None:
            mould = self._made[key] = self._cast(make)
        shutil.copytree(mould.folder, into, dirs_exist_ok=True)
        with self._servers.database(mould.name) as urls:
            yield Begun(urls, deepcopy(mould.facts))

    def _cast(self, make: Callable[[Urls, Path], Facts]) -> _Mould:
        name, urls = self._servers.mould()
        folder = self._folder / name
        folder.mkdir()
        return _Mould(name, folder, make(urls, folder))
