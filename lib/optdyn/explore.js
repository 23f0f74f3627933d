/* The front end of optdyn's figures: native controls above a Vega chart.
 *
 * Each <div class="optdyn-figure" data-figure="name"> holds a still picture and a JSON script
 * {spec, controls, presets} with either {tables} or {program, raster}. A figure's numbers come from a source with
 * evaluate(at) -> {table: {column: array}} (or a promise of it), where `at` maps each control to the index of its
 * position, or points to their coordinates: one list, or that of x and that of y. One source replays a table, the
 * other runs the program in a worker. What is moved away from its start stands in the address
 * (#figure.control=value&...; points as 1,2,3 or 1,2,3;4,5,6), so that a view can be linked.
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
      close() {},
    };
  }

  /** The page's programs as one function; what was prepared stays until other values are sent for it. */
  function runner(compute, prepare) {
    let prepared = [];
    return ({ values, first }) => {
      const began = performance.now();
      if (first) prepared = prepare(...first);
      const results = compute(...values, ...prepared);
      return { results, ms: performance.now() - began };
    };
  }

  /** A source that runs a program in a worker, or here where there can be none; `limit` milliseconds at most. */
  function computeSource({ controls, program }, limit) {
    const single = program.float === "float32";
    const Floats = single ? Float32Array : Float64Array;
    const byName = Object.fromEntries(controls.map((control) => [control.name, control]));
    const makers = `(${program.compute})(), ${program.prepare ? `(${program.prepare})()` : "null"}`;
    let worker = null;
    let here = null; // the programs on the page's own thread
    let known = null; // the values for which the worker holds what was prepared

    function argumentsOf(names, at) {
      const seen = {};
      return names.map((name) => {
        const { kind, texts, ranges } = byName[name];
        const leaf = (seen[name] = (seen[name] ?? -1) + 1);
        if (kind === "points") return Floats.from(ranges.length > 1 ? at[name][leaf] : at[name]);
        if (kind === "choice") return at[name];
        const number = Number(texts[at[name]]);
        return kind === "seed" ? Uint32Array.of(0, number) : single ? Math.fround(number) : number;
      });
    }

    function close() {
      worker?.terminate();
      worker = known = here = null;
    }

    function start() {
      const answer = "({ data }) => { try { postMessage(run(data)); } catch (error) { postMessage({ error: String(error?.message ?? error) }); } }";
      const address = URL.createObjectURL(new Blob([`const run = (${runner})(${makers});\nonmessage = ${answer};`], { type: "text/javascript" }));
      try {
        return new Worker(address);
      } finally {
        setTimeout(() => URL.revokeObjectURL(address), 60_000);
      }
    }

    const runHere = (request) => (here ??= new Function("runner", `return runner(${makers});`)(runner))(request);

    function ask(request) {
      if (here) return runHere(request);
      try {
        worker ??= start();
      } catch {
        return runHere(request);
      }
      return new Promise((done, failed) => {
        const stop = setTimeout(() => {
          close();
          failed(new Error(`it computed for more than ${limit / 1000} seconds and was stopped`));
        }, limit);
        worker.onmessage = ({ data }) => {
          clearTimeout(stop);
          if ("error" in data) failed(new Error(data.error));
          else done(data);
        };
        worker.onerror = (event) => {
          clearTimeout(stop);
          event.preventDefault();
          close();
          if (event.message) failed(new Error(event.message.replace(/^Uncaught (\w*Error: )?/, "")));
          else new Promise((run) => run(runHere(request))).then(done, failed); // the page's policy forbids workers
        };
        worker.postMessage(request);
      });
    }

    return {
      ms: 0,
      close,
      async evaluate(at) {
        const key = program.prepare && JSON.stringify(program.prepares.map((name) => at[name]));
        const values = argumentsOf(program.arguments.filter((name) => name !== "prepared"), at);
        const first = key === known ? null : argumentsOf(program.prepares, at);
        known = null; // until it has answered
        const { results, ms } = await ask({ values, first });
        known = key;
        this.ms = ms;
        const tables = {};
        program.results.forEach(([table, column], i) => ((tables[table] ??= {})[column] = results[i]));
        return tables;
      },
    };
  }

  const DRAWABLE = 1e30; // what is larger, or not finite, is left out: a path's coordinates are single precision

  function rows(table) {
    const columns = Object.entries(table);
    const drawable = (value) => (typeof value !== "number" || Math.abs(value) < DRAWABLE ? value : null);
    return Array.from(columns[0][1], (_, i) => Object.fromEntries(columns.map(([name, values]) => [name, drawable(values[i])])));
  }

  // ---- the chart fitted to its column -----------------------------------------------------------

  const AXIS_ROOM = 66; // pixels an axis with its title takes beside a panel
  const STACK_BELOW = 560; // a row of panels narrower than this becomes a column

  const panelsOf = (spec) => spec.hconcat ?? spec.vconcat ?? [spec];

  const marksOf = (panel) => (panel.layer ?? []).flatMap((inner) => (inner.layer ? marksOf(inner) : [inner.mark]));

  /** A copy of the chart whose panels share `room` pixels. */
  function fitted(spec, room, spare = 0) {
    const copy = structuredClone(spec);
    copy.autosize = { type: "pad", resize: true }; // labels may grow wider
    const panels = panelsOf(copy);
    if (copy.hconcat && room < STACK_BELOW) {
      copy.vconcat = panels;
      delete copy.hconcat;
    }
    const inRow = copy.hconcat ? panels.length : 1;
    const widths = panels.map((panel) => panel.width ?? 0); // 0: a row inside a column
    const total = copy.hconcat ? widths.reduce((sum, w) => sum + w, 0) : Math.max(...widths);
    const scale = (room - spare - AXIS_ROOM * inRow) / total;
    for (const panel of panels) {
      if (panel.hconcat ?? panel.vconcat) {
        const { autosize, ...inner } = fitted(panel, room, spare);
        delete panel.hconcat;
        Object.assign(panel, inner);
        continue;
      }
      panel.width = Math.max(120, Math.round(copy.hconcat ? panel.width * scale : total * scale));
      for (const mark of marksOf(panel)) {
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
      // ast: Vega interprets its expressions, and needs no eval, which the site's policy forbids
      const { view } = await window.vegaEmbed(host, ready, { actions: false, renderer: "svg", ast: true });
      await view.runAsync();
      return { view, spec: ready };
    };
    const made = await draw(0);
    const svg = host.querySelector("svg");
    const excess = svg.getBBox ? Number(svg.getAttribute("width")) - host.clientWidth : 0;
    if (excess <= 0) return made;
    made.view.finalize();
    return draw(excess + 2);
  }

  /** Where a panel lies in its host, in pixels, and its scales. */
  function panelOf(host, { view, spec }, index) {
    const several = spec.hconcat ?? spec.vconcat;
    const name = several ? (several[index].name ?? `concat_${index}`) : "";
    const ground = host.querySelector(several ? `.${CSS.escape(`${name}_group`)} path.background` : ".role-frame.root path.background");
    const [box, matrix, room] = [ground.getBBox(), ground.getScreenCTM(), host.getBoundingClientRect()];
    const scale = (channel) => {
      try {
        return view.scale(name ? `${name}_${channel}` : channel);
      } catch {
        return view.scale(channel); // shared by all panels
      }
    };
    return { left: matrix.e - room.left, top: matrix.f - room.top, zoom: matrix.a, width: box.width, height: box.height, x: scale("x"), y: scale("y") };
  }

  // ---- pictures under the chart -----------------------------------------------------------------

  /** A scale as numbers to device pixels, at once where it is linear or logarithmic. */
  function pixelsOf(scale, density) {
    if (scale.type !== "linear" && scale.type !== "log") return (value) => scale(value) * density;
    const bend = scale.type === "log" ? Math.log : (value) => value;
    const [a, b] = scale.domain();
    const slope = ((scale(b) - scale(a)) / (bend(b) - bend(a))) * density;
    const offset = scale(a) * density - slope * bend(a);
    return scale.type === "log" ? (value) => offset + slope * Math.log(value) : (value) => offset + slope * value;
  }

  const WORD = (red, green, blue, opacity) => ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0; // a pixel in memory
  const bytesOf = (colour) => [1, 3, 5, 7].map((i) => parseInt(colour.slice(i, i + 2) || "ff", 16));

  /** Fill a canvas of width * height pixels with words. */
  function fill(canvas, width, height, paint) {
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const image = new ImageData(width, height);
    paint(new Uint32Array(image.data.buffer));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /** Many points; a pixel's opacity grows with their number in it, as in charts.cloud_image. */
  function paintCloud(canvas, form, table, panel) {
    const density = window.devicePixelRatio || 1;
    const [width, height] = [Math.max(1, Math.round(panel.width * density)), Math.max(1, Math.round(panel.height * density))];
    const [across, down] = [pixelsOf(panel.x, density), pixelsOf(panel.y, density)];
    const [xs, ys] = [table[form.x], table[form.y]];
    fill(canvas, width, height, (pixels) => {
      const met = [];
      let most = 0;
      for (let i = 0; i < xs.length; i++) {
        const u = Math.floor(across(xs[i]));
        const v = Math.floor(down(ys[i]));
        if (!(u >= 0 && u < width && v >= 0 && v < height)) continue;
        const at = v * width + u;
        if (pixels[at]++ === 0) met.push(at);
        if (pixels[at] > most) most = pixels[at];
      }
      const pixelsWith = new Uint32Array(most + 1);
      for (const at of met) pixelsWith[pixels[at]]++;
      let [common, left] = [0, 0.9 * met.length]; // the 90th percentile of the occupied pixels
      while (left > 0 && common < most) left -= pixelsWith[++common];
      const [red, green, blue] = bytesOf(form.colour);
      const shades = Array.from(pixelsWith, (_, k) => WORD(red, green, blue, Math.round(255 * (1 - Math.exp(-k / Math.max(common / 2, 0.7))))));
      for (const at of met) pixels[at] = shades[pixels[at]];
    });
  }

  /** Classes, the lowest row first. */
  function paintClasses(canvas, { width, height, colours }, table) {
    const shades = colours.map((colour) => WORD(...bytesOf(colour)));
    const classes = Object.values(table)[0];
    fill(canvas, width, height, (pixels) => {
      for (let row = 0; row < height; row++) {
        for (let i = 0; i < width; i++) pixels[(height - 1 - row) * width + i] = shades[classes[row * width + i]] ?? 0;
      }
    });
  }

  // ---- the address ------------------------------------------------------------------------------

  const clamp = (value, [low, high]) => Math.min(Math.max(value, low), high);
  const address = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

  const alone = "optdynVega" in window; // in a notebook, whose address is not ours
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  function writeAddress(name, controls, at) {
    if (alone) return;
    const state = address();
    for (const control of controls) {
      const key = `${name}.${control.name}`;
      if (same(at[control.name], control.start)) state.delete(key);
      else state.set(key, control.kind === "points" ? control.ranges.length > 1 ? at[control.name].join(";") : at[control.name].join(",") : control.texts[at[control.name]]);
    }
    const hash = state.toString().replaceAll("%2C", ",").replaceAll("%3B", ";");
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  /** The state that the address asks of a figure; what it does not name stands at its start. */
  function readAddress(name, controls) {
    const state = address();
    const at = {};
    for (const { name: control, texts, start, ranges } of controls) {
      const text = state.get(`${name}.${control}`);
      if (ranges) {
        at[control] = coordinates(text, start, ranges);
        continue;
      }
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

  /** Points as an address gives them, moved into their ranges; where they start if it does not. */
  function coordinates(text, start, ranges) {
    const lists = (text ?? "").split(";").map((list) => list.split(",").map((part) => (part.trim() ? Number(part) : NaN)));
    const wanted = ranges.length > 1 ? start : [start];
    const fit = lists.length === wanted.length && lists.every((list, i) => list.length === wanted[i].length && list.every(Number.isFinite));
    if (!fit) return start;
    const inside = lists.map((list, i) => list.map((value) => clamp(value, ranges[i])));
    return ranges.length > 1 ? inside : inside[0];
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

  const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  /** Points over the chart, each a handle that is dragged or moved by the arrow keys; place() puts them on their panel. */
  function pointHandles(control, read, panel, moved, settled) {
    const { ranges, at: levels } = control;
    const flat = ranges.length === 1;
    const steps = ranges.map(([low, high]) => 10 ** (Math.floor(Math.log10(high - low)) - 2));
    const tidy = (value, axis) => Number(clamp(value, ranges[axis]).toFixed(Math.max(0, 1 - Math.round(Math.log10(steps[axis])))));
    const lists = () => (flat ? [read()] : read());
    const move = (i, goal) => {
      const next = lists().map((list, axis) => list.map((value, k) => (k === i ? tidy(goal[axis], axis) : value)));
      moved(flat ? next[0] : next);
    };
    const count = (flat ? control.start : control.start[0]).length;
    const handles = Array.from({ length: count }, (_, i) => {
      const handle = element("div", { class: "optdyn-point", role: "slider", tabindex: 0, "aria-label": `Point ${i + 1} of ${count}`, "aria-valuemin": ranges[0][0], "aria-valuemax": ranges[0][1] });
      let grip = null; // from the pointer to the handle's middle
      handle.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        const box = handle.getBoundingClientRect();
        grip = [box.left + box.width / 2 - event.clientX, box.top + box.height / 2 - event.clientY];
        handle.setPointerCapture(event.pointerId);
        handle.focus({ preventScroll: true });
        event.preventDefault();
      });
      handle.addEventListener("pointermove", (event) => {
        if (!grip) return;
        const { left, top, zoom, x, y, room } = panel();
        const goal = [(event.clientX + grip[0] - room.left - left) / zoom, (event.clientY + grip[1] - room.top - top) / zoom];
        move(i, [x.invert(goal[0]), flat ? 0 : y.invert(goal[1])]);
      });
      for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => grip && ((grip = null), settled()));
      handle.addEventListener("keydown", (event) => {
        const step = STEPS[event.key];
        if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        const far = event.shiftKey ? 10 : 1;
        const along = flat ? [step[0] + step[1]] : step;
        move(i, lists().map((list, axis) => list[i] + along[axis] * far * steps[axis]));
        settled();
      });
      return handle;
    });
    const place = () => {
      const { left, top, zoom, x, y } = panel();
      const values = lists();
      handles.forEach((handle, i) => {
        handle.style.left = `${left + zoom * x(values[0][i])}px`;
        handle.style.top = `${top + zoom * y(flat ? levels[i] : values[1][i])}px`;
        handle.setAttribute("aria-valuenow", values[0][i]);
        handle.setAttribute("aria-valuetext", flat ? String(values[0][i]) : `${values[0][i]}, ${values[1][i]}`);
      });
    };
    return { box: element("div", { class: "optdyn-points", role: "group", "aria-label": control.label }, ...handles), place };
  }

  // ---- a figure ---------------------------------------------------------------------------------

  const LIMIT = 30_000; // milliseconds after which a program is stopped
  const KEPT = 600; // frames whose times are kept

  async function mount(root) {
    root.dataset.state = "begun";
    await window.optdynVega;
    const name = root.dataset.figure;
    const data = JSON.parse(root.querySelector("script").textContent);
    const { controls, presets, program, raster = {} } = data;
    const source = program ? computeSource(data, Number(root.dataset.limit ?? LIMIT)) : tableSource(data);
    const statistics = (root.optdynStatistics = { frames: 0, computeMs: [], totalMs: [] });
    const host = element("div", { class: "optdyn-chart" });
    const pictures = Object.entries(raster).map(([table, form]) => ({ table, form, canvas: element("canvas", { "aria-hidden": "true" }) }));
    const handles = [];
    let at = readAddress(name, controls);
    let drawn = null; // the view, and the fitted chart
    let tables = null;
    let stale = true; // the controls have moved on from the tables
    let unfit = true; // the chart has not the page's width
    let running = null;
    let width = 0;

    /** What lies under and over the chart, where its panels are now. */
    function overlay() {
      for (const { table, form, canvas } of pictures) {
        const panel = panelOf(host, drawn, form.panel);
        const { left, top, zoom, width, height } = panel;
        Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${zoom * width}px`, height: `${zoom * height}px` });
        if (form.colours) paintClasses(canvas, form, tables[table]);
        else paintCloud(canvas, form, tables[table], panel);
      }
      for (const { place } of handles) place();
    }

    function count(began) {
      statistics.frames++;
      for (const [list, ms] of [[statistics.computeMs, source.ms ?? 0], [statistics.totalMs, performance.now() - began]]) {
        list.push(ms);
        if (list.length > KEPT) list.shift();
      }
    }

    const forVega = () => Object.fromEntries(Object.entries(tables).filter(([table]) => !(table in raster)));

    /** Draw the newest state; what was asked for meanwhile is drawn next, what lies between is dropped. */
    const update = () => (running ??= work().finally(() => (running = null)));

    async function work() {
      try {
        while (stale || unfit) {
          const began = performance.now();
          const moved = stale;
          if (stale) {
            stale = false;
            tables = await source.evaluate(at);
          }
          if (unfit) {
            width = host.clientWidth;
            unfit = false;
            drawn?.view.finalize();
            drawn = null;
            drawn = await embed(host, data.spec, forVega());
            host.prepend(...pictures.map(({ canvas }) => canvas));
            host.append(...handles.map(({ box }) => box));
          } else {
            for (const [table, columns] of Object.entries(forVega())) drawn.view.data(table, rows(columns));
            await drawn.view.runAsync();
          }
          overlay();
          if (moved) count(began);
          root.querySelector(".optdyn-trouble")?.remove();
          root.dataset.state = "drawn";
        }
      } catch (error) {
        stale ||= !tables;
        unfit ||= !drawn;
        trouble(root, error, controls.length ? reset : null);
      }
    }

    const shows = {};
    const buttons = [];
    const refresh = () => {
      for (const control of controls) shows[control.name]?.(at[control.name]);
      for (const [button, goal] of buttons) {
        button.setAttribute("aria-pressed", String(Object.keys(goal).every((key) => same(goal[key], at[key]))));
      }
      if (drawn) for (const { place } of handles) place();
      stale = true;
      update();
    };
    const settled = () => writeAddress(name, controls, at);
    const go = (goal) => {
      at = { ...at, ...goal };
      refresh();
      settled();
    };
    const start = Object.fromEntries(controls.map((control) => [control.name, control.start]));
    const reset = () => {
      if (root.dataset.state === "failed") source.close();
      go(start);
    };

    root.append(host);
    if (controls.length) {
      const moved = element("div", { class: "optdyn-controls" });
      for (const control of controls) {
        const follow = (value) => ((at = { ...at, [control.name]: value }), refresh());
        if (control.kind === "points") {
          const panel = () => ({ ...panelOf(host, drawn, control.panel), room: host.getBoundingClientRect() });
          handles.push(pointHandles(control, () => at[control.name], panel, follow, settled));
          continue;
        }
        const { box, show } = controlElement(name, control, follow, settled);
        shows[control.name] = show;
        moved.append(box);
      }
      const row = element("div", { class: "optdyn-buttons", role: "group", "aria-label": "Presets" });
      const press = (label, act, kind = "") => {
        const button = row.appendChild(element("button", { type: "button", class: kind }, label));
        button.addEventListener("click", act);
        return button;
      };
      for (const { label, at: goal } of presets) buttons.push([press(label, () => go(goal)), goal]);
      for (const { kind, name: seed, label, texts } of program ? controls : []) {
        if (kind === "seed") press(`New ${label}`, () => go({ [seed]: (at[seed] + 1) % texts.length }));
      }
      press("Reset", reset, "optdyn-reset");
      root.prepend(element("div", { class: "optdyn-panel" }, moved, row)); // above the still picture too: it stays where it is
      window.addEventListener("hashchange", () => {
        if (alone || !location.hash.includes("=")) return; // a link to a section leaves the figures as they are
        at = readAddress(name, controls);
        refresh();
      });
      refresh();
    }
    await update();

    let timer = 0;
    new ResizeObserver(() => {
      clearTimeout(timer);
      if (Math.abs(host.clientWidth - width) > 8 && host.clientWidth) timer = setTimeout(() => ((unfit = true), update()), 150);
    }).observe(host);
  }

  /** A sentence under a chart that could not be drawn, and the way back; the rest of the page goes on. */
  function trouble(root, error, reset) {
    console.error(error);
    root.dataset.state = "failed";
    root.querySelector(".optdyn-trouble")?.remove();
    const words = `This figure could not be drawn (${error.message}). `;
    const said = element("p", { class: "optdyn-trouble", role: "alert" }, words);
    if (reset) {
      const button = said.appendChild(element("button", { type: "button" }, "Reset"));
      button.addEventListener("click", reset);
    } else said.append("Reload the page to try again.");
    root.append(said);
  }

  // ---- the page ---------------------------------------------------------------------------------

  const waiting = new Set();
  let linked = null; // the figure that the address names, kept in view while those above it are drawn
  function start(root) {
    if (!waiting.delete(root)) return;
    mount(root).catch((error) => trouble(root, error)).then(() => linked?.scrollIntoView({ block: "start", behavior: "instant" }));
  }

  function all() {
    const nearby = new IntersectionObserver(
      (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => (nearby.unobserve(entry.target), start(entry.target))),
      { rootMargin: "800px" },
    );
    const asked = [...address().keys()][0]?.split(".")[0];
    const roots = [...document.querySelectorAll(".optdyn-figure")];
    const taken = new Set(roots.filter((root) => root.dataset.state).map((root) => root.dataset.figure));
    for (const root of roots) {
      if (root.dataset.state) continue; // another run of this script has it
      const name = root.dataset.figure;
      for (let n = 2; taken.has(root.dataset.figure); n++) root.dataset.figure = `${name}-${n}`;
      taken.add(root.dataset.figure);
      root.id ||= root.dataset.figure;
      root.dataset.state = "waiting";
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
