"""Debian's chromium, driven through its DevTools protocol over a pair of pipes: no WebDriver, nothing to install."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


class Failed(Exception):
    """The browser refused a command, or did not answer in time."""


class Browser:
    """A browser without a window, with one page."""

    def __init__(self, *, scripts=True):
        self.profile = tempfile.mkdtemp(prefix="console-chromium-")
        to_browser, self.to = os.pipe()
        self.of, from_browser = os.pipe()
        command = [
            program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank",
        ]

        def ends():
            # Chromium reads commands from descriptor 3 and writes answers to 4. They are moved out of the way first.
            read, write = os.dup(to_browser), os.dup(from_browser)
            high = [os.dup2(read, 20), os.dup2(write, 21)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=ends, close_fds=False
        )
        os.close(to_browser)
        os.close(from_browser)
        self.last, self.rest, self.events, self.session = 0, b"", [], None
        targets = self.call("Target.getTargets", within=120)["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def call(self, method, *, within=30, **params):
        """The result of a command."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + within
        while True:
            answer = self.message(until)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def message(self, until):
        """The next message; events are kept besides."""
        while b"\0" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.of], [], [], left)[0]:
                raise Failed("the browser does not answer in time")
            piece = os.read(self.of, 1 << 20)
            if not piece:
                raise Failed("the browser has ended")
            self.rest += piece
        text, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def wait_for(self, event, within=30):
        """Waits for an event that has not come yet."""
        until = time.monotonic() + within
        while True:
            if self.message(until).get("method") == event:
                return

    def open(self, url, *, within=30):
        """Opens a page and waits until it has been loaded."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.wait_for("Page.loadEventFired", within)

    def size(self, width, height, scheme="light"):
        """The size of the window, and whether its user likes it dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def run(self, script):
        """The value of a script in the page; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, within=60)
        if "exceptionDetails" in result:
            raise Failed(result["exceptionDetails"].get("exception", {}).get("description", "the script failed"))
        return result["result"].get("value")

    def eventually(self, script, within=20):
        """Waits until a script gives what counts as true."""
        until = time.monotonic() + within
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > until:
                raise Failed(f"this does not become true: {script}")
            time.sleep(0.1)

    def submit(self, selector, **fields):
        """Fills in a form and sends it, as its button does, and waits for the page that comes."""
        self.events.clear()
        script = f"""(() => {{
            const form = document.querySelector({json.dumps(selector)});
            if (!form) throw new Error("no form " + {json.dumps(selector)});
            for (const [name, value] of Object.entries({json.dumps(fields)})) {{
                const field = form.elements[name];
                if (!field) throw new Error("no field " + name);
                field.value = value;
                field.dispatchEvent(new Event("input", {{ bubbles: true }}));
            }}
            form.requestSubmit();
        }})()"""
        self.run(script)
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.wait_for("Page.loadEventFired")

    def complaints(self):
        """What the browser has logged of this page: refused by its policy, errors of scripts, failed loads."""
        said = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                said.append(params["entry"]["text"])
            elif event["method"] == "Runtime.exceptionThrown":
                said.append(params["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        return said

    def weight(self):
        """Bytes that came over the network for this page."""
        ends = (event["params"] for event in self.events if event["method"] == "Network.loadingFinished")
        return sum(int(end["encodedDataLength"]) for end in ends)

    def picture(self, path, *, whole=True):
        """Writes what the page looks like as PNG."""
        params = {}
        if whole:
            box = self.call("Page.getLayoutMetrics")["cssContentSize"]
            params = {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": box["width"], "height": min(box["height"], 4000), "scale": 1}}
        data = self.call("Page.captureScreenshot", format="png", **params)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.of)
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def program():
    """Where the browser is; `None` if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
