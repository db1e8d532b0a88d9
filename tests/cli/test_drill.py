"""newsletter drill: what an operator types in the morning, and what the machine's watcher reads."""

import threading

import pytest

from newsletter.journeys import drilling
from newsletter.operators.roles import Role
from tests import house
from tests.cli.test_night import crew as crew
from tests.cli.test_night import made as made
from tests.cli.test_night import program as program


@pytest.fixture
def lane(made):
    """The urgent lane's worker, at its work beside the command."""
    ended = threading.Event()

    def work():
        while not ended.wait(0.05):
            made.deliver("urgent")

    working = threading.Thread(target=work)
    working.start()
    yield
    ended.set()
    working.join()


def test_a_drill_is_waited_for_and_shown(program, made, tmp_path, crew, lane, sink):
    """One command proves the lane, and its exit code is what a watcher looks at."""
    crew.member(Role.SENDER)
    crew.member(Role.APPROVER, name="Noor Holm")
    house.add_readers(made, tmp_path, house.addresses(4))
    assert program.json("drill", "--dry-run") == {"dry_run": True, "would_send": 2}
    found = program.json("drill", "--wait")
    assert (found["ok"], found["drill"]["accepted"], found["drill"]["mailboxes"]) == (True, 2, 2)
    said, _ = program.run("drill", "--lamp")
    assert said.strip() == found["sentence"]
    assert "2 of 2 mailboxes, reach 4, quota enough" in said
    assert len(sink.messages) == 2
    [check] = [one for one in _doctor(program)["checks"] if one["check"] == "drill"]
    assert (check["ok"], check["found"]) == (True, found["sentence"])


def test_a_lane_that_was_never_tried_is_not_called_proved(program, made, crew):
    """Exit code 1 from the first day on, and a sentence that says what to do; for the doctor it is a question, no fault."""
    assert program.json("drill", code=1)["error"] == "drill.no-team"
    found = program.json("drill", "--lamp", code=1)
    assert (found["ok"], found["sentence"]) == (None, "lane never tried: run “newsletter drill”")
    [check] = [one for one in _doctor(program)["checks"] if one["check"] == "drill"]
    assert check["ok"] is None


def test_a_drill_under_way_does_not_touch_the_lamp(program, made, tmp_path, crew):
    """What is known stays known until there is something else to say."""
    crew.member(Role.SENDER)
    house.add_readers(made, tmp_path, house.addresses(1))
    begun = program.json("drill")
    assert (begun["drill"], begun["state"]) == (1, "sending")
    assert program.json("drill", "--lamp", code=1)["drill"] is None
    made.deliver("urgent")
    assert drilling.ended(made.parts, 1)
    assert program.json("drill", "--lamp")["ok"] is True


def _doctor(program):
    import json

    out, _ = program.run("doctor", "--json", code=1)
    return json.loads(out)
