// EmbeddingExplorer: a map of points that can be asked.
// State (see explorer.py): coordinates, neighbours, values, measures, colourings, colours, palette,
// titles, details, axis, captions, alts, title, noun, index, selected, colouring, measure, interval.

const NEAR = 14; // pixels within which the pointer finds a point
const MOVE = 350; // milliseconds from one epoch to the next

// ------------------------------------------------------------ the points

// Read-only views of the state's bytes: who is where, who is near whom.
class Points {
  constructor(model) {
    this.titles = model.get("titles");
    this.n = this.titles.length;
    this.epochs = model.get("axis").labels.length;
    this.measures = model.get("measures");
    this.k = model.get("k");
    const numbers = (name) => {
      const raw = bytes(model.get(name));
      return new Uint16Array(raw.slice().buffer); // a copy: the bytes may begin at an odd place
    };
    this.coordinates = numbers("coordinates"); // [E, n, 2]
    this.neighbours = numbers("neighbours"); // [M, E, n, k]
    this.values = numbers("values"); // [M, E, n, k]
    this.colours = bytes(model.get("colours")); // [C, n]
  }

  at(epoch, point) {
    const i = 2 * (epoch * this.n + point);
    return [this.coordinates[i] / 65535, this.coordinates[i + 1] / 65535];
  }

  near(measure, epoch, point) {
    const start = ((measure * this.epochs + epoch) * this.n + point) * this.k;
    const { low, high } = this.measures[measure];
    return Array.from({ length: this.k }, (_, j) => ({
      point: this.neighbours[start + j],
      value: low + ((high - low) * this.values[start + j]) / 65535,
    }));
  }
}

// ------------------------------------------------------------ the map

class MapPicture {
  constructor(model, points) {
    this.model = model;
    this.points = points;
    this.canvas = element("canvas", { class: "rb-picture rb-map", tabindex: "0", role: "application", "aria-roledescription": "map" });
    this.place = new Float32Array(2 * points.n); // where each point is drawn, 0..1
    this.view = { k: 1, x: 0, y: 0 }; // zoom, and the corner's shift in pixels
    this.size = 0;
    this.cursor = -1; // under the pointer or the arrow keys
    this.pinned = -1;
    this.matches = null; // what a search found; null when nothing is searched for
    this.only = -1; // one category alone, or all
    this.frame = 0;
    this.sprites = new Map();
    this.jump(model.get("index"));
  }

  jump(epoch) {
    cancelAnimationFrame(this.frame);
    for (let i = 0; i < this.points.n; i++) this.place.set(this.points.at(epoch, i), 2 * i);
    this.draw();
  }

