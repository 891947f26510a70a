"""Drive headless Chromium through two pipes, in the words of its DevTools protocol. Needs no package."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

#: No answer takes that long, however busy the machine is.
PATIENCE = 120.0


def find() -> str | None:
    """The browser's path, or None where there is none."""
    return shutil.which("chromium")


class Page:
    """One page of a browser, with what it wrote to the console and what it asked the network for."""

    def __init__(self, to_browser: int, from_browser: int):
        self._to, self._from, self._rest, self._number = to_browser, from_browser, b"", 0
        self._session, self.console, self.requests, self._loaded = None, [], [], False
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params) -> dict:
        """Send one command and wait for its answer; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session and not method.startswith("Target."):
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._to, rest) :]
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _receive(self) -> dict:
        limit = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            assert select.select([self._from], [], [], max(0.0, limit - time.monotonic()))[0], "no answer"
            part = os.read(self._from, 1 << 20)
            assert part, "the browser ended"
            self._rest += part
        text, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(text)
        self._keep(message.get("method"), message.get("params", {}))
        return message

    def _keep(self, method: str | None, params: dict) -> None:
        if method == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.console.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.console.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True

    def open(self, path: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a file at a window's size and wait until the page says that it is ready."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.console.clear()
        self.requests.clear()
        self._loaded = False
        self.send("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._receive()
        self.wait("document.documentElement.dataset.ready === 'yes'")

    def run(self, expression: str):
        """The value of an expression, awaited if it is a promise."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        limit = time.monotonic() + PATIENCE
        while not self.run(expression):
            assert time.monotonic() < limit, expression
            time.sleep(0.05)

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Press a key and let it go."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    def tab(self) -> None:
        """Go to the next element that takes the keyboard."""
        self.press("Tab", 9)

    def enter(self) -> None:
        """Press Enter."""
        self.press("Enter", 13, "\r")

    def escape(self) -> None:
        """Press Escape."""
        self.press("Escape", 27)


@contextlib.contextmanager
def browser():
    """Start Chromium without a window and without a network; end it afterwards."""
    here_out, there_in = os.pipe()[::-1]
    there_out, here_in = os.pipe()[::-1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run",
            "--disable-gpu", "--disable-extensions", "--disable-background-networking", "--disable-dev-shm-usage",
            "--disable-component-update", "--no-default-browser-check", "--hide-scrollbars=false",
        ]  # fmt: skip
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        # The browser reads commands from file 3 and writes answers to file 4.
        shell = f'exec 3<&{there_in} 4>&{there_out}; exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", shell, "browser", find(), *options],
            pass_fds=(there_in, there_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there_in)
        os.close(there_out)
        try:
            yield Page(here_out, here_in)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(here_out)
            os.close(here_in)
