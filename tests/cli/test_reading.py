"""Nobody gives their word at the command line for what they have not read, nor one person for two by forgetting a name."""

import json
import os
import pty

import pytest

from newsletter.journeys import alert, desk, drafting
from newsletter.ledger.mailings import State
from newsletter.operators.roles import Role
from tests import house
from tests.cli.test_night import crew as crew
from tests.cli.test_night import made as made
from tests.cli.test_night import program as program
from tests.journeys import nights

TEXT = "---\nsubject: Lorries at Sarand\n---\nFourteen lorries stand at the second gate.\n"


@pytest.fixture
def author(crew):
    return crew.member(Role.SENDER)


@pytest.fixture
def approver(crew):
    return crew.member(Role.APPROVER, name="Noor Holm")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "alert.md"
    path.write_text(TEXT)
    return path


@pytest.fixture
def number(made, tmp_path, path, author):
    """An alert to four readers, of which a second person must approve, locked."""
    house.add_readers(made, tmp_path, house.addresses(4))
    number = drafting.draft(made.parts, [str(path)], digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    return number


def corrected(made, path, number, author):
    path.write_text(TEXT.replace("Fourteen", "Forty"))
    drafting.edit(made.parts, number, [str(path)], by=author.id)
    alert.lock(made.parts, number, by=author.id)


def test_whoever_approves_reads_it_first(program, made, path, number, author, approver):
    """Every word, to how many, the figures two people compare, and what was changed: above the question for the code."""
    corrected(made, path, number, author)
    locked = alert.standing(made.parts, number).locked
    code = approver.code(nights.now(made))
    out, read = program.run("alerts", "approve", number, "--operator", approver.id, "--json", stdin=code)
    assert f"Alert {number}, to 4 readers of" in read
    assert "en: Lorries at Sarand" in read
    assert "\n  Forty lorries stand at the second gate.\n" in read
    assert "-Fourteen lorries stand" in read
    assert "What would take it back, and is approved with it:" in read
    assert "Our alert “Lorries at Sarand” was wrong" in read
    assert f"Its code: {locked.code}" in read
    assert json.loads(out)["state"] == "approved"
    assert alert.standing(made.parts, number).state is State.APPROVED


def test_what_one_sends_alone_is_approved_by_a_second_and_goes(program, made, number, author, approver):
    """Status says whom to wake, and the code of whoever wakes up lets it go: no second lock, no further command."""
    program.run("alerts", "release", number, "--alone", "--operator", author.id, stdin=author.code(nights.now(made)))
    _, said = program.run("alerts", "status", number)
    assert f"goes at once if one of these approves it: Noor Holm ({approver.id})" in said
    found = program.json("alerts", "status", number)
    assert found["may_approve"] == [{"operator": approver.id, "name": "Noor Holm"}]
    code = approver.code(nights.now(made))
    out, read = program.run("alerts", "approve", number, "--operator", approver.id, "--json", stdin=code)
    assert "\n  Fourteen lorries stand at the second gate.\n" in read
    assert json.loads(out)["state"] == "sending"
    assert made.deliver("urgent") == 4


def test_whoever_sends_alone_reads_it_first(program, made, number, author):
    """The same words for the one who has nobody to read them besides."""
    words = ("alerts", "release", number, "--alone", "--operator", author.id)
    _, read = program.run(*words, stdin=author.code(nights.now(made)))
    assert "Fourteen lorries stand at the second gate." in read
    assert "Its code: " in read


def approved(made, number, approver):
    alert.approve_by_code(made.parts, number, by=approver.id, code=approver.code(nights.now(made)))


def test_whoever_releases_reads_it_too(program, made, number, approver):
    """A script is asked nothing: what it printed is what goes."""
    approved(made, number, approver)
    out, read = program.run("alerts", "release", number, "--json")
    assert "Fourteen lorries stand at the second gate." in read
    assert "Its code: " in read
    assert json.loads(out)["state"] == "sending"


@pytest.mark.parametrize("answer", ["y", "n"])
def test_what_is_locked_anew_while_somebody_reads_is_not_released(
    program, made, path, number, author, approver, answer
):
    """At a terminal it is shown and asked for; the answer is for what was shown, and “no” sends nothing."""
    approved(made, number, approver)
    ours, theirs = pty.openpty()
    with program.begin("alerts", "release", number, terminal=os.ttyname(theirs)) as reading:
        while "Its code: " not in (line := reading.stderr.readline()):
            assert line, "it ended without showing anything"
        if answer == "y":
            corrected(made, path, number, author)
        os.write(ours, f"{answer}\n".encode())
        said = reading.stderr.read()
        assert reading.wait() == 1
    os.close(ours)
    os.close(theirs)
    assert ("locked anew while you were reading" in said) is (answer == "y")
    assert alert.standing(made.parts, number).state is (State.LOCKED if answer == "y" else State.APPROVED)


def test_what_is_locked_anew_while_somebody_reads_is_not_approved(program, made, path, number, author, approver):
    """The code is typed under the words that were read, and is good for no others."""
    with program.begin("alerts", "approve", number, "--operator", approver.id) as reading:
        while "Its code: " not in (line := reading.stderr.readline()):
            assert line, "it ended without showing anything"
        corrected(made, path, number, author)
        reading.stdin.write(approver.code(nights.now(made)) + "\n")
        reading.stdin.flush()
        said = reading.stderr.read()
        assert reading.wait() == 1
    assert "locked anew while you were reading" in said
    assert alert.standing(made.parts, number).state is State.LOCKED


def test_its_status_says_what_it_says(program, made, number):
    """Whoever is called at night looks here first."""
    out, _ = program.run("alerts", "status", number)
    assert "Fourteen lorries stand at the second gate." in out
    alert.stop(made.parts, number)
    given_up = program.json("alerts", "status", number)
    assert (given_up["state"], given_up["lock"], given_up["code"]) == ("cancelled", None, None)


def test_its_status_says_why_it_did_not_go(program, made, tmp_path, number, author, database_urls):
    """Sent alone, and a draft again since the audience moved; then let go, and halted by a worker."""
    nights.alone(made, number, author)
    house.add_readers(made, tmp_path, house.addresses(9))
    house.by_owner(database_urls, "UPDATE mailing SET start_at = now() WHERE id = %s", number)
    made.sweep()
    out, _ = program.run("alerts", "status", number)
    assert "It did not go (" in out
    assert "was locked for 4 readers and would now go to 9" in out
    [found] = program.json("alerts", "status", number)["refusals"]
    assert (found["why"], found["halted"]) == ("alert.count-moved", False)
    alert.lock(made.parts, number, by=author.id)
    assert program.json("alerts", "status", number)["refusals"] == []


def test_a_text_cannot_move_the_cursor(program, made, tmp_path, path, author):
    """What erases a line of a terminal would hide from its reader what they approve."""
    house.add_readers(made, tmp_path, house.addresses(4))
    path.write_text(TEXT + "Send money to me.\x1b[1A\x1b[2K\n")
    number = drafting.draft(made.parts, [str(path)], digest_key=house.DIGEST, by=author.id)
    out, _ = program.run("alerts", "status", number)
    assert "Send money to me." in out
    assert "\x1b[2K" not in out


def test_whoever_needs_a_second_person_says_who_they_are(program, made, tmp_path, path, number, approver):
    """Without a name nobody could say that the one who approves is another: nothing is locked, and no word of it lost."""
    kept = program.json("alerts", "send", path, "--to", house.DIGEST, "--wait")
    assert (kept["state"], kept["waits_for"], kept["lock"]) == ("draft", "night.no-author", None)
    assert kept["may_approve"] == [{"operator": approver.id, "name": "Noor Holm"}]
    draft = kept["mailing"]
    assert program.json("alerts", "lock", draft, code=1)["error"] == "night.no-author"
    assert alert.standing(made.parts, draft).state is State.DRAFT
    assert [one.mailing for one in desk.listed(made.parts)] == [number, draft], "what is locked stands first"
    assert program.json("alerts", "lock", draft, "--operator", approver.id, code=1)["error"] == "operator.not-allowed"


def test_send_says_what_is_missing_and_who_is_asked(program, made, tmp_path, path, crew, author, approver):
    """The first alert of a new team: what stands there now, by which command it goes on, and whom to ring."""
    crew.member(Role.APPROVER, name="Omid Keller")
    house.add_readers(made, tmp_path, house.addresses(4))
    _, said = program.run("alerts", "send", path, "--to", house.DIGEST)
    said = " ".join(said.split())
    assert "waits for: Noor Holm (2), Omid Keller (3)" in said
    assert "“newsletter alerts lock 1 --operator NUMBER”" in said
    locked = program.json("alerts", "send", path, "--to", house.DIGEST, "--operator", author.id)
    assert (locked["state"], locked["waits_for"]) == ("locked", "night.nobody")
    assert [one["name"] for one in locked["may_approve"]] == ["Noor Holm", "Omid Keller"]
    _, said = program.run("alerts", "status", locked["mailing"])
    assert "waits for: Noor Holm (2), Omid Keller (3)" in said
    program.run("alerts", "lock", 1, "--operator", author.id)
    assert alert.standing(made.parts, 1).state is State.LOCKED


def test_whoever_locks_reads_what_has_no_name(program, made, path, number, author):
    """Somebody edited it at the shell and did not say who: their words get the name of the one who locks them."""
    path.write_text(TEXT.replace("Fourteen", "Forty"))
    assert "no name" in program.run("alerts", "edit", number, path)[1]
    _, read = program.run("alerts", "lock", number, "--operator", author.id)
    assert "\n  Forty lorries stand at the second gate.\n" in read
    assert alert.standing(made.parts, number).author == author.id


def test_few_readers_need_no_name(program, made, tmp_path, path):
    """The plain form stays one command."""
    house.add_readers(made, tmp_path, house.addresses(2))
    assert program.json("alerts", "send", path, "--to", house.DIGEST)["state"] == "sending"
