"use strict";
// The console works without this script: it adds keys, a switch for dark and light, and what is live.
(() => {
  const root = document.documentElement;
  const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const theme = kept("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  document.getElementById("theme")?.addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it counts for this page */ }
  });

  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  let at = -1;
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    all[at]?.classList.remove("at");
    at = Math.max(0, Math.min(all.length - 1, at + step));
    all[at].classList.add("at");
    all[at].scrollIntoView({ block: "nearest" });
  };
  const KEYS = [["/", "to the search field"], ["j k", "next and previous row"], ["Enter", "open the row"], ["n p", "next and previous page"], ["g", "to the cluster"], ["t", "to the topics"], ["c", "to the groups"], ["?", "these keys"], ["Esc", "leave a field"]];
  const help = () => {
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-label", "Keys");
    const list = document.createElement("dl");
    for (const [key, what] of KEYS) {
      const term = document.createElement("dt");
      const name = document.createElement("kbd");
      name.textContent = key;
      term.append(name);
      const text = document.createElement("dd");
      text.textContent = what;
      list.append(term, text);
    }
    dialog.append(list);
    dialog.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  };
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Escape" && target instanceof HTMLElement) return target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest?.("input,select,textarea,dialog")) return;
    const base = document.body.dataset.base;
    const follow = (rel) => document.querySelector(`a[rel=${rel}]`)?.click();
    const acts = {
      "/": () => document.querySelector("[data-search]")?.focus(),
      j: () => move(1), k: () => move(-1),
      n: () => follow("next"), p: () => follow("prev"),
      g: () => location.assign(`${base}/`), t: () => location.assign(`${base}/topic`), c: () => location.assign(`${base}/consumer`),
      "?": help,
    };
    if (event.key === "Enter" && at >= 0 && target === document.body) return rows()[at]?.querySelector("a")?.click();
    const act = acts[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  for (const field of document.querySelectorAll("[data-expect]")) {
    const check = () => field.setCustomValidity(field.value === field.dataset.expect ? "" : `Type ${field.dataset.expect} to confirm`);
    field.addEventListener("input", check);
    check();
  }

  // A search that has not read everything yet goes on by itself: page after page, until it is over or stopped.
  const searchOn = async () => {
    let outcome = document.querySelector(".outcome");
    const found = document.getElementById("found");
    if (!outcome || !found) return;
    const stop = outcome.querySelector("[data-stop]");
    if (!stop) return;
    let isStopped = false;
    const offer = () => {
      const button = outcome.querySelector("[data-stop]");
      if (!button) return;
      button.hidden = false;
      button.addEventListener("click", () => { isStopped = true; button.hidden = true; });
    };
    offer();
    for (;;) {
      const next = outcome.querySelector("[data-go-on]")?.getAttribute("href");
      if (!next || isStopped || !outcome.querySelector("[data-stop]") || document.querySelectorAll("#found li").length >= 1000) return;
      const answer = await fetch(next, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const more = page.querySelector(".outcome");
      if (!more) return;
      const items = page.querySelectorAll("#found li");
      if (items.length) {
        found.querySelector(".empty")?.remove();
        found.querySelector(".messages").append(...items);
      }
      outcome.replaceWith(more);
      outcome = more;
      offer();
    }
  };
  // Records as they are written come as events; what is shown is a sample, and bounded.
  const tail = () => {
    const status = document.getElementById("tail");
    const found = document.getElementById("found");
    if (!status || !found) return;
    const stop = document.querySelector("[data-stop]");
    const events = new EventSource(status.dataset.tail);
    const total = { seen: 0, fitting: 0, shown: 0, skipped: 0 };
    const end = (why) => { events.close(); stop.hidden = true; status.textContent += ` ${why}`; };
    stop.hidden = false;
    stop.addEventListener("click", () => end("Stopped."));
    events.addEventListener("records", (event) => {
      const news = JSON.parse(event.data);
      for (const name of Object.keys(total)) total[name] += news[name];
      const rate = news.seen * 2;
      const left = total.skipped ? ` ${total.skipped.toLocaleString("en")} were leapt over, because they come too fast.` : "";
      status.textContent = `${total.seen.toLocaleString("en")} records came, now about ${rate.toLocaleString("en")} a second; ${total.fitting.toLocaleString("en")} fit, ${total.shown.toLocaleString("en")} of them were shown.${left}`;
      const items = new DOMParser().parseFromString(news.html, "text/html").querySelectorAll("li");
      found.prepend(...[...items].reverse());
      while (found.children.length > 200) found.lastElementChild.remove();
    });
    events.addEventListener("trouble", (event) => end(JSON.parse(event.data)));
    events.addEventListener("end", () => end("It has run for five minutes: load the page again to go on."));
    events.onerror = () => end("The connection has ended.");
  };
  // What is marked as live is replaced every five seconds, while somebody looks at the page.
  const live = () => {
    if (!document.querySelector("[data-live]")) return;
    const refresh = async () => {
      if (document.hidden) return;
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const fresh = page.querySelector(`[data-live="${CSS.escape(old.dataset.live)}"]`);
        if (fresh) old.replaceWith(fresh);
      }
    };
    setInterval(() => refresh().catch(() => { /* the next one may succeed */ }), 5000);
  };
  live();
  tail();
  searchOn().catch(() => { /* the link that reads on is still there */ });
})();
