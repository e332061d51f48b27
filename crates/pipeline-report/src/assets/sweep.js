(() => {
  const table = document.querySelector(".groups-table");
  const charts = [...document.querySelectorAll(".marked")];
  const groups = [...table.tBodies];
  const lines = charts.flatMap((chart) => [...chart.querySelectorAll(".line")]);

  // A row opens to the points of its group.
  const open = (group, wanted) => {
    group.querySelector(".open").setAttribute("aria-expanded", String(wanted));
    group.querySelector("tr.points").hidden = !wanted;
  };
  const isOpen = (group) => !group.querySelector("tr.points").hidden;
  for (const group of groups) {
    open(group, false);
    group.querySelector("tr.group").addEventListener("click", () => open(group, !isOpen(group)));
  }

  // A heading sorts by its column; what has no value stands last in either direction.
  const headings = [...table.tHead.rows[0].cells];
  const valueOf = (group, column) => group.querySelector("tr.group").cells[column].dataset.value;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  headings.forEach((heading, column) => heading.addEventListener("click", () => {
    const first = heading.classList.contains("falling") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const wanted = heading.ariaSort === first ? other : first;
    headings.forEach((one) => one.setAttribute("aria-sort", one === heading ? wanted : "none"));
    const rows = groups.map((group, idx) => ({ group, idx, value: valueOf(group, column) }));
    rows.sort((a, b) => {
      if (a.value === undefined || b.value === undefined) return (a.value === undefined) - (b.value === undefined) || a.idx - b.idx;
      return (wanted === "ascending" ? 1 : -1) * compare(a.value, b.value) || a.idx - b.idx;
    });
    rows.forEach(({ group }) => table.append(group));
  }));

  // A line and its row are marked together.
  const mark = (number) => {
    lines.forEach((line) => line.classList.toggle("on", line.dataset.group === number));
    groups.forEach((group) => group.classList.toggle("on", group.dataset.group === number));
    charts.forEach((chart) => chart.classList.toggle("some", lines.some((line) => line.dataset.group === number && chart.contains(line))));
  };
  for (const one of [...lines, ...groups]) {
    one.addEventListener("pointerenter", () => mark(one.dataset.group));
    one.addEventListener("pointerleave", () => mark(null));
    one.addEventListener("focusin", () => mark(one.dataset.group));
    one.addEventListener("focusout", () => mark(null));
  }

  // The lines of a chart are one stop of the Tab key; arrows lead from one to the next, from the best down.
  const show = (line) => {
    const group = groups.find((one) => one.dataset.group === line.dataset.group);
    open(group, true);
    group.querySelector("tr.group").scrollIntoView({ block: "center" });
  };
  for (const chart of charts) {
    const ordered = [...chart.querySelectorAll(".line")].reverse();
    if (ordered.length > 0) ordered[0].tabIndex = 0;
    ordered.forEach((line, idx) => {
      line.addEventListener("click", () => show(line));
      line.addEventListener("keydown", (event) => {
        const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
        if (event.key === "Enter") show(line);
        if (!step) return;
        event.preventDefault();
        const next = ordered[(idx + step + ordered.length) % ordered.length];
        line.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      });
    });
  }

  // One pair of axes at a time.
  const chooser = document.querySelector(".chooser");
  if (chooser) {
    const tables = [...document.querySelectorAll(".heat")];
    const choose = (chosen) => tables.forEach((one, idx) => { one.hidden = idx !== chosen; });
    chooser.querySelector("select").addEventListener("change", (event) => choose(+event.target.value));
    chooser.hidden = false;
    choose(0);
  }
})();