  glide(epoch) {
    cancelAnimationFrame(this.frame);
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches || !this.size) return this.jump(epoch);
    const from = this.place.slice(), to = new Float32Array(from.length);
    for (let i = 0; i < this.points.n; i++) to.set(this.points.at(epoch, i), 2 * i);
    let began = null;
    const step = (now) => {
      began = began === null ? now : began;
      const t = Math.min(1, (now - began) / MOVE);
      const eased = t * t * (3 - 2 * t);
      for (let i = 0; i < from.length; i++) this.place[i] = from[i] + (to[i] - from[i]) * eased;
      this.draw();
      if (t < 1) this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  // Pixels of a point under the present zoom.
  pixel(i) {
    const inner = this.size - 24;
    const x = 12 + this.place[2 * i] * inner, y = 12 + (1 - this.place[2 * i + 1]) * inner;
    return [x * this.view.k + this.view.x, y * this.view.k + this.view.y];
  }

  radius() {
    const r = this.points.n > 2000 ? 2.6 : this.points.n > 600 ? 3.6 : 4.6;
    const exact = r * Math.min(2, Math.sqrt(this.view.k)) * (this.size < 400 ? 0.8 : 1);
    return Math.round(4 * exact) / 4; // few sizes, so that few sprites are made while zooming
  }

  faded(i) {
    if (this.only >= 0) return this.colour(i) !== this.only;
    return false;
  }

  colour(i) {
    return this.points.colours[this.model.get("colouring") * this.points.n + i];
  }

  // A small picture of each kind of point, made once: 5,000 arcs a frame would be too slow.
  sprite(value, r, ratio) {
    const colouring = this.model.get("colourings")[this.model.get("colouring")];
    const key = `${colouring.kind}/${value}/${r}/${ratio}/${this.ink}`;
    if (!this.sprites.has(key)) {
      const small = element("canvas"), half = Math.ceil(r * 1.3 + 1.5);
      small.width = small.height = Math.ceil(2 * half * ratio);
      const c = small.getContext("2d");
      c.scale(ratio, ratio);
      const { colour, shape } = this.style(colouring, value);
      path(c, shape, half, half, r);
      c.fillStyle = colour;
      c.fill();
      c.globalAlpha = 0.6;
      c.lineWidth = 0.7;
      c.strokeStyle = this.ink;
      c.stroke();
      this.sprites.set(key, { small, half });
    }
    return this.sprites.get(key);
  }

  style(colouring, value) {
    const palette = this.model.get("palette");
    if (colouring.kind === "number") return { colour: colouring.ramp[Math.round((value / 255) * (colouring.ramp.length - 1))], shape: "circle" };
    return { colour: palette[value % palette.length], shape: SHAPES[Math.floor(value / palette.length) % SHAPES.length] };
  }

  draw() {
    const stage = this.canvas.parentElement;
    const available = stage ? stage.clientWidth : 0;
    if (!available) return;
    const ratio = window.devicePixelRatio || 1;
    const size = Math.min(available, 460);
    if (size !== this.size || this.canvas.width !== Math.round(size * ratio)) {
      const grown = this.size ? size / this.size : 1;
      this.view.x *= grown;
      this.view.y *= grown;
      this.size = size;
      this.canvas.width = this.canvas.height = Math.round(size * ratio);
      this.canvas.style.width = this.canvas.style.height = `${size}px`;
    }
    const ink = getComputedStyle(this.canvas).color;
    if (ink !== this.ink) this.sprites.clear();
    this.ink = ink;
    const c = this.canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, size, size);
    const r = this.radius(), n = this.points.n;
    const shown = this.shown();
    const near = shown >= 0 ? this.points.near(this.model.get("measure"), this.model.get("index"), shown) : [];
    const searching = this.matches !== null;
    const blit = (i, alpha) => {
      const [x, y] = this.pixel(i);
      if (x < -9 || y < -9 || x > size + 9 || y > size + 9) return;
      const { small, half } = this.sprite(this.colour(i), r, ratio);
      c.globalAlpha = alpha;
      c.drawImage(small, x - half, y - half, 2 * half, 2 * half);
    };
    const strong = [];
    for (let i = 0; i < n; i++) {
      const weak = this.faded(i) || (searching && !this.matches.has(i));
      if (weak) blit(i, 0.13);
      else strong.push(i);
    }
    for (const i of strong) blit(i, 0.9);
    c.globalAlpha = 1;
    if (shown >= 0) {
      const [x, y] = this.pixel(shown);
      c.strokeStyle = ink;
      c.lineWidth = 1.2;
      near.forEach(({ point }) => {
        const [nx, ny] = this.pixel(point);
        c.globalAlpha = 0.75;
        c.beginPath();
        c.moveTo(x, y);
        c.lineTo(nx, ny);
        c.stroke();
        blit(point, 1);
        c.globalAlpha = 1;
        c.beginPath();
        c.arc(nx, ny, r + 2.5, 0, 2 * Math.PI);
        c.stroke();
      });
      blit(shown, 1);
    }
    if (searching && this.matches.size <= 40)
      for (const i of this.matches) this.ring(c, i, r + 3, 1.5);
    if (this.pinned >= 0) this.ring(c, this.pinned, r + 4.5, 2.5);
    for (const i of new Set([this.pinned, this.cursor])) if (i >= 0) this.tag(c, i, r);
  }

  ring(c, i, r, width) {
    const [x, y] = this.pixel(i);
    c.globalAlpha = 1;
    c.strokeStyle = this.ink;
    c.lineWidth = width;
    c.beginPath();
    c.arc(x, y, r, 0, 2 * Math.PI);
    c.stroke();
  }

