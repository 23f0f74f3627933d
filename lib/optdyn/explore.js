/* The front end of optdyn's figures: native controls above a Vega chart.
 *
 * Each <div class="optdyn-figure" data-figure="name"> holds a still picture and a JSON script
 * {spec, controls, presets, tables}. A figure's numbers come from a source with one method,
 * evaluate(at) -> {table: {column: array}} (or a promise of it), where `at` maps each control to the index of
 * its position; today the source is a table. What is moved away from its start stands in the address
 * (#figure.control=value&...), so that a view can be linked.
 */
(() => {
  "use strict";

  // ---- numbers ----------------------------------------------------------------------------------

  /** One packed column: at(index of each control) -> its values there. */
  function column({ axes, length, low, step, log, codes, texts }, counts) {
    const blockOf = (indices) => axes.reduce((block, axis) => block * counts[axis] + indices[axis], 0);
    if (texts) return (indices) => [texts[blockOf(indices)]];
    const bytes = Uint8Array.from(atob(codes), (c) => c.charCodeAt(0));
    const packed = new Uint16Array(bytes.buffer);
    return (indices) => {
      const block = blockOf(indices);
      const values = new Array(length);
      for (let i = 0; i < length; i++) {
        const code = packed[block * length + i];
        values[i] = code === 65535 ? null : log ? Math.exp(low + step * code) : low + step * code;
      }
      return values;
    };
  }

  /** A source that replays the table stored in the page. */
  function tableSource({ controls, tables }) {
    const counts = controls.map((control) => control.texts.length);
    const map = (object, f) => Object.fromEntries(Object.entries(object).map(([k, v]) => [k, f(v)]));
    const columns = map(tables, (table) => map(table, (packed) => column(packed, counts)));
    return {
      evaluate(at) {
        const indices = controls.map((control) => at[control.name]);
        return map(columns, (table) => map(table, (values) => values(indices)));
      },
    };
  }

  function rows(table) {
    const names = Object.keys(table);
    return table[names[0]].map((_, i) => Object.fromEntries(names.map((name) => [name, table[name][i]])));
  }

  // ---- the chart fitted to its column -----------------------------------------------------------

  const AXIS_ROOM = 66; // pixels an axis with its title takes beside a panel
  const STACK_BELOW = 560; // a row of panels narrower than this becomes a column

  /** A copy of the chart whose panels share `room` pixels. */
  function fitted(spec, room, spare = 0) {
    const copy = structuredClone(spec);
    let panels = [copy];
    if (copy.hconcat) {
      panels = copy.hconcat;
      if (room < STACK_BELOW) {
        copy.vconcat = panels;
        delete copy.hconcat;
      }
    } else if (copy.vconcat) panels = copy.vconcat;
    const inRow = copy.hconcat ? panels.length : 1;
    const total = copy.hconcat ? panels.reduce((sum, p) => sum + p.width, 0) : Math.max(...panels.map((p) => p.width));
    const scale = (room - spare - AXIS_ROOM * inRow) / total;
    for (const panel of panels) {
      panel.width = Math.max(120, Math.round(copy.hconcat ? panel.width * scale : total * scale));
      for (const { mark } of panel.layer ?? []) {
        if (mark.type === "image") Object.assign(mark, { width: panel.width, height: panel.height }); // a cloud of points spans its panel
      }
    }
    return copy;
  }

  async function embed(host, spec, tables) {
    const draw = async (spare) => {
      const ready = fitted(spec, host.clientWidth, spare);
      ready.datasets ??= {};
      for (const name of Object.keys(tables)) ready.datasets[name] = rows(tables[name]);
      const { view } = await window.vegaEmbed(host, ready, { actions: false, renderer: "svg" });
      await view.runAsync();
      return view;
    };
    const view = await draw(0);
    const excess = host.querySelector("svg").getBBox ? Number(host.querySelector("svg").getAttribute("width")) - host.clientWidth : 0;
    if (excess <= 0) return view;
    view.finalize();
    return draw(excess + 2);
  }

  // ---- the address ------------------------------------------------------------------------------

  const address = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

  function writeAddress(name, controls, at) {
    const state = address();
    for (const control of controls) {
      const key = `${name}.${control.name}`;
      if (at[control.name] === control.start) state.delete(key);
      else state.set(key, control.texts[at[control.name]]);
    }
    const hash = state.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  /** The state that the address asks of a figure; what it does not name stands at its start. */
  function readAddress(name, controls) {
    const state = address();
    const at = {};
    for (const { name: control, texts, start } of controls) {
      const text = state.get(`${name}.${control}`);
      let index = texts.indexOf(text);
      if (index < 0 && text?.trim() && Number.isFinite(Number(text))) {
        const distance = texts.map((t) => Math.abs(Number(t) - Number(text)));
        const least = Math.min(...distance.filter((d) => d === d));
        index = distance.indexOf(least);
      }
      at[control] = index < 0 ? start : index;
    }
    return at;
  }

  // ---- controls ---------------------------------------------------------------------------------

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  /** One labelled native control; show(index) moves it, moved(index) is told when the reader does. */
  function controlElement(figure, control, moved, settled) {
    const id = `${figure}--${control.name}`;
    const label = element("label", { for: id }, control.label);
    if (control.kind === "choice") {
      const input = element("select", { id }, ...control.texts.map((text, i) => element("option", { value: i }, text)));
      input.addEventListener("change", () => (moved(Number(input.value)), settled()));
      return { box: element("div", { class: "optdyn-control" }, label, input), show: (index) => (input.value = index) };
    }
    const input = element("input", { id, type: "range", min: 0, max: control.texts.length - 1, step: 1 });
    const output = element("output", { for: id });
    const show = (index) => {
      input.value = index;
      output.textContent = [control.texts[index], control.unit].filter(Boolean).join(" ");
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", () => moved(Number(input.value)));
    input.addEventListener("change", settled);
    return { box: element("div", { class: "optdyn-control" }, label, output, input), show };
  }

  // ---- a figure ---------------------------------------------------------------------------------

  async function mount(root) {
    const name = root.dataset.figure;
    const data = JSON.parse(root.querySelector("script").textContent);
    const { controls, presets } = data;
    const source = tableSource(data);
    let at = readAddress(name, controls);
    let view = null;
    let stale = false;
    let busy = false;

    /** Draw the newest state; what was asked for meanwhile is drawn next, what lies between is dropped. */
    async function draw() {
      stale = true;
      if (busy || !view) return;
      busy = true;
      try {
        while (stale) {
          stale = false;
          const tables = await source.evaluate(at);
          for (const table of Object.keys(tables)) view.data(table, rows(tables[table]));
          await view.runAsync();
        }
      } catch (error) {
        trouble(root, error);
      } finally {
        busy = false;
      }
    }

    const shows = {};
    const buttons = [];
    const refresh = () => {
      for (const control of controls) shows[control.name](at[control.name]);
      for (const [button, goal] of buttons) {
        button.setAttribute("aria-pressed", String(Object.keys(goal).every((key) => goal[key] === at[key])));
      }
      draw();
    };
    const settled = () => writeAddress(name, controls, at);
    const go = (goal) => {
      at = { ...at, ...goal };
      refresh();
      settled();
    };

    if (controls.length) {
      const moved = element("div", { class: "optdyn-controls" });
      for (const control of controls) {
        const { box, show } = controlElement(name, control, (index) => ((at = { ...at, [control.name]: index }), refresh()), settled);
        shows[control.name] = show;
        moved.append(box);
      }
      const row = element("div", { class: "optdyn-buttons", role: "group", "aria-label": "Presets" });
      const start = Object.fromEntries(controls.map((control) => [control.name, control.start]));
      for (const { label, at: goal } of presets) {
        const button = element("button", { type: "button" }, label);
        button.addEventListener("click", () => go(goal));
        buttons.push([button, goal]);
        row.append(button);
      }
      const reset = element("button", { type: "button", class: "optdyn-reset" }, "Reset");
      reset.addEventListener("click", () => go(start));
      row.append(reset);
      root.append(element("div", { class: "optdyn-panel" }, moved, row));
      window.addEventListener("hashchange", () => {
        if (!location.hash.includes("=")) return; // a link to a section leaves the figures as they are
        at = readAddress(name, controls);
        refresh();
      });
    }

    const host = root.appendChild(element("div", { class: "optdyn-chart" }));
    let width = 0;
    const build = async () => {
      width = host.clientWidth;
      const old = view;
      view = null;
      old?.finalize();
      view = await embed(host, data.spec, await source.evaluate(at));
      root.dataset.state = "drawn";
      if (stale) draw();
    };
    if (controls.length) refresh();
    stale = false;
    await build();

    let timer = 0;
    new ResizeObserver(() => {
      clearTimeout(timer);
      if (Math.abs(host.clientWidth - width) > 8) timer = setTimeout(() => build().catch((error) => trouble(root, error)), 150);
    }).observe(host);
  }

  /** A sentence in place of a chart that could not be drawn; the rest of the page goes on. */
  function trouble(root, error) {
    console.error(error);
    root.dataset.state = "failed";
    root.append(element("p", { class: "optdyn-trouble", role: "alert" }, `This figure could not be drawn (${error.message}). Reload the page to try again.`));
  }

  // ---- the page ---------------------------------------------------------------------------------

  const waiting = new Set();
  let linked = null; // the figure that the address names, kept in view while those above it are drawn
  function start(root) {
    if (!waiting.delete(root)) return;
    mount(root).catch((error) => trouble(root, error)).then(() => linked?.scrollIntoView({ block: "start", behavior: "instant" }));
  }

  function all() {
    const names = new Map();
    const nearby = new IntersectionObserver(
      (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => (nearby.unobserve(entry.target), start(entry.target))),
      { rootMargin: "800px" },
    );
    const asked = [...address().keys()][0]?.split(".")[0];
    for (const root of document.querySelectorAll(".optdyn-figure")) {
      const name = root.dataset.figure;
      names.set(name, (names.get(name) ?? 0) + 1);
      if (names.get(name) > 1) root.dataset.figure = `${name}-${names.get(name)}`;
      root.id ||= root.dataset.figure;
      waiting.add(root);
      nearby.observe(root);
      if (name === asked) linked ??= root;
    }
    linked?.scrollIntoView({ block: "start", behavior: "instant" });
    for (const event of ["wheel", "touchstart", "pointerdown", "keydown"]) {
      window.addEventListener(event, () => (linked = null), { once: true, passive: true, capture: true });
    }
    window.addEventListener("beforeprint", () => [...waiting].forEach(start));
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all);
  else all();
})();
