"""Opens pages of a report in headless Chromium: no error, no request, every filter, heading and search works, nothing
is cut off, every text has contrast, every control a name and a visible focus, and the page can be read without its
script.

    python3 tests/browser/report.py PAGE.html [FOLDER]    a report about a run or about a sweep
    python3 tests/browser/report.py SPEC.yaml [FOLDER]    what `pipeline serve` shows of it: search box, report, sweep

With FOLDER, leaves screenshots there: desktop light and dark, phone light and dark. Needs Chromium ($CHROMIUM, else one
in PATH) and nothing else: it speaks the DevTools protocol over a pipe. The program is $PIPELINE, else
target/release/pipeline. Exits with 1 when something is not as it must be.
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
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        shell = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, binary, *arguments, "about:blank"],
            pass_fds=[to_read, from_write],
            stderr=subprocess.DEVNULL,
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
        # Without animated scrolls, so that what is checked has come to rest.
        self.call(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": theme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )
        self.call("Page.navigate", url=page)
        while self.receive().get("method") != "Page.loadEventFired":
            pass

    def ask(self, script):
        answer = self.call(
            "Runtime.evaluate", expression=f"(() => {{ {script} }})()", returnByValue=True, awaitPromise=True
        )
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
    links = browser.ask(
        "return [...document.querySelectorAll('nav a')].filter((a) => a.hash && a.pathname === location.pathname && !document.querySelector(a.hash)).length"
    )
    must(links == 0, "every link of the navigation leads to a section")


def check_theme(browser):
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = browser.ask(colour)
    browser.ask("document.getElementById('theme').click()")
    must(browser.ask(colour) != before, "the button changes the colours")
    browser.ask("document.getElementById('theme').click()")
    must(browser.ask(colour) == before, "and changes them back")
    browser.ask("localStorage.clear()")


# Colours as the browser computes them, in whatever notation, as [red, green, blue, alpha] of 0..1.
COLOURS = """const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const known = new Map();
    const rgba = (colour) => {
        if (!known.has(colour)) {
            context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
            known.set(colour, [...context.getImageData(0, 0, 1, 1).data].map((level) => level / 255));
        }
        return known.get(colour);
    };
    const over = (top, below) => { const a = top[3]; return [0, 1, 2].map((at) => top[at] * a + below[at] * (1 - a)).concat(1); };
    const luminance = (colour) => {
        const [r, g, b] = colour.map((level) => level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a, b) => { const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y); return (high + 0.05) / (low + 0.05); };
"""


def check_contrast(browser):
    """Whether every visible text stands out from its ground: 4.5, large text 3, as WCAG's level AA asks."""
    poor = browser.ask(
        COLOURS
        + """const ground = (element) => {
            const layers = [];
            for (let one = element; one; one = one.parentElement) {
                const colour = rgba(getComputedStyle(one).backgroundColor);
                if (colour[3] > 0) layers.push(colour);
                if (colour[3] === 1) break;
            }
            return layers.reverse().reduce((below, top) => over(top, below), [1, 1, 1, 1]);
        };
        const found = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            const element = node.parentElement;
            if (!node.textContent.trim() || element.closest('script, style, option, .hidden, [hidden]')) continue;
            const box = element.getBoundingClientRect();
            if (box.width === 0 || box.height === 0) continue;
            const style = getComputedStyle(element);
            let opacity = 1;
            for (let one = element; one; one = one.parentElement) opacity *= +getComputedStyle(one).opacity;
            const drawing = element.closest('svg');
            let below = ground(drawing ? drawing.parentElement : element);
            const plate = element.closest('.node')?.querySelector('rect');
            if (plate) below = over(rgba(getComputedStyle(plate).fill), below);
            const colour = rgba(drawing ? style.fill : style.color);
            const seen = over([...colour.slice(0, 3), colour[3] * opacity], below);
            const size = parseFloat(style.fontSize), is_large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 600);
            const ratio = contrast(seen, below);
            if (ratio < (is_large ? 3 : 4.5) - 0.005) found.push(`${ratio.toFixed(2)}: ${element.outerHTML.slice(0, 90)}`);
        }
        return [...new Set(found)];"""
    )
    must(not poor, f"every text has a contrast of 4.5: {poor[:4]}")


