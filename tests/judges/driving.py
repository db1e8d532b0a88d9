"""Chromium over its own debugging pipe: pages are opened, typed into and pressed as a person does, on a phone's screen."""

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 20.0


class Chrome:
    """One browser with one tab. Made by `running`."""

    def __init__(self, out: int, into: int) -> None:
        self._out, self._into = out, into
        self._number, self._session, self._rest = 0, "", b""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give one command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._number:
                assert "error" not in found, f"{method}: {found['error']}"
                return dict(found["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._into, 1 << 16)
            assert data, "the browser has gone"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def run(self, script: str) -> Any:
        """Return what an expression is in the page."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true in the page, whichever page that is by then."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            with suppress(AssertionError):
                if value := self.run(f"!!({script})"):
                    return value
            time.sleep(0.05)
        raise AssertionError(
            f"never true: {script}\n{self.run('location.href')}\n{self.run('document.body.innerText')}"
        )

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)
        self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def fill(self, **fields: str) -> None:
        """Type into fields by their ids."""
        for name, value in fields.items():
            self.run(f"document.getElementById({json.dumps(name)}).focus()")
            self.run(f"document.getElementById({json.dumps(name)}).value = ''")
            self.call("Input.insertText", text=value)

    def press(self, words: str, *, then: str) -> None:
        """Press the button with these words (or this name), by a tap where it stands, and wait for what follows."""
        found = self.run(
            "(() => { const one = [...document.querySelectorAll('button, summary, a')].find((b) => "
            f"b.innerText.trim() === {json.dumps(words)} || b.ariaLabel === {json.dumps(words)});"
            " one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], button="left", clickCount=1)
        # A page has its address before it has its fields.
        self.until(f"({then}) && document.readyState === 'complete'")

    def phone(self, *, width: int = 320, height: int = 640, dark: bool = False) -> None:
        """Be a phone of this width, by day or by night."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def authenticator(self) -> None:
        """Give the browser a passkey's device, whose owner is always there."""
        self.call("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        self.call("WebAuthn.addVirtualAuthenticator", options=options)

    def forget(self) -> None:
        """Forget every cookie: another device."""
        self.call("Network.clearBrowserCookies")

    def picture(self, path: Path) -> None:
        """Write down what the whole page looks like."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def running(program: str) -> Iterator[Chrome]:
    """Start a browser of its own and end it, whatever happens."""
    to_read, out = os.pipe()
    into, to_write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="newsletter-chromium-", ignore_cleanup_errors=True) as profile:
        command = [
            *("bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'),
            *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
            *("--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *(f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"),
        ]
        process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        try:
            yield Chrome(out, into)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
            os.close(out)
            os.close(into)
