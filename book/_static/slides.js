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

  const wide = () => innerWidth > 900;
  const noted = () => root.classList.contains("noted"); // what does not fit beside the notes scrolls
  const LEAST = 0.5; // of the usual size of the text
  const stageOf = (slide) => slide.querySelector(".stage");
  const tooBig = (stage) => stage.scrollHeight > stage.clientHeight + 1 || stage.scrollWidth > stage.clientWidth + 1;

  /** Make the text smaller until the slide needs no scrolling; on a narrow screen it scrolls. */
  function fit(slide, from = 1) {
    const stage = stageOf(slide);
    for (let size = from; ; size -= 0.03) {
      stage.style.setProperty("--fit", size);
      slide.fitted = size;
      if (!wide() || noted() || size < LEAST || !tooBig(stage)) break;
    }
  }

  const AXES = 80; // pixels of labels beside and below a chart, which stay

  /** Make a figure that is not drawn yet as large as its slide allows, in its proportions, with larger text. */
  function prepare(slide) {
    const figures = [...slide.querySelectorAll(".optdyn-figure")].filter((figure) => !figure.dataset.prepared);
    if (!figures.length || !wide() || noted()) return;
    const stage = stageOf(slide);
    stage.style.setProperty("--fit", 1);
    const style = getComputedStyle(stage);
    const high = stage.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    const content = stage.querySelector(".content");
    const others = content.offsetHeight - figures.reduce((sum, figure) => sum + figure.offsetHeight, 0);
    for (const figure of figures) {
      figure.dataset.prepared = "";
      if (figure.dataset.state && figure.dataset.state !== "waiting") continue;
      const script = figure.querySelector("script");
      const data = JSON.parse(script.textContent);
      const [, width, height] = / width=%22([\d.]+)%22 height=%22([\d.]+)%22/.exec(figure.querySelector("img").getAttribute("src"));
      const beside = data.controls.length ? 21 * parseFloat(getComputedStyle(figure).fontSize) : 0; // the panel, as in slides.css
      const grow = Math.min(
        (content.clientWidth - beside - AXES) / (width - AXES),
        ((high - others) / figures.length - 1.5 * AXES) / (height - AXES),
        2.2,
      );
      stretch(data.spec, Math.max(grow, 0.4));
      enlarge(data.spec.config, Math.min(Math.max(Math.min(innerWidth / 1280, innerHeight / 720) * 1.2, 1), 2.2));
      script.textContent = JSON.stringify(data);
      // panels one above the other are graphs, which may be wider; others may hold a circle
      if (!data.spec.vconcat) figure.style.setProperty("--chart", `${Math.round((width - AXES) * Math.max(grow, 0.4) + AXES)}px`);
    }
  }

  function stretch(view, factor) {
    if (typeof view.height === "number") view.height = Math.round(view.height * factor);
    for (const inner of [...(view.hconcat ?? []), ...(view.vconcat ?? []), ...(view.layer ?? [])]) stretch(inner, factor);
    if (view.spec) stretch(view.spec, factor);
  }

  function enlarge(config, factor) {
    for (const part of ["axis", "legend", "text", "title", "header"]) {
      for (const key of ["fontSize", "labelFontSize", "titleFontSize"]) {
        if (config[part]?.[key]) config[part][key] = Math.round(config[part][key] * factor);
      }
    }
  }

  const watcher = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const slide = target.closest(".slide");
      if (slide === slides[now] && wide() && !noted() && slide.fitted >= LEAST && tooBig(stageOf(slide))) fit(slide, slide.fitted);
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
    prepare(slide);
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
  function notes(wanted = !noted()) {
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

  const acts = {
    on,
    back,
    notes: () => notes(),
    window: secondWindow,
    contents: () => contents.showModal(),
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
    const stage = stageOf(slides[now]);
    const down = event.key === "PageDown" || (event.key === " " && !event.shiftKey);
    const up = event.key === "PageUp" || (event.key === " " && event.shiftKey);
    if (down && stage.scrollTop + stage.clientHeight < stage.scrollHeight - 2) return; // there is more of it
    if (up && stage.scrollTop > 2) return;
    // letters act on the slide that has the focus, and nowhere else
    const act = up ? back : TURNS[event.key] ?? (at === slides[now] && !event.shiftKey ? LETTERS[event.key] : null);
    if (!act) return;
    event.preventDefault();
    act();
  });

  let from = null;
  window.addEventListener("touchstart", ({ touches, target }) => {
    const free = touches.length === 1 && !target.closest(".optdyn-figure, pre, table, .math, .bar, dialog");
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
    for (const slide of slides) {
      prepare(slide);
      fit(slide);
    }
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
