"""A frame holds what two people signed: nothing but a few plain words gets into its gaps, however it is tried."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.campaigns import frames
from newsletter.campaigns.frames import BadFrame, GapOpen, GapUnfit, NotKept
from newsletter.composer import prose
from newsletter.issues import manuscript
from newsletter.templating import Templates, bundled

TEXT = """---
frame: raid
subject: {{ who }} are in danger at {{ place }}
language: en
action: Write to your MP | https://example.org/act
---
Since {{ when }} nobody may leave {{ place }}. Dear {{ name }}, this is known from {{ source }}.

- Ring your member of parliament.
"""
FRAME = frames.read("raid", TEXT)
SAID = {
    "who": "2,900 people",
    "place": "Sarand",
    "when": "02:10 (first of March)",
    "source": "the camp council, by telephone",
}
TRICKS = (
    "https://evil.example",
    "evil.example",
    "www evil",
    "evil\u3002example",
    "evil\uff0eexample",
    "evil.\u200cexample",
    "e\u00advil.example",
    "mailto:ann",
    "ann@example.org",
    "[here](https://evil.example)",
    "<a href=x>here</a>",
    "&#104;ttp",
    "&lt;b&gt;",
    "198.51.100.7",
    "**bold**",
    "`code`",
    "x\naction: Click | https://evil.example",
    "x\n\nMore of mine",
    "x\r\nframe: other",
    "x\u2028frame: other",
    "x\x85url: y",
    "{{ reference }}",
    "a | b",
    "\u202etxet",
    "- point",
    "# heading",
    "> quote",
    " blank",
    "blank ",
    "",
    "x" * 301,
    "javascript:alert",
    "＜b＞",
)


def filled(**more):
    words = TEXT
    for gap, said in (SAID | more).items():
        words = words.replace(f"{{{{ {gap} }}}}", said)
    return words


def test_filled_as_it_is_meant_it_is_kept():
    """The person at 02:10 copies a file and fills four gaps."""
    assert frames.keeps(FRAME, filled())
    assert frames.keeps(FRAME, "\ufeff" + filled().replace("\n", "\r\n") + "\n\n")
    assert frames.require(FRAME, filled()) == FRAME.id
    assert re.fullmatch(r"raid@[0-9a-f]{32}", FRAME.id)
    assert FRAME.gaps == ("who", "place", "when", "place", "source")


@pytest.mark.parametrize(
    "said", ["محمد رضایی", "می‌خواهند", "شهر سراند، در شمال", "12.3.2026", "3.5 km away", "“the gate”", "R&D at 50 %"]
)
def test_people_and_places_of_every_script_fit(said):
    """A gap that takes no Persian is of no use to those the alert is about."""
    assert frames.fills(said)
    assert frames.keeps(FRAME, filled(place=said))


@pytest.mark.parametrize("gap", ["who", "place", "when", "source"])
@pytest.mark.parametrize("said", TRICKS)
def test_a_gap_takes_no_more_than_words(gap, said):
    """Each would put a link, a line, a fact or a look of one's own into what two people signed."""
    assert not frames.fills(said)
    assert not frames.keeps(FRAME, filled(**{gap: said}))


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("nobody may leave", "everybody may leave"),
        ("language: en", "language: de"),
        ("https://example.org/act", "https://example.org.evil.example/act"),
        ("action: Write", "action: Pay"),
        ("{{ name }}", "{{ reference }}"),
        ("- Ring your member of parliament.\n", ""),
        ("parliament.\n", "parliament.\n\nAnd send money.\n"),
        ("---\nSince", "headline: Mine\n---\nSince"),
        ("frame: raid\n", "frame: raid\nframe: raid\n"),
    ],
)
def test_what_is_fixed_stays(was, now):
    """Word for word, facts and all: a link of another is worth more to a forger than all words."""
    words = filled()
    assert was in words
    assert not frames.keeps(FRAME, words.replace(was, now, 1))


