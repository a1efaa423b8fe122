// A search by title, for the widgets that have one. Joined in front of them, as shared.js is.

function plain(text) {
  return text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
}

// A text field with a list of matches: the combobox pattern of the ARIA practices guide.
function searchBox(id, noun, titles, { typed, chosen }) {
  const words = titles.map(plain);
  const list = element("ul", { id: `${id}-found`, role: "listbox", class: "rb-found", "aria-label": `${noun}s found`, hidden: "" });
  const input = element("input", {
    id, type: "search", class: "rb-search", role: "combobox", autocomplete: "off", spellcheck: "false",
    "aria-expanded": "false", "aria-controls": `${id}-found`, "aria-autocomplete": "list", placeholder: "part of a title",
  });
  let found = [], active = -1;
  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (i) => {
    active = i;
    [...list.children].forEach((item, j) => item.setAttribute("aria-selected", j === i));
    input.setAttribute("aria-activedescendant", `${id}-${i}`);
    list.children[i].scrollIntoView({ block: "nearest" });
  };
  const take = (point) => {
    input.value = titles[point];
    found = [];
    close();
    chosen(point);
  };
  const look = () => {
    const wanted = plain(input.value.trim());
    const all = wanted ? words.flatMap((word, i) => (word.includes(wanted) ? [i] : [])) : [];
    all.sort((a, b) => words[b].startsWith(wanted) - words[a].startsWith(wanted));
    found = all.slice(0, 8);
    list.replaceChildren(...found.map((point, i) => {
      const item = element("li", { id: `${id}-${i}`, role: "option", "aria-selected": "false" }, [titles[point]]);
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(point); });
      return item;
    }));
    close();
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(found.length > 0));
    typed(all, wanted);
  };
  input.addEventListener("input", look);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      if (list.hidden) look();
      if (found.length) mark((active + 1) % found.length);
    } else if (event.key === "ArrowUp" && found.length) mark((active - 1 + found.length) % found.length);
    else if (event.key === "Enter" && found.length) take(found[Math.max(0, active)]);
    else if (event.key === "Escape") {
      input.value = "";
      look();
    } else return;
    event.preventDefault();
  });
  return { input, list };
}
