// HistoryEditor: two networks, a history to edit, and what they make of it.
// State (see history_editor.py): weights, arrays, titles, details, coordinates, kinds, labels,
// palette, contexts, continuous, n_candidates, shown, title, noun, unit, history, context.

// ------------------------------------------------------------ the models

// Numbers of 16 bits: a sign, five bits of exponent, ten of fraction.
function halves(raw) {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  return Float32Array.from({ length: raw.byteLength / 2 }, (_, i) => {
    const h = view.getUint16(2 * i, true), exponent = (h >> 10) & 31, fraction = h & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
    return h & 0x8000 ? -size : size;
  });
}

class Networks {
  constructor(model) {
    const all = halves(bytes(model.get("weights")));
    this.of = {};
    for (const { name, shape, start } of model.get("arrays")) {
      const size = shape.reduce((a, b) => a * b, 1);
      this.of[name] = { shape, data: all.subarray(start, start + size) };
    }
    this.sizes = model.get("contexts").map((field) => field.labels.length + 1);
    this.continuous = model.get("continuous");
    this.n = model.get("titles").length;
  }

  row(name, i) {
    const { shape, data } = this.of[name];
    return data.subarray(i * shape[1], (i + 1) * shape[1]);
  }

  // Mean of the rows of a table; zeros when there are none.
  mean(name, ids) {
    const sum = new Float64Array(this.of[name].shape[1]);
    for (const id of ids) this.row(name, id).forEach((value, d) => (sum[d] += value));
    return Array.from(sum, (value) => value / Math.max(1, ids.length));
  }

  // Vectors of the context's values; the table of all fields lies in one piece, 0 is "unseen".
  fields(name, context) {
    let offset = 0;
    return context.flatMap((value, f) => {
      const row = this.row(name, offset + value + 1);
      offset += this.sizes[f];
      return [...row];
    });
  }

  // Layers of an MLP, numbered 0, 2, 4, …: linear, then ReLU, unless the last is linear alone.
  layers(prefix, x, endsLinear) {
    let at = 0;
    while (`${prefix}.${at}.weight` in this.of) {
      const bias = this.of[`${prefix}.${at}.bias`].data;
      const last = endsLinear && !(`${prefix}.${at + 2}.weight` in this.of);
      x = Array.from(bias, (b, o) => {
        const row = this.row(`${prefix}.${at}.weight`, o);
        let sum = b;
        for (let i = 0; i < row.length; i++) sum += row[i] * x[i];
        return last ? sum : Math.max(0, sum);
      });
      at += 2;
    }
    return x;
  }

  user(history, context) {
    const x = [...this.mean("generator.watched.weight", history)];
    if (this.sizes.length) x.push(...this.fields("generator.context.table.weight", context));
    const wanted = this.of["generator.tower.layers.0.weight"].shape[1];
    if (x.length === wanted - 1) x.push(0); // example age, at serving
    return this.layers("generator.tower.layers", x, false);
  }

  scores(user) {
    return Array.from({ length: this.n }, (_, i) =>
      this.row("generator.items.weight", i).reduce((sum, value, d) => sum + value * user[d], 0));
  }

  watchTime(item, history, context, pooled) {
    const x = [...this.row("ranker.items.weight", item), ...pooled];
    if (this.sizes.length) x.push(...this.fields("ranker.fields.table.weight", context));
    const c = this.continuous;
    x.push(...c, ...c.map((v) => v * v), ...c.map(Math.sqrt));
    return Math.exp(this.layers("ranker.mlp.layers", x, true)[0]);
  }

  // Everything at once: candidates in the first stage's order, and their expected watch time.
  answer(history, context, nCandidates) {
    const user = this.user(history, context), scores = this.scores(user);
    const watched = new Set(history);
    const candidates = scores.map((_, i) => i).filter((i) => !watched.has(i))
      .sort((a, b) => scores[b] - scores[a] || a - b).slice(0, nCandidates);
    const pooled = this.mean("ranker.items.weight", history);
    const minutes = candidates.map((item) => this.watchTime(item, history, context, pooled));
    return { user, scores, candidates, minutes };
  }
}

