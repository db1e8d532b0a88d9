"""What a reader sees of a mail, judged by html-validate, axe, caniemail (which client drops what) and w3m (the text)."""

import email
import email.policy
import html
import json
import os
import re
import shutil
import subprocess
from itertools import product

import pytest

from newsletter.composer.stamping import Stamper
from tests.composer.conftest import layout as layout
from tests.composer.test_messages import ARABIC, FRAME, KINDS, PERSIAN, PERSON, made
from tests.judges import browsing

# What html-validate advises for pages and mail cannot follow.
MAIL_RULES = {
    "no-inline-style": "off",  # most clients drop style sheets: every style is inlined
    "no-deprecated-attr": "off",  # Outlook's Word engine knows cellpadding, bgcolor, align and valign, and no CSS for them
    "presentation-role-style": "off",  # older screen readers know "presentation" only (standards §22)
    "prefer-native-element": "off",  # clients drop <article>; role="article" is what they keep (standards §22)
    "prefer-tbody": "off",  # parsers add it, and eight layout tables would pay for it
}

# What some client drops, and why nothing is lost by that. Anything else that a client drops is a fault.
DROPPED = {
    "color-scheme meta tag": "without it the mail is light, as every other",
    "color-scheme CSS property": "without it the mail is light, as every other",
    "@media": "the layout is one fluid column without it",
    "<style> element": "only dark mode and the narrow screen's sizes stand there; all else is inlined",
    "<body> element": "clients put a div in its place; a wrapping div carries language, direction and colour",
    "aria-label attribute": "the words it names stand in the heading too",
    "role attribute": "a table without it is read out as one, cell by cell",
    "display:none": "one of five ways in which the preheader is hidden; any of them is enough",
    "max-height property": "one of five ways in which the preheader is hidden",
    "overflow": "one of five ways in which the preheader is hidden",
    "opacity": "one of five ways in which the preheader is hidden",
    "white-space": "a date or a number may break over two lines",
    "border-radius": "buttons have square corners",
    "word-break": "a long command makes the team's mail wider than the phone",
}
CLIENTS = ["gmail.*", "outlook.*", "apple-mail.*", "yahoo.*"]


@pytest.fixture(scope="module")
def mails(layout, tmp_path_factory):
    """Return name → (HTML file, text) of every kind of mail in three languages."""
    folder = tmp_path_factory.mktemp("mails")
    found = {}
    for frame in (FRAME, PERSIAN, ARABIC):
        for kind in KINDS:
            read = email.message_from_bytes(
                Stamper(made(kind, layout, frame)).stamp(PERSON), policy=email.policy.default
            )
            path = folder / f"{frame.language}-{kind}.html"
            path.write_text(read.get_body(("html",)).get_content(), encoding="utf-8")
            found[path.stem] = (path, read.get_body(("plain",)).get_content())
    return found


def objections(judges, tmp_path, files, rules):
    asking = tmp_path / "validate.json"
    asking.write_text(json.dumps({"paths": [str(path) for path in files.values()], "rules": rules}))
    return {name: said for name, said in zip(files, judges.ask("validate.mjs", str(asking)), strict=True) if said}


@pytest.mark.proof
def test_every_mail_is_valid_html(judges, mails, tmp_path):
    """What one client forgives, the next shows as a hole."""
    assert objections(judges, tmp_path, {name: path for name, (path, _) in mails.items()}, MAIL_RULES) == {}


@pytest.mark.proof
def test_no_client_drops_what_carries_meaning(judges, mails, tmp_path):
    """A feature that a client drops is used only where its loss is written down and costs a reader nothing."""
    asking = tmp_path / "clients.json"
    asking.write_text(json.dumps({"paths": [str(path) for path, _ in mails.values()], "clients": CLIENTS}))
    for name, found in zip(mails, judges.ask("clients.mjs", str(asking)), strict=True):
        dropped = {title for _client, titles in found["errors"] for title in titles}
        assert dropped <= DROPPED.keys(), f"{name}: {dropped - DROPPED.keys()}"


@pytest.mark.proof
def test_axe_finds_nothing_in_any_mail(judges, chromium, mails):
    """Contrast, headings, names and languages: a reader who listens or enlarges reads the same mail, by night as well."""
    found = []
    with browsing.running(chromium) as browser:
        page = browser.new_page()
        for name, (path, _) in mails.items():
            page.goto(path.as_uri())
            for scheme, width in product(("light", "dark"), (320, 640)):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 900})
                found += [f"{name} {scheme} {width}: {said}" for said in browsing.violations(page, judges.axe)]
    assert found == []


@pytest.mark.proof
def test_every_mail_fits_a_phone(chromium, mails):
    """Nothing has to be pushed sideways, and what is pressed is as large as a thumb (standards §22)."""
    found = []
    with browsing.running(chromium) as browser:
        page = browser.new_page()
        for name, (path, text) in mails.items():
            page.goto(path.as_uri())
            keep_pictures(page, name, text)
            page.set_viewport_size(PHONE)
            found += [f"{name}: {small}" for small in page.evaluate(SMALL)]
            if wide := browsing.too_wide(page):
                found.append(f"{name}: {wide} px too wide")
    assert found == []


PHONE, DESK = {"width": 360, "height": 740}, {"width": 1000, "height": 900}
# What stands in a line of text is as high as the line (WCAG 2.2, 2.5.8).
SMALL = """() => [...document.querySelectorAll("a")]
  .filter((one) => getComputedStyle(one).display !== "inline" && one.getBoundingClientRect().height < 44)
  .map((one) => one.textContent + " is " + one.getBoundingClientRect().height + " px high")"""


def keep_pictures(page, name, text):
    """Keep what a mail looks like, where that is asked for: for people, who see what no judge does."""
    if folder := os.environ.get("NEWSLETTER_TEST_PICTURES"):
        for scheme, size in product(("light", "dark"), (PHONE, DESK)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            page.screenshot(path=f"{folder}/mail-{name}-{scheme}-{size['width']}.png", full_page=True)
        page.emulate_media(color_scheme="light")
        with open(f"{folder}/mail-{name}.txt", "w", encoding="utf-8") as file:
            file.write(text)


@pytest.mark.proof
def test_the_text_part_says_what_w3m_reads_in_the_html(mails):
    """Both parts carry the same facts and links (standards §4); w3m is a reader of the HTML that nobody here wrote."""
    if not shutil.which("w3m"):
        pytest.skip("w3m is not on this machine (Debian: apt install w3m)")
    for name, (path, text) in mails.items():
        command = ["w3m", "-dump", "-cols", "1000", "-T", "text/html", "-I", "UTF-8", "-O", "UTF-8", str(path)]
        seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        links = {html.unescape(link) for link in re.findall(r'href="([^"]*)"', path.read_text(encoding="utf-8"))}
        assert {link for link in links if link not in text} == set(), name
        missing = {word for word in words(seen) if word not in words(text)}
        assert len(missing) <= 0.1 * len(words(seen)), f"{name}: {sorted(missing)[:20]}"


def words(text):
    return set(re.findall(r"[^\W\d_]{4,}", text.lower()))