def check_names(browser):
    """Whether everything that can be used or seen has a name, every id is there once, and fields are labelled."""
    nameless = browser.ask(
        """const name = (one) => (one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent || one.title || '').trim();
           return [...document.querySelectorAll('a, button, input, select, [role=img], svg[role]')].filter((one) => !name(one)).map((one) => one.outerHTML.slice(0, 120));"""
    )
    must(not nameless, f"everything has a name: {nameless[:3]}")
    bare = browser.ask(
        "return [...document.querySelectorAll('img:not([alt]), svg:not([role]):not([aria-hidden])')].map((one) => one.outerHTML.slice(0, 120))"
    )
    must(not bare, f"every picture has a name or is hidden from readers: {bare[:3]}")
    twice = browser.ask(
        "const ids = [...document.querySelectorAll('[id]')].map((one) => one.id); return ids.filter((id, idx) => ids.indexOf(id) !== idx)"
    )
    must(not twice, f"every id is there once: {twice[:3]}")
    must(browser.ask("return document.documentElement.lang") != "", "the page has a language")
    must(browser.ask("return document.querySelectorAll('h1').length") <= 1, "the page has one title at most")


def press(browser, key, code):
    for kind in ["keyDown", "keyUp"]:
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def check_keyboard(browser):
    """Whether the Tab key reaches everything in the order of the page, and shows where it is."""
    # The place where the Tab key starts is the top, wherever something was clicked before.
    browser.ask(
        "const start = document.createElement('span'); start.tabIndex = -1; document.body.prepend(start); start.focus(); start.remove()"
    )
    order = """const all = [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')].filter((one) => one.checkVisibility());"""
    n_stops = browser.ask(f"{order} return all.length")
    n_wanted, last = min(n_stops, 60), -1
    for _ in range(2 * n_wanted):
        if last + 1 >= n_wanted:
            break
        press(browser, "Tab", 9)
        found = browser.ask(
            f"""{order} const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
            const is_marked = parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== 'none' || one.matches('.line');
            if (one.scrollWidth > one.clientWidth && !all.includes(one)) return null;
            const is_seen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
            return {{ at: all.indexOf(one), is_marked, is_seen, html: one.outerHTML.slice(0, 100) }};"""
        )
        if found is None:
            # What scrolls sideways is a stop of its own.
            continue
        must(found["at"] > last, f"the Tab key goes on after {last}: {found}")
        must(found["is_marked"] and found["is_seen"], f"the focus can be seen: {found}")
        last = found["at"]
    must(last + 1 >= n_wanted, f"{n_stops} places can be reached, and {last + 1} were")
    browser.ask("document.activeElement.blur(); window.scrollTo({ top: 0, behavior: 'instant' })")


def check_rows(browser):
    """Whether rows of tables are no taller than those of their texts that are on the screen."""
    tall = browser.ask(
        """const height = (cell) => { const range = document.createRange(); range.selectNodeContents(cell);
               return Math.max(0, ...[...range.getClientRects()].map((box) => box.bottom)) - Math.min(1e9, ...[...range.getClientRects()].map((box) => box.top)); };
           return [...document.querySelectorAll('.scroll tr')].filter((row) => row.checkVisibility() && !row.matches('.points')).filter((row) => {
               const edge = row.closest('.scroll').getBoundingClientRect().right;
               const seen = [...row.cells].filter((cell) => cell.getBoundingClientRect().left < edge - 4 && cell.textContent.trim());
               return seen.length > 0 && row.getBoundingClientRect().height - Math.max(...seen.map(height)) > 22;
           }).map((row) => row.outerHTML.slice(0, 160));"""
    )
    must(not tall, f"no row is taller than its text: {tall[:3]}")


