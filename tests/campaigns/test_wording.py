"""Strangers' words in a manuscript: they say what they said, and never become markup, a tag or a fact of the file."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from newsletter import languages
from newsletter.campaigns import alerts, cap, markdown, wording
from newsletter.campaigns.cap import Area, Category, Certainty, Info, Kind, Reference, Scope, Severity, Status, Urgency
from newsletter.campaigns.wording import NothingSaid, Version
from newsletter.composer import alert as composing
from newsletter.composer import plaintext, prose
from newsletter.composer.inlining import Layout
from newsletter.issues import manuscript as manuscripts
from newsletter.issues.articles import ArticleView
from newsletter.issues.feeds import cleaning
from newsletter.issues.manuscript import Manuscript
from newsletter.templating import Templates
from tests.campaigns.samples import START, named, real, said
from tests.composer.samples import FRAME, delivered, part

NIGHT = datetime(2026, 6, 1, 23, 30, tzinfo=UTC)


def info(**more):
    """Return what a message says in one language."""
    plain = Info(
        event="Attack on a camp",
        urgency=Urgency.IMMEDIATE,
        severity=Severity.SEVERE,
        certainty=Certainty.OBSERVED,
        categories=(Category.SAFETY,),
        language="en",
    )
    return replace(plain, **more)


def drafted(*infos, language="en"):
    """Return the manuscript of these infos, read as the drafting of alerts reads it."""
    return manuscripts.read(wording.manuscript(said("A", 0, infos=infos), language), language="xx")


def html(text):
    """Return markdown as alerts render it, before it is cleaned."""
    return MarkdownIt("commonmark", {"html": False}).render(text)


def test_a_message_becomes_a_manuscript():
    """Everything a reader needs, in the order in which they need it."""
    whole = info(
        headline="Rockets on Camp Liberty",
        description="At 02:10 rockets fell.\n\nTwo are dead.",
        instruction="Call your MP.",
        web="https://warnings.example/1",
        contact="0345 988 1188",
        sender_name="Watch Office",
        expires=NIGHT,
        areas=(Area("Camp Liberty"), Area("Baghdad")),
    )
    found = drafted(whole)
    assert (found.subject, found.headline, found.language) == (
        "Rockets on Camp Liberty",
        "Rockets on Camp Liberty",
        "en",
    )
    assert found.actions == (("More information", "https://warnings.example/1"),)
    assert found.markdown == (
        "At 02:10 rockets fell.\n\nTwo are dead.\n\n## What to do\n\nCall your MP.\n\n"
        "- Where: Camp Liberty; Baghdad\n- Until: 1 June 2026, 23:30 UTC\n- Issued by: Watch Office\n- Contact: 0345 988 1188\n"
    )


@pytest.mark.parametrize(
    ("language", "instruction", "until"), [("fa", "چه باید کرد", "۱۱ خرداد ۱۴۰۵"), ("ar", "ما العمل", "١ يونيو ٢٠٢٦")]
)
def test_a_message_speaks_its_own_language(language, instruction, until):
    """English headings in a Persian alert say that nobody read it."""
    found = drafted(info(language=language, instruction="x", expires=NIGHT), language=language)
    assert f"## {instruction}" in found.markdown
    assert until in found.markdown
    assert found.language == language


def test_a_language_that_is_not_there_is_named():
    """The operator sees what there is to translate from."""
    with pytest.raises(NothingSaid) as refusal:
        wording.manuscript(said("A", 0, infos=(info(), info(language="fa"))), "ar")
    assert "en, fa" in languages.say(refusal.value.message, **refusal.value.facts)


def test_a_digest_s_languages_are_looked_for():
    """Authorities write en-GB and digests are in en; a reader of English gets it, in the digest's own name for the language."""
    spoken = said("A", 0, infos=(info(language="en-GB"), info(language="ar", event="هجوم")))
    texts = [manuscripts.read(one, language="xx") for one in wording.manuscripts_for(spoken, ("en", "fa", "ar"))]
    assert [(one.language, one.subject) for one in texts] == [("en", "Attack on a camp"), ("ar", "هجوم")]
    exact = said("A", 0, infos=(info(language="en-GB"), info(language="en", event="The plain one")))
    assert "The plain one" in wording.manuscript(exact, "en")
    with pytest.raises(NothingSaid):
        wording.manuscripts_for(spoken, ("fa",))


def test_a_headline_too_long_for_a_subject_gives_way_to_the_event():
    """A mail program shows fifty letters; the headline still stands above the text."""
    found = drafted(info(headline="word " * 40))
    assert found.subject == "Attack on a camp"
    assert found.headline == ("word " * 40).strip()


@pytest.mark.parametrize(
    "name", ["cap-update.xml", "cap-wainfleet.xml", "cap-wainfleet_cancel.xml", "cap-windemere.xml"]
)
def test_real_messages_can_be_drafted(name):
    """No headline, an empty description, signs of markdown flattened into one line: all of it is out there."""
    message = cap.read(real(name).read_bytes())
    found = manuscripts.read(wording.manuscript(message, message.languages[0]), language="xx")
    assert found.subject
    assert "<a " not in html(found.markdown)
    assert plaintext.bare(found.markdown).startswith(
        " ".join((message.infos[0].description or message.infos[0].event).split())
    )


