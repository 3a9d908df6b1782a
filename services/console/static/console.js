// What the pages can't do by themselves. Without this file every form still works.
"use strict";

const find = (id) => document.getElementById(id);
const isTyping = (element) => /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName);

// "/" goes to the search, as the key beside it says.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || isTyping(event.target) || event.ctrlKey || event.metaKey) return;
  const field = find("typed") || find("find");
  if (field) { event.preventDefault(); field.focus(); }
});

// Ctrl K opens the menu of commands: a guest, a page, something to do. The arrows go through what was found.
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && find("find")) {
    event.preventDefault();
    find("find").select();
    find("find").focus();
  }
});
find("find")?.form.addEventListener("keydown", (event) => {
  const field = find("find"), list = find("results").querySelector("ul");
  const links = [...find("results").querySelectorAll("a")];
  const here = links.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && links.length) {
    event.preventDefault();
    (links[here + step] || (here + step < 0 ? field : links[0])).focus();
  } else if (event.key === "Enter" && document.activeElement === field && links.length && list.dataset.for === field.value) {
    event.preventDefault();
    links[0].click();
  } else if (event.key === "Escape") document.activeElement.blur();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
  const fill = event.target.closest("[data-fill]");
  if (fill) {
    const field = find(fill.dataset.fill);
    field.value = fill.dataset.value;
    fill.closest("[popover]")?.hidePopover();
    field.focus();
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) navigator.clipboard?.writeText(find(copy.dataset.copy).textContent.trim());
  for (const open of document.querySelectorAll("details.more[open], details.menu[open], details.help[open]"))
    if (!open.contains(event.target)) open.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.more[open], details.menu[open], details.help[open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// In a month, the arrows go from day to day.
document.addEventListener("keydown", (event) => {
  const day = event.target.closest(".month td button");
  const ahead = document.documentElement.dir === "rtl" ? -1 : 1;
  const step = { ArrowRight: ahead, ArrowLeft: -ahead, ArrowDown: 7, ArrowUp: -7 }[event.key];
  if (!day || !step) return;
  event.preventDefault();
  const days = [...day.closest("table").querySelectorAll("td button")];
  days[days.indexOf(day) + step]?.focus();
});

// What a person waits for shows that it is under way; what a page asks for by itself does not.
const going = (on) => document.body.classList.toggle("going", on);
let gone;
const begin = (event) => {
  const link = event.target.closest?.("a[href], form, button, select, input");
  if (!link || link.hasAttribute("download") || link.target || link.getAttribute("href")?.startsWith("#")) return;
  going(true);
  clearTimeout(gone);
  gone = setTimeout(going, 10000, false);
};
document.addEventListener("click", (event) => { if (event.target.closest("a[href]") && !event.ctrlKey && !event.metaKey) begin(event); });
document.addEventListener("submit", begin);
document.addEventListener("htmx:before:request", begin);
document.addEventListener("htmx:finally:request", () => going(false));
addEventListener("pageshow", () => going(false));

document.addEventListener("change", (event) => {
  const field = event.target.dataset.reveal && find(event.target.dataset.reveal);
  if (field) field.type = event.target.checked ? "text" : "password";
});

// A second tap on a slow line sends nothing a second time; going back makes the form usable again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("once" in form.dataset)) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A variable goes to where one was writing.
document.addEventListener("click", (event) => {
  const insert = event.target.closest("[data-insert]");
  if (!insert) return;
  const field = find(insert.dataset.insert);
  field.setRangeText(insert.dataset.value, field.selectionStart, field.selectionEnd, "end");
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// The code of an invitation comes behind the #, which no server sees.
for (const field of document.querySelectorAll("[data-from-fragment]")) {
  if (location.hash.length > 1) { field.value = decodeURIComponent(location.hash.slice(1)); history.replaceState(null, "", location.pathname); }
}

// After too many wrong passwords the door stays shut for a while.
for (const button of document.querySelectorAll("[data-wait]")) {
  const said = button.textContent;
  let left = Number(button.dataset.wait);
  const tick = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${said} (${left.toLocaleString(document.documentElement.lang)})` : said;
    if (left-- > 0) setTimeout(tick, 1000);
  };
  tick();
}

// Of tabs that are wider than a phone the chosen one is in sight.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Without a line the page says of when it is, and what would be lost can't be sent.
const net = find("net"), banner = find("banner");
if (net) {
  let loaded = new Date();
  document.addEventListener("htmx:after:swap", () => { loaded = new Date(); });
  const clock = () => loaded.toLocaleTimeString(document.documentElement.lang, {
    hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: banner.dataset.zone,
  });
  const show = () => {
    const off = !navigator.onLine;
    net.classList.toggle("off", off);
    net.querySelector("span").textContent = off ? net.dataset.offline : net.dataset.online;
    if (banner) banner.hidden = !off;
    if (off && banner) banner.textContent = banner.dataset.said.replace("{time}", clock());
    for (const button of document.querySelectorAll("form[method=post] button, form[method=post] input[type=submit]")) {
      if (off && !button.disabled) button.dataset.held = "";
      if (!off && !("held" in button.dataset)) continue;
      button.disabled = off;
      if (!off) delete button.dataset.held;
    }
  };
  document.addEventListener("submit", (event) => {
    if (!navigator.onLine && event.target.method === "post") event.preventDefault();
  }, true);
  addEventListener("online", show);
  addEventListener("offline", show);
  show();
  // After the page is there: its files are kept for when there is no line.
  addEventListener("load", () => setTimeout(() => navigator.serviceWorker?.register("/sw.js").catch(() => {}), 2000));
}
// The page in place of others asks by itself whether there is a line: a browser does not always say so.
if (document.querySelector("[data-back-online]")) {
  const look = () => fetch("/healthz", { cache: "no-store" }).then((answer) => answer.ok && location.reload(), () => {});
  addEventListener("online", look);
  setInterval(look, 3000);
}