def check_still(browser, page):
    """Whether the page stands still where that is asked for, prints without its controls, and can be read without its
    script.
    """
    must(
        browser.ask("return getComputedStyle(document.documentElement).scrollBehavior") == "auto",
        "nothing scrolls by itself",
    )
    moving = browser.ask(
        "return [...document.querySelectorAll('*')].filter((one) => parseFloat(getComputedStyle(one).transitionDuration) > 0).length"
    )
    must(moving == 0, "nothing moves")
    browser.call("Emulation.setEmulatedMedia", media="print")
    shown = browser.ask(
        "return [...document.querySelectorAll('nav, #theme, .filters')].filter((one) => one.checkVisibility()).length"
    )
    must(
        shown == 0 or browser.ask("return document.getElementById('theme') === null"),
        "controls of a report are not printed",
    )
    browser.call("Emulation.setEmulatedMedia", media="")
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.show(page, DESKTOP, "light")
    hidden = browser.ask("return document.querySelectorAll('.card[hidden], tr.points[hidden], .heat[hidden]').length")
    must(hidden == 0, "without its script the page shows everything")
    must(
        browser.ask(
            "return [...document.querySelectorAll('.filters, .chooser')].every((one) => !one.checkVisibility())"
        ),
        "and no control that does nothing",
    )
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.show(page, DESKTOP, "light")


def check_galleries(browser):
    """Whether filters and searches show what they say; returns the number of listed queries."""
    n_galleries = browser.ask("return document.querySelectorAll('.gallery').length")
    return sum(check_gallery(browser, f"document.querySelectorAll('.gallery')[{idx}]") for idx in range(n_galleries))


def check_gallery(browser, gallery):
    listed = browser.ask(f"return {gallery}.querySelectorAll('.card').length")
    if listed == 0:
        return 0
    shown = f"[...{gallery}.querySelectorAll('.card')].filter((card) => !card.hidden)"
    groups = browser.ask(
        f"return [...{gallery}.querySelectorAll('button[data-group]')].map((button) => button.dataset.group)"
    )
    for group in groups:
        button = f"{gallery}.querySelector('button[data-group={group}]')"
        browser.ask(f"{button}.click()")
        announced = browser.ask(f"return +{button}.querySelector('small').textContent")
        must(
            browser.ask(f"return {shown}.length") == announced,
            f"the filter `{group}` shows the {announced} that it announces",
        )
        must(browser.ask(f"return {button}.ariaPressed") == "true", f"`{group}` is pressed")
        if group != "all":
            places = browser.ask(f"return {shown}.map((card) => +card.dataset.groups.match(/{group}:(\\d+)/)[1])")
            must(places == sorted(places), f"`{group}` is in its own order")
    text = browser.ask(f"return {gallery}.querySelector('.card h4').textContent")
    search = f"const box = {gallery}.querySelector('input[type=search]'); box.value = {{}}; box.dispatchEvent(new Event('input'));"
    browser.ask(search.format(json.dumps(text)))
    found = browser.ask(f"return {shown}.map((card) => card.querySelector('h4').textContent)")
    must(text in found and len(found) <= listed, f"a search for `{text}` finds it")
    browser.ask(search.format(json.dumps("no query has this text")))
    must(browser.ask(f"return {shown}.length") == 0, "a search for nothing finds nothing")
    must(browser.ask(f"return !{gallery}.querySelector('.nothing').hidden"), "and the page says so")
    browser.ask(f"{gallery}.querySelector('button[data-group={groups[0]}]').click()")
    check_fed(browser, gallery)
    return listed