HOSTILE = """---
language: xx
action: Pay | https://evil.example/
---
# {{ name }} {% x %} <script>x</script> [a](https://evil.example/) ![p](https://evil.example/p.gif)
=====
    code
- item
1. one
> quote
```
&amp; <https://evil.example/> \u202eabc
[b]: https://evil.example/ 'x'"""


def test_a_hostile_message_is_only_words():
    """Whoever sends a message must not write our mail: no link, no heading, no tag, no fact of the file, no turned letters."""
    found = drafted(info(event=HOSTILE, headline=HOSTILE, description=HOSTILE, instruction=HOSTILE, contact=HOSTILE))
    shown = html(found.markdown)
    for mark in ("<a ", "<img", "<script", "<h1", "<pre", "<code", "<blockquote", "<ol", "<hr", "\u202e"):
        assert mark not in shown, mark
    assert shown.count("<h2>") == 1
    assert (found.language, found.actions) == ("en", ())
    assert "&lt;script&gt;" in shown
    for text in (found.subject, found.headline, found.markdown):
        assert not any(tag in text for tag in ("{{", "{%", "{#"))


def test_a_hostile_message_composes_to_a_mail_without_its_links():
    """The whole way to the bytes: a tag that is not known would stop the alert, and an address would be pressed."""
    hostile = info(
        event=HOSTILE, headline=HOSTILE, description=HOSTILE, contact=HOSTILE, web="https://warnings.example/1"
    )
    text = drafted(replace(hostile, areas=(Area(HOSTILE),)))
    compiled = composing.compose(alerts.content(text, now=NIGHT, zone=UTC), FRAME, Layout(Templates()))
    page = part(delivered(compiled), "html")
    assert "evil.example" not in "".join(re.findall(r'(?:href|src)="([^"]*)"', page))
    assert "https://warnings.example/1" in page
    assert "{ { name }}" in page


@pytest.mark.parametrize("web", ["http://x.example/", "javascript:alert(1)", "https://a b", "https://x.example/|y", ""])
def test_only_a_good_address_becomes_a_button(web):
    """The first button of an urgent mail is pressed by thousands."""
    labels = [url for _, url in drafted(info(web=web)).actions]
    assert labels == (["https://x.example/%7Cy"] if "|" in web else [])


# The marks that turn the direction of what follows are taken out.
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t", exclude_characters=TURNING), max_size=60
)
MARKS = st.text("\\`*_{}[]()<>#+-.!|~%&=:12 \nab", max_size=30)


@given(TEXT | MARKS)
def test_plain_text_stays_what_it_says(text):
    """Every mark in it is a letter; the text part and the page print the same words."""
    shown = markdown.plain(text)
    assert "".join(plaintext.bare(shown).split()) == "".join(text.split())
    assert {token.type for token in MarkdownIt("commonmark").parse(shown)} <= {
        "paragraph_open",
        "inline",
        "paragraph_close",
    }


@given(MARKS)
def test_plain_text_holds_no_merge_tag(text):
    """{{ name }} in a stranger's words would fail the composing, or greet each reader by their name."""
    html = cleaning.clean(f"<p>{{<b>{{</b>{text}}}}}{{<a href='https://x.example/'>%{text}</a>", base_url="")
    for shown in (markdown.plain(f"{{{{{text}}}}} {{%{text}"), markdown.from_html(html)):
        assert not prose._TAG.search(shown)
        assert not prose._TAG.search(plaintext.bare(shown)), "the line an inbox shows is made from these"


PIECES = ("<p>", "</p>", "<b>", "</b>", "<i>", "<ul>", "<li>", "</ul>", "<ol>", "<blockquote>", "</blockquote>", "<br>",
          "<h2>", "<a href='https://x.example/'>", "</a>", "a", "b", "*", "{", "-", "1.", "<table>", "<td>")  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_clean_html_becomes_markdown_with_the_same_words(parts):
    """An article's tags are closed wrongly, nested wildly, or empty; its words must all be there."""
    body = cleaning.clean(" ".join(parts), base_url="https://x.example/")
    shown = html(markdown.from_html(body))
    words = "".join(cleaning.text(body).split())
    # Cells stand in a line with a dot between them.
    assert "".join(cleaning.text(shown).replace("·", "").split()) == words


def test_html_becomes_markdown():
    """An open letter is drafted with its form: paragraphs, stress, lists, quotations, links."""
    body = (
        "<p>Dear <b>Minister </b>of <a href='https://x.example/a'>war</a>,</p><ul><li>one</li><li><p>two</p><p>three</p></li></ul>"
        "<ol><li>1</li></ol>4. loose<br>* line<blockquote><p>q</p><p>r</p></blockquote><h2>Why</h2><hr>"
        "<figure><img src='https://x.example/i.png' alt='A well'><figcaption>A well</figcaption></figure>"
        "<table><tr><td>a</td><td>b</td></tr></table>"
    )
    assert markdown.from_html(body) == (
        "Dear **Minister** of [war](<https://x.example/a>),\n\n- one\n- two\n\n  three\n\n1. 1\n\n4\\. loose\\\n\\* line\n\n"
        "> q\n> \n> r\n\n## Why\n\n* * *\n\nA well\n\na · b"
    )