def test_the_refusal_says_where():
    """At 02:10 nobody compares two texts letter by letter."""
    with pytest.raises(NotKept) as refused:
        frames.require(FRAME, filled().replace("nobody may leave", "nobody leaves"))
    assert "nobody may leave" in refused.value.facts["where"]


ANYTHING = (
    st.text(max_size=60)
    | st.sampled_from(TRICKS)
    | st.sampled_from([*SAID.values(), " nobody may leave ", "Sarand. Dear"])
)


@settings(max_examples=400)
@given(st.fixed_dictionaries(dict.fromkeys(SAID, ANYTHING)))
def test_whatever_is_smuggled_keeps_or_does_not_and_never_adds_a_fact(said):
    """What is kept has the frame's own facts, links and lines, and no others."""
    words = filled(**said)
    if not frames.keeps(FRAME, words):
        return
    read, meant = manuscript.read(words, language="en"), manuscript.read(filled(), language="en")
    assert (read.actions, read.language, read.url, read.frame) == (
        meant.actions,
        meant.language,
        meant.url,
        meant.frame,
    )
    assert len(words.splitlines()) == len(filled().splitlines())
    assert set(re.findall(r"https?://\S+", words)) == {"https://example.org/act"}
    assert len(words) <= len(TEXT) + 5 * frames.LONGEST


@given(st.integers(0, len(filled())), st.integers(0, 5), st.text(alphabet="<[@*`|#\u202e", min_size=1, max_size=8))
def test_no_place_takes_a_sign(place, cut, signs):
    """Inside a gap or beside one, anywhere in the text."""
    words = filled()
    changed = words[:place] + signs + words[place + cut :]
    assert changed == words or not frames.keeps(FRAME, changed)


@given(st.integers(0, len(filled())), st.integers(0, 40), st.text(max_size=40))
def test_whatever_is_changed_anywhere_adds_no_link_and_no_line(place, cut, more):
    """Another way to ask the same: of all texts beside a good one, those that are kept look like it."""
    words = filled()
    changed = words[:place] + more + words[place + cut :]
    if frames.keeps(FRAME, changed):
        read = manuscript.read(changed, language="en")
        assert (read.frame, read.language, len(read.actions)) == ("raid", "en", 1)
        assert set(re.findall(r"https?://\S+", changed)) == {"https://example.org/act"}
        assert len(changed.rstrip().splitlines()) == len(words.rstrip().splitlines())


def test_a_gap_that_repeats_the_words_after_it_misleads_nobody():
    """All ways of reading are followed: neither refused by accident nor let through by one."""
    frame = frames.read("x", "---\nframe: x\nsubject: {{ a }} is {{ b }}\n---\nText.\n")
    assert frames.keeps(frame, "---\nframe: x\nsubject: what is is what is\n---\nText.\n")
    assert not frames.keeps(frame, "---\nframe: x\nsubject: what is\n---\nText.\n")


def test_long_texts_take_no_time():
    """Somebody may try to keep a worker busy with a text of blanks."""
    import time

    frame = frames.read("x", "---\nframe: x\nsubject: " + " {{ a }}" * 1 + "\n---\n" + "{{ a }} " * 11 + "\nEnd.\n")
    began = time.monotonic()
    assert not frames.keeps(frame, "---\nframe: x\nsubject:  s\n---\n" + "a " * 30_000)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Words with a {{ gap }} and no facts.\n", "no-facts"),
        (TEXT.replace("frame: raid", "frame: other"), "names-another"),
        (TEXT.replace("frame: raid\n", ""), "names-another"),
        (re.sub("subject.*\n", "", TEXT), "names-another"),
        (TEXT.replace("language: en", "language: {{ which }}"), "gap-in-fact"),
        (TEXT.replace("example.org/act", "example.org/{{ where }}"), "gap-in-fact"),
        (TEXT.replace("leave {{ place }}", "leave {{ place }}{{ more }}"), "gap-not-apart"),
        (TEXT.replace("leave {{ place }}", "leave www.{{ place }}"), "gap-not-apart"),
        (TEXT.replace("leave {{ place }}", "leave [it]({{ place }})"), "gap-not-apart"),
        (re.sub(r"\{\{ (?!name).*? \}\}", "x", TEXT), "no-gap"),
    ],
)
def test_a_file_that_is_no_frame_is_refused(text, why):
    """In the evening, when it can be put right."""
    with pytest.raises(BadFrame) as refused:
        frames.read("raid", text)
    assert refused.value.message == f"frame.{why}"


