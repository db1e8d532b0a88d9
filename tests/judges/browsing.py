"""Chromium by playwright: Debian's program with an empty profile and no way off this machine, each device a context of its own."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

Found = TypeVar("Found")
PATIENCE_MS = 20_000
PHONE = {"width": 320, "height": 640}
DESK = {"width": 1280, "height": 900}
FLAGS = [
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"),
]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOK = """(tags) => axe.run(document, {runOnly: tags}).then((found) =>
  found.violations.map((one) => one.id + ": " + one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")))"""
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@contextmanager
def running(program: str) -> Iterator["Browser"]:
    """Start a browser and end it, whatever happens. Meanwhile playwright's event loop stands in this thread: see `apart`."""
    from playwright.sync_api import sync_playwright  # only make proof installs it

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def phone(browser: "Browser", **more: Any) -> "Page":
    """Return the one page of a new device of 320 px; it shares nothing with other devices."""
    context = browser.new_context(**{"viewport": PHONE, "is_mobile": True, "has_touch": True, **more})
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


def press(page: "Page", words: str, *, then: str) -> None:
    """Press what has these words (or this name) where it stands, and wait until an expression is true on a whole page."""
    exactly = re.compile(rf"^\s*{re.escape(words)}\s*$")
    named = page.locator(f"[aria-label={json.dumps(words)}]")
    page.locator("button, summary, a").filter(has_text=exactly).or_(named).filter(visible=True).first.click()
    # A page has its address before it has its fields.
    until(page, f"({then}) && document.readyState === 'complete'")


def until(page: "Page", true: str) -> None:
    """Wait until an expression is true in the page, whichever page that is by then, or however little of it is there."""
    # As a function: the pages' own policy lets no text be evaluated a second time.
    page.wait_for_function(f"() => {{ try {{ return {true}; }} catch {{ return false; }} }}")


def fill(page: "Page", **fields: str) -> None:
    """Type into fields by their ids."""
    for name, value in fields.items():
        page.locator(f"[id={json.dumps(name)}]").fill(value)


def protocol(page: "Page") -> "CDPSession":
    """Return the browser's own protocol, of one page."""
    return page.context.new_cdp_session(page)


def authenticator(page: "Page") -> None:
    """Give a page a passkey's device, whose owner is always there."""
    asked = protocol(page)
    asked.send("WebAuthn.enable")
    asked.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})


def slowed(page: "Page", times: float, *, line: bool = False) -> None:
    """Make a page's processor so many times slower and, where asked for, its line: 400 ms there and back, 400 kbit/s."""
    asked = protocol(page)
    asked.send("Emulation.setCPUThrottlingRate", {"rate": times})
    if line:
        asked.send("Network.enable")
        rates = {"downloadThroughput": 400_000 / 8, "uploadThroughput": 400_000 / 8}
        asked.send("Network.emulateNetworkConditions", {"offline": False, "latency": 400, **rates})


def violations(page: "Page", axe: str) -> list[str]:
    """Return what axe objects to in a page as it stands. Its own policy lets no such script in; the browser may."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe + ";0")
    found: list[str] = page.evaluate(LOOK, TAGS)
    return found


def too_wide(page: "Page") -> int:
    """Return by how many pixels a page has to be pushed sideways to be read."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


def apart(work: Callable[..., Found], *arguments: Any, **named: Any) -> Found:
    """Do in a thread of its own what runs an event loop, since playwright's stands in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work, *arguments, **named).result()
