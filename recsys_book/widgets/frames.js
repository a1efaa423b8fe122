// Frames: shows one of many ready-made pictures, chosen by native controls.
// State (see frames.py): data, offsets, axes, alts, captions, picture, lut, title, index, interval.

function frameNumber(axes, index) {
  return index.reduce((number, i, axis) => number * axes[axis].labels.length + i, 0);
}

// ------------------------------------------------------------ drawing arrays

class ArrayPicture {
  constructor(model, title) {
    this.model = model;
    this.canvas = element("canvas", { role: "img", class: "rb-picture" });
    this.node = this.canvas;
    this.number = 0;
    this.lut = bytes(model.get("lut"));
    this.canvas.setAttribute("aria-label", title);
  }

  show(number, alt) {
    this.number = number;
    this.canvas.setAttribute("aria-label", alt);
    this.draw();
  }

  draw() {
    const p = this.model.get("picture");
    const available = this.canvas.parentElement ? this.canvas.parentElement.clientWidth : 0;
    if (!available) return;
    const n = p.panels.length;
    const left = p.y_label || p.extent ? 42 : 8, right = 10, gap = 18;
    const top = p.panels.some((t) => t) ? 26 : 8;
    const legend = p.legend.some((t) => t);
    const bottom = (p.extent ? 18 : 4) + (p.x_label ? 20 : 0) + (legend ? 30 : 0);
    // A panel is at most 300 px wide; rows of panels never overflow a phone.
    const width = Math.min(available, left + right + n * 300 + (n - 1) * gap);
    const side = (width - left - right - (n - 1) * gap) / n;
    const tall = (side * p.height) / p.width;
    const height = top + tall + bottom;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;

    const c = this.canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    const ink = getComputedStyle(this.canvas).color;
    c.font = "13px system-ui, sans-serif";
    c.textBaseline = "middle";
    for (let panel = 0; panel < n; panel++) {
      const x = left + panel * (side + gap);
      c.imageSmoothingEnabled = p.smooth;
      c.drawImage(this.cells(panel), x, top, side, tall);
      c.strokeStyle = ink;
      c.lineWidth = 1;
      c.strokeRect(x + 0.5, top + 0.5, side - 1, tall - 1);
      c.fillStyle = ink;
      c.textAlign = "center";
      c.fillText(p.panels[panel], x + side / 2, top / 2, side + gap);
      if (p.x_label) c.fillText(p.x_label, x + side / 2, top + tall + (p.extent ? 26 : 12), side);
      if (p.extent) this.ticks(c, p, x, top, side, tall, panel === 0);
      for (const point of p.points) this.point(c, p.extent, point, x, top, side, tall);
    }
    if (p.y_label) {
      c.save();
      c.translate(10, top + tall / 2);
      c.rotate(-Math.PI / 2);
      c.fillStyle = ink;
      c.textAlign = "center";
      c.fillText(p.y_label, 0, 0, tall);
      c.restore();
    }
    if (legend) this.legend(c, p.legend, ink, left, height - 14, Math.min(180, width - left - right - 160));
  }

  cells(panel) {
    const { height, width } = this.model.get("picture");
    const start = this.model.get("offsets")[this.number] + panel * height * width;
    const values = bytes(this.model.get("data")).subarray(start, start + height * width);
    const image = new ImageData(width, height);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const colour = 3 * values[(height - 1 - row) * width + column]; // row 0 at the bottom
        const at = 4 * (row * width + column);
        image.data.set([this.lut[colour], this.lut[colour + 1], this.lut[colour + 2], 255], at);
      }
    }
    const small = element("canvas");
    small.width = width;
    small.height = height;
    small.getContext("2d").putImageData(image, 0, 0);
    return small;
  }

  // Where the marks stand; where there are none, at the ends.
  ticks(c, { extent: [x0, x1, y0, y1], points }, x, top, side, tall, first) {
    const places = (part, ends) =>
      points.length ? [...new Set(points.map((point) => point[part]))] : ends;
    c.textAlign = "center";
    for (const value of places("x", [x0, x1])) {
      c.fillText(String(value), x + (side * (value - x0)) / (x1 - x0), top + tall + 10);
    }
    if (!first) return;
    c.textAlign = "right";
    for (const value of places("y", [y0, y1])) {
      c.fillText(String(value), x - 5, top + tall * (1 - (value - y0) / (y1 - y0)));
    }
  }

  point(c, [x0, x1, y0, y1], point, x, top, side, tall) {
    const px = x + (side * (point.x - x0)) / (x1 - x0);
    const py = top + tall * (1 - (point.y - y0) / (y1 - y0));
    c.beginPath();
    c.arc(px, py, 11, 0, 2 * Math.PI);
    c.fillStyle = point.dark ? "#111" : "#fff";
    c.fill();
    c.lineWidth = 2;
    c.strokeStyle = point.dark ? "#fff" : "#111";
    c.stroke();
    c.fillStyle = point.dark ? "#fff" : "#111";
    c.textAlign = "center";
    c.fillText(point.text, px, py + 1);
  }

  legend(c, [low, high], ink, left, y, length) {
    c.fillStyle = ink;
    c.textAlign = "left";
    c.fillText(low, left, y);
    const x = left + c.measureText(low).width + 8;
    for (let i = 0; i < length; i++) {
      const colour = 3 * Math.round((255 * i) / Math.max(1, length - 1));
      c.fillStyle = `rgb(${this.lut[colour]},${this.lut[colour + 1]},${this.lut[colour + 2]})`;
      c.fillRect(x + i, y - 6, 1.5, 12);
    }
    c.strokeStyle = ink;
    c.lineWidth = 1;
    c.strokeRect(x, y - 6, length, 12);
    c.fillStyle = ink;
    c.fillText(high, x + length + 8, y);
  }
}

