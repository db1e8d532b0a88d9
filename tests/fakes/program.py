"""The command line for tests: each command a process of its own, forked from one that has loaded it already.

A suite runs hundreds of commands, and loading the program is most of each. What a command finds is what it would find anyway:
its own arguments, environment, folder, standard streams and exit code; one may go on beside the test. `python -m newsletter`
itself is run where a test says so.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path

PATIENCE = 90


class Program:
    """The command line with an environment of its own, in a folder of its own if so wished."""

    def __init__(self, environment, *, folder=None):
        self.environment, self.folder = environment, folder

    def run(self, *words, stdin="", code=0):
        """Run a command, check its exit code, and return (stdout, stderr)."""
        ended, out, err = _loaded().run([*map(str, words)], self.environment, self.folder, stdin)
        assert ended == code, f"{words}: {ended}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return out, err

    def json(self, *words, stdin="", code=0):
        """Run a command with --json and return its one document."""
        out, _ = self.run(*words, "--json", stdin=stdin, code=code)
        assert "\x1b" not in out
        return json.loads(out)

    def begin(self, *words, terminal=None):
        """Begin a command that goes on, and return it: `with` ends it. terminal: the path of one, as its standard input."""
        return Begun(_loaded(), [*map(str, words)], self.environment, self.folder, terminal)


class Begun:
    """A command under way: `pid`; `stdout` and `stderr`, to be read as they are written; `stdin`, where it is no terminal."""

    def __init__(self, loaded, words, environment, folder, terminal):
        self._loaded, self._code = loaded, None
        with tempfile.TemporaryDirectory() as place:
            streams = [str(Path(place) / name) for name in ("in", "out", "err")]
            for one in streams:
                os.mkfifo(one, 0o600)
            facts = _facts(words, environment, folder, [terminal or streams[0], *streams[1:]])
            self.pid = loaded.ask(facts | {"goes_on": True})
            # It opens them in the same order, and each of us waits for the other.
            self.stdin = None if terminal else os.fdopen(os.open(streams[0], os.O_WRONLY), "w")
            self.stdout, self.stderr = (os.fdopen(os.open(one, os.O_RDONLY)) for one in streams[1:])

    def wait(self):
        """Wait until it has ended by itself; return its exit code."""
        if self.stdin:
            self.stdin.close()
        if self._code is None:
            self._code = self._loaded.ask({"wait": self.pid})
        return self._code

    def terminate(self):
        """Tell it to end, as a service manager does, and return its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.stdout.close()
        self.stderr.close()


def _facts(words, environment, folder, streams):
    return {
        "words": words,
        "environment": dict(environment),
        "folder": str(folder or Path.cwd()),
        "streams": streams,
    }


class _Loaded:
    """The process that has loaded the program and forks."""

    def __init__(self):
        bare = {name: value for name, value in os.environ.items() if not name.startswith("NEWSLETTER_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from tests.fakes import program; program.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bare,
            text=True,
        )

    def ask(self, facts):
        """Say what is to be done, and return the number that is the answer."""
        print(json.dumps(facts), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def run(self, words, environment, folder, stdin):
        """Return (exit code, stdout, stderr) of one command; -9 for one that was not done in time."""
        with tempfile.TemporaryDirectory() as place:
            streams = [str(Path(place) / name) for name in ("in", "out", "err")]
            Path(streams[0]).write_text(stdin)
            ended = self.ask(_facts(words, environment, folder, streams))
            return ended, *(Path(one).read_text() for one in streams[1:])


@cache
def _loaded():
    return _Loaded()


def serve():
    """Fork for each line of standard input, until its end; answer with the exit code, or with the pid of what goes on."""
    run = _load()
    for line in sys.stdin:
        facts = json.loads(line)
        if child := facts.get("wait"):
            print(_wait(child), flush=True)
            continue
        child = os.fork()
        if child == 0:
            _become(facts, run)
        print(child if facts.get("goes_on") else _wait(child), flush=True)


def _load():
    """Return what runs a command, with all done that is the same for every one: most of the time of each."""
    from sqlalchemy import orm
    from typer.main import get_command

    from newsletter import languages
    from newsletter.cli import commands, door
    from newsletter.composer import inlining

    tree = get_command(commands.app)
    orm.configure_mappers()
    languages.worded("mail.friend")  # by which the English is read
    inlining.layout_of(None).inline("<p>A page, for the style sheet to be read.</p>")
    gc.collect()
    gc.freeze()  # a fork's collector need not walk through it, nor copy its pages
    return lambda: door.run(tree)


def _wait(child):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(facts, run):
    """Turn this fork into the command. Never returns."""
    os.setpgid(0, 0)
    for number, (name, how) in enumerate(
        zip(facts["streams"], (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)
    ):
        os.dup2(os.open(name, how, 0o600), number)
    os.chdir(facts["folder"])
    os.environ.clear()
    os.environ.update(facts["environment"])
    time.tzset()
    tempfile.tempdir = None
    sys.argv = ["newsletter", *facts["words"]]
    code = 0
    try:
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
