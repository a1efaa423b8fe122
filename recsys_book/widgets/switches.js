// Switches: figures of several models under rules that the reader flips.
// State (see switches.py): data, switches, models, title, digits, margin, index.

function render({ model, el }) {
  const switches = model.get("switches"), names = model.get("models"), title = model.get("title");
  const raw = bytes(model.get("data"));
  const figures = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const id = uniqueId("rb-switches");
  const text = (value) => value.toFixed(model.get("digits")).replace("-", "−");

  const row = (index) => {
    const at = index.reduce((place, i, s) => place * switches[s].labels.length + i, 0) * names.length;
    return names.map((_, m) => figures.getFloat32(4 * (at + m), true));
  };

  const choose = (s, i) => {
    const index = [...model.get("index")];
    index[s] = i;
    model.set("index", index);
    model.save_changes();
  };
  const inputs = switches.map(() => []);
  const sets = switches.map((one, s) => {
    const options = one.labels.map((label, i) => {
      const input = element("input", { type: "radio", name: `${id}-${s}`, value: i });
      input.addEventListener("change", () => choose(s, i));
      inputs[s].push(input);
      return element("label", {}, [input, element("span", {}, [label])]);
    });
    return element("fieldset", { class: "rb-switch" }, [element("legend", {}, [one.name]), ...options]);
  });

  const lines = names.map((name) => {
    const dot = element("span", { class: "rb-dot" });
    const value = element("span", { class: "rb-figure" });
    const line = element("li", {}, [
      element("span", { class: "rb-name" }, [name]),
      element("span", { class: "rb-track", "aria-hidden": "true" }, [dot]),
      value,
    ]);
    return { line, dot, value, name };
  });
  const list = element("ul", { class: "rb-race" }, lines.map((l) => l.line));
  const ends = element("p", { class: "rb-ends", "aria-hidden": "true" });
  const verdict = element("p", { class: "rb-caption rb-verdict", "aria-live": "polite" });

  const show = () => {
    const index = model.get("index"), values = row(index);
    inputs.forEach((radios, s) => radios.forEach((radio, i) => { radio.checked = i === index[s]; }));
    const order = values.map((_, m) => m).sort((a, b) => values[b] - values[a]);
    const [first, second] = order;
    const gap = values[first] - values[second];
    const tie = gap <= model.get("margin");
    // From a round number below the lowest to one above the highest.
    const low = Math.floor(20 * Math.min(...values)) / 20;
    const high = Math.max(low + 0.05, Math.ceil(20 * Math.max(...values)) / 20);
    lines.forEach((l, m) => {
      l.dot.style.left = `${(100 * (values[m] - low)) / (high - low)}%`;
      l.value.textContent = text(values[m]);
      l.line.classList.toggle("rb-first", m === first && !tie);
    });
    ends.replaceChildren(element("span", {}, [low.toFixed(2)]), element("span", {}, [high.toFixed(2)]));
    verdict.textContent = tie
      ? `Too close to tell: ${names[first]} ${text(values[first])}, ${names[second]} ${text(values[second])}.`
      : `${names[first]} wins, ${text(gap)} ahead of ${names[second]}.`;
  };

  el.append(element("div", { class: "rb-widget rb-switches", role: "group", "aria-label": title },
    [element("p", { class: "rb-title" }, [title]), ...sets, list, ends, verdict]));
  model.on("change:index", show);
  show();
  return () => model.off("change:index", show);
}

export default { render };
