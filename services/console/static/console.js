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

document.addEventListener("click", (event) => {
  const fill = event.target.closest("[data-fill]");
  if (fill) { const field = find(fill.dataset.fill); field.value = fill.dataset.value; field.focus(); }
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

const net = find("net");
if (net) {
  const show = () => {
    net.classList.toggle("off", !navigator.onLine);
    document.body.classList.toggle("offline", !navigator.onLine);
    net.querySelector("span").textContent = navigator.onLine ? net.dataset.online : net.dataset.offline;
  };
  addEventListener("online", show);
  addEventListener("offline", show);
  show();
}