  // The title beside a point, on a plate that can be read over other points.
  tag(c, i, r) {
    const [x, y] = this.pixel(i);
    c.font = "600 13px system-ui, sans-serif";
    c.textBaseline = "middle";
    const text = this.cut(c, this.points.titles[i]);
    const wide = c.measureText(text).width + 12;
    const left = Math.max(2, Math.min(this.size - wide - 2, x - wide / 2));
    const top = y - r - 28 < 2 ? y + r + 6 : y - r - 28;
    this.ring(c, i, r + 2, 2);
    c.fillStyle = this.paper();
    c.globalAlpha = 0.93;
    c.fillRect(left, top, wide, 22);
    c.globalAlpha = 1;
    c.strokeStyle = this.ink;
    c.lineWidth = 1;
    c.strokeRect(left + 0.5, top + 0.5, wide - 1, 21);
    c.fillStyle = this.ink;
    c.textAlign = "left";
    c.fillText(text, left + 6, top + 11.5);
  }

  // A title as long as there is room for, cut between letters.
  cut(c, title) {
    const room = this.size - 24;
    if (c.measureText(title).width <= room) return title;
    const letters = Array.from(title);
    let keep = Math.floor((letters.length * room) / c.measureText(title).width);
    const shorter = () => `${letters.slice(0, keep).join("")}…`;
    while (keep > 1 && c.measureText(shorter()).width > room) keep -= 1;
    return shorter();
  }

  // Black or white, whichever the ink is not.
  paper() {
    const [r, g, b] = (this.ink.match(/[\d.]+/g) || [0, 0, 0]).map(Number);
    return r + g + b > 380 ? "#14181e" : "#ffffff";
  }

  shown() {
    return this.pinned >= 0 ? this.pinned : this.cursor;
  }

  // The nearest point; of several at one place, the one after `last`.
  find(x, y, within, last = -1) {
    let best = [], least = within * within;
    for (let i = 0; i < this.points.n; i++) {
      if (this.faded(i)) continue;
      const [px, py] = this.pixel(i);
      const d = (px - x) ** 2 + (py - y) ** 2;
      if (d > least) continue;
      if (d < least) best = [];
      least = d;
      best.push(i);
    }
    return best.length ? best[(best.indexOf(last) + 1) % best.length] : -1;
  }

  // The nearest point that lies in a direction, for the arrow keys.
  towards(from, dx, dy) {
    const [x, y] = from >= 0 ? this.pixel(from) : [this.size / 2, this.size / 2];
    if (from < 0) return this.find(x, y, Infinity);
    let best = -1, least = Infinity;
    for (let i = 0; i < this.points.n; i++) {
      if (i === from || this.faded(i)) continue;
      const [px, py] = this.pixel(i);
      const along = (px - x) * dx + (py - y) * dy, across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      // Points at the very same place follow each other, right and down upwards, else downwards.
      const same = along === 0 && across === 0 && (dx + dy > 0 ? i > from : i < from);
      if (!same && (along <= 0 || across > along)) continue;
      const far = along + 2 * across;
      if (far < least) {
        least = far;
        best = i;
      }
    }
    return best >= 0 ? best : from;
  }

  zoom(factor, x = this.size / 2, y = this.size / 2) {
    const k = Math.max(1, Math.min(24, this.view.k * factor));
    const f = k / this.view.k;
    this.view = { k, x: x - (x - this.view.x) * f, y: y - (y - this.view.y) * f };
    this.hold();
  }

  pan(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.hold();
  }

  // The map never leaves its frame.
  hold() {
    const most = this.size * (this.view.k - 1);
    this.view.x = Math.max(-most, Math.min(0, this.view.x));
    this.view.y = Math.max(-most, Math.min(0, this.view.y));
    this.canvas.style.touchAction = this.view.k > 1 ? "none" : "pan-y";
    this.draw();
  }

  whole() {
    this.view = { k: 1, x: 0, y: 0 };
    this.hold();
  }

