/* The decks: one slide at a time, turned by keys, buttons, a swipe or the address (#/4).
 *
 * The figures are those of the book's pages (explore.js, which runs after this script). A slider that has the focus
 * keeps its keys. Without scripts a deck is a long page with all its slides and notes.
 */
(() => {
  "use strict";
  const root = document.documentElement;
  const slides = [...document.querySelectorAll(".slide")];
  const bar = document.querySelector(".bar");
  const contents = document.querySelector("dialog.contents");
  const place = bar.querySelector(".place");
  let now = 0; // the slide that is shown
  let steps = 0; // how many of its fragments are

  // A deck's address is its own: figures neither read it nor write it, as in a notebook.
  window.optdynVega = undefined;
  window.MathJax = {
    options: { enableMenu: false, ignoreHtmlClass: "optdyn-figure", processHtmlClass: "math" },
    chtml: { matchFontHeight: false }, // most formulas are typeset where they cannot be measured
    startup: {
      ready() {
        window.MathJax.startup.defaultReady();
        window.MathJax.startup.promise.then(() => fit(slides[now]));
      },
    },
  };

  // ---- light and dark, as the book has it ---------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)");
  function dress() {
    let mode = null;
    try {
      mode = localStorage.getItem("mode");
    } catch {} // storage may be forbidden
    root.dataset.theme = mode === "light" || mode === "dark" ? mode : dark.matches ? "dark" : "light";
  }
  dark.addEventListener("change", dress);
  dress();
  root.classList.add("live");

  // ---- fitting ----------------------------------------------------------------------------------

  const wide = () => innerWidth > 900; // where a slide is seen as a whole; elsewhere it scrolls
  const LEAST = 0.5; // of the usual size of the text
  const stageOf = (slide) => slide.querySelector(".stage");
  const tooBig = (stage) => stage.scrollHeight > stage.clientHeight + 1 || stage.scrollWidth > stage.clientWidth + 1;
  const tooWide = (formula) => formula.scrollWidth > formula.clientWidth + 1;

  /** Make the text smaller until the slide needs no scrolling; on a narrow screen it scrolls. */
  function fit(slide, from = 1) {
    const stage = stageOf(slide);
    for (let size = from; ; size -= 0.03) {
      stage.style.setProperty("--fit", size);
      slide.fitted = size;
      if (!wide() || size < LEAST || !tooBig(stage)) break;
    }
    slide.querySelectorAll("div.math").forEach(narrow);
    for (const figure of slide.querySelectorAll(".optdyn-figure")) {
      // explore.js draws a chart anew when its width has changed
      const { room, again } = sizes.get(figure) ?? {};
      if (wide() && room) figure.classList.toggle("again", again !== (room !== extent(stage)));
    }
  }

  /** Make a formula that is too wide smaller, by a quarter at most; what is still too wide scrolls. */
  function narrow(formula) {
    formula.style.fontSize = "";
    if (tooWide(formula)) formula.style.fontSize = `${Math.max(0.75, Math.floor((100 * formula.clientWidth) / formula.scrollWidth) / 100)}em`;
    const scrolls = tooWide(formula);
    for (const [name, value] of [["tabindex", 0], ["role", "group"], ["aria-label", "Formula, to be scrolled"]]) {
      if (scrolls) formula.setAttribute(name, value);
      else formula.removeAttribute(name);
    }
  }

  const watcher = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const slide = target.closest(".slide");
      if (slide === slides[now] && wide() && slide.fitted >= LEAST && tooBig(stageOf(slide))) fit(slide, slide.fitted);
    }
  });
  slides.forEach((slide) => watcher.observe(slide.querySelector(".content")));
  const drawn = new MutationObserver((changes) => changes.some(({ target }) => slides[now].contains(target)) && fit(slides[now]));
  for (const figure of document.querySelectorAll(".optdyn-figure")) drawn.observe(figure, { attributeFilter: ["data-state"] });
  let timer = 0;
  window.addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => fit(slides[now]), 100);
  });

  // ---- charts -----------------------------------------------------------------------------------

  const sizes = new WeakMap(); // for which extent of its stage a figure was drawn
  const extent = (stage) => `${stage.clientWidth} x ${stage.clientHeight}`;
  const CHART = 0.7; // of the height of its slide, at least, if smaller text can make room for it
  const LARGEST = 2.2; // of its size in the book

  // explore.js makes a chart as wide as its column; a slide also bounds its height, and is read from afar
  document.querySelector("script[src*='vega-bundle']").addEventListener("load", () => {
    const embed = window.vegaEmbed;
    window.vegaEmbed = (host, spec, options) => (wide() && host.clientWidth ? large(embed, host, spec, options) : embed(host, spec, options));
  });

  /** Draw a chart as large as its slide allows, in its proportions, with text that is legible in a hall. */
  async function large(embed, host, spec, options) {
    const figure = host.closest(".optdyn-figure");
    const stage = host.closest(".stage");
    const room = [host.clientWidth, heightFor(figure, stage)];
    const given = JSON.parse(figure.querySelector("script").textContent).spec;
    const widened = widthOf(spec) / widthOf(given); // by explore.js
    const largest = LARGEST / widened;
    sizes.set(figure, { room: extent(stage), again: figure.classList.contains("again") });
    spec.config.axis.labelSeparation = 8;
    host.style.height = `${room[1]}px`; // lest the stage scrolls meanwhile, and the column gets narrower
    let made = null;
    const hall = 1.5 * Math.min(stage.clientWidth / 1280, stage.clientHeight / 676); // on a screen of 1280 x 720
    for (let text = Math.min(Math.max(hall, 1), 3); ; text = Math.max(text - 0.1, 1)) {
      let factors = [1, 1]; // of its width and height
      let last = null;
      let fits = false;
      for (let turn = 0; turn < 6; turn++) {
        made?.view.finalize();
        made = await embed(host, scaled(spec, factors[0], factors[1] * widened, text, widened), options);
        await made.view.runAsync();
        const svg = host.querySelector("svg");
        const size = ["width", "height"].map((side) => Number(svg.getAttribute(side)));
        fits = size.every((length, i) => length <= room[i]);
        // the size follows a factor on a line, at first as if there were no axes
        let next = factors.map((factor, i) => {
          const slope = last && Math.abs(factor - last.factors[i]) > 0.005 ? (size[i] - last.size[i]) / (factor - last.factors[i]) : size[i] / factor;
          return Math.min(Math.max(factor + (room[i] - 2 - size[i]) / Math.max(slope, 1), 0.2), largest);
        });
        // panels one above the other are graphs, which may be wider; others may hold a circle
        if (!spec.vconcat) next = next.fill(Math.min(...next));
        else next[0] = Math.min(next[0], 1);
        if (fits && next.every((factor, i) => Math.abs(factor / factors[i] - 1) < 0.02)) break;
        last = { factors, size };
        factors = next;
      }
      if ((fits && !crowded(host)) || text === 1) break;
    }
    host.style.height = "";
    host.style.setProperty("--high", `${room[1]}px`);
    return made;
  }

  /** The pixels left for the height of a chart, with smaller text if that makes room for it. */
  function heightFor(figure, stage) {
    const style = getComputedStyle(stage);
    const high = stage.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    const figures = [...stage.querySelectorAll(".optdyn-figure")];
    for (let size = 1; ; size -= 0.03) {
      stage.style.setProperty("--fit", size);
      const others = stage.querySelector(".content").offsetHeight - figures.reduce((sum, { offsetHeight }) => sum + offsetHeight, 0);
      const left = high - others;
      if (left > CHART * high || size < LEAST) return Math.max(Math.floor(left / figures.length) - 2, 120);
    }
  }

  /** Whether two texts of a chart lie upon each other. */
  function crowded(host) {
    const boxes = [...host.querySelectorAll("svg text:not([opacity='0'])")].map((text) => text.getBoundingClientRect()).filter(({ width }) => width);
    const apart = (a, b) => a.right - 2 < b.left || b.right - 2 < a.left || a.bottom - 0.1 * a.height < b.top || b.bottom - 0.1 * b.height < a.top;
    return boxes.some((box, i) => boxes.slice(i + 1).some((other) => !apart(box, other)));
  }

  const widthOf = (view) => view.width ?? widthOf((view.hconcat ?? view.vconcat)[0]);

  /** A copy of a chart with other panels and larger text; the rows of its tables stay the same. */
  function scaled(view, across, down, text, widened) {
    if (Array.isArray(view)) return view.map((inner) => scaled(inner, across, down, text, widened));
    if (!view || typeof view !== "object") return view;
    const copy = {};
    for (const [key, value] of Object.entries(view)) {
      if (key === "datasets" || key === "data") copy[key] = value;
      else if (typeof value === "number" && /fontSize$|Limit$|^(dx|dy|lineHeight)$/i.test(key)) copy[key] = Math.round(value * text);
      else if (typeof value === "number" && key === "width") copy[key] = Math.round(value * across);
      else if (typeof value === "number" && key === "height") copy[key] = Math.round(value * down);
      else if (key === "x" && typeof value?.value === "number") copy[key] = { ...value, value: value.value * across * widened };
      else if (key === "y" && typeof value?.value === "number") copy[key] = { ...value, value: value.value * text };
      else copy[key] = scaled(value, across, down, text, widened);
    }
    return copy;
  }

  // ---- turning ----------------------------------------------------------------------------------

  const fragmentsOf = (slide) => [...slide.querySelectorAll(".fragment")];

  function show(index, { at = 0, focus = true, told = false } = {}) {
    now = Math.min(Math.max(index, 0), slides.length - 1);
    const slide = slides[now];
    const fragments = fragmentsOf(slide);
    steps = Math.min(at, fragments.length);
    for (const other of slides) {
      other.classList.toggle("now", other === slide);
      other.tabIndex = other === slide ? 0 : -1;
    }
    fragments.forEach((fragment, i) => fragment.classList.toggle("later", i >= steps));
    place.textContent = `${now + 1} / ${slides.length}`;
    bar.querySelector("[data-act=back]").disabled = now === 0 && steps === 0;
    bar.querySelector("[data-act=on]").disabled = now === slides.length - 1 && steps === fragments.length;
    history.replaceState(null, "", `#/${now + 1}`);
    fit(slide);
    if (focus) slide.focus({ preventScroll: true });
    if (!told) channel?.postMessage([now, steps]);
  }

  const on = () => (steps < fragmentsOf(slides[now]).length ? show(now, { at: steps + 1 }) : now < slides.length - 1 && show(now + 1));
  const back = () => (steps > 0 ? show(now, { at: steps - 1 }) : now > 0 && show(now - 1, { at: Infinity }));
  const addressed = () => (Number(/^#\/(\d+)$/.exec(location.hash)?.[1]) || 1) - 1;
  window.addEventListener("hashchange", () => {
    contents.close();
    if (/^#\/\d+$/.test(location.hash)) show(addressed());
  });

  // ---- notes, here and in a second window -----------------------------------------------------------

  let channel = null; // to the window that turns along
  function along(name) {
    channel ??= new BroadcastChannel(name);
    channel.onmessage = ({ data: [index, at] }) => show(index, { at, focus: false, told: true });
  }
  function notes(wanted = !root.classList.contains("noted")) {
    root.classList.toggle("noted", wanted);
    for (const aside of document.querySelectorAll(".notes")) {
      aside.hidden = !wanted;
      aside.tabIndex = 0; // they may need scrolling
    }
    bar.querySelector("[data-act=notes]").setAttribute("aria-pressed", String(wanted));
    fit(slides[now]);
  }
  function secondWindow() {
    const name = `optdyn-slides-${Math.random().toString(36).slice(2)}`;
    channel?.close();
    channel = null;
    along(name);
    window.open(location.href, name, "popup,width=1000,height=700");
  }

  function list() {
    contents.querySelectorAll("li a").forEach((link, i) => (i === now ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    contents.showModal();
    contents.querySelector("[aria-current]").scrollIntoView({ block: "nearest" });
  }

  const acts = {
    on,
    back,
    notes: () => notes(),
    window: secondWindow,
    contents: list,
    screen: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()),
  };
  bar.addEventListener("click", (event) => acts[event.target.closest("[data-act]")?.dataset.act]?.());

  // ---- keys and touch -----------------------------------------------------------------------------

  const TURNS = { ArrowRight: on, PageDown: on, " ": on, ArrowLeft: back, PageUp: back, Home: () => show(0), End: () => show(slides.length - 1) };
  const LETTERS = { o: acts.contents, s: acts.notes, w: acts.window, f: acts.screen };

  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || contents.open) return;
    const at = event.target;
    if (event.key === "Escape" && at.closest?.(".slide")) return slides[now].focus({ preventScroll: true });
    if (at.closest?.("input, select, textarea, [role=slider]")) return; // it needs its keys
    if (event.key === " " && at.closest?.("button, a, summary")) return;
    if (at.closest?.(".notes") && !event.key.startsWith("Arrow")) return;
    if (at.matches?.("div.math") && /^Arrow(Left|Right)$/.test(event.key)) return; // it scrolls
    const stage = stageOf(slides[now]);
    const down = event.key === "PageDown" || (event.key === " " && !event.shiftKey);
    const up = event.key === "PageUp" || (event.key === " " && event.shiftKey);
    if (down && stage.scrollTop + stage.clientHeight < stage.scrollHeight - 2) return; // there is more of it
    if (up && stage.scrollTop > 2) return;
    // letters act where no part of a slide has the focus
    const free = at === slides[now] || at === document.body || at.closest?.(".bar");
    const act = up ? back : TURNS[event.key] ?? (free && !event.shiftKey ? LETTERS[event.key] : null);
    if (!act) return;
    event.preventDefault();
    act();
  });

  let from = null;
  window.addEventListener("touchstart", ({ touches, target }) => {
    const formula = target.closest("div.math");
    const free = touches.length === 1 && !target.closest(".optdyn-panel, .optdyn-point, .bar, dialog") && !(formula && tooWide(formula));
    from = free ? [touches[0].clientX, touches[0].clientY] : null;
  }, { passive: true });
  window.addEventListener("touchend", ({ changedTouches: [touch] }) => {
    if (!from) return;
    const [x, y] = [touch.clientX - from[0], touch.clientY - from[1]];
    from = null;
    if (Math.abs(x) > 60 && Math.abs(x) > 2 * Math.abs(y)) (x < 0 ? on : back)();
  }, { passive: true });

  // ---- paper --------------------------------------------------------------------------------------

  window.addEventListener("beforeprint", () => {
    root.classList.add("printing");
    slides.forEach((slide) => fit(slide));
  });
  window.addEventListener("afterprint", () => {
    root.classList.remove("printing");
    fit(slides[now]);
  });

  if (window.name.startsWith("optdyn-slides-")) {
    along(window.name);
    notes(true);
  }
  show(addressed(), { focus: false, told: true });
})();
