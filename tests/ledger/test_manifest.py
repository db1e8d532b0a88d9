"""What a lock fixes: one text, one fingerprint, and a difference that shows an approver everything that moved."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.composer.message import Block, Compiled, Head
from newsletter.ledger.manifest import Change, Manifest, Version, difference, short

NOW = datetime(2026, 6, 1, 2, 10, tzinfo=UTC)


def compiled(text="Lorries at the gate"):
    return Compiled(Head(("Subject: x\r\n",), (text,)), (Block((f"<p>{text}</p>",), (text,)),))


VERSION = Version.of(compiled(), number=1, language="en", words="# Lorries\n\nAt the gate.\n")
MANIFEST = Manifest(
    mailing=7,
    number=1,
    author=1,
    kind="alert",
    lane="urgent",
    sender="news@sarand.example",
    expires_at=NOW,
    latest=NOW + timedelta(days=2),
    audience={"digest": {"id": 1, "key": "weekly", "languages": ["en"]}},
    count=400,
    versions=(VERSION,),
    retraction=(replace(VERSION, words="Disregard."),),
    links=("https://sarand.example/act",),
    images=(),
)
OTHER = {
    "mailing": 8,
    "number": 2,
    "author": None,
    "kind": "retraction",
    "lane": "bulk",
    "sender": "news@evil.example",
    "expires_at": NOW + timedelta(seconds=1),
    "latest": NOW + timedelta(days=3),
    "audience": {"digest": {"id": 1, "key": "weekly", "languages": ["en", "fa"]}},
    "count": 401,
    "versions": (replace(VERSION, words="# Lorries\n\nAt the second gate.\n"),),
    "retraction": (),
    "links": ("https://evil.example/act",),
    "images": (("https://sarand.example/p.png", ""),),
    "updates": 3,
    "writers": (2,),
    "measure": (401, 0),
    "translates": 4,
    "whole": 9_000,
    "written_at": NOW,
}


def test_every_field_changes_the_fingerprint():
    """A signature must cover everything: a field left out is a door left open."""
    assert OTHER.keys() == {field.name for field in fields(Manifest)}
    prints = {replace(MANIFEST, **{name: value}).fingerprint for name, value in OTHER.items()}
    assert len(prints | {MANIFEST.fingerprint}) == len(OTHER) + 1


def test_it_is_read_back_as_it_was():
    """A worker works the fingerprint out from the stored text, and judges by what stands there."""
    for manifest in (MANIFEST, replace(MANIFEST, **OTHER)):
        read = Manifest.parse(manifest.text)
        assert read == manifest
        assert read.fingerprint == manifest.fingerprint
    with pytest.raises(ValueError, match="form"):
        Manifest.parse(MANIFEST.text.replace('"form":1', '"form":2'))


def test_a_style_is_part_of_what_is_signed():
    """A version for readers at risk must not become one for everyone, or the other way round, by a row that somebody writes."""
    styled = replace(MANIFEST, versions=(VERSION, replace(VERSION, number=2, style="dt")))
    prints = {one.fingerprint for one in (styled, replace(styled, versions=(VERSION, replace(VERSION, number=2))))}
    assert len(prints) == 2
    assert Manifest.parse(styled.text) == styled


def test_what_was_locked_before_there_were_styles_keeps_its_fingerprint():
    """An alert that went before an upgrade is taken back after it: its lock must still be its lock."""
    assert "style" not in MANIFEST.text
    assert Manifest.parse(MANIFEST.text).fingerprint == MANIFEST.fingerprint


def test_an_approver_reads_the_words_once_and_hears_what_readers_at_risk_get():
    """The same text five times over hides the one that changed; a neutral name that became ours must not be hidden."""
    other = compiled("Lorries, by the Friends of Sarand")
    risk = Version.of(compiled("Reading"), number=2, language="en", words=VERSION.words, style="d")
    before = replace(MANIFEST, versions=(VERSION, risk))
    assert difference(MANIFEST, before) == [Change("styles", "", "d")]
    named = replace(
        before, versions=(VERSION, Version.of(other, number=2, language="en", words=VERSION.words, style="d"))
    )
    assert difference(before, named) == [Change("styles", "d", "d")]
    words = "# Lorries\n\nAt the second gate.\n"
    rewritten = replace(named, versions=tuple(replace(one, words=words) for one in named.versions))
    assert [change.what for change in difference(before, rewritten)] == ["words"]


def test_what_was_locked_before_there_were_later_languages_keeps_its_fingerprint():
    """An alert that went before an upgrade is taken back after it: its lock must still be its lock."""
    assert "translates" not in MANIFEST.text
    assert Manifest.parse(MANIFEST.text).fingerprint == MANIFEST.fingerprint


def test_a_message_is_one_of_those_that_were_locked_or_it_is_not():
    """One letter more, in the head or in a block, and it does not go."""
    assert MANIFEST.holds(compiled())
    assert not MANIFEST.holds(compiled("Lorries at the gates"))
    moved = Compiled(compiled().head, (*compiled().blocks, *compiled().blocks))
    assert not MANIFEST.holds(moved)
    assert not replace(MANIFEST, retraction=()).holds(compiled(), retraction=True)


@given(st.integers(0, 10_000_000), st.integers(-300_000, 300_000))
def test_two_percent_is_the_limit_and_one_reader_is_nobody_s_fault(count, more):
    """Between lock and release people come and go; a list that doubled is an attack or a mistake."""
    moved = replace(MANIFEST, count=count).moved(count + more)
    assert moved == (abs(more) > 1 and abs(more) * 100 > 2 * count - (2 * count) % 100)


def test_the_difference_shows_every_change_an_approver_must_see():
    """They approved version one in their head; what is new must not hide."""
    found = {change.what for change in difference(MANIFEST, replace(MANIFEST, **OTHER))}
    assert found == set(OTHER) - {
        "mailing",
        "number",
        "author",
        "kind",
        "versions",
        "expires_at",
        "latest",
        "writers",
        "measure",
        "whole",
        "written_at",
    } | {"words"}
    assert difference(MANIFEST, replace(MANIFEST, number=2)) == []
    [words] = difference(MANIFEST, replace(MANIFEST, versions=OTHER["versions"]))
    assert "-At the gate." in words.lines
    assert "+At the second gate." in words.lines
    [look] = difference(MANIFEST, replace(MANIFEST, versions=(replace(VERSION, head="0" * 64),)))
    assert (look.what, look.lines) == ("words", ())


def test_the_hour_of_a_lock_is_no_change_and_all_else_of_the_look_is():
    """Each lock says when it was written; whoever approves must not learn to overlook what is said to have changed."""

    def of(*blocks):
        return replace(MANIFEST, versions=(replace(VERSION, blocks=blocks),))

    assert difference(of("opening", "02:08", "body", "closing"), of("opening", "02:31", "body", "closing")) == []
    for place in (0, 2, 3):
        blocks = ["opening", "02:31", "body", "closing"]
        blocks[place] = "another"
        assert len(difference(of("opening", "02:08", "body", "closing"), of(*blocks))) == 1


def test_what_was_locked_before_mails_said_that_moment_keeps_its_fingerprint():
    """As with later languages: what went before an upgrade is taken back after it."""
    assert "written_at" not in MANIFEST.text


def test_a_code_is_short_enough_to_be_read_aloud():
    """Two people on the telephone compare twelve figures."""
    assert short(bytes(range(32))) == "0001 0203 0405"


def test_an_audience_is_counted_anew_unless_its_figures_say_that_it_cannot_have_moved():
    """A quick look must never let an audience pass that a count would refuse."""
    locked = replace(MANIFEST, count=400, measure=(410, 10))
    assert locked.surely_same((410, 10))
    assert locked.surely_same((414, 14))
    assert not locked.surely_same((419, 10))
    assert not locked.surely_same((405, 14))
    assert not replace(MANIFEST, measure=(0, 0)).surely_same((410, 10))
