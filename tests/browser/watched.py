"""A browser of which nothing escapes: what pages say on its console, what they ask of others, what axe has against them."""

from contextlib import contextmanager
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# A control's height where fingers press it, in pixels: 40 are enough, and links within text are free (WCAG 2.5.8).
TARGET_MIN = 40

# What makes a page wider than the window, and what is too small to be pressed.
WIDER = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] : ['wider than the window'].concat(
  [...document.querySelectorAll('body, body *')].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth)
  .slice(-3).map(e => `${e.tagName.toLowerCase()} ${e.className} ${e.textContent.trim().slice(0, 60)} ends beyond it`))"""
SMALL = """least => [...document.querySelectorAll('nav a, button, input:not([type=hidden]), select, summary, textarea')]
  .filter(e => e.getClientRects().length && e.getBoundingClientRect().height < least - 0.5)
  .map(e => `${e.tagName.toLowerCase()} ${(e.textContent || e.name || '').trim().slice(0, 40)} is ${e.getBoundingClientRect().height} px high`)"""

# The ways in which people come: with which window, in which colours, with or without a script.
WAYS = [
    (f"{device} {scheme}" + ("" if script else ", no script"), {"viewport": viewport, "color_scheme": scheme, "java_script_enabled": script})
    for device, viewport in (("wide", WIDE), ("phone", PHONE))
    for scheme in ("light", "dark")
    for script in (True, False)
]


class Way:
    """One way of coming, and its page."""

    def __init__(self, watched, how, options):
        self.watched, self.how, self.options = watched, how, options
        self.context = watched.browser.new_context(**watched.credentials, **options)
        self.page = self.context.new_page()
        # A page that says that something was not done is a refusal, which the browser's console names by itself.
        self.expected, self.is_served = [], True
        host = urlsplit(watched.base).netloc
        page = self.page
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complain(f"error: {error}"))
        page.on("request", lambda asked: urlsplit(asked.url).netloc not in (host, "") and self.complain(f"asks another host: {asked.url}"))
        page.on("requestfailed", self._failed)

    def _said(self, said):
        if not any(text in said.text for text in self.expected):
            self.complain(f"console: {said.type}: {said.text}")

    def _failed(self, asked):
        # A stream of events ends when its page is left.
        if "/events" not in asked.url and self.is_served:
            self.complain(f"failed: {asked.url}: {asked.failure}")

    def complain(self, what):
        self.watched.wrong.append(f"{self.page.url} ({self.how}): {what}")

    def look(self):
        """What can be seen of a page without knowing what it is about."""
        page = self.page
        page.wait_for_load_state("load")
        self.watched.looked += 1
        for wider in page.evaluate(WIDER):
            self.complain(wider)
        if self.options.get("viewport") == PHONE:
            for small in page.evaluate(SMALL, TARGET_MIN):
                self.complain(small)
        # axe is a script of promises, which never come where scripts are off.
        if self.options.get("java_script_enabled", True):
            for violation in Axe().run(page).response["violations"]:
                nodes = "; ".join(" ".join(node["target"][:1]) for node in violation["nodes"][:3])
                self.complain(f"axe {violation['id']}: {violation['help']}: {nodes}")


class Watched:
    """A browser on one site. `wrong` is what was found."""

    def __init__(self, browser, base, token=None):
        self.browser, self.base = browser, base
        self.credentials = {"http_credentials": {"username": "ann", "password": token}} if token else {}
        self.wrong, self.looked = [], 0

    @contextmanager
    def way(self, how, **options):
        """Comes in one way, and goes again."""
        way = Way(self, how, options)
        try:
            yield way
        finally:
            way.context.close()

    def told(self):
        """Prints what is wrong, one a line, and gives the code with which to end."""
        for line in self.wrong:
            print(line)
        return 1 if self.wrong else 0


@contextmanager
def chromium(program):
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
