// Keeps the page fresh. The server writes every word; this fetches the page again when something has
// happened, and changes what differs, in place: what has the focus or is being typed stays.
"use strict";

(() => {
  const EVENTS = "/unlock/events";
  const BETWEEN_MS = 700;
  const RETRY_MS = 3000;

  const lost = document.getElementById("lost");
  let isFetching = false;
  let isDue = false;
  let lastAt = 0;

  function note() {
    if (isFetching || isDue || document.hidden) {
      isDue = true;
      return;
    }
    isDue = true;
    setTimeout(fetchPage, Math.max(0, lastAt + BETWEEN_MS - Date.now()));
  }

  async function fetchPage() {
    isDue = false;
    isFetching = true;
    lastAt = Date.now();
    try {
      const answer = await fetch("/", { credentials: "same-origin" });
      if (!answer.ok) {
        throw new Error(`${answer.status}`); // too slow, or asked too often: no page of ours
      }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const part = fresh.getElementById("live");
      if (part === null) {
        location.reload(); // signed out, or another version of the agent
        return;
      }
      document.title = fresh.title;
      update(document.getElementById("live"), part);
      lost.hidden = true;
    } catch {
      lost.hidden = false;
      setTimeout(note, RETRY_MS);
    } finally {
      isFetching = false;
    }
    if (isDue) {
      isDue = false;
      note();
    }
  }

  function update(old, fresh) {
    const shape = (tree) => tree.querySelector("[data-shape]").dataset.shape;
    const isOther = shape(old) !== shape(fresh);
    const hadFocus = isOther && old.querySelector("[data-shape]").contains(document.activeElement);
    morph(old, fresh);
    if (hadFocus) {
      document.getElementById("title").focus(); // the button that had it is no more
    }
  }

  function morph(old, fresh) {
    if (old.isEqualNode(fresh) || old.nodeName === "NOSCRIPT") {
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const name of fresh.getAttributeNames()) {
      if (old.getAttribute(name) !== fresh.getAttribute(name)) {
        old.setAttribute(name, fresh.getAttribute(name));
      }
    }
    for (const name of old.getAttributeNames()) {
      if (!fresh.hasAttribute(name) && name !== "open") { // a person has opened it
        old.removeAttribute(name);
      }
    }
    morphChildren(old, fresh);
  }

  // What is alike stays the same element, in the same order; only what is new or gone is put in or taken out.
  function morphChildren(old, fresh) {
    let next = old.firstChild;
    const removeUntil = (end) => {
      while (next !== end) {
        const gone = next;
        next = next.nextSibling;
        if (!isBlank(gone)) {
          gone.remove();
        }
      }
    };
    for (const node of fresh.childNodes) {
      if (isBlank(node)) {
        continue;
      }
      let match = next;
      while (match !== null && !isAlike(match, node)) {
        match = match.nextSibling;
      }
      if (match === null) {
        old.insertBefore(document.importNode(node, true), next);
      } else {
        removeUntil(match);
        next = match.nextSibling;
        morph(match, node);
      }
    }
    removeUntil(null);
  }

  function isBlank(node) {
    return node.nodeType !== Node.ELEMENT_NODE && node.nodeValue.trim() === "";
  }

  function isAlike(old, fresh) {
    return old.nodeName === fresh.nodeName && !isBlank(old) && old.id === fresh.id &&
      old.className === fresh.className && old.dataset?.shape === fresh.dataset?.shape;
  }

  function listen() {
    const source = new EventSource(EVENTS);
    for (const kind of ["message", "status"]) {
      source.addEventListener(kind, note);
    }
    source.addEventListener("error", () => {
      lost.hidden = false;
      if (source.readyState === EventSource.CLOSED) { // refused: the page tells why
        source.close();
        setTimeout(() => { note(); listen(); }, RETRY_MS);
      }
    });
    source.addEventListener("open", note);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      isDue = false;
      note();
    }
  });
  listen();
})();
