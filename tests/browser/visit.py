"""Goes through every page that links lead to, as people do: wide and on a phone, light and dark, with and without a script.

    python visit.py CHROMIUM URL TOKEN [--every] [PATH …]

begins at the first page and at each further path; with `--every` each sort of page there is has to be found. Prints what is wrong as one line each, then how much was looked at, and ends
with 1 where anything is wrong. Of pages that differ by what they show only (runs, probes, filters) some of each sort are looked at.
"""

import re
import sys
from urllib.parse import urldefrag, urljoin, urlsplit

from watched import PHONE, WAYS, WIDE, Watched, chromium

SORT_MAX, PAGES_MAX = 3, 80
# What there is to be found, so that a walk which misses some of it fails.
SORTS = [
    "/", "/about", "/audit", "/deliveries", "/incidents", "/incidents/*", "/incidents/*/acknowledge", "/incidents/*/note",
    "/incidents/*/silence", "/objectives", "/probes/*", "/public", "/runs/*", "/schedules",
]


def sort_of(url):
    """What a page shows, without of what: `/runs/*`, `/?q`."""
    parts = urlsplit(url)
    path = re.sub(r"/(probes|runs|incidents|badge)/[^/]+", r"/\1/*", parts.path)
    keys = {part.split("=")[0] for part in parts.query.split("&")} - {""}
    # A page that holds still is the same page.
    keys = sorted(keys - {"still"} or keys)
    return path + ("?" + "&".join(keys) if keys else "")


def found(watched, paths, every):
    """Every page that links lead to, some of each sort."""
    base = watched.base
    with watched.way("link", java_script_enabled=False) as way:
        page = way.page
        urls, sorts, waiting = [], {}, [base, *(urljoin(base, path) for path in paths)]
        seen = set(waiting)
        while waiting and len(urls) < PAGES_MAX:
            url = waiting.pop(0)
            sort = sort_of(url)
            if sorts.get(sort, 0) >= SORT_MAX:
                continue
            sorts[sort] = sorts.get(sort, 0) + 1
            answer = page.goto(url)
            if answer.status != 200:
                way.complain(f"answers {answer.status}")
            if not answer.headers.get("content-type", "").startswith("text/html"):
                continue
            urls.append(url)
            for link in page.locator("a[href]").evaluate_all("links => links.map(link => link.href)"):
                link = urldefrag(urljoin(url, link)).url
                if urlsplit(link).netloc == urlsplit(base).netloc and link not in seen:
                    seen.add(link)
                    waiting.append(link)
    for sort in SORTS:
        if every and sort not in sorts:
            watched.wrong.append(f"{base}: no link leads to {sort}")
    return urls


def keys(watched, url):
    """The first Tab leads to a link over the navigation, and whatever has the focus shows it."""
    with watched.way("keyboard", viewport=WIDE) as way:
        page = way.page
        page.goto(url)
        page.keyboard.press("Tab")
        first = page.evaluate("() => document.activeElement.getAttribute('href') || ''")
        if not first.startswith("#"):
            way.complain(f"the first Tab does not skip the navigation but leads to {first!r}")
        for _ in range(8):
            page.keyboard.press("Tab")
            shown = page.evaluate(
                "() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return e === document.body || s.outlineStyle !== 'none' || s.textDecorationLine === 'underline' }"
            )
            if not shown:
                what = page.evaluate("() => document.activeElement.outerHTML.slice(0, 80)")
                way.complain(f"the focus is not seen on {what}")


def main():
    program, base, token, *paths = (given for given in sys.argv[1:] if given != "--every")
    with chromium(program) as browser:
        watched = Watched(browser, base, token)
        urls = found(watched, paths, "--every" in sys.argv)
        one_of_each = list({sort_of(url): url for url in reversed(urls)}.values())
        for how, options in WAYS:
            # Without a script the colours are the same.
            if not options["java_script_enabled"] and (options["viewport"] != PHONE or options["color_scheme"] == "dark"):
                continue
            with watched.way(how, **options) as way:
                for url in one_of_each:
                    way.page.goto(url, wait_until="load")
                    way.look()
        keys(watched, base)
        code = watched.told()
        print(f"{len(urls)} pages of {len(one_of_each)} sorts, looked at {watched.looked} times, {len(watched.wrong)} wrong")
    sys.exit(code)


if __name__ == "__main__":
    main()
