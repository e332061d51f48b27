"""Opens pages of a report in headless Chromium: no error, no request, every filter, heading and search works, nothing is cut off.

    python3 tests/browser/report.py PAGE.html [FOLDER]    a report about a run or about a sweep
    python3 tests/browser/report.py SPEC.yaml [FOLDER]    what `pipeline serve` shows of it: search box, report, sweep

With FOLDER, leaves screenshots there: desktop light and dark, phone light and dark. Needs Chromium ($CHROMIUM, else one in
PATH) and nothing else: it speaks the DevTools protocol over a pipe. The program is $PIPELINE, else target/release/pipeline.
Exits with 1 when something is not as it must be.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


class Browser:
    """A page of a headless Chromium and all that it complained of."""

    def __init__(self, profile):
        binary = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
        if binary is None:
            sys.exit(f"no browser: none of {', '.join(NAMES)} is in PATH, and CHROMIUM is not set")
        to_read, self.to = os.pipe()
        self.source, from_write = os.pipe()
        # Chromium reads its commands from 3 and answers on 4.
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        shell = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, binary, *arguments, "about:blank"], pass_fds=[to_read, from_write], stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(from_write)
        self.buffer, self.number, self.session, self.complaints, self.requests, self.policies = b"", 0, None, [], [], {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        number = self.number
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def receive(self):
        while b"\0" not in self.buffer:
            chunk = os.read(self.source, 1 << 20)
            if not chunk:
                sys.exit("the browser has ended")
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str([value.get("value") for value in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:100])
        elif method == "Network.responseReceived":
            self.policies[params["response"]["url"]] = params["response"]["headers"].get("Content-Security-Policy", "")
        return message

    def show(self, page, screen, theme):
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.call("Page.navigate", url=page)
        while self.receive().get("method") != "Page.loadEventFired":
            pass

    def ask(self, script):
        answer = self.call("Runtime.evaluate", expression=f"(() => {{ {script} }})()", returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            sys.exit(f"{script}\n{answer['exceptionDetails']['exception']['description']}")
        return answer["result"].get("value")

    def picture(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 14000), "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))

    def end(self):
        self.process.terminate()
        self.process.wait()


def must(holds, what):
    if not holds:
        sys.exit(f"not as it must be: {what}")


def check_page(browser):
    must(browser.ask("return document.title.length > 0"), "the page has a title")
    too_wide = browser.ask(
        """const most = document.documentElement.clientWidth;
           if (document.documentElement.scrollWidth <= most) return [];
           return [...document.querySelectorAll("body *")].filter((one) => !one.closest(".scroll, pre, nav")
               && one.getBoundingClientRect().right > most + 1).map((one) => one.outerHTML.slice(0, 120));"""
    )
    must(not too_wide, f"no part is wider than the screen: {too_wide[:3]}")
    links = browser.ask("return [...document.querySelectorAll('nav a')].filter((a) => a.hash && !document.querySelector(a.hash)).length")
    must(links == 0, "every link of the navigation leads to a section")


def check_theme(browser):
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = browser.ask(colour)
    browser.ask("document.getElementById('theme').click()")
    must(browser.ask(colour) != before, "the button changes the colours")
    browser.ask("document.getElementById('theme').click()")
    must(browser.ask(colour) == before, "and changes them back")
    browser.ask("localStorage.clear()")


def check_gallery(browser):
    """Whether filters and search show what they say; returns the number of listed queries."""
    listed = browser.ask("return document.querySelectorAll('.gallery .card').length")
    if listed == 0:
        return 0
    shown = "[...document.querySelectorAll('.gallery .card')].filter((card) => !card.hidden)"
    for group in ["worst", "near", "best", "random", "all"]:
        browser.ask(f"document.querySelector('button[data-group={group}]').click()")
        announced = browser.ask(f"return +document.querySelector('button[data-group={group}] small').textContent")
        must(browser.ask(f"return {shown}.length") == announced, f"the filter `{group}` shows the {announced} that it announces")
        must(browser.ask(f"return document.querySelector('button[data-group={group}]').ariaPressed") == "true", f"`{group}` is pressed")
        if group != "all":
            places = browser.ask(f"return {shown}.map((card) => +card.dataset.groups.match(/{group}:(\\d+)/)[1])")
            must(places == sorted(places), f"`{group}` is in its own order")
    text = browser.ask("return document.querySelector('.card h4').textContent")
    search = "const box = document.querySelector('.gallery input'); box.value = {}; box.dispatchEvent(new Event('input'));"
    browser.ask(search.format(json.dumps(text)))
    found = browser.ask(f"return {shown}.map((card) => card.querySelector('h4').textContent)")
    must(text in found and len(found) <= listed, f"a search for `{text}` finds it")
    browser.ask(search.format(json.dumps("no query has this text")))
    must(browser.ask(f"return {shown}.length") == 0, "a search for nothing finds nothing")
    must(browser.ask("return !document.querySelector('.nothing').hidden"), "and the page says so")
    browser.ask("document.querySelector('button[data-group=worst]').click()")
    return listed


def check_groups(browser):
    """Whether headings sort, rows open and lines mark their rows; returns the number of groups."""
    n_groups = browser.ask("return document.querySelectorAll('.groups-table > tbody').length")
    if n_groups == 0:
        return 0
    values = "[...document.querySelectorAll('.groups-table > tbody > tr.group')].map((row) => row.cells[{}].dataset.value ?? null)"
    key = lambda value: (0, float(value), "") if is_number(value) else (1, 0.0, value)
    for column in range(browser.ask("return document.querySelectorAll('.groups-table > thead th').length")):
        head = f"document.querySelectorAll('.groups-table > thead th')[{column}]"
        for _ in range(2):
            browser.ask(f"{head}.querySelector('button').click()")
            sorted_by = browser.ask(f"return {head}.ariaSort")
            must(sorted_by in ("ascending", "descending"), f"column {column} says how it is sorted")
            must(browser.ask("return document.querySelectorAll('th[aria-sort=ascending], th[aria-sort=descending]').length") == 1, "one column is sorted")
            found = browser.ask(f"return {values.format(column)}")
            known = [value for value in found if value is not None]
            must(found[: len(known)] == known, f"what column {column} has no value for stands last")
            if all(map(is_number, known)):
                must(known == sorted(known, key=key, reverse=sorted_by == "descending"), f"column {column} is {sorted_by}: {known[:5]}")
    browser.ask("document.querySelector('.groups-table > thead th button').click()")
    opened = "return [...document.querySelectorAll('tr.points')].filter((row) => !row.hidden).length"
    must(browser.ask(opened) == 0, "all rows are closed")
    browser.ask("document.querySelector('.groups-table .open').click()")
    must(browser.ask(opened) == 1, "a row opens by its button")
    must(browser.ask("return document.querySelector('.open').ariaExpanded") == "true", "and says so")
    browser.ask("document.querySelector('.groups-table tr.group').click()")
    must(browser.ask(opened) == 0, "and closes by a click on the row")
    if browser.ask("return document.querySelector('.parallel') !== null"):
        check_lines(browser)
    browser.ask("window.scrollTo({ top: 0, behavior: 'instant' })")
    return n_groups


def check_lines(browser):
    marked = "[...document.querySelectorAll('.groups-table > tbody.on')].map((group) => group.dataset.group)"
    focused = "document.activeElement.dataset.group"
    browser.ask("document.querySelector('.line[tabindex=\"0\"]').focus()")
    first = browser.ask(f"return {focused}")
    must(browser.ask(f"return {marked}") == [first], "the row of the focused line is marked")
    for _ in range(2):
        for kind in ["keyDown", "keyUp"]:
            browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowDown", code="ArrowDown", windowsVirtualKeyCode=40)
    n_lines = browser.ask("return document.querySelectorAll('.line').length")
    must(n_lines <= 2 or browser.ask(f"return {focused}") != first, "an arrow leads to another line")
    must(browser.ask(f"return {marked}") == [browser.ask(f"return {focused}")], "whose row is marked instead")
    browser.ask("document.activeElement.blur()")
    must(browser.ask(f"return {marked}") == [], "without focus nothing is marked")


def is_number(value):
    try:
        float(value)
        return True
    except ValueError:
        return False


def check_tip(browser):
    place = browser.ask(
        """const one = document.querySelector('.node, rect.hover'); if (!one) return null;
           one.scrollIntoView({ block: 'center', behavior: 'instant' });
           const frame = () => new Promise(requestAnimationFrame);
           return frame().then(frame).then(() => {
               const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2];
           });"""
    )
    if place:
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
        must(browser.ask("const tip = document.getElementById('tip'); return !tip.hidden && tip.textContent.length > 0"), "the pointer shows a text")
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    browser.ask("window.scrollTo({ top: 0, behavior: 'instant' })")


def check(browser, page, name, folder):
    """Looks at a page on both screens, light and dark; says what was found."""
    for screen_name, screen in [("desktop", DESKTOP), ("phone", PHONE)]:
        for theme in ["light", "dark"]:
            browser.show(page, screen, theme)
            check_page(browser)
            listed, n_groups = check_gallery(browser), check_groups(browser)
            if screen_name == "desktop" and browser.ask("return document.getElementById('theme') !== null"):
                check_theme(browser)
                check_tip(browser)
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
                browser.picture(folder / f"{name}{screen_name}-{theme}.png")
    must(not browser.complaints, f"no error in the console: {browser.complaints[:3]}")
    print(f"{page}: as it must be ({listed} queries and {n_groups} groups listed)")


def check_served(browser, spec, folder):
    """Follows the links of the search box and back."""
    program = os.environ.get("PIPELINE", "target/release/pipeline")
    server = subprocess.Popen([program, "serve", spec, "--port", "0", "--quiet"], stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip()
        must(address.startswith("http://127.0.0.1:"), f"the server says where it is: {address}")
        check(browser, address, "search-", folder)
        links = browser.ask("return [...document.querySelectorAll('nav a')].map((link) => link.href)")
        must(address + "report" in links, f"the search box links to the report: {links}")
        for link in links:
            check(browser, link, link.removeprefix(address) + "-", folder)
            must(browser.ask("return document.querySelector('header a').href") == address, "the page links back to the search box")
            must("'unsafe" not in browser.policies[link], "nothing but the page's own style and script is allowed")
        others = [url for url in browser.requests if not url.startswith((address, "data:", "about:"))]
        must(not others, f"no request to others: {others[:3]}")
    finally:
        server.terminate()
        server.wait()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    subject = sys.argv[1]
    folder = Path(sys.argv[2]) if len(sys.argv) == 3 else None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        if subject.endswith((".yaml", ".yml")):
            check_served(browser, subject, folder)
        else:
            check(browser, Path(subject).resolve().as_uri(), "", folder)
            others = [url for url in browser.requests if not url.startswith(("file:", "data:", "about:"))]
            must(not others, f"no request: {others[:3]}")
        browser.end()


if __name__ == "__main__":
    main()
