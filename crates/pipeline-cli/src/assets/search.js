"use strict";
(() => {
  const root = document.documentElement;

  // Light or dark: as the system says, unless the reader has said otherwise, here or on a report.
  const key = "pipeline-report-theme";
  const recall = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(key, theme); } catch { /* it lasts for this page */ } };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (["light", "dark"].includes(recall())) root.dataset.theme = recall();
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
  });

  // An image is searched for as soon as it is chosen, dropped anywhere or pasted. The form works without this.
  const form = document.querySelector(".upload");
  if (form) {
    const input = form.querySelector("input[type=file]");
    const most = +form.dataset.most;
    form.querySelector("button").hidden = true;
    const say = (text) => { form.querySelector(".error").textContent = text; };
    const search = (files) => {
      const file = [...files].find((one) => one.type.startsWith("image/"));
      if (!file) return false;
      if (file.size > most) { say(`an image may have ${most >> 20} MiB at most`); return true; }
      if (input.files[0] !== file) {
        const transfer = new DataTransfer();
        transfer.items.add(file);
        input.files = transfer.files;
      }
      form.requestSubmit();
      return true;
    };
    input.addEventListener("change", () => { if (input.files.length > 0 && !search(input.files)) say("this is not an image"); });
    addEventListener("paste", (event) => { if (search(event.clipboardData.files)) event.preventDefault(); });
    addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
    addEventListener("dragleave", () => form.classList.remove("over"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      form.classList.remove("over");
      if (!search(event.dataTransfer.files)) say("this is not an image");
    });
  }

  // Times that go on: the server says when something began.
  const span = (seconds) => {
    const two = (number) => String(number).padStart(2, "0");
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return h > 0 ? `${h} h ${two(m)} min` : m > 0 ? `${m} min ${two(s)} s` : `${s} s`;
  };
  const tick = () => document.querySelectorAll("time[data-began]").forEach((time) => {
    time.textContent = span(Math.max(0, Math.round((Date.now() - time.dataset.began) / 1000)));
  });
  tick();
  setInterval(tick, 1000);

  // The runs as they change. Only a visible page listens: a browser has few connections to one server.
  const place = document.querySelector("[data-events]");
  if (!place) return;
  const sign = document.getElementById("live");
  let since = place.dataset.since;
  let source = null;
  let again = 0;
  const show = (text, on) => { sign.textContent = text; sign.classList.toggle("on", on); };
  const close = () => { clearTimeout(again); if (source) source.close(); source = null; };
  const element = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  };
  // What is replaced keeps the focus of the keyboard.
  const replace = (old, html) => {
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const made = element(html);
    old.replaceWith(made);
    if (focused) [...made.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
  };
  const onRuns = (news) => {
    for (const [id, html] of Object.entries(news.rows)) {
      const old = document.getElementById(`run-${id}`);
      if (old) replace(old, html); else place.append(element(html));
    }
    if (!news.order) return;
    const rows = news.order.map((id) => document.getElementById(`run-${id}`)).filter(Boolean);
    [...place.children].filter((child) => !rows.includes(child)).forEach((child) => child.remove());
    rows.forEach((row, idx) => { if (place.children[idx] !== row) place.insertBefore(row, place.children[idx]); });
    document.getElementById("no-runs").hidden = rows.length > 0;
  };
  const onRun = (news) => {
    const old = document.getElementById("detail");
    if (news.html) replace(old, news.html); else { old.textContent = "This run is gone from the store."; }
    if (!news.html || document.querySelector("#detail[data-settled]")) { close(); show("ended", false); }
  };
  const open = () => {
    if (source || document.querySelector("#detail[data-settled]")) return;
    const from = place.dataset.events;
    source = new EventSource(`${from}${from.includes("?") ? "&" : "?"}since=${since}`);
    source.onopen = () => show("live", true);
    source.onerror = () => {
      show("not connected", false);
      // A refused stream is not tried again by the browser itself.
      if (source.readyState === EventSource.CLOSED) { close(); again = setTimeout(open, 5000); }
    };
    const listen = (name, act) => source.addEventListener(name, (event) => { since = event.lastEventId; act(JSON.parse(event.data)); tick(); });
    listen("runs", onRuns);
    listen("run", onRun);
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
  if (!document.hidden) open();
})();