  // Bring a point into sight, should the zoom hide it.
  reveal(i) {
    const [x, y] = this.pixel(i);
    const edge = 30;
    const dx = x < edge ? edge - x : x > this.size - edge ? this.size - edge - x : 0;
    const dy = y < edge ? edge - y : y > this.size - edge ? this.size - edge - y : 0;
    if (dx || dy) this.pan(dx, dy);
  }
}

// ------------------------------------------------------------ the widget

function swatch(picture, colouring, value) {
  const { colour, shape } = picture.style(colouring, value);
  const small = element("canvas", { width: 32, height: 32, class: "rb-swatch", "aria-hidden": "true" });
  const c = small.getContext("2d");
  path(c, shape, 16, 16, 11);
  c.fillStyle = colour;
  c.fill();
  return small;
}

function render({ model, el }) {
  const id = uniqueId("rb-explorer");
  const title = model.get("title"), noun = model.get("noun");
  const axis = model.get("axis"), captions = model.get("captions"), alts = model.get("alts");
  const details = model.get("details");
  const points = new Points(model);
  const picture = new MapPicture(model, points);
  const spoken = element("div", { class: "rb-spoken", "aria-live": "polite" });
  const caption = element("p", { class: "rb-caption" });
  const panel = element("div", { class: "rb-panel" });
  const legend = element("div", { class: "rb-legend", role: "group", "aria-label": "Colours" });
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const say = (text) => { spoken.textContent = text; };

  // ---- what is told about a point
  const number = (value) => value.toFixed(points.measures[model.get("measure")].decimals).replace("-", "−");
  const told = (point) => {
    const measure = points.measures[model.get("measure")];
    const near = points.near(model.get("measure"), model.get("index"), point);
    const list = near.map((n) => `${points.titles[n.point]} ${number(n.value)}`).join("; ");
    return `${points.titles[point]}. ${details[point]}. Nearest by ${measure.name}: ${list}.`;
  };
  const fill = () => {
    // Who stood on a button of the panel stands on the one in its place afterwards.
    const stood = [...panel.querySelectorAll("button")].indexOf(document.activeElement);
    refill();
    if (stood < 0) return;
    const buttons = panel.querySelectorAll("button");
    (buttons[Math.min(stood, buttons.length - 1)] || picture.canvas).focus();
  };
  const refill = () => {
    const point = picture.shown();
    if (point < 0) {
      panel.replaceChildren(element("p", { class: "rb-hint" }, [
        `Point at a ${noun}, or press Tab to reach the map and walk with the arrow keys. Click or Enter pins it; then play the slider and see its neighbours change.`,
      ]));
      return;
    }
    const measure = points.measures[model.get("measure")];
    const items = points.near(model.get("measure"), model.get("index"), point).map((n) => {
      const button = element("button", { type: "button", class: "rb-neighbour", title: details[n.point] }, [points.titles[n.point]]);
      button.addEventListener("click", () => pin(n.point));
      return element("li", {}, [button, element("span", { class: "rb-number" }, [number(n.value)])]);
    });
    const head = [element("p", { class: "rb-name" }, [points.titles[point]]), element("p", { class: "rb-detail" }, [details[point]])];
    const label = element("p", { class: "rb-measure" }, [`Nearest, by ${measure.name}`]);
    panel.replaceChildren(...head, label, element("ol", {}, items));
    if (picture.pinned >= 0) {
      const button = element("button", { type: "button", class: "rb-play rb-unpin" }, ["Unpin"]);
      button.addEventListener("click", () => { unpin(); picture.canvas.focus(); });
      panel.append(button);
    }
  };

  const look = (point, speak) => {
    if (point === picture.cursor) return;
    picture.cursor = point;
    picture.draw();
    if (picture.pinned < 0) fill();
    if (speak && point >= 0) say(picture.pinned < 0 ? told(point) : `${points.titles[point]}. ${details[point]}.`);
  };
  const pin = (point) => {
    picture.pinned = point;
    picture.cursor = point;
    picture.reveal(point);
    picture.draw();
    fill();
    say(`Pinned. ${told(point)}`);
    set("selected", point);
  };
  const unpin = () => {
    if (picture.pinned < 0) return;
    picture.pinned = -1;
    picture.draw();
    fill();
    say("Unpinned.");
    set("selected", -1);
  };

  // ---- controls
  const epoch = control(axis, model.get("index"), `${id}-epoch`, (i) => { play.stop(); set("index", i); });
  const play = player({
    title, last: axis.labels.length - 1, at: () => model.get("index"), go: (i) => set("index", i),
    interval: model.get("interval"), stopped: () => say(alts[model.get("index")]),
  });
  const search = searchBox(`${id}-search`, noun, points.titles, {
    typed: (all, wanted) => {
      picture.matches = wanted ? new Set(all) : null;
      picture.draw();
      if (wanted) say(`${all.length} ${noun}s match`);
    },
    chosen: (point) => {
      picture.matches = null;
      pin(point);
    },
  });
  const chosen = {}; // what puts each select where the model stands
  const choices = (name, labels, what) => {
    if (labels.length < 2) return [];
    const made = control({ name, labels, select: true }, model.get(what), `${id}-${what}`, (i) => set(what, i));
    chosen[what] = made.set;
    return made.nodes;
  };

  const drawLegend = () => {
    const colouring = model.get("colourings")[model.get("colouring")];
    if (colouring.kind === "number") {
      const bar = element("span", { class: "rb-ramp", "aria-hidden": "true" });
      bar.style.background = `linear-gradient(to right, ${colouring.ramp.join(",")})`;
      legend.replaceChildren(colouring.low, bar, colouring.high);
      return;
    }
    legend.replaceChildren(...colouring.labels.map((text, value) => {
      const button = element("button", { type: "button", class: "rb-key", "aria-pressed": picture.only === value },
        [swatch(picture, colouring, value), text]);
      button.addEventListener("click", () => {
        picture.only = picture.only === value ? -1 : value;
        [...legend.children].forEach((b, v) => b.setAttribute("aria-pressed", picture.only === v));
        picture.draw();
        say(picture.only < 0 ? "All shown." : `Only ${text} stand out.`);
      });
      return button;
    }));
  };

  // ---- pointer, wheel, keys
  const canvas = picture.canvas, pointers = new Map();
  let moved = 0, fingers = 0; // since the first pointer went down
  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (pointers.size === 0) moved = fingers = 0;
    pointers.set(event.pointerId, spot(event));
    fingers = Math.max(fingers, pointers.size);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = spot(event);
    if (event.buttons === 0) pointers.delete(event.pointerId); // let go where we could not see it
    const before = pointers.get(event.pointerId);
    if (!before) return look(picture.find(x, y, NEAR), false);
    moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (pointers.size === 2) {
      const [other] = [...pointers].filter(([key]) => key !== event.pointerId).map(([, at]) => at);
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      picture.zoom(apart([x, y]) / apart(before), (x + other[0]) / 2, (y + other[1]) / 2);
    } else if (moved > 4) picture.pan(x - before[0], y - before[1]);
    pointers.set(event.pointerId, [x, y]);
  });
  const lifted = (event) => {
    const was = pointers.delete(event.pointerId);
    if (!was || event.type !== "pointerup" || moved > 4 || fingers > 1) return;
    const [x, y] = spot(event);
    const point = picture.find(x, y, event.pointerType === "touch" ? 22 : NEAR, picture.pinned);
    if (point >= 0) pin(point);
    else unpin();
  };
  canvas.addEventListener("pointerup", lifted);
  canvas.addEventListener("pointercancel", lifted);
  canvas.addEventListener("lostpointercapture", lifted);
  canvas.addEventListener("pointerleave", () => look(-1, false));
  canvas.addEventListener("wheel", (event) => {
    // A page that scrolls must go on scrolling: the wheel is ours once the map has been clicked.
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    picture.zoom(Math.exp(-event.deltaY * 0.002), ...spot(event));
  }, { passive: false });
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const from = picture.cursor >= 0 ? picture.cursor : picture.pinned;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrows[event.key] && event.shiftKey) {
      picture.pan(-60 * arrows[event.key][0], -60 * arrows[event.key][1]);
    } else if (arrows[event.key]) {
      const next = picture.towards(from, ...arrows[event.key]);
      picture.reveal(next);
      look(next, true);
    } else if ((event.key === "Enter" || event.key === " ") && picture.cursor >= 0) pin(picture.cursor);
    else if (event.key === "Escape") unpin();
    else if (event.key === "+" || event.key === "=") picture.zoom(1.5);
    else if (event.key === "-") picture.zoom(1 / 1.5);
    else if (event.key === "0") picture.whole();
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => look(-1, false));

  const button = (text, name, act) => {
    const made = element("button", { type: "button", class: "rb-zoom", "aria-label": name, title: name }, [text]);
    made.addEventListener("click", act);
    return made;
  };
  const zooms = element("div", { class: "rb-zooms" }, [
    button("+", "Zoom in", () => picture.zoom(1.5)),
    button("−", "Zoom out", () => picture.zoom(1 / 1.5)),
    button("⤢", "Whole map", () => picture.whole()),
  ]);

  // ---- put together
  const keys = element("details", { class: "rb-keys" }, [
    element("summary", {}, ["Keys and gestures"]),
    element("p", { id: `${id}-keys` }, [
      `Arrow keys go from ${noun} to ${noun}, Enter pins, Escape unpins, + − and 0 zoom, Shift with arrows moves the map. ` +
      "Drag to move, pinch to zoom; the wheel zooms once the map has been clicked.",
    ]),
  ]);
  const finder = element("div", { class: "rb-finder" }, [search.input, search.list]);
  const row = element("div", { class: "rb-row" }, [
    element("label", { for: `${id}-search`, class: "rb-label" }, ["search"]), finder,
  ]);
  const options = [
    ...choices("colour by", model.get("colourings").map((c) => c.name), "colouring"),
    ...choices("near by", points.measures.map((m) => m.name), "measure"),
  ];
  const stage = element("div", { class: "rb-stage" }, [canvas, zooms]);
  const group = element("div", { class: "rb-widget rb-explorer", role: "group", "aria-label": title }, [
    element("p", { class: "rb-title" }, [title]),
    row,
    element("div", { class: "rb-row", ...(options.length ? {} : { hidden: "" }) }, options),
    element("div", { class: "rb-row" }, [...epoch.nodes, play.button]),
    element("div", { class: "rb-body" }, [stage, panel]),
    legend, caption, keys, spoken,
  ]);
  el.append(group);

  const ofEpoch = () => {
    const i = model.get("index");
    epoch.set(i);
    caption.textContent = captions[i] || "";
    caption.hidden = !captions.length;
    canvas.setAttribute("aria-label", `${alts[i]} Arrow keys go from ${noun} to ${noun}.`);
  };
  const onIndex = () => {
    ofEpoch();
    picture.glide(model.get("index"));
    fill();
    if (!play.playing()) say(picture.pinned >= 0 ? told(picture.pinned) : alts[model.get("index")]);
  };
  const onColouring = () => {
    picture.only = -1;
    if (chosen.colouring) chosen.colouring(model.get("colouring"));
    drawLegend();
    picture.draw();
  };
  const onMeasure = () => {
    if (chosen.measure) chosen.measure(model.get("measure"));
    picture.draw();
    fill();
    if (picture.shown() >= 0) say(told(picture.shown()));
  };
  const onSelected = () => {
    // Set from a kernel; what was set from here changes nothing.
    const point = model.get("selected");
    if (point === picture.pinned) return;
    if (point >= 0 && point < points.n) pin(point);
    else unpin();
  };
  const listened = [["index", onIndex], ["colouring", onColouring], ["measure", onMeasure], ["selected", onSelected]];
  listened.forEach(([name, act]) => model.on(`change:${name}`, act));
  const end = redrawn(stage, () => picture.draw());
  if (model.get("selected") >= 0) picture.pinned = model.get("selected");
  ofEpoch();
  drawLegend();
  fill();
  picture.draw();

  return () => {
    play.stop();
    cancelAnimationFrame(picture.frame);
    listened.forEach(([name, act]) => model.off(`change:${name}`, act));
    end();
  };
}

export default { render };
