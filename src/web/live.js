// Keeps an open page current. The server tells that something has changed (/events); then the same page is fetched and what is
// new is put in place of what is old. Whatever the reader was doing stays: focus, selection, scroll, opened folds, typed text.
// Without this script a page reads itself anew; see the <noscript> in its head.
"use strict";
(() => {
  const root = document.currentScript.dataset.root;
  const second = 1000;
  const restBetween = 5 * second; // two fetches are at least so far apart
  const restAfterTyping = 8 * second; // and so long nothing is touched after somebody typed
  const ages = 30 * second; // "3 min ago" grows old even if nothing else changes
  const comeAgain = 10 * second; // how long to wait after the stream broke

  const main = () => document.querySelector("main");
  const word = (text) => {
    const place = document.getElementById("live");
    if (place && place.textContent !== text) place.textContent = text;
  };
  const clock = (at) => new Date(at).toISOString().slice(11, 19) + " UTC";

  let told = null; // the numbers that the server told last
  let source = null;
  let connectAt = 0;
  let fetchedAt = Date.now();
  let typedAt = 0;
  let lostSince = null;
  let fetching = false;

  // The numbers that this page was drawn at, of what it shows.
  const seen = () => JSON.parse(main().dataset.seen || "{}");
  const isStale = () => {
    const drawn = seen();
    return told !== null && Object.keys(drawn).some((topic) => drawn[topic] !== told[topic]);
  };

  function listen() {
    source = new EventSource(root + "events");
    source.onmessage = (event) => {
      told = JSON.parse(event.data);
    };
    source.onerror = () => {
      // A refusal ends an EventSource for good, so each one is replaced.
      hangUp();
      connectAt = Date.now() + comeAgain;
    };
  }

  function hangUp() {
    if (source) source.close();
    source = null;
  }

  // Whether the reader would be disturbed: by text that is selected, or that was typed a moment ago.
  function isBusy() {
    const selection = document.getSelection();
    const selects = selection && !selection.isCollapsed && main().contains(selection.anchorNode);
    return selects || Date.now() - typedAt < restAfterTyping;
  }

  // What an element is called from one page to the next: its id, else its kind, its target and its place among equals.
  const kinds = "a[href], button, input, textarea, select, summary, details";
  function names(within) {
    const counts = new Map();
    const known = new Map();
    for (const element of within.querySelectorAll(kinds)) {
      const of = element.closest("li, article, section, form");
      const near = of ? (of.id || (of.querySelector("b, h2") || of).textContent.slice(0, 200)) : "";
      const own = element.id || [element.tagName, element.getAttribute("href") || element.name || "", near].join("|");
      const count = counts.get(own) || 0;
      counts.set(own, count + 1);
      known.set(own + "|" + count, element);
    }
    return known;
  }

  function put(page) {
    const next = page.querySelector("main");
    if (!next) throw new Error("no page");
    const old = main();
    const [before, after] = [names(old), names(next)];
    let focus = null;
    for (const [name, element] of before) {
      const heir = after.get(name);
      if (!heir) continue;
      if (element === document.activeElement) focus = [heir, element.selectionStart, element.selectionEnd];
      if (element.tagName === "DETAILS") heir.open = element.open;
      if (element.type === "checkbox" || element.type === "radio") {
        if (element.checked !== element.defaultChecked) heir.checked = element.checked;
      } else if ("defaultValue" in element && element.value !== element.defaultValue) {
        heir.value = element.value;
      } else if (element.tagName === "SELECT") {
        heir.value = element.value;
      }
    }
    const [x, y] = [window.scrollX, window.scrollY];
    old.replaceWith(document.adoptNode(next));
    for (const part of ["header .r", "title", "link[rel=icon]"]) {
      const [here, there] = [document.querySelector(part), page.querySelector(part)];
      if (here && there) here.replaceWith(document.adoptNode(there));
    }
    window.scrollTo(x, y);
    if (focus) {
      const [heir, from, to] = focus;
      heir.focus({ preventScroll: true });
      if (typeof from === "number") heir.setSelectionRange(from, to);
    }
  }

  async function renew() {
    fetching = true;
    fetchedAt = Date.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin" });
      if (!(answer.headers.get("content-type") || "").startsWith("text/html")) throw new Error("no page");
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      lostSince = null;
      if (!isBusy() && !document.hidden) put(page);
    } catch {
      lostSince = lostSince || Date.now();
    } finally {
      fetching = false;
    }
  }

  function turn() {
    // A page that nobody sees asks nothing, and leaves its place to others.
    if (document.hidden) {
      hangUp();
      told = null;
      connectAt = 0;
      return;
    }
    const now = Date.now();
    if (!source && now >= connectAt) listen();
    const isLive = source && source.readyState === EventSource.OPEN;
    const every = Number(main().dataset.every || 10) * second;
    const rest = now - fetchedAt;
    const due = isLive ? (isStale() && rest >= Math.min(restBetween, every)) || rest >= ages : rest >= every;
    if (due && !fetching && !isBusy()) renew();
    if (lostSince) word("not connected since " + clock(lostSince));
    else if (isLive) word(isBusy() ? "live, waits for you" : "live");
    else word("read anew every " + every / second + " s");
  }

  document.addEventListener("input", () => {
    typedAt = Date.now();
  });
  document.addEventListener("visibilitychange", () => {
    fetchedAt = 0;
    turn();
  });
  window.addEventListener("pagehide", hangUp);
  setInterval(turn, second);
  turn();
})();
