"""A language of an alert that comes later, by the command line."""

import pytest

from tests.cli.test_commands import deliver
from tests.cli.test_commands import files as files
from tests.cli.test_commands import program as program


@pytest.mark.timeout(240)
def test_a_language_that_comes_later(program, files, sink):
    """English at once, Arabic to those who wait, Persian marked to whoever had the English; counted before anything."""
    people = "email,name,language\nann@example.org,Ann,en\nben@example.org,Ben,ar\neve@example.org,Eve,fa\n"
    (files / "people.csv").write_text(people)
    texts = {"en": "Soldiers at the gate", "fa": "سربازان جلوی دروازه", "ar": "جنود عند البوابة"}
    for language, subject in texts.items():
        (files / f"{language}.md").write_text(f"---\nsubject: {subject}\nlanguage: {language}\n---\n{subject}.\n")
    program.json("digests", "add", "three", "--name", "The Three", *(f"--language={one}" for one in texts))
    imported = ("subscribers", "import", files / "people.csv", "--digest", "three", "--basis", "imported")
    program.json(*imported, "--evidence", "sheet of 2024")
    out, said = program.run("alerts", "send", files / "en.md", "--to", "three", "--later", "ar")
    assert "ar: 1 wait" in said
    assert "waits 1" in out
    deliver(program)
    [first] = [one["mailing"] for one in program.json("mailings", "list")]
    assert program.json("alerts", "status", first)["waiting"] == {"ar": 1}
    assert "ar: 1 wait" in program.run("alerts", "status", first)[0]

    to_persian = ("alerts", "draft", files / "en.md", "--to", "three", "--only", "fa")
    limited = program.json(*to_persian)["mailing"]
    assert program.json("alerts", "status", limited)["only"] == ["fa"]
    assert program.json("alerts", "send", *to_persian[2:], "--dry-run")["would_send"] == 1
    assert "“de” is a language of neither" in program.run("alerts", "send", *to_persian[2:-1], "de", code=1)[1]

    twice = ("alerts", "draft", files / "en.md", files / "fa.md", files / "en.md", "--to", "three")
    assert "the same language, “en”" in program.run(*twice, code=1)[1]

    late = ("alerts", "send", files / "ar.md", files / "fa.md", "--translates", first)
    would = {"mailing": None, "dry_run": True, "would_send": 1, "waiting": 1, "had_another": 1}
    assert program.json(*late, "--dry-run") == would
    assert program.json(*late, "--also-had", "--dry-run") == would | {"would_send": 2}
    assert "--also-had they get it too" in program.run(*late, "--dry-run")[1]
    out, said = program.run(*late, "--also-had")
    assert "ar: 1 wait for it, 0 had another language" in said
    assert "fa: 0 wait for it, 1 had another language" in said
    assert "Languages that were written later stop with it" in program.run("alerts", "stop", first, "--dry-run")[1]
    deliver(program)
    shown = program.json("alerts", "status", first)
    assert (shown["waiting"], list(shown["translations"].values())) == ({"ar": 0}, ["done"])
    assert sorted(message.recipient for message in sink.messages) == [
        f"{one}@example.org" for one in ("ann", "ben", "eve", "eve")
    ]
    _, said = program.run("alerts", "retract", first)
    assert "With it was taken back" in said

    for words in (
        ("--translates", first, "--to", "three"),
        ("--also-had", "--to", "three"),
        ("--translates", first, "--later", "fa"),
        ("--translates", first, "--only", "fa"),
        (),
    ):
        program.run("alerts", "send", files / "ar.md", *words, code=2)
    assert (
        "is retracted, so no language"
        in program.run("alerts", "send", files / "ar.md", "--translates", first, code=1)[1]
    )
