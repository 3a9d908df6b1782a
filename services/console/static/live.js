// The live stream: it says that something happened, and the parts of the page that show it ask for themselves anew.
// By fetch and not by EventSource, which hides with which status it was refused.
"use strict";

(() => {
  const box = document.querySelector("[data-live]");
  if (!box) return;
  const SPACING = 1000, POLL = 30000, MINUTE = 60000, ANNOUNCE = 10000, SILENT = 40000, GRACE = 3000;
  const WAITS = [1, 2, 4, 8, 15, 30].map((seconds) => seconds * 1000);
  const BURST = 5;
  const lang = document.documentElement.lang;
  const all = (selector) => document.querySelectorAll(selector);
  const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  const concerns = (element, sign) =>
    element.dataset.on.split(" ").some((kind) => sign.kind.startsWith(kind)) &&
    (!element.dataset.of || element.dataset.of === sign.guest);
  // What somebody just did is on the page already when its event comes; bills and ratings come late by nature.
  const isNews = (element, sign) =>
    !element.dataset.since || sign.at > element.dataset.since || /^(visit|points\.earned|feedback)/.test(sign.kind);
  let place = "", live = null, paused = false, over = false, away, abort;

  // A part asks at most once a second, and once more when something came meanwhile.
  const states = new WeakMap();
  const stir = (part) => {
    const state = states.get(part) || { last: 0, timer: 0 };
    states.set(part, state);
    if (paused || state.timer) return;
    const wait = Math.max(0, state.last + Number(part.dataset.spacing || SPACING) - Date.now());
    state.timer = setTimeout(() => {
      state.timer = 0;
      state.last = Date.now();
      if (part.isConnected) htmx.trigger(part, "fresh");
      if (!paused) for (const counter of all("[data-count][data-burst]")) settle(counter);
    }, wait);
  };
  const stirAll = (selector = "[data-part]") => all(selector).forEach(stir);

  // How many visits are new: on a list until it is loaded again, on a feed when too many came to see each.
  const counted = new WeakMap();
  const seen = (counter) => counted.get(counter) || counted.set(counter, new Set()).get(counter);
  const say = (element, count) => {
    const words = count === 1 ? element.dataset.one : element.dataset.many;
    element.textContent = words.replace("{n}", count.toLocaleString(lang));
  };
  const show = (counter) => {
    const count = seen(counter).size;
    counter.hidden = count < ("burst" in counter.dataset && !paused ? BURST + 1 : 1);
    if (!counter.hidden) say(counter, count);
  };
  const settle = (counter) => setTimeout(() => { seen(counter).clear(); show(counter); }, GRACE);

  // Screen readers hear of the feed at most every ten seconds.
  const voice = document.querySelector("[data-voice]");
  const unsaid = new Set();
  let speaking = 0;
  const announce = (visit) => {
    if (!voice || !visit) return;
    unsaid.add(visit);
    speaking = speaking || setTimeout(() => { speaking = 0; say(voice, unsaid.size); unsaid.clear(); }, ANNOUNCE);
  };

  const show_state = () => {
    for (const element of all("[data-state]")) {
      const state = paused ? "paused" : live === false ? "stale" : "live";
      element.dataset.state = state;
      element.lastElementChild.textContent = element.dataset[`${state}Word`];
    }
  };
  const be = (now) => {
    clearTimeout(away);
    if (live === now) return;
    const back = live === false && now;
    live = now;
    show_state();
    if (back) stirAll();
  };

  const hear = (sign) => {
    for (const part of all("[data-part][data-on]")) if (concerns(part, sign)) stir(part);
    for (const counter of all("[data-count]"))
      if (concerns(counter, sign) && sign.visit) { seen(counter).add(sign.visit); show(counter); }
    for (const word of all("[data-news] [data-on]"))
      if (concerns(word, sign) && isNews(word, sign)) word.hidden = word.closest("[data-news]").hidden = false;
    if (sign.kind === "visit.recorded") announce(sign.visit);
  };
  const take = (message) => {
    const fields = {};
    for (const line of message.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (fields.id) place = fields.id;
    if (fields.event === "open") stirAll("[data-part][data-on]");
    else if (fields.event === "live" || fields.event === "stale") be(fields.event === "live");
    // Who may not see this any more is told by the page itself.
    else if (fields.event === "over") { over = true; location.reload(); }
    else if (fields.data) hear(JSON.parse(fields.data));
  };

  const read = async (body, alive) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ; ) {
      const { done, value } = await reader.read();
      if (done || over) return;
      alive();
      const messages = (text + value).split("\n\n");
      text = messages.pop();
      messages.forEach(take);
    }
  };
  const follow = async () => {
    for (let tries = 0; !over; ) {
      if (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
      abort = new AbortController();
      let silent = 0;
      const alive = () => { clearTimeout(silent); silent = setTimeout(() => abort.abort(), SILENT); };
      try {
        alive();
        const headers = { "HX-Request": "true", ...(place && { "Last-Event-ID": place }) };
        const answer = await fetch(box.dataset.live, { headers, signal: abort.signal, cache: "no-store" });
        if (answer.status === 404 || answer.headers.has("HX-Redirect")) { over = true; location.reload(); return; }
        if (answer.ok) { tries = 0; await read(answer.body, alive); }
      } catch { /* Away: it is said below, and tried again. */ }
      clearTimeout(silent);
      if (over || document.hidden) continue;
      away = setTimeout(() => be(false), live === null ? 0 : GRACE);
      await sleep(WAITS[Math.min(tries++, WAITS.length - 1)] * (0.7 + Math.random() * 0.6));
    }
  };

  document.addEventListener("visibilitychange", () => { if (document.hidden) abort?.abort(); });
  addEventListener("pagehide", () => { over = true; abort?.abort(); });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-whole-screen]")) document.documentElement.requestFullscreen?.();
    const button = event.target.closest("[data-pause]");
    if (!button) return;
    paused = !paused;
    button.setAttribute("aria-pressed", paused);
    show_state();
    if (!paused) stirAll();
  });
  setInterval(() => { if (live === false && !document.hidden) stirAll(); }, POLL);
  setInterval(() => { if (!document.hidden && navigator.onLine) stirAll("[data-minute]"); }, MINUTE);
  follow();
})();