def test_deep_html_does_not_break_the_desk():
    """Five thousand boxes in each other are an attack on whoever reads them."""
    markdown.from_html("<div>" * 5000 + "x" + "</div>" * 5000)
    markdown.from_html("<b>" * 5000 + "x")


def article(**more):
    """Return a stored article."""
    plain = {
        "id": 1,
        "revision": 1,
        "title": "Open letter to the Minister",
        "byline": "Nika Vardan",
        "source": "",
        "dateline": "1 June 2026",
        "excerpt": "Dear Minister",
        "body": "<p>Dear <b>Minister</b>,</p><p>act now.</p>",
        "categories": (),
        "featured": False,
        "kind": "open_letter",
        "language": "fa",
        "direction": "rtl",
        "image_url": None,
        "image_alt": "",
        "url": "https://sarand.example/letter",
        "posted_on": START,
        "ready_seq": 1,
        "feed": "sarand",
    }
    return ArticleView(**plain | more)


def test_an_article_becomes_a_manuscript():
    """An open letter waits for no digest; its draft has the whole text and leads to the letter."""
    found = manuscripts.read(wording.of_article(article(), language="en"), language="xx")
    assert (found.subject, found.language, found.url) == (
        "Open letter to the Minister",
        "fa",
        "https://sarand.example/letter",
    )
    assert found.actions == (("نامهٔ سرگشاده را بخوانید", "https://sarand.example/letter"),)
    assert found.markdown == "Nika Vardan · 1 June 2026\n\nDear **Minister**,\n\nact now.\n"


@pytest.mark.parametrize(
    ("body", "excerpt", "ends"), [("", "Short.", "Short."), ("", "", "Open letter to the Minister")]
)
def test_an_article_without_a_text_can_still_be_drafted(body, excerpt, ends):
    """A headline at night is better than an error; the operator writes the rest."""
    plain = article(body=body, excerpt=excerpt, language=None, kind="article")
    found = manuscripts.read(wording.of_article(plain, language="en"), language="xx")
    assert found.markdown.strip().endswith(ends)
    assert (found.language, found.actions[0][0]) == ("en", "Read on")


def test_an_alert_of_ours_goes_out_as_a_message():
    """What others show on their screens is what our readers were sent, in each language."""
    versions = [
        Version("en", "Camp attacked", "The camp is attacked", "Call **your MP**.", "https://sarand.example/1"),
        Version("fa", "حمله", "حمله به اردوگاه", "متن"),
    ]
    name = wording.named(7, "sarand.example", sent=START)
    found = wording.message(name, versions, sender_name="Friends of Sarand", expires=NIGHT)
    assert (found.identifier, found.sender, found.kind, found.status, found.scope) == (
        "alert-7",
        "sarand.example",
        Kind.ALERT,
        Status.ACTUAL,
        Scope.PUBLIC,
    )
    assert [one.language for one in found.infos] == ["en", "fa"]
    english = found.infos[0]
    assert (english.event, english.headline, english.description) == (
        "Camp attacked",
        "The camp is attacked",
        "Call *your MP*.",
    )
    assert (english.web, english.expires, english.sender_name) == (
        "https://sarand.example/1",
        NIGHT,
        "Friends of Sarand",
    )
    assert cap.read(cap.write(found)) == found


def test_an_update_of_ours_names_what_it_updates():
    """Whoever shows our alerts must take the old one down."""
    first = Reference(START, "sarand.example", "alert-7")
    name = wording.named(8, "sarand.example", sent=NIGHT)
    found = wording.message(name, [], sender_name="x", expires=None, kind=Kind.CANCEL, references=(first,))
    assert cap.read(cap.write(found)).references == (first,)
    assert named("A", 0) < named("A", 1), "names are ordered by their moment"


@given(
    st.builds(
        Manuscript,
        TEXT,
        TEXT,
        TEXT,
        st.just("en"),
        TEXT,
        st.lists(st.tuples(TEXT, TEXT | st.just("https://x.example/"))).map(tuple),
        TEXT,
    )
)
def test_a_manuscript_that_is_written_is_read_as_it_was(text):
    """Between the message and the draft lies a file; nothing may be added or lost on the way."""
    line = lambda words: " ".join(words.split())  # noqa: E731
    if not line(text.subject) or not text.markdown.strip():
        return
    found = manuscripts.read(manuscripts.write(text), language="xx")
    assert (found.subject, found.preheader, found.url) == (line(text.subject), line(text.preheader), line(text.url))
    assert found.headline == (line(text.headline) or line(text.subject))
    assert found.markdown.split() == text.markdown.split()
    assert found.actions == tuple(
        (line(label), url) for label, url in text.actions if line(label) and url == "https://x.example/"
    )
