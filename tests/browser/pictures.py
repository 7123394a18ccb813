"""Takes the pictures of the documentation.

    python pictures.py CHROMIUM URL TOKEN DIRECTORY SITE

SITE says which: those of the demo (`shop`), or one of `hundreds`, `long`, `empty`. A picture is as wide as a window of 1280 px or
a phone, as high as its page up to a bound, and has as many colours as it needs.
"""

import io
import re
import sys
from pathlib import Path
from urllib.parse import urljoin

from PIL import Image
from watched import PHONE, WIDE, Watched, chromium

# How high a picture is at most, in pixels, and how many colours it has: those that most of it has stay as they are.
HIGH_MAX, COLOURS, MARGIN = 1400, 200, 24

LIGHT = {"viewport": WIDE, "color_scheme": "light"}
DARK = {"viewport": WIDE, "color_scheme": "dark"}
ON_PHONE = {"viewport": PHONE, "color_scheme": "light"}


def first(page, base, of, pattern):
    """The first link of a page to what is like that."""
    page.goto(urljoin(base, of))
    links = page.locator("a[href]").evaluate_all("links => links.map(link => link.href)")
    return next(link for link in links if re.search(pattern, link))


def pictures(page, base, site):
    """Which pictures there are of a site: name, URL, way of coming."""
    if site == "shop":
        incident = first(page, base, "incidents", r"/incidents/\w+$")
        probe = urljoin(base, "probes/api-health")
        run = first(page, base, probe, r"/runs/\w+$")
        yield "status", base, LIGHT
        yield "incident", incident, LIGHT
        yield "status-dark", base, DARK
        yield "incident-dark", incident, DARK
        yield "status-phone", base, ON_PHONE
        yield "incident-phone", incident, ON_PHONE
        yield "silence", f"{incident}/silence", LIGHT
        yield "probe", probe, LIGHT
        yield "run", run, LIGHT
        for name in ("incidents", "schedules", "deliveries", "objectives", "about", "audit", "public"):
            yield name, urljoin(base, name), LIGHT
    elif site == "hundreds":
        probe = first(page, base, "", r"/probes/.")
        yield "status-hundreds", base, LIGHT
        yield "probe-month", f"{probe}?over=30d", LIGHT
        yield "public-hundreds", urljoin(base, "public"), LIGHT
    elif site == "long":
        yield "status-long", base, LIGHT
        yield "status-long-phone", base, ON_PHONE
    elif site == "empty":
        yield "status-empty", base, LIGHT
        yield "deliveries-empty", urljoin(base, "deliveries"), LIGHT
    else:
        sys.exit(f"there is no site `{site}`")


def take(page, path):
    """Takes the picture of a page."""
    width = page.viewport_size["width"]
    end = page.evaluate("() => Math.ceil(document.body.lastElementChild.getBoundingClientRect().bottom + window.scrollY)")
    high = min(end + MARGIN, HIGH_MAX)
    taken = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": high})
    image = Image.open(io.BytesIO(taken)).convert("RGB")
    known = sorted(image.getcolors(image.width * image.height), reverse=True)[:COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in known for part in colour])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


def main():
    program, base, token, directory, site = sys.argv[1:]
    with chromium(program) as browser:
        watched = Watched(browser, base, token)
        with watched.way("first", **LIGHT) as way:
            wanted = list(pictures(way.page, base, site))
        for name, url, options in wanted:
            with watched.way(name, **options) as way:
                answer = way.page.goto(url, wait_until="load")
                if answer.status != 200:
                    way.complain(f"answers {answer.status}")
                # It has said by then whether it is live.
                way.page.wait_for_timeout(1500)
                take(way.page, Path(directory) / f"{name}.png")
        code = watched.told()
    sys.exit(code)


if __name__ == "__main__":
    main()
