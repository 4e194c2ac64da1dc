"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const root = document.documentElement;

  // Colours: as the system says, or as chosen. A file opened from disk may have no storage.
  const stored = () => { try { return localStorage.getItem("ccsam-theme"); } catch { return null; } };
  const choices = all("[data-theme-choice]");
  function choose(theme, save) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else { theme = "auto"; delete root.dataset.theme; }
    for (const button of choices) {
      const on = button.dataset.themeChoice === theme;
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
    if (save) try { localStorage.setItem("ccsam-theme", theme); } catch { /* without a memory */ }
    document.dispatchEvent(new Event("themechange"));
  }
  for (const button of choices) button.addEventListener("click", () => choose(button.dataset.themeChoice, true));
  arrows(choices, (button) => choose(button.dataset.themeChoice, true));
  all(".theme").forEach((element) => { element.hidden = false; });
  choose(stored(), false);

  // Arrow keys, Home and End move within a row of buttons.
  function arrows(buttons, act) {
    buttons.forEach((button, index) => button.addEventListener("keydown", (event) => {
      const last = buttons.length - 1;
      const to = {
        ArrowRight: index === last ? 0 : index + 1, ArrowDown: index === last ? 0 : index + 1,
        ArrowLeft: index === 0 ? last : index - 1, ArrowUp: index === 0 ? last : index - 1,
        Home: 0, End: last,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      buttons[to].focus();
      act(buttons[to]);
    }));
  }

  // Tabs. Without this script every panel is open, as in print.
  for (const block of all("[data-tabs]")) {
    const list = block.querySelector('[role="tablist"]');
    const tabs = all(':scope > [role="tablist"] > [role="tab"]', block);
    const panels = all(':scope > [role="tabpanel"]', block);
    const select = (tab) => {
      tabs.forEach((other, index) => {
        const on = other === tab;
        other.setAttribute("aria-selected", on);
        other.tabIndex = on ? 0 : -1;
        panels[index].hidden = !on;
      });
      document.dispatchEvent(new Event("tabchange"));
    };
    if (tabs.length > 1) {
      block.classList.add("on");
      list.hidden = false;
      tabs.forEach((tab) => tab.addEventListener("click", () => select(tab)));
      arrows(tabs, select);
      select(tabs[0]);
    }
  }

  // Tables: a click or a key on a heading sorts, a second one turns the order.
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const numeric = head.classList.contains("num");
        const before = head.getAttribute("aria-sort");
        // Of numbers the largest are wanted first, of names the first ones.
        const first = numeric ? "descending" : "ascending";
        const order = before === "none" ? first : before === "ascending" ? "descending" : "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
        const sign = order === "ascending" ? 1 : -1;
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row, place) => ({ row, place, key: row.cells[column].dataset.key }));
        rows.sort((a, b) => {
          if (!numeric) return sign * collator.compare(a.key, b.key) || a.place - b.place;
          const [x, y] = [parseFloat(a.key), parseFloat(b.key)];
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a.place - b.place;
          return sign * (x - y) || a.place - b.place;
        });
        body.append(...rows.map((entry) => entry.row));
      });
    });
  }

  // Search: rows whose first cells hold what is typed.
  for (const field of all("input[data-searches]")) {
    const body = document.getElementById(field.dataset.searches).tBodies[0];
    const output = field.parentElement.querySelector("output");
    field.parentElement.hidden = false;
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLocaleLowerCase();
      let shown = 0;
      for (const row of body.rows) {
        const hit = [...row.cells].slice(0, 2).some((cell) => cell.textContent.toLocaleLowerCase().includes(wanted));
        row.hidden = !hit;
        shown += hit;
      }
      output.textContent = wanted ? `${shown} of ${body.rows.length}` : "";
    });
  }

  // What a mark says, beside the pointer; as text, whatever is in it.
  const tip = document.getElementById("tip");
  document.addEventListener("pointerover", (event) => {
    const mark = event.target.closest?.("[data-tip]");
    tip.hidden = !mark;
    if (mark) tip.textContent = mark.dataset.tip;
  });
  document.addEventListener("pointermove", (event) => {
    if (tip.hidden) return;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const above = event.clientY - tip.offsetHeight - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above < 4 ? event.clientY + 18 : above}px`;
  });

  // The section being read is marked in the contents.
  const links = new Map(all(".contents a").map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  const narrow = matchMedia("(max-width: 60rem)");
  const contents = document.querySelector(".contents details");
  const fold = () => { contents.open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();
  if ("IntersectionObserver" in window) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        links.forEach((link) => link.removeAttribute("aria-current"));
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    }, { rootMargin: "-5% 0px -80% 0px" });
    all("main section").forEach((section) => seen.observe(section));
  }
  root.dataset.ready = "true";
})();
