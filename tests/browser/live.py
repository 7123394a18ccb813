"""Watches an open page: it says `live`, shows what changes without being read anew, disturbs nobody, and says since when it hears
nothing.

    python live.py CHROMIUM URL TOKEN

What is to happen is asked on a line of its own (`the target fails`), and has happened when a line comes back.
"""

import re
import sys

from playwright.sync_api import expect
from watched import PHONE, Watched, chromium

# How long a change may take until it is seen, in milliseconds: two fetches are five seconds apart.
SOON = 15_000
# What stays as long as the page is the one that was loaded.
MARK = "() => { window.marked = true }"
IS_MARKED = "() => window.marked === true"
# What is kept, by what it is.
KEPT = """() => ({
  focus: document.activeElement.id,
  typed: document.activeElement.value,
  from: document.activeElement.selectionStart,
  y: Math.round(window.scrollY),
  open: [...document.querySelectorAll('details')].map(fold => fold.open),
})"""


def ask(what):
    """Has something happen."""
    print(what, flush=True)
    if not sys.stdin.readline():
        sys.exit(f"nobody does it: {what}")


def status(page, base):
    """The status page shows a new verdict, and that an incident opens."""
    page.goto(base)
    expect(page.locator("#live")).to_have_text("live", timeout=SOON)
    page.evaluate(MARK)
    expect(page.locator("h1")).not_to_contain_text("incident")
    # What the reader is at: a fold, a word half typed, a place on the page.
    page.locator("details#labels > summary").click()
    page.locator("details.rest > summary").first.click()
    page.fill("#q", "half a wor")
    page.evaluate("() => { const q = document.getElementById('q'); q.setSelectionRange(4, 4); window.scrollTo(0, 180) }")
    before = page.evaluate(KEPT)
    assert before["focus"] == "q" and before["y"] > 100 and any(before["open"]), before
    ask("the target fails")
    # Nothing is replaced while somebody types.
    page.keyboard.type("d")
    expect(page.locator("#live")).to_have_text("live, waits for you", timeout=SOON)
    expect(page.locator("section.incidents")).to_contain_text("api", timeout=2 * SOON)
    expect(page.locator("#live")).to_have_text("live", timeout=SOON)
    after = page.evaluate(KEPT)
    assert (after["focus"], after["typed"], after["from"]) == ("q", "halfd a wor", 5), after
    # What comes above moves what is below; the reader's place does not jump to the top.
    assert after["y"] > 100, after
    open_folds = page.evaluate("() => [...document.querySelectorAll('details[open]')].map(fold => fold.id)")
    assert "labels" in open_folds and any(fold.startswith("rest-") for fold in open_folds), open_folds
    assert page.evaluate(IS_MARKED), "the page was read anew"
    expect(page.locator("ul.rows").first).to_contain_text("failed")


def incident(page, base):
    """The page of an incident shows what somebody does by the API."""
    page.goto(base + "incidents")
    page.get_by_role("link", name=re.compile("^api |api is")).first.click()
    expect(page.locator("#live")).to_have_text("live", timeout=SOON)
    page.evaluate(MARK)
    expect(page.locator("main")).to_contain_text("Nobody has taken it on")
    page.get_by_role("link", name="War-room text", exact=True).focus()
    ask("it is acknowledged")
    expect(page.locator("main")).to_contain_text("bob has taken it on", timeout=SOON)
    expect(page.get_by_role("link", name="Take it on")).to_have_count(0)
    focused = page.evaluate("() => document.activeElement.textContent")
    assert focused == "War-room text", focused
    assert page.evaluate(IS_MARKED), "the page was read anew"


def disconnected(page, base):
    """It says since when it hears nothing, and hears again after."""
    page.goto(base)
    expect(page.locator("#live")).to_have_text("live", timeout=SOON)
    page.evaluate(MARK)
    ask("the daemon stops")
    expect(page.locator("#live")).to_have_text(re.compile(r"^not connected since \d\d:\d\d:\d\d UTC$"), timeout=3 * SOON)
    assert "api" in page.locator("main").inner_text(), "what was known stays"
    ask("the daemon starts")
    expect(page.locator("#live")).to_have_text("live", timeout=3 * SOON)
    ask("the target is well")
    expect(page.locator("h1")).not_to_contain_text("incident", timeout=3 * SOON)
    assert page.evaluate(IS_MARKED), "the page was read anew"


def main():
    program, base, token = sys.argv[1:]
    with chromium(program) as browser:
        watched = Watched(browser, base, token)
        with watched.way("live", viewport=PHONE) as way:
            status(way.page, base)
            incident(way.page, base)
            # While nobody answers the browser says so.
            way.expected = ["net::ERR_"]
            way.is_served = False
            disconnected(way.page, base)
        code = watched.told()
    sys.exit(code)


if __name__ == "__main__":
    main()
