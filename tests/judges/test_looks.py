"""What a reader sees, judged by html-validate, axe, caniemail (which client drops what) and w3m (the text)."""

import email
import email.policy
import html
import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from newsletter.composer.stamping import Stamper
from newsletter.journeys import publish
from newsletter.web import create
from tests import house
from tests.composer.conftest import layout as layout
from tests.composer.test_messages import FRAME, KINDS, PERSIAN, PERSON, made

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
}
CLIENTS = ["gmail.*", "outlook.*", "apple-mail.*", "yahoo.*"]


@pytest.fixture(scope="module")
def mails(layout, tmp_path_factory):
    """Return name → (HTML file, text) of every kind of mail in two languages."""
    folder = tmp_path_factory.mktemp("mails")
    found = {}
    for frame in (FRAME, PERSIAN):
        for kind in KINDS:
            read = email.message_from_bytes(
                Stamper(made(kind, layout, frame)).stamp(PERSON), policy=email.policy.default
            )
            path = folder / f"{frame.language}-{kind}.html"
            path.write_text(read.get_body(("html",)).get_content(), encoding="utf-8")
            found[path.stem] = (path, read.get_body(("plain",)).get_content())
    return found


@pytest.fixture
def pages(tmp_path, database_urls):
    """Return name → HTML file of every public page, its style sheet written into it."""
    worker = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    composed = house.issue(worker, tmp_path, addresses=["ann@example.org", "ben@example.org"])
    publish.send(worker.parts, composed.issue)
    web = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    leave, preferences = worker.parts.tokens.leave(1, 1, 1), worker.parts.tokens.preferences(1, now=datetime.now(UTC))
    asked = {
        "front": ("GET", "/"),
        "leave": ("GET", f"/u/{leave}"),
        "preferences": ("GET", f"/p/{preferences}"),
        "archive": ("GET", "/archive/weekly"),
        "privacy": ("GET", "/privacy"),
        "help": ("GET", "/help"),
        "not found": ("GET", "/nowhere"),
        "bad link": ("GET", "/u/nothing"),
        "old link": ("GET", f"/p/{worker.parts.tokens.preferences(1, now=datetime(2024, 1, 1, tzinfo=UTC))}"),
        "left": ("POST", f"/u/{leave}"),
        "stop": ("GET", f"/h/{worker.parts.tokens.stop(composed.mailing, now=datetime.now(UTC))}"),
        "stopped": ("POST", f"/h/{worker.parts.tokens.stop(composed.mailing, now=datetime.now(UTC))}"),
    }
    found = {}
    with TestClient(create(web), raise_server_exceptions=False) as client:
        style = client.get("/style.css").text
        for name, (method, path) in asked.items():
            text = client.request(method, path).text
            target = tmp_path / f"{name}.html"
            target.write_text(
                re.sub(r'<link rel="stylesheet"[^>]*>', f"<style>{style}</style>", text), encoding="utf-8"
            )
            found[name] = target
    worker.close()
    web.close()
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
def test_every_page_is_valid_html(judges, pages, tmp_path):
    """The pages have no excuse that mails have."""
    assert objections(judges, tmp_path, pages, {}) == {}


@pytest.mark.proof
def test_no_client_drops_what_carries_meaning(judges, mails, tmp_path):
    """A feature that a client drops is used only where its loss is written down and costs a reader nothing."""
    asking = tmp_path / "clients.json"
    asking.write_text(json.dumps({"paths": [str(path) for path, _ in mails.values()], "clients": CLIENTS}))
    for name, found in zip(mails, judges.ask("clients.mjs", str(asking)), strict=True):
        dropped = {title for _client, titles in found["errors"] for title in titles}
        assert dropped <= DROPPED.keys(), f"{name}: {dropped - DROPPED.keys()}"


AXE = """<script>{axe}</script><script>
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
axe.run(document, {{runOnly: tags}}).then((found) => {{
  const said = found.violations.map((one) => one.id + ": " + one.nodes.map((node) => node.html.slice(0, 200)).join(" | "));
  const verdict = btoa(unescape(encodeURIComponent(JSON.stringify(said))));
  document.documentElement.innerHTML = "<body><pre id=verdict>" + verdict + "</pre>";
}});
</script>"""
# 0 asks for dark, 1 for light.
SCHEMES = {"dark": 0, "light": 1}


def violations(judges, chromium, path, scheme, width):
    """Return what axe objects to in a page as Chromium shows it."""
    axe = (
        (judges.folder / "node_modules/axe-core/axe.min.js")
        .read_text(encoding="utf-8")
        .replace("</script", "<\\/script")
    )
    looked = path.with_name(f"{path.stem}-{scheme}-{width}.html")
    page = path.read_text(encoding="utf-8")
    looked.write_text(page.replace("</body>", AXE.format(axe=axe) + "</body>"), encoding="utf-8")
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom"]
    command += [
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        "--virtual-time-budget=10000",
        f"file://{looked}",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = re.search(r"id=\"verdict\">([^<]*)<", ran.stdout)
    assert found, f"{path.name}: axe said nothing\n{ran.stderr[-500:]}"
    import base64

    return [f"{path.stem} {scheme} {width}: {said}" for said in json.loads(base64.b64decode(found[1]))]


def everywhere(judges, chromium, paths):
    """Return all objections, light and dark, on a phone and on a desk."""
    asked = [(path, scheme, width) for path in paths for scheme in SCHEMES for width in (320, 640)]
    with ThreadPoolExecutor(2) as threads:
        found = threads.map(lambda one: violations(judges, chromium, *one), asked)
        return [objection for objections_ in found for objection in objections_]


@pytest.mark.proof
def test_axe_finds_nothing_in_any_mail(judges, chromium, mails):
    """Contrast, headings, names and languages: a reader who listens or enlarges reads the same mail, by night as well."""
    assert everywhere(judges, chromium, [path for path, _ in mails.values()]) == []


@pytest.mark.proof
def test_axe_finds_nothing_in_any_page(judges, chromium, pages):
    """Leaving must be possible for everybody."""
    assert everywhere(judges, chromium, list(pages.values())) == []


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