def check_fed(browser, gallery):
    """Whether a box shows the model's view below the images, and hides it again."""
    box = f"{gallery}.querySelector('.fed input')"
    if not browser.ask(f"return {box} !== null"):
        return
    height = f"return {gallery}.querySelector('.card:not([hidden]) .top [class*=\"thumb t\"]').getBoundingClientRect().height"
    before = browser.ask(height)
    browser.ask(f"{box}.click()")
    must(browser.ask(height) > 1.9 * before, "the model's view stands below each image")
    browser.ask(f"{box}.click()")
    must(browser.ask(height) == before, "and is hidden again")


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
            must(
                browser.ask(
                    "return document.querySelectorAll('th[aria-sort=ascending], th[aria-sort=descending]').length"
                )
                == 1,
                "one column is sorted",
            )
            found = browser.ask(f"return {values.format(column)}")
            known = [value for value in found if value is not None]
            must(found[: len(known)] == known, f"what column {column} has no value for stands last")
            if all(map(is_number, known)):
                must(
                    known == sorted(known, key=key, reverse=sorted_by == "descending"),
                    f"column {column} is {sorted_by}: {known[:5]}",
                )
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
        press(browser, "ArrowDown", 40)
    n_lines = browser.ask("return document.querySelectorAll('.parallel .line').length")
    must(n_lines <= 2 or browser.ask(f"return {focused}") != first, "an arrow leads to another line")
    must(browser.ask(f"return {marked}") == [browser.ask(f"return {focused}")], "whose row is marked instead")
    browser.ask("document.activeElement.blur()")
    must(browser.ask(f"return {marked}") == [], "without focus nothing is marked")


def check_heat(browser):
    """Whether the choice of axes shows one table at a time."""
    if browser.ask("return document.querySelector('.chooser') === null"):
        return
    shown = "return [...document.querySelectorAll('.heat')].map((one) => one.checkVisibility())"
    n_tables = len(browser.ask(shown))
    for chosen in range(n_tables):
        browser.ask(
            f"const box = document.querySelector('.chooser select'); box.value = {chosen}; box.dispatchEvent(new Event('change'));"
        )
        must(browser.ask(shown) == [idx == chosen for idx in range(n_tables)], f"table {chosen} is shown alone")
    browser.ask(
        "const box = document.querySelector('.chooser select'); box.value = 0; box.dispatchEvent(new Event('change'));"
    )


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
        must(
            browser.ask("const tip = document.getElementById('tip'); return !tip.hidden && tip.textContent.length > 0"),
            "the pointer shows a text",
        )
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    browser.ask("window.scrollTo({ top: 0, behavior: 'instant' })")


def check(browser, page, name, folder):
    """Looks at a page on both screens, light and dark; says what was found."""
    for screen_name, screen in [("desktop", DESKTOP), ("phone", PHONE)]:
        for theme in ["light", "dark"]:
            browser.show(page, screen, theme)
            check_page(browser)
            check_names(browser)
            listed, n_groups = check_galleries(browser), check_groups(browser)
            check_heat(browser)
            check_contrast(browser)
            check_keyboard(browser)
            if screen_name == "phone":
                check_rows(browser)
            elif browser.ask("return document.getElementById('theme') !== null"):
                check_theme(browser)
                check_tip(browser)
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
                browser.picture(folder / f"{name}{screen_name}-{theme}.png")
    check_still(browser, page)
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
        must(
            browser.ask("return document.getElementById('live').textContent") in ("", "live"),
            "the page follows the runs",
        )
        example = browser.ask("return document.querySelector('.examples a').href")
        check(browser, example, "found-", folder)
        must(browser.ask("return document.querySelectorAll('.finds img').length") >= 10, "an example finds images")
        check(browser, browser.ask("return document.querySelector('.finds a').href"), "similar-", folder)
        must(browser.ask("return document.querySelectorAll('.texts a').length") > 0, "an image finds queries")
        browser.show(address, DESKTOP, "light")
        links = browser.ask("return [...document.querySelectorAll('nav a')].map((link) => link.href)")
        links = [link for link in links if link.split("#")[0] != address]
        must(address + "report" in links, f"the search box links to the report: {links}")
        for link in links:
            check(browser, link, link.removeprefix(address) + "-", folder)
            must(
                browser.ask("return document.querySelector('header a').href") == address,
                "the page links back to the search box",
            )
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
