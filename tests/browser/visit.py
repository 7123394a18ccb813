"""Goes through every page that links lead to, as people do: wide and on a phone, light and dark, with and without a script.

    python visit.py CHROMIUM URL [--token TOKEN] [--pictures DIRECTORY]

Prints what is wrong as one line each, then how much was looked at, and ends with 1 where anything is wrong. Of pages that differ
by what they show only (runs, probes, filters) some of each sort are looked at.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SORT_MAX, PAGES_MAX = 3, 60
# A control's height where fingers press it, in pixels: design/README says 40, and links within text are free (WCAG 2.5.8).
TARGET_MIN = 40

# What is wider than the window, and what is too small to be pressed.
WIDER = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
SMALL = """least => [...document.querySelectorAll('nav a, button, input:not([type=hidden]), select, summary, textarea')]
  .filter(e => e.getClientRects().length && e.getBoundingClientRect().height < least - 0.5)
  .map(e => `${e.tagName.toLowerCase()} ${(e.textContent || e.name || '').trim().slice(0, 40)} is ${e.getBoundingClientRect().height} px high`)"""
LINKS = """() => [...document.querySelectorAll('a[href]')].map(a => a.href)"""


def sort_of(url):
    """What a page shows, without of what: `/runs/*`, `/?q`."""
    parts = urlsplit(url)
    path = re.sub(r"/(probes|runs|incidents|badge)/[^/]+", r"/\1/*", parts.path)
    keys = {part.split("=")[0] for part in parts.query.split("&")} - {""}
    # A page that holds still is the same page.
    keys = sorted(keys - {"still"} or keys)
    return path + ("?" + "&".join(keys) if keys else "")


def name_of(url):
    """The name of a page's picture."""
    return re.sub(r"[^a-z0-9]+", "-", sort_of(url).lower()).strip("-") or "status"


class Visits:
    def __init__(self, browser, base, token):
        self.browser, self.base, self.token = browser, base, token
        self.wrong, self.looked = [], 0

    def context(self, **options):
        credentials = {"http_credentials": {"username": "ann", "password": self.token}} if self.token else {}
        return self.browser.new_context(**credentials, **options)

    def complain(self, url, how, what):
        self.wrong.append(f"{url} ({how}): {what}")

    def pages(self):
        """Every page that links lead to from the first one, some of each sort."""
        context = self.context(java_script_enabled=False)
        page = context.new_page()
        found, sorts, waiting = [], {}, [self.base]
        seen = set(waiting)
        while waiting and len(found) < PAGES_MAX:
            url = waiting.pop(0)
            sort = sort_of(url)
            if sorts.get(sort, 0) >= SORT_MAX:
                continue
            sorts[sort] = sorts.get(sort, 0) + 1
            answer = page.goto(url)
            kind = answer.headers.get("content-type", "")
            if answer.status != 200:
                self.complain(url, "link", f"answers {answer.status}")
            if not kind.startswith("text/html"):
                continue
            found.append(url)
            links = page.locator("a[href]").evaluate_all("links => links.map(link => link.href)")
            for link in links:
                link = urldefrag(urljoin(url, link)).url
                if urlsplit(link).netloc == urlsplit(self.base).netloc and link not in seen:
                    seen.add(link)
                    waiting.append(link)
        context.close()
        return found

    def visit(self, pages, how, pictures=None, **options):
        """Looks at each page one way."""
        context = self.context(**options)
        page = context.new_page()
        host, here = urlsplit(self.base).netloc, [None]
        page.on("console", lambda said: self.complain(here[0], how, f"console: {said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.complain(here[0], how, f"error: {error}"))
        page.on("request", lambda asked: urlsplit(asked.url).netloc not in (host, "")
                and self.complain(here[0], how, f"asks another host: {asked.url}"))
        page.on("requestfailed", lambda asked: "/events" not in asked.url
                and self.complain(here[0], how, f"failed: {asked.url}: {asked.failure}"))
        for url in pages:
            here[0] = url
            page.goto(url, wait_until="load")
            self.looked += 1
            if (wider := page.evaluate(WIDER)) > 0:
                self.complain(url, how, f"{wider} px wider than the window")
            if options.get("viewport") == PHONE:
                for small in page.evaluate(SMALL, TARGET_MIN):
                    self.complain(url, how, small)
            # axe is a script of promises, which never come where scripts are off.
            if options.get("java_script_enabled", True):
                for violation in Axe().run(page).response["violations"]:
                    nodes = "; ".join(" ".join(node["target"][:1]) for node in violation["nodes"][:3])
                    self.complain(url, how, f"axe {violation['id']}: {violation['help']}: {nodes}")
            if pictures:
                page.screenshot(path=pictures / f"{name_of(url)}-{how.replace(' ', '-')}.png", full_page=True)
        context.close()

    def keys(self, url):
        """The first Tab leads to a link over the navigation, and whatever has the focus shows it."""
        context = self.context(viewport=WIDE)
        page = context.new_page()
        page.goto(url)
        page.keyboard.press("Tab")
        first = page.evaluate("() => document.activeElement.getAttribute('href') || ''")
        if not first.startswith("#"):
            self.complain(url, "keyboard", f"the first Tab does not skip the navigation but leads to {first!r}")
        for _ in range(8):
            page.keyboard.press("Tab")
            shown = page.evaluate(
                "() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return e === document.body || s.outlineStyle !== 'none' || s.textDecorationLine === 'underline' }"
            )
            if not shown:
                what = page.evaluate("() => document.activeElement.outerHTML.slice(0, 80)")
                self.complain(url, "keyboard", f"the focus is not seen on {what}")
        context.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("chromium")
    parser.add_argument("url")
    parser.add_argument("--token")
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        visits = Visits(browser, given.url, given.token)
        pages = visits.pages()
        one_of_each = list({sort_of(url): url for url in reversed(pages)}.values())
        for device, viewport in (("wide", WIDE), ("phone", PHONE)):
            for scheme in ("light", "dark"):
                visits.visit(one_of_each, f"{device} {scheme}", given.pictures, viewport=viewport, color_scheme=scheme)
        visits.visit(one_of_each, "no script", viewport=PHONE, java_script_enabled=False)
        visits.keys(given.url)
        browser.close()
    for line in visits.wrong:
        print(line)
    print(f"{len(pages)} pages of {len(one_of_each)} sorts, looked at {visits.looked} times, {len(visits.wrong)} wrong")
    sys.exit(1 if visits.wrong else 0)


if __name__ == "__main__":
    main()
