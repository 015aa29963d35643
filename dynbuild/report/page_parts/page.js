"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  root.classList.add("on");
  const data = JSON.parse($("data").textContent);
  const { steps, groups, parts, seconds: wall } = data;
  const bars = new Map();
  for (const bar of document.querySelectorAll(".b[data-step]")) bars.set(+bar.dataset.step, bar);
  const el = (tag, text, cls) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (cls) made.className = cls;
    return made;
  };
  const time = (s) => {
    if (s < 0.0995) return `${Math.round(s * 1000)} ms`;
    if (s < 59.95) return `${s.toFixed(1)} s`;
    const whole = Math.round(s), m = Math.floor(whole / 60);
    return m < 60 ? `${m} min ${whole % 60} s` : `${Math.floor(m / 60)} h ${m % 60} min`;
  };
  const size = (n) => {
    const names = ["B", "kB", "MB", "GB", "TB"];
    let i = 0;
    while (n >= 1000 && i < 4) { n /= 1000; i += 1; }
    return `${i ? n.toPrecision(3) : n} ${names[i]}`;
  };
  const words = { run: "ran", cached: "from the cache", failed: "failed", cancelled: "cancelled", internal: "BuildKit's own work", export: "export" };

  // ---- theme -------------------------------------------------------------------------------
  const keep = (() => { try { return window.localStorage; } catch { return null; } })();
  const themes = ["", "light", "dark"];
  const setTheme = (theme) => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    $("theme").setAttribute("aria-label", `Theme: ${theme || "as the system"}`);
    $("theme").title = `Theme: ${theme || "as the system"}`;
    try { keep?.setItem("dynbuild-theme", theme); } catch { /* a page from a file may keep nothing */ }
  };
  let kept = "";
  try { kept = keep?.getItem("dynbuild-theme") || ""; } catch { /* the same */ }
  setTheme(themes.includes(kept) ? kept : "");
  const nextTheme = () => setTheme(themes[(themes.indexOf(root.dataset.theme || "") + 1) % 3]);
  $("theme").hidden = $("help-open").hidden = false;
  $("theme").onclick = nextTheme;
  $("help-open").onclick = () => $("help").showModal();

  // ---- tooltip -----------------------------------------------------------------------------
  const tip = $("tip");
  const showTip = (target) => {
    const step = steps[target.dataset.step];
    const part = target.dataset.part === undefined ? null : parts[target.dataset.part];
    tip.replaceChildren();
    if (part && part.wait) {
      tip.append(el("b", `Wait of ${time(part.seconds)}`), el("span", step ? `before ${step.title}` : "after the last step"));
    } else if (step) {
      tip.append(el("b", `${groups[step.group]}: ${step.title}`));
      const wait = step.wait > 0.05 ? `, waited ${time(step.wait)}` : "";
      tip.append(el("span", `${words[step.kind]} · ${time(step.seconds)} · from ${time(step.start)}${wait}`));
    } else return;
    tip.hidden = false;
    const box = target.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.max(box.left, $("fall").getBoundingClientRect().left);
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - own.width - 8))}px`;
    tip.style.top = `${box.top > own.height + 12 ? box.top - own.height - 8 : box.bottom + 8}px`;
  };
  const hideTip = () => { tip.hidden = true; };

  // ---- details of a step -------------------------------------------------------------------
  const drawer = $("drawer");
  let opener = null;
  const select = (index) => {
    document.querySelector(".b.sel")?.classList.remove("sel");
    bars.get(index)?.classList.add("sel");
  };
  const link = (index) => {
    const item = el("li"), button = el("button", `${groups[steps[index].group]}: ${steps[index].title}`);
    button.onclick = () => open(index);
    item.append(button);
    return item;
  };
  const list = (title, indexes) => {
    if (!indexes.length) return;
    const all = el("ul");
    all.append(...indexes.slice(0, 30).map(link));
    if (indexes.length > 30) all.append(el("li", `and ${indexes.length - 30} more`, "muted"));
    $("drawer-body").append(el("h3", title), all);
  };
  function open(index) {
    const step = steps[index], body = $("drawer-body"), facts = el("dl");
    const fact = (name, value) => {
      const row = el("div");
      row.append(el("dt", name), el("dd", value));
      facts.append(row);
    };
    if (drawer.hidden) opener = document.activeElement;
    select(index);
    body.replaceChildren(el("p", groups[step.group], "muted"), el("h2", step.title));
    fact("State", words[step.kind] + (step.critical ? ", on the critical path" : ""));
    fact("Time", time(step.seconds));
    fact("From", `${time(step.start)} to ${time(step.end)}`);
    if (step.wait > 0.01) fact("Waited", time(step.wait));
    if (step.bytes) fact("Transfers", size(step.bytes));
    if (data.targets > 1 && step.targets?.length) fact("Images", step.targets.map((t) => data.names[t]).join(", "));
    if (step.cached !== undefined) {
      fact("If cached", `${time(step.cached)} in all, ${time(wall - step.cached)} less`);
      fact("Twice as fast", `${time(step.faster)} in all, ${time(wall - step.faster)} less`);
    }
    body.append(facts);
    if (step.error) body.append(el("h3", "Error"), el("pre", step.error));
    body.append(el("h3", "Instruction"), el("pre", step.text));
    if (step.lines) {
      const button = el("button", `Show its ${step.lines.toLocaleString("en")} lines of log`, "text");
      button.onclick = () => { close(); log.ofStep(index); };
      body.append(button);
    }
    list("Takes the result of", step.inputs);
    list("Its result is taken by", steps.flatMap((one, i) => (one.inputs.includes(index) ? [i] : [])));
    drawer.hidden = false;
    drawer.scrollTop = 0;
    drawer.querySelector(".close").focus({ preventScroll: true });
  }
  function close() {
    if (drawer.hidden) return;
    drawer.hidden = true;
    opener?.focus?.({ preventScroll: true });
  }
  drawer.querySelector(".close").onclick = close;

  // ---- the timeline ------------------------------------------------------------------------
  const fall = $("fall");
  let timeline = null;
  if (fall) {
    const canvas = $("canvas"), rows = [...document.querySelectorAll(".row.stage")];
    let zoom = 1;
    const ticks = () => {
      const most = Math.max(3, Math.floor((fall.clientWidth * zoom) / 110));
      const grain = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
      const every = grain.find((one) => wall / one <= most) || 86400;
      const marks = [];
      for (let n = 0; n * every <= 0.97 * wall && n < 2000; n += 1) {
        const mark = el("span", n ? time(n * every).replace(".0 s", " s").replace(/ 0 s$/, "") : "0", "tick");
        mark.style.left = `${(100 * n * every) / wall}%`;
        marks.push(mark);
      }
      $("ticks").replaceChildren(...marks);
    };
    const setZoom = (to, at = 0.5) => {
      const name = canvas.querySelector(".name").offsetWidth, room = fall.clientWidth - name;
      const here = (fall.scrollLeft + at * room) / (room * zoom);
      zoom = Math.max(1, Math.min(to, 400));
      canvas.style.setProperty("--zoom", zoom);
      fall.scrollLeft = here * room * zoom - at * room;
      ticks();
    };
    $("zoom-in").onclick = () => setZoom(zoom * 1.6);
    $("zoom-out").onclick = () => setZoom(zoom / 1.6);
    $("zoom-fit").onclick = () => setZoom(1);
    fall.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = fall.getBoundingClientRect(), name = canvas.querySelector(".name").offsetWidth;
      setZoom(zoom * Math.exp(-event.deltaY / 300), (event.clientX - box.left - name) / (box.width - name));
    }, { passive: false });
    addEventListener("resize", ticks);
    ticks();

    const hay = steps.map((step) => `${groups[step.group]} ${step.text}`.toLowerCase());
    const filter = () => {
      const needle = $("filter").value.trim().toLowerCase();
      const path = $("only-path").getAttribute("aria-pressed") === "true";
      const hide = $("hide-cached").getAttribute("aria-pressed") === "true";
      fall.classList.toggle("path", path);
      fall.classList.toggle("nocached", hide);
      const alive = new Set();
      let count = 0;
      steps.forEach((step, index) => {
        const match = !needle || hay[index].includes(needle);
        bars.get(index)?.classList.toggle("off", !match);
        if (match && !(hide && step.kind === "cached") && !(path && !step.critical)) { alive.add(step.group); count += 1; }
      });
      const some = needle || path || hide;
      for (const row of rows) row.classList.toggle("gone", Boolean(some) && !alive.has(+row.dataset.group));
      $("filter-count").textContent = some ? `${count} of ${steps.length} steps` : "";
    };
    $("filter").oninput = filter;
    const toggle = (id) => {
      $(id).setAttribute("aria-pressed", String($(id).getAttribute("aria-pressed") !== "true"));
      filter();
    };
    for (const id of ["only-path", "hide-cached"]) $(id).onclick = () => toggle(id);

    const first = bars.get(0) || bars.values().next().value;
    if (first) first.tabIndex = 0;
    const go = (index) => {
      const bar = bars.get(index);
      if (!bar) return;
      fall.querySelector('.b[tabindex="0"]')?.setAttribute("tabindex", "-1");
      bar.tabIndex = 0;
      bar.focus({ preventScroll: false });
    };
    const shown = (index) => {
      const bar = bars.get(index);
      return bar && bar.offsetParent !== null && !bar.classList.contains("off");
    };
    const move = (index, key) => {
      if (key === "ArrowLeft" || key === "ArrowRight") {
        const by = key === "ArrowRight" ? 1 : -1;
        for (let next = index + by; next >= 0 && next < steps.length; next += by) if (shown(next)) return go(next);
        return undefined;
      }
      const order = rows.map((row) => +row.dataset.group), at = order.indexOf(steps[index].group);
      const by = key === "ArrowDown" ? 1 : -1;
      for (let row = at + by; row >= 0 && row < order.length; row += by) {
        const there = steps.flatMap((step, i) => (step.group === order[row] && shown(i) ? [i] : []));
        if (there.length) {
          const near = (i) => Math.abs(steps[i].start - steps[index].start);
          return go(there.reduce((best, i) => (near(i) < near(best) ? i : best)));
        }
      }
      return undefined;
    };
    fall.addEventListener("keydown", (event) => {
      const index = event.target.dataset?.step;
      if (index === undefined || !event.key.startsWith("Arrow")) return;
      event.preventDefault();
      move(+index, event.key);
    });
    for (const name of ["mouseover", "focusin"]) {
      fall.addEventListener(name, (event) => {
        const bar = event.target.closest("button");
        if (bar && (name === "mouseover" || bar.matches(":focus-visible"))) showTip(bar);
      });
    }
    for (const name of ["mouseout", "focusout", "scroll"]) fall.addEventListener(name, hideTip);
    addEventListener("scroll", hideTip, { passive: true });
    timeline = { toggle, zoom: (by) => setZoom(by ? zoom * by : 1) };
  }

  // ---- the log -----------------------------------------------------------------------------
  const log = (() => {
    const box = $("log"), space = $("log-space"), shownRows = $("log-rows"), height = 18, slice = 8;
    let text = null, low, starts, lines = 0, chosen = null, token = 0, needle = "", marked = -1;
    const load = () => {
      if (text !== null) return;
      text = $("log-text").textContent.replaceAll("\u0001", "<");
      // The one letter that is longer in lower case would move all that follows.
      low = text.replaceAll("\u0130", "i").toLowerCase();
      const found = [];
      for (let at = 0; at >= 0 && text; at = text.indexOf("\n", at) + 1 || -1) found.push(at);
      lines = found.length;
      starts = Int32Array.from([...found, text.length + 1]);
    };
    const stepOf = (i) => parseInt(text.slice(starts[i], starts[i] + 8), 36);
    const of = (i) => {
      const line = text.slice(starts[i], starts[i + 1] - 1), bar = line.indexOf("|");
      const at = parseInt(line.slice(line.indexOf(" ") + 1, bar), 36) / 10;
      return { step: parseInt(line, 36), at, text: line.slice(bar + 1) };
    };
    const count = () => (chosen ? chosen.length : lines);
    const marks = (text) => {
      const span = el("span");
      if (!needle) { span.textContent = text; return span; }
      const lower = text.toLowerCase();
      let at = 0;
      for (let hit = lower.indexOf(needle); hit >= 0 && span.childNodes.length < 40; hit = lower.indexOf(needle, at)) {
        span.append(text.slice(at, hit), el("mark", text.slice(hit, hit + needle.length)));
        at = hit + needle.length;
      }
      span.append(text.slice(at));
      return span;
    };
    const draw = () => {
      const from = Math.max(0, Math.floor(box.scrollTop / height) - 10);
      const to = Math.min(count(), from + Math.ceil(box.clientHeight / height) + 20);
      const made = [];
      for (let n = from; n < to; n += 1) {
        const i = chosen ? chosen[n] : n, line = of(i), row = el("div", undefined, i === marked ? "ll hit" : "ll");
        const stage = el("span", groups[steps[line.step]?.group] ?? "", "s");
        stage.title = steps[line.step]?.title ?? "";
        row.dataset.line = i;
        row.append(el("span", time(line.at), "t"), stage, marks(line.text.length > 4000 ? `${line.text.slice(0, 4000)}…` : line.text));
        made.push(row);
      }
      shownRows.style.transform = `translateY(${from * height}px)`;
      shownRows.replaceChildren(...made);
    };
    const fit = (done, drawn) => {
      const all = lines.toLocaleString("en"), some = count().toLocaleString("en");
      $("search-count").textContent = chosen ? `${some} of ${all} lines${done ? "" : " …"}` : `${all} lines`;
      space.style.height = `${count() * height}px`;
      if (!drawn) draw();
    };
    // The line that *at* lies in, looked for from line *i* on: doubling steps, then halves.
    const lineAt = (at, i) => {
      let by = 1;
      while (i + by < lines && starts[i + by] <= at) { i += by; by *= 2; }
      for (; by >= 1; by = Math.floor(by / 2)) if (i + by < lines && starts[i + by] <= at) i += by;
      return i;
    };
    // A long log is looked through in slices, so that a key is never waited for.
    const search = () => {
      load();
      const mine = (token += 1), step = $("log-step").value;
      needle = $("search").value.replaceAll("\u0130", "i").toLowerCase();
      if (!needle && step === "") { chosen = null; fit(true); return; }
      const only = step === "" ? -1 : +step;
      chosen = [];
      box.scrollTop = 0;
      let line = 0, drawn = false;
      const next = () => {
        if (!needle) return line;
        for (let at = starts[line]; line < lines;) {
          const hit = low.indexOf(needle, at);
          if (hit < 0) return lines;
          line = lineAt(hit, line);
          const own = low.indexOf("|", starts[line]) + 1;
          if (hit >= own) {
            if (hit + needle.length < starts[line + 1]) return line;
            at = hit + 1;
          } else at = own;
        }
        return lines;
      };
      const go = () => {
        if (mine !== token) return;
        const until = performance.now() + slice;
        for (let n = 1; line < lines; n += 1) {
          line = next();
          if (line >= lines) break;
          if (only < 0 || stepOf(line) === only) chosen.push(line);
          line += 1;
          if (n % 500 === 0 && performance.now() > until) break;
        }
        const done = line >= lines;
        fit(done, drawn && !done);
        drawn = count() * height > box.clientHeight + 400;
        if (!done) setTimeout(go, 0);
      };
      go();
    };
    const show = (i) => {
      load();
      token += 1;
      $("search").value = needle = "";
      $("log-step").value = "";
      chosen = null;
      marked = i;
      space.style.height = `${count() * height}px`;
      box.scrollTop = i * height - box.clientHeight / 3;
      fit(true);
    };
    let pending = false;
    box.addEventListener("scroll", () => {
      if (pending) return;
      pending = true;
      requestAnimationFrame(() => { pending = false; draw(); });
    });
    box.addEventListener("click", (event) => {
      const row = event.target.closest(".ll");
      if (!row) return;
      if (event.target.classList.contains("s")) open(stepOf(+row.dataset.line));
      else if (chosen && !String(getSelection())) show(+row.dataset.line);
    });
    $("search").addEventListener("input", search);
    $("log-step").addEventListener("change", search);
    const options = steps.flatMap((step, i) => (step.lines ? [[i, step]] : [])).map(([i, step]) => {
      const option = el("option", `${groups[step.group]}: ${step.title.slice(0, 60)}`);
      option.value = i;
      return option;
    });
    $("log-step").append(...options);
    new IntersectionObserver((seen, own) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      own.disconnect();
      search();
    }, { rootMargin: "400px" }).observe(box);
    return {
      ofStep: (index) => {
        $("search").value = "";
        $("log-step").value = index;
        search();
        $("logs").scrollIntoView();
        box.focus({ preventScroll: true });
      },
      focus: () => { $("logs").scrollIntoView(); $("search").focus({ preventScroll: true }); },
    };
  })();

  // ---- everything else ---------------------------------------------------------------------
  for (const field of document.querySelectorAll(".args-filter")) {
    const rows = [...field.closest("details").querySelectorAll("tbody tr")];
    field.oninput = () => {
      const needle = field.value.trim().toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(needle);
    };
  }
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-step]");
    if (!target) return;
    event.preventDefault();
    hideTip();
    open(+target.dataset.step);
  });
  const keys = {
    "/": () => log.focus(),
    f: () => { $("timeline").scrollIntoView(); $("filter").focus({ preventScroll: true }); },
    c: () => timeline?.toggle("only-path"),
    h: () => timeline?.toggle("hide-cached"),
    "+": () => timeline?.zoom(1.6),
    "=": () => timeline?.zoom(1.6),
    "-": () => timeline?.zoom(1 / 1.6),
    0: () => timeline?.zoom(0),
    t: nextTheme,
    "?": () => $("help").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !$("help").open) {
      if (!drawer.hidden) close();
      else if (event.target.matches?.("input")) { event.target.value = ""; event.target.dispatchEvent(new Event("input")); event.target.blur(); }
      hideTip();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, select, textarea")) return;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
})();