// ------------------------------------------------------------ the map

// A point in the colour and shape of its kind.
function mark(c, palette, kind, x, y, r) {
  path(c, SHAPES[Math.floor(kind / palette.length) % SHAPES.length], x, y, r);
  c.fillStyle = palette[kind % palette.length];
  c.fill();
}

function swatch(palette, kind) {
  const small = element("canvas", { width: 24, height: 24, class: "rb-swatch", "aria-hidden": "true" });
  mark(small.getContext("2d"), palette, kind, 12, 12, 9);
  return small;
}

function drawMap(canvas, model, state) {
  const size = Math.max(200, Math.min(430, canvas.parentElement.clientWidth || 0));
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(size * ratio);
  canvas.style.width = canvas.style.height = `${size}px`;
  const c = canvas.getContext("2d"), ink = getComputedStyle(canvas).color;
  c.scale(ratio, ratio);
  const raw = bytes(model.get("coordinates"));
  const at = new Uint16Array(raw.slice().buffer);
  const place = (i) => [10 + (at[2 * i] / 65535) * (size - 20), 10 + (1 - at[2 * i + 1] / 65535) * (size - 20)];
  const kinds = bytes(model.get("kinds")), palette = model.get("palette");
  const dot = (i, r, alpha) => {
    c.globalAlpha = alpha;
    mark(c, palette, kinds[i], ...place(i), r);
    c.globalAlpha = 1;
  };
  for (let i = 0; i < kinds.length; i++) dot(i, 2, 0.3);
  for (const i of state.candidates) dot(i, 4, 1);
  c.strokeStyle = c.fillStyle = ink;
  c.lineWidth = 1.6;
  for (const i of state.history) {
    const [x, y] = place(i);
    c.strokeRect(x - 5, y - 5, 10, 10);
  }
  c.font = "600 11px system-ui, sans-serif";
  c.textAlign = "center";
  c.textBaseline = "middle";
  state.top.forEach((i, rank) => {
    const [x, y] = place(i);
    c.globalAlpha = 0.9;
    c.fillStyle = "#fff";
    c.beginPath();
    c.arc(x, y, 8, 0, 2 * Math.PI);
    c.fill();
    c.globalAlpha = 1;
    c.strokeStyle = "#0072b2";
    c.stroke();
    c.fillStyle = "#000";
    c.fillText(rank + 1, x, y + 0.5);
  });
}

// ------------------------------------------------------------ the widget

