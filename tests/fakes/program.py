"""The command line for tests: each command a process of its own, forked from one that has loaded it already.

A suite runs hundreds of commands, and loading the program is most of each. What a command finds is what it would find anyway:
its own arguments, environment, folder, standard streams and exit code. `python -m newsletter` itself is run where a test says so.
"""

import gc
import json
import os
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

    def run(self, words, environment, folder, stdin):
        """Return (exit code, stdout, stderr) of one command; -9 for one that was not done in time."""
        with tempfile.TemporaryDirectory() as place:
            streams = [str(Path(place) / name) for name in ("in", "out", "err")]
            Path(streams[0]).write_text(stdin)
            facts = {
                "words": words,
                "environment": dict(environment),
                "folder": str(folder or Path.cwd()),
                "streams": streams,
            }
            print(json.dumps(facts), file=self.process.stdin, flush=True)
            ended = int(self.process.stdout.readline())
            return ended, *(Path(one).read_text() for one in streams[1:])


@cache
def _loaded():
    return _Loaded()


def serve():
    """Fork for each line of standard input, until its end; answer with the exit code."""
    run = _load()
    for line in sys.stdin:
        facts = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(facts, run)
        print(_wait(child), flush=True)


def _load():
    """Return what runs a command, with all done that is the same for every one: three quarters of the time of a short one."""
    from sqlalchemy import orm
    from typer.main import get_command

    from newsletter.cli import commands, door

    tree = get_command(commands.app)
    orm.configure_mappers()
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