@pytest.mark.parametrize("name", ["", "../raid", "Raid", "a/b", "raid.md", "x" * 41, "ra\nid"])
def test_a_name_leads_nowhere_else(name):
    """It becomes a path."""
    with pytest.raises(BadFrame):
        frames.named(name)


@pytest.mark.parametrize("path", sorted((bundled() / "frames").glob("*.md")), ids=lambda path: path.stem)
def test_what_we_ship_is_a_frame(path):
    """It is copied by somebody in a hurry."""
    text = Templates().source(frames.named(path.stem))
    frame = frames.read(path.stem, text)
    words = re.sub(r"\{\{.*?\}\}", "some words", text)
    assert frames.keeps(frame, words)
    assert manuscript.read(words, language="en").frame == path.stem


def test_the_tags_of_mail_are_no_gaps():
    """Both lists say the same, and only one may be loaded by a process that sends."""
    assert frames.TAGS == prose.TAGS


def test_a_form_fills_a_frame():
    """A phone has a field for the subject and one for the text; all else of the frame stays as it is."""
    subject, body = (
        re.sub(r"\{\{ (?!name).*?\}\}", "Sarand", part)
        for part in ("{{ who }} are in danger at {{ place }}", TEXT.partition("---\nS")[2])
    )
    words = frames.written(FRAME, {"subject": subject}, f"S{body}")
    assert frames.keeps(FRAME, words)
    assert not frames.keeps(FRAME, frames.written(FRAME, {"subject": "Another subject"}, f"S{body}"))
    smuggled = {"subject": f"{subject}\naction: x | https://evil.example"}
    assert not frames.keeps(FRAME, frames.written(FRAME, smuggled, f"S{body}"))


def test_a_fact_with_a_gap_is_filled_from_the_form_and_no_other():
    """A headline may have one as well; a language or a link of the frame is nobody's to write."""
    frame = frames.read("two", TWO)
    said = {"subject": "Sarand is in danger", "headline": "Sarand, now", "language": "fa", "preheader": "no"}
    words = frames.written(frame, said, "People are at Sarand .")
    assert frames.keeps(frame, words)
    assert "headline: Sarand, now\nlanguage: en\n" in words


TWO = """---
frame: two
subject: {{ place }} is in danger
headline: {{ place }}, now
language: en
---
People are at {{ place }} .
"""


def test_gaps_are_filled_by_name_and_what_none_may_say_leaves_them_open():
    """Of one name all are; the tags of mail are none."""
    text = "{{ name }}, {{ how many }} are at {{ place }}; {{ place }} calls."
    assert frames.open_gaps(text, "{{ place }}") == ["how many", "place"]
    said = {"place": "Sarand", "how many": "many *more*", "name": "Mina"}
    assert frames.filled(text, said) == "{{ name }}, {{ how many }} are at Sarand; Sarand calls."


def test_what_is_open_is_told_with_the_line_in_which_it_stands():
    """Whoever fills it at night sees where the word will stand."""
    frame = frames.read("two", TWO)
    with pytest.raises(GapOpen) as refused:
        frames.require_filled(frame, TWO, {})
    assert refused.value.facts == {"frame": "two", "gaps": "place", "where": "[place] is in danger"}
    with pytest.raises(GapUnfit) as refused:
        frames.require_filled(frame, TWO, {"place": "https://sarand.example"})
    assert refused.value.facts["gap"] == "place"
    frames.require_filled(frame, frames.filled(TWO, {"place": "Sarand"}), {})
