// What the widgets share. An anywidget module is one file: Python joins this one in front.

// Every widget may have a module of its own, so the count lives outside of them.
function uniqueId(prefix) {
  globalThis.recsysBookWidgets = (globalThis.recsysBookWidgets || 0) + 1;
  return `${prefix}-${globalThis.recsysBookWidgets}`;
}

function bytes(view) {
  // A DataView from the widget manager, in Jupyter and in the static page alike.
  return view.buffer ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(view);
}

function element(tag, attributes = {}, children = []) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A slider or a select for one axis {"name", "labels", "select"}.
function control(axis, value, id, choose) {
  const label = element("label", { for: id, class: "rb-label" }, [axis.name]);
  const last = axis.labels.length - 1;
  if (axis.select) {
    const options = axis.labels.map((text, i) => element("option", { value: i }, [text]));
    const input = element("select", { id, class: "rb-select" }, options);
    input.value = value;
    input.addEventListener("change", () => choose(Number(input.value)));
    return { nodes: [label, input], set: (i) => (input.value = i) };
  }
  const input = element("input", { id, type: "range", min: 0, max: last, step: 1, class: "rb-range" });
  const output = element("output", { for: id, class: "rb-value" });
  const set = (i) => {
    input.value = i;
    input.setAttribute("aria-valuetext", axis.labels[i]);
    output.textContent = axis.labels[i];
  };
  set(value);
  input.addEventListener("input", () => choose(Number(input.value)));
  return { nodes: [label, input, output], set };
}

// A play button that steps an index to its end. `at()` says where it stands, `go(i)` moves it.
function player({ title, last, at, go, interval, stopped }) {
  let timer = null;
  const button = element("button", { type: "button", class: "rb-play" });
  const label = (playing) => {
    button.textContent = playing ? "❚❚ Pause" : "▶ Play";
    button.setAttribute("aria-label", `${playing ? "Pause" : "Play"}: ${title}`);
  };
  const stop = () => {
    if (timer === null) return;
    clearInterval(timer);
    timer = null;
    label(false);
    stopped();
  };
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    label(true);
    timer = setInterval(() => (at() >= last ? stop() : go(at() + 1)), interval);
    go(at() === last ? 0 : at() + 1); // at once: a button that seems to do nothing is pressed twice
  });
  label(false);
  return { button, stop, playing: () => timer !== null };
}

// Call `draw` when the size of `node` or the page's theme changes; returns how to end it.
function redrawn(node, draw) {
  const resized = new ResizeObserver(() => draw());
  resized.observe(node);
  const themed = new MutationObserver(() => draw());
  for (const root of [document.documentElement, document.body])
    themed.observe(root, { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "class"] });
  const preferred = window.matchMedia("(prefers-color-scheme: dark)");
  preferred.addEventListener("change", draw);
  return () => {
    resized.disconnect();
    themed.disconnect();
    preferred.removeEventListener("change", draw);
  };
}

// Points on a map: colours first, then shapes where categories are more than colours.
const SHAPES = ["circle", "square", "triangle"];

function path(c, shape, x, y, r) {
  c.beginPath();
  if (shape === "square") c.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (shape === "triangle") {
    c.moveTo(x, y - r * 1.2);
    c.lineTo(x + r * 1.1, y + r * 0.8);
    c.lineTo(x - r * 1.1, y + r * 0.8);
    c.closePath();
  } else c.arc(x, y, r, 0, 2 * Math.PI);
}
