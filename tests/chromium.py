"""Headless Chromium, the real one, spoken to through its DevTools protocol over two pipes."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LIMIT = 60
"""Seconds that an answer may take."""

KEYS = {"Tab": 9, "Enter": 13}


class Chromium:
    """One page of a browser.

    errors    what went wrong on the page opened last: exceptions, and what the browser's log calls an error
    requests  the addresses that it has asked for, itself first
    """

    def __init__(self, to: int, from_: int) -> None:
        self._to, self._from, self._rest = to, from_, b""
        self._number, self._session = 0, {}
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Returns when all of it is there."""
        self.errors, self.requests, self._loaded = [], [], False
        self.send("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._receive()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page; RuntimeError where it throws."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def click(self, element: str) -> None:
        """With the mouse, in the middle of ``element``, an expression."""
        self.evaluate(f"({element}).scrollIntoView({{block: 'center'}})")
        box = self.evaluate(f"({element}).getBoundingClientRect().toJSON()")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """One of KEYS."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        self.send("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **code)

    def width(self, pixels: int, height: int = 900) -> None:
        """Of the window."""
        metrics = {"width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)

    def media(self, kind: str = "", scheme: str = "light") -> None:
        """``kind``: "print" or "screen", "" for what it is; ``scheme``: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=kind, features=features)

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """PNG of the window, or of the ``whole`` page."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed."""
        path.write_bytes(base64.b64decode(self.send("Page.printToPDF")["data"]))

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol; RuntimeError with the browser's word when it refuses."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | self._session
        unsent = json.dumps(message).encode() + b"\0"
        while unsent:
            unsent = unsent[os.write(self._to, unsent) :]
        while (answer := self._receive()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        """The next message, an event or an answer."""
        parts = [self._rest]
        while b"\0" not in parts[-1]:
            assert select.select([self._from], [], [], LIMIT)[0], f"Chromium is silent for {LIMIT} s"
            parts.append(os.read(self._from, 2**20))
            assert parts[-1], "Chromium has ended"
        text, _, self._rest = b"".join(parts).partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(about["args"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.errors.append(about["entry"]["text"])


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Skips the test where there is none; where CI is set, the test fails."""
    program = shutil.which("chromium")
    if not program:
        word = "Chromium is not installed (make chromium)"
        if os.environ.get("CI"):
            pytest.fail(word)
        pytest.skip(word)
    theirs, to = os.pipe()
    from_, others = os.pipe()
    given = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, others)]  # none of them is 3 or 4
    flags = ["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        flags.append(f"--user-data-dir={folder}")
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{given[0]} 4>&{given[1]}', "", program, *flags],
            pass_fds=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs, others, *given):
            os.close(end)
        try:
            yield Chromium(to, from_)
        finally:
            os.close(to)  # which ends it
            os.close(from_)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
