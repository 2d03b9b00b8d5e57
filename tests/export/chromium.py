"""Headless Chromium by its debugging pipe: nothing but the browser is needed."""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

_SECONDS = 180


def executable():
    """Finds the browser, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Page:
    """A page of a browser that runs as long as the context of `browse`."""

    def __init__(self, write, read):
        self._write, self._read, self._number, self._session = write, read, 0, None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.complaints = []  # errors on the console, of scripts and of the network
        for domain in ("Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, url):
        self._call("Page.navigate", url=url)

    def evaluate(self, script):
        answer = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script, seconds=60):
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < deadline, f"{script}: {self.text()}"
            time.sleep(0.05)
        return value

    def text(self):
        return self.evaluate("document.body.innerText")

    def picture(self, path):
        answer = self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while True:
            answer = json.loads(self._line())
            self._note(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _note(self, event):
        params = event.get("params", {})
        entry = params.get("entry", params)
        if (
            event.get("method") == "Runtime.exceptionThrown"
            or entry.get("level") == "error"
            or entry.get("type") == "error"
        ):
            self.complaints.append(params)

    def _line(self):
        parts = []
        while (byte := self._read.read(1)) not in (b"\0", b""):
            parts.append(byte)
        assert byte, "the browser ended"
        return b"".join(parts)


@contextlib.contextmanager
def browse(size="900,900"):
    """Starts the browser and gives its page."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # Away from 3 and 4, which the browser reads and writes.
    theirs_in, theirs_out = map(_moved, (theirs_in, theirs_out))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = (
            f"--headless --no-sandbox --disable-gpu --no-first-run "
            f"--window-size={size} --disable-background-networking "
            f"--remote-debugging-pipe --user-data-dir={profile}"
        )
        script = f"exec {executable()} {options} 3<&{theirs_in} 4>&{theirs_out}"
        browser = subprocess.Popen(
            ["bash", "-c", script],
            pass_fds=[theirs_in, theirs_out],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        # A browser that hangs ends, and with it the wait for its answer.
        watch = threading.Timer(_SECONDS, browser.kill)
        watch.start()
        try:
            with open(ours_out, "wb") as write, open(ours_in, "rb") as read:
                yield Page(write, read)
        finally:
            watch.cancel()
            browser.kill()
            browser.wait()


def _moved(handle):
    moved = fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(handle)
    return moved
