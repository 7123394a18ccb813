"""Uses every form and button as people do, in every way of coming, and looks what became of it on the pages and in the audit.

    python press.py CHROMIUM URL TOKEN

The site has, for each way, an open incident of the probe `way-N` with the label `way=N`, whose messages to the channel `nowhere`
nobody takes; and a schedule `slow` with more probes than one part holds.
"""

import re
import sys
import traceback
from urllib.parse import urlsplit

from playwright.sync_api import expect
from watched import WAYS, Watched, chromium

# How long anything may take, in milliseconds.
PATIENCE = 20_000
# A text that people write, with all that would be something else if it were not text.
SAID = """it's <b>"us"</b> & {{you}} – ☎"""


class Presses:
    """One way of coming, and the incident that is its own."""

    def __init__(self, way, number):
        self.way, self.page, self.number, self.probe = way, way.page, number, f"way-{number}"
        self.by = f"ann {number}"
        self.page.set_default_timeout(PATIENCE)
        self.has_script = way.options["java_script_enabled"]
        self.id = ""

    def go(self, *names):
        """Follows links by their words."""
        for name in names:
            self.page.get_by_role("link", name=name, exact=True).first.click()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def see(self, text):
        expect(self.page.locator("main")).to_contain_text(text, timeout=PATIENCE)

    def refused(self, button, sentence):
        """What is not right is said on a page of its own, which leads back to where it was asked."""
        self.way.expected = ["status of 422"]
        asked = self.page.url
        with self.page.expect_response(lambda answer: answer.request.is_navigation_request()) as answered:
            self.press(button)
        assert answered.value.status == 422, answered.value.status
        expect(self.page.locator("h1")).to_have_text("This was not done.", timeout=PATIENCE)
        self.see(sentence)
        self.way.look()
        self.go("Back")
        expect(self.page.locator("form.card")).to_be_visible(timeout=PATIENCE)
        assert urlsplit(self.page.url).path == urlsplit(asked).path, self.page.url
        self.way.expected = []

    def form(self, link):
        """Opens a form, and sends it with nothing in it, which the browser does not do."""
        self.go(link)
        expect(self.page.locator("form.card")).to_be_visible(timeout=PATIENCE)
        self.way.look()
        asked = self.page.url
        self.page.locator("form.card button").click()
        assert self.page.locator("form.card :invalid").count() > 0 and self.page.url == asked

    def incident(self):
        self.go("Incidents")
        self.page.get_by_role("link", name=re.compile(f"{self.probe} ")).first.click()
        self.see("Nobody has taken it on.")
        self.id = urlsplit(self.page.url).path.rsplit("/", 1)[1]

    def acknowledge(self):
        self.form("Take it on")
        self.page.fill("#by", "   ")
        self.refused("I take it on", "")
        self.page.fill("#by", self.by)
        self.page.fill("#text", SAID)
        self.press("I take it on")
        self.see(f"{self.by} has taken it on.")
        self.see(f"by {self.by}: {SAID}")
        expect(self.page.get_by_role("link", name="Take it on")).to_have_count(0)
        self.way.look()

    def note(self):
        self.form("Note")
        self.page.fill("#by", self.by)
        self.page.fill("#text", "  ")
        self.refused("Write it down", "")
        self.page.fill("#by", self.by)
        self.page.fill("#text", f"{SAID}\nsecond line")
        self.press("Write it down")
        self.see(f"{self.by}: {SAID}")
        expect(self.page.get_by_text("second line").first).to_be_visible()
        if "\u240a" in self.page.content() or "\u240d" in self.page.content():
            self.way.complain("the lines of a note are not lines")

    def silence(self):
        self.form("Silence…")
        self.page.fill("#by", self.by)
        self.page.fill("#reason", SAID)
        self.page.select_option("#for", "")
        self.refused("Silence it", "a silence ends")
        self.page.fill("#by", self.by)
        self.page.fill("#reason", SAID)
        self.page.fill("#severities", "P9")
        self.refused("Silence it", "is not a severity")
        for length, until in (("30m", ""), ("", "2099-01-01T10:30")):
            if self.page.locator("form.card").count() == 0:
                self.go("Silence…")
            self.page.fill("#by", self.by)
            self.page.fill("#reason", SAID)
            self.page.select_option("#for", length)
            if until:
                # Nobody may have quiet for ever.
                self.page.fill("#until", until)
                self.refused("Silence it", "")
                continue
            self.press("Silence it")
            section = self.page.locator("section", has=self.page.get_by_role("heading", name="Silences", exact=True))
            expect(section).to_contain_text(f"by {self.by}: {SAID}", timeout=PATIENCE)
            self.way.look()
        self.go("Back", "Status")
        self.see(f"by {self.by}: {self.probe} – {SAID}")
        self.page.go_back()
        self.press("End it")
        expect(self.page.get_by_role("heading", name="Silences", exact=True)).to_have_count(0, timeout=PATIENCE)
        assert urlsplit(self.page.url).path == f"/incidents/{self.id}", self.page.url

    def texts(self):
        self.go("Copy war-room text")
        text = self.page.get_by_label("war-room text")
        expect(text).to_be_visible()
        assert self.probe in text.input_value() and SAID in text.input_value()
        self.way.look()
        self.go("keep current")
        for name in ("War-room text", "Post-mortem text"):
            self.go(name)
            expect(self.page.locator("body")).to_contain_text(self.probe, timeout=PATIENCE)
            self.page.go_back()

    def redrive(self):
        self.go("Deliveries")
        row = self.page.locator("tr", has=self.page.locator(f'a[href="incidents/{self.id}"]')).filter(has_text="nowhere").first

        def attempts():
            said = re.search(r"(\d+) attempt", row.inner_text())
            return int(said.group(1)) if said else 0

        for press in (lambda: row.get_by_role("button").click(), lambda: self.press("Try all again now")):
            before = attempts()
            press()
            expect(self.page.get_by_role("heading", name="Waiting")).to_be_visible(timeout=PATIENCE)
            assert urlsplit(self.page.url).path == "/deliveries", self.page.url
            for _ in range(PATIENCE // 500):
                if attempts() > before:
                    break
                self.page.wait_for_timeout(500)
                self.page.reload()
            assert attempts() > before, row.inner_text()

    def filters(self):
        self.go("Status")
        self.page.fill("#q", self.probe)
        self.press("Show")
        self.see("1 of ")
        assert f"q={self.probe}" in self.page.url, self.page.url
        self.page.select_option("#show", "bad")
        self.press("Show")
        self.see(f"{self.probe}”, bad")
        self.way.look()
        self.page.fill("#q", "nothing is called so")
        self.press("Show")
        self.see("Nothing is like that")
        self.page.get_by_role("link", name=re.compile("show everything", re.I)).first.click()
        self.page.locator("details#labels > summary").click()
        self.page.get_by_role("link", name=re.compile(f"^way={self.number} ")).click()
        self.see(f"label way={self.number}")
        self.go("show everything")
        self.go("hold still")
        self.see(self.probe)
        self.go("keep current")
        # Which incidents.
        self.go("Incidents")
        self.page.fill("#probe", self.probe)
        self.page.select_option("#severity", "P1")
        self.press("Show")
        self.see("1 incident of these is open.")

    def parts(self):
        self.go("Status")
        self.page.get_by_role("link", name=re.compile("of slow$")).click()
        for part in ("part 1 of 3", "part 2 of 3", "part 3 of 3"):
            self.see(part)
            self.way.look()
            if part != "part 3 of 3":
                self.go("Next")
        self.go("Before")
        self.see("part 2 of 3")

    def audit(self):
        self.go("About", "Who changed what")
        self.see("The last change was")
        self.way.look()
        rows = self.page.locator("table tbody tr").all_inner_texts()
        for deed in ("acknowledge", "note", "silence"):
            assert any(self.by in row and re.search(rf"\b{deed}\b", row) for row in rows), f"{deed} of {self.by} is not in\n{rows}"
        for deed in ("end silence", "redrive"):
            assert any(deed in row for row in rows), f"{deed} is not in\n{rows}"

    def all(self):
        self.page.goto(self.way.watched.base)
        for one in (self.incident, self.acknowledge, self.note, self.silence, self.texts, self.redrive, self.filters, self.parts, self.audit):
            try:
                one()
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)
                line = [frame.lineno for frame in where if frame.filename == __file__][-1]
                self.way.complain(f"{one.__name__}, line {line}: {str(error).split('Call log')[0][:2000]}")
                return


def main():
    program, base, token = sys.argv[1:]
    with chromium(program) as browser:
        watched = Watched(browser, base, token)
        for number, (how, options) in enumerate(WAYS):
            with watched.way(how, **options) as way:
                Presses(way, number).all()
        code = watched.told()
        print(f"{len(WAYS)} ways, looked {watched.looked} times, {len(watched.wrong)} wrong")
    sys.exit(code)


if __name__ == "__main__":
    main()