function render({ model, el }) {
  const id = uniqueId("rb-history");
  const networks = new Networks(model);
  const titles = model.get("titles"), details = model.get("details"), noun = model.get("noun");
  const title = model.get("title"), shown = model.get("shown"), unit = model.get("unit");
  const kinds = bytes(model.get("kinds")), palette = model.get("palette");
  const spoken = element("div", { class: "rb-spoken", "aria-live": "polite" });
  const canvas = element("canvas", { class: "rb-picture rb-map", role: "img" });
  const watched = element("ul", { class: "rb-watched", "aria-label": `Watched ${noun}s` });
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  let state = null;

  const watch = (item) => {
    if (!model.get("history").includes(item)) set("history", [...model.get("history"), item]);
  };
  const search = searchBox(`${id}-search`, noun, titles, { typed: () => {}, chosen: (item) => { search.input.value = ""; watch(item); } });
  const clear = element("button", { type: "button", class: "rb-play" }, ["Forget all"]);
  clear.addEventListener("click", () => set("history", []));
  const selects = model.get("contexts").map((field, f) =>
    control({ ...field, select: true }, model.get("context")[f], `${id}-context-${f}`, (value) => {
      const context = [...model.get("context")];
      context[f] = value;
      set("context", context);
    }));

  const lists = ["found", "ranked"].map((name) => ({ name, node: element("ol", { class: "rb-list" }) }));
  const filled = (node, items, number) => {
    node.replaceChildren(...items.map((item) => {
      const button = element("button", { type: "button", class: "rb-watch", title: details[item], "aria-label": `Watch ${titles[item]}` }, [titles[item]]);
      button.addEventListener("click", () => {
        watch(item);
        search.input.focus(); // the button is gone: what it stood for has been watched
      });
      const line = [swatch(palette, kinds[item]), button, element("span", { class: "rb-number" }, [number(item)])];
      return element("li", {}, [element("span", { class: "rb-line" }, line)]);
    }));
  };

  const show = (speak) => {
    const history = model.get("history"), context = model.get("context");
    const { candidates, minutes, scores } = networks.answer(history, context, model.get("n_candidates"));
    const order = candidates.map((_, i) => i).sort((a, b) => minutes[b] - minutes[a] || a - b);
    const top = order.slice(0, shown).map((i) => candidates[i]);
    const expected = new Map(candidates.map((item, i) => [item, minutes[i]]));
    state = { history, candidates, top };
    watched.replaceChildren(...history.map((item) => {
      const button = element("button", { type: "button", class: "rb-remove", "aria-label": `Forget ${titles[item]}`, title: details[item] }, [`${titles[item]} ✕`]);
      button.addEventListener("click", () => {
        set("history", model.get("history").filter((other) => other !== item));
        search.input.focus();
      });
      return element("li", {}, [button]);
    }));
    if (!history.length) watched.replaceChildren(element("li", { class: "rb-hint" }, [`nothing yet: everybody new gets this list`]));
    clear.disabled = !history.length;
    filled(lists[0].node, candidates.slice(0, shown), (item) => scores[item].toFixed(2).replace("-", "−"));
    filled(lists[1].node, top, (item) => expected.get(item).toFixed(1));
    canvas.setAttribute("aria-label",
      `Map of ${titles.length} ${noun}s. Watched: ${history.map((i) => titles[i]).join("; ") || "nothing"}. ` +
      `First of the list: ${top.slice(0, 3).map((i) => titles[i]).join("; ")}.`);
    drawMap(canvas, model, state);
    if (speak) spoken.textContent = `${history.length} watched. First of the list: ${top.slice(0, 3).map((i) => titles[i]).join("; ")}.`;
  };

  const column = (heading, about, list) =>
    element("div", { class: "rb-column" }, [element("p", { class: "rb-name" }, [heading]), element("p", { class: "rb-detail" }, [about]), list.node]);
  const legend = element("ul", { class: "rb-legend", "aria-label": "Colours" },
    model.get("labels").map((label, kind) => element("li", {}, [swatch(palette, kind), label])));
  const stage = element("div", { class: "rb-stage" }, [canvas, legend]);
  const n = model.get("n_candidates");
  const group = element("div", { class: "rb-widget rb-history", role: "group", "aria-label": title }, [
    element("p", { class: "rb-title" }, [title]),
    element("div", { class: "rb-row" }, [
      element("label", { for: `${id}-search`, class: "rb-label" }, [`watch a ${noun}`]),
      element("div", { class: "rb-finder" }, [search.input, search.list]),
    ]),
    ...(selects.length ? [element("div", { class: "rb-row" }, selects.flatMap((s) => s.nodes))] : []),
    element("div", { class: "rb-row" }, [watched, clear]),
    element("div", { class: "rb-body" }, [
      stage,
      column("First stage", `the ${shown} likeliest to be next, of ${titles.length}; logits`, lists[0]),
      column("Second stage", `of ${n} candidates, those to be watched longest; ${unit}`, lists[1]),
    ]),
    element("p", { class: "rb-caption" }, [
      `Squares: watched. Strong dots: the ${n} candidates. Numbers: the second stage's list. A click on a title watches it.`,
    ]),
    spoken,
  ]);
  el.append(group);
  // So that what is worked out here can be held against the models in Python.
  group.answer = (history, context) => networks.answer(history, context, n);

  const onHistory = () => show(true);
  const onContext = () => {
    selects.forEach((s, f) => s.set(model.get("context")[f]));
    show(true);
  };
  model.on("change:history", onHistory);
  model.on("change:context", onContext);
  show(false);
  const end = redrawn(stage, () => drawMap(canvas, model, state));
  return () => {
    model.off("change:history", onHistory);
    model.off("change:context", onContext);
    end();
  };
}

export default { render };
