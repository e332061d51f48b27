"use strict";
(() => {
  const root = document.documentElement;

  // Light or dark: as the system says, unless the reader has said otherwise.
  const key = "pipeline-report-theme";
  const recall = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(key, theme); } catch { /* a page from a file may not */ } };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (["light", "dark"].includes(recall())) root.dataset.theme = recall();
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
  });

  // The gallery: one group of queries at a time, in the group's order, narrowed by a search.
  const normal = (text) => text.normalize("NFKC").toLowerCase().trim();
  for (const gallery of document.querySelectorAll(".gallery")) {
    const cards = [...gallery.querySelectorAll(".card")].map((element, idx) => ({
      element,
      text: normal(element.dataset.text),
      places: new Map([...element.dataset.groups.split(" ").map((entry) => entry.split(":")).map(([name, place]) => [name, +place]), ["all", idx]]),
    }));
    const buttons = [...gallery.querySelectorAll("button[data-group]")];
    const search = gallery.querySelector("input");
    const end = gallery.querySelector(".nothing");
    let group = buttons.map((button) => button.dataset.group).find((name) => cards.some((card) => card.places.has(name)));
    const show = () => {
      const words = normal(search.value).split(/\s+/u).filter(Boolean);
      // A search goes through all listed queries.
      const wanted = words.length > 0 ? "all" : group;
      const shown = cards.filter((card) => card.places.has(wanted) && words.every((word) => card.text.includes(word)));
      shown.sort((a, b) => a.places.get(wanted) - b.places.get(wanted));
      cards.forEach((card) => { card.element.hidden = true; });
      shown.forEach((card) => { card.element.hidden = false; gallery.insertBefore(card.element, end); });
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.group === wanted)));
      end.hidden = shown.length > 0;
      gallery.querySelector(".shown").textContent = `${shown.length} of ${cards.length} listed queries`;
    };
    buttons.forEach((button) => button.addEventListener("click", () => { group = button.dataset.group; search.value = ""; show(); }));
    search.addEventListener("input", show);
    show();
  }

  // A text for what is under the pointer or the finger.
  const tip = document.getElementById("tip");
  const place = (event) => {
    const target = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    tip.hidden = !target || !target.dataset.tip;
    if (tip.hidden) return;
    tip.textContent = target.dataset.tip;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, event.clientX + 14), innerWidth - width - 8);
    const below = event.clientY + 18;
    tip.style.left = `${left}px`;
    tip.style.top = `${below + height > innerHeight - 8 ? Math.max(8, event.clientY - height - 12) : below}px`;
  };
  document.addEventListener("pointermove", place);
  document.addEventListener("pointerdown", place);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });
  document.addEventListener("pointerleave", () => { tip.hidden = true; });
})();
