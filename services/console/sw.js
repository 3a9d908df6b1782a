// Without a line: the files of the pages, and one page that says so. Nothing of a guest or a cafe is ever kept here.
"use strict";

const PAGE = "/offline";

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const kept = await caches.open(NAME);
    await kept.addAll([PAGE, ...FILES]);
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== NAME) await caches.delete(name);
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin) return;
  if (address.pathname.startsWith("/static/"))
    event.respondWith(caches.match(request).then((found) => found || fetch(request)));
  else if (request.mode === "navigate")
    event.respondWith(fetch(request).catch(async () => (await caches.match(PAGE)) || Response.error()));
});
