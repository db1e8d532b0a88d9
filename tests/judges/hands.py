"""Hands on a page: by a pointer, or by the keyboard alone; and the story of somebody who joins, chooses and goes."""

import json
import re
import time

from sqlalchemy import text

from newsletter.subscribers import forms
from tests.judges.site import DIGESTS, say

MOST_STOPS = 80
# Where the keyboard is: what is said of it, where it stands, whether a ring shows it, and whether anything lies over it.
HERE = """() => {
  const one = document.activeElement;
  if (!one || one === document.body || one === document.documentElement) return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect(), label = one.labels && one.labels[0];
  const line = one.getClientRects()[0], over = document.elementFromPoint(line.x + line.width / 2, line.y + line.height / 2);
  return {
    name: (one.ariaLabel || (label || one).innerText).trim(),
    kind: one.type || one.localName,
    id: one.id,
    place: [...document.all].indexOf(one),
    y: Math.round(box.y + scrollY),
    ring: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none",
    bare: !!over && (over === one || one.contains(over)) && box.top >= 0 && box.bottom <= innerHeight + 1,
  };
}"""


class Pointer:
    """Presses what it sees, with a mouse or a finger. Works without scripts."""

    def __init__(self, page):
        self.page = page

    def type(self, name, words):
        """Type into a field."""
        self.page.fill(f"#{name}", words)

    def tick(self, words):
        """Tick or choose a box by its words."""
        self.page.locator("label").filter(has_text=re.compile(rf"^\s*{re.escape(words)}")).first.click()

    def unfold(self, words):
        """Open what is folded up."""
        self.page.locator("summary").filter(has_text=words).click()

    def press(self, words, last=False):
        """Press a button or a link that leads to another page."""
        found = self.page.locator("main button, main a").filter(has_text=re.compile(rf"^\s*{re.escape(words)}\s*$"))
        found = found.filter(visible=True)
        with self.page.expect_navigation():
            (found.last if last else found.first).click()


class Keys:
    """Tab, Shift-Tab, arrows, Space and Enter. Every stop on the way has to be seen, and is told where it was not."""

    def __init__(self, page):
        self.page, self.found = page, []

    def step(self, key="Tab"):
        """Go one stop on; return it, None outside of the page."""
        self.page.keyboard.press(key)
        stop = self.page.evaluate(HERE)
        if stop and not (stop["ring"] and stop["bare"]):
            self.found.append(f"{self.page.title()}: {'covered' if stop['ring'] else 'no ring'}: {json.dumps(stop)}")
        return stop

    def to(self, wanted, key="Tab"):
        """Go on until a stop is the wanted one."""
        for _ in range(MOST_STOPS):
            stop = self.step(key)
            if stop and wanted(stop):
                return
        raise AssertionError(f"no key leads there on {self.page.title()}")

    def type(self, name, words):
        """Type into a field."""
        self.to(lambda stop: stop["id"] == name)
        self.page.keyboard.type(words)

    def tick(self, words):
        """Tick a box; of several of which one may be chosen, go to the group and take the one with these words."""
        self.to(lambda stop: stop["kind"] == "radio" or stop["name"].startswith(words))
        for _ in range(MOST_STOPS):
            if self.page.evaluate(HERE)["name"].startswith(words):
                break
            self.step("ArrowDown")
        self.page.keyboard.press("Space")

    def unfold(self, words):
        """Open what is folded up."""
        self.to(lambda stop: stop["name"] == words)
        self.page.keyboard.press("Enter")

    def press(self, words, last=False):
        """Press a button or a link that leads to another page. last: the keyboard is past the others of the same words."""
        self.to(lambda stop: stop["name"] == words)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")


def joins(hand, site, language, address):
    """Tell of somebody who asks for our news and confirms by the six figures."""
    hand.page.goto(f"{site.base}/join?language={language}")
    hand.type("email", address)
    hand.tick(DIGESTS[language][1])
    # Sooner than this no person sends a form.
    time.sleep(forms.SHORTEST.total_seconds())
    hand.press(say("join-button", language))
    site.work()
    hand.unfold(say("look-code-title", language))
    hand.type("code", re.search(r"^ +(\d{3}-\d{3})\s*$", site.mailed(address), re.MULTILINE)[1])
    hand.press(say("look-code-button", language))
    assert hand.page.inner_text("h1") == say("joined-title", language)
    site.work()


def chooses(hand, site, language, address):
    """Tell of somebody who wants less, in plain text, by the link in the welcome."""
    hand.page.goto(site.link(address))
    hand.tick(say("level-emergencies", language))
    hand.press(say("save", language))
    assert hand.page.inner_text("[role=status]") == say("preferences-saved", language)
    hand.unfold(say("more-title", language))
    hand.tick(say("style-text-only", language))
    hand.press(say("save", language), last=True)
    assert hand.page.inner_text("[role=status]") == say("preferences-saved", language)
    assert hand.page.locator("[value=emergencies][name=level]").is_checked()
    assert not hand.page.locator("[name=style][value=text]").is_checked(), (
        "a link that may have been passed on shows it not"
    )
    with site.worker.parts.database.transaction() as session:
        assert session.execute(text("SELECT style FROM subscriber ORDER BY id DESC LIMIT 1")).scalar_one() == "t"


def leaves(hand, site, language, address):
    """Tell of somebody who has had enough, by the link in the welcome."""
    hand.page.goto(site.link(address))
    hand.press(say("leave-all", language))
    assert say("nothing-subscribed", language) in hand.page.inner_text("main")


def is_erased(hand, site, language, address):
    """Tell of somebody who wants to be forgotten: by a fresh link, that they ask for."""
    hand.page.goto(site.link(address))
    hand.press(say("fresh-button", language))
    site.work()
    hand.page.goto(site.link(address))
    hand.press(say("erase-title", language))
    hand.press(say("erase-button", language))
    assert hand.page.inner_text("h1") == say("erased-title", language)
    site.work()