// ------------------------------------------------------------ showing images

class ImagePicture {
  constructor(model, title) {
    this.model = model;
    this.urls = [];
    this.node = element("img", { class: "rb-picture rb-image", alt: title, draggable: "false" });
  }

  show(number, alt) {
    if (!this.urls[number]) {
      const [start, end] = this.model.get("offsets").slice(number, number + 2);
      const data = bytes(this.model.get("data")).slice(start, end);
      this.urls[number] = URL.createObjectURL(new Blob([data], { type: this.model.get("picture").media_type }));
    }
    this.node.src = this.urls[number];
    this.node.alt = alt;
  }

  draw() {}

  free() {
    this.urls.forEach((url) => url && URL.revokeObjectURL(url));
  }
}

// ------------------------------------------------------------ the widget

function render({ model, el }) {
  const axes = model.get("axes"), alts = model.get("alts"), captions = model.get("captions");
  const title = model.get("title");
  const id = uniqueId("rb-frames");
  const Picture = model.get("picture").kind === "array" ? ArrayPicture : ImagePicture;
  const picture = new Picture(model, title);
  const caption = element("p", { class: "rb-caption" });
  const spoken = element("div", { class: "rb-spoken", "aria-live": "polite" });

  const choose = (axis, i) => {
    const index = [...model.get("index")];
    index[axis] = i;
    model.set("index", index);
    model.save_changes();
  };
  const controls = axes.map((axis, a) =>
    control(axis, model.get("index")[a], `${id}-${a}`, (i) => { stop(); choose(a, i); }));

  // The play button moves the last slider there is.
  const moving = axes.map((axis) => !axis.select).lastIndexOf(true);
  const play = moving < 0 ? null : player({
    title,
    last: axes[moving].labels.length - 1,
    at: () => model.get("index")[moving],
    go: (i) => choose(moving, i),
    interval: model.get("interval"),
    stopped: () => show(),
  });
  const stop = () => play && play.stop();

  let shown = false;
  const show = () => {
    const index = model.get("index");
    controls.forEach((c, a) => c.set(index[a]));
    const number = frameNumber(axes, index);
    picture.show(number, alts[number]);
    caption.textContent = captions[number] || "";
    caption.hidden = !captions.length;
    // Announced on change, not while playing (a flood) and not on load.
    if (shown && !(play && play.playing())) spoken.textContent = alts[number];
    shown = true;
  };

  const rows = controls.map((c) => element("div", { class: "rb-row" }, c.nodes));
  if (play) rows[moving].append(play.button);
  const stage = element("div", { class: "rb-stage" }, [picture.node]);
  const group = element("div", { class: "rb-widget rb-frames", role: "group", "aria-label": title },
    [element("p", { class: "rb-title" }, [title]), ...rows, stage, caption, spoken]);
  el.append(group);

  model.on("change:index", show);
  // The ink of the canvas follows the page's theme.
  const end = redrawn(stage, () => picture.draw());
  show();

  return () => {
    stop();
    model.off("change:index", show);
    end();
    if (picture.free) picture.free();
  };
}

export default { render };
