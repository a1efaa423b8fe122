// A deck's script: typeset, make everything fit, then hand the slides to reveal.js.
(() => {
  const LEAST = 0.6, GROWN = 1.28; // of the size of type
  const TIGHT = 260; // pixels of height that a figure needs
  const MOST = 1.9; // by which a widget is enlarged
  const all = (node, what) => [...node.querySelectorAll(what)];

  // ------------------------------------------------------------ fitting

  // Taller or wider than the slide? (A slide clips what does not fit.)
  const overflows = (slide) =>
    [slide, ...all(slide, ".words, .words > .part")].some((box) =>
      box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1);

  // A figure takes the room that words leave, whichever way it is longer.
  function sizeFigures(slide) {
    for (const image of all(slide, ".figure img")) {
      const room = image.closest(".figure");
      const width = image.naturalWidth, height = image.naturalHeight;
      if (!width || !room.clientHeight) continue;
      const scale = Math.min(room.clientWidth / width, room.clientHeight / height, 1.2);
      image.style.width = `${Math.floor(width * scale)}px`;
      image.style.height = `${Math.floor(height * scale)}px`;
    }
  }

  const scaleOf = (live) => {
    const room = live.parentElement;
    return Math.min(room.clientWidth / live.offsetWidth, room.clientHeight / live.offsetHeight, MOST);
  };

  function sizeWidgets(slide) {
    for (const live of all(slide, ".live")) {
      const room = live.parentElement;
      if (!live.offsetHeight || !room.clientHeight) continue;
      const scale = scaleOf(live);
      const left = (room.clientWidth - scale * live.offsetWidth) / 2;
      live.style.transform = `translateX(${left}px) scale(${scale})`;
    }
  }

  // Frames may stand under their controls, in two widths, or beside them: whichever makes the
  // picture largest. It is drawn anew for each, so this takes a few frames of the screen.
  async function layOut(live, picture) {
    const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    let best = "", largest = 0;
    for (const layout of ["", "broad", "aside"]) {
      live.className = `live ${layout}`;
      await drawn();
      const size = scaleOf(live) ** 2 * picture.offsetWidth * picture.offsetHeight;
      if (size > largest * 1.02) [best, largest] = [layout, size];
    }
    live.className = `live ${best}`;
    await drawn();
    sizeWidgets(live.closest(".slide"));
  }

  // Once, when a widget is first in view; data-fitted then says that it has its size.
  const layouts = new WeakMap();
  async function settle(live) {
    if (!live.querySelector(".rb-widget") || !live.parentElement.clientHeight) return;
    const picture = live.querySelector(".rb-frames .rb-picture");
    if (!layouts.has(live)) layouts.set(live, picture ? layOut(live, picture) : null);
    await layouts.get(live);
    live.dataset.fitted = "yes";
  }

  // The largest size of type at which nothing is cut off and a figure can still be read, whichever
  // fold is opened.
  function fit(slide) {
    if (!slide || !slide.clientHeight) return;
    const rooms = all(slide, ".part.figure, .part.widget");
    const folds = all(slide, ".part > details, .part > p > details");
    const open = folds.filter((fold) => fold.open);
    const cramped = () => overflows(slide) || rooms.some((room) => room.clientHeight < TIGHT);
    const crampedOpen = () => cramped() || folds.some((fold) => {
      fold.open = true;
      const found = cramped();
      fold.open = open.includes(fold);
      return found;
    });
    all(slide, ".figure img").forEach((image) => (image.style.width = image.style.height = "0"));
    for (let size = rooms.length || slide.matches(".title") ? 1 : GROWN; ; size -= 0.04) {
      slide.style.setProperty("--fit", size.toFixed(2));
      if (size <= LEAST || !crampedOpen()) break;
    }
    open.forEach((fold) => (fold.open = true));
    sizeFigures(slide);
    sizeWidgets(slide);
  }

  // Smaller, with the folds as they are.
  function shrink(slide) {
    let size = Number(slide.style.getPropertyValue("--fit")) || 1;
    while (overflows(slide) && size > LEAST) slide.style.setProperty("--fit", (size -= 0.04).toFixed(2));
    sizeFigures(slide);
  }

  const fitAll = () => all(document, ".slide").forEach(fit);
  const current = () => document.querySelector(".slides section.present:not(.stack) .slide");

  // ------------------------------------------------------------ keys and pointers

  const inWidget = (node) => node && node.closest && node.closest(".rb-widget");
  const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];

  // reveal.js hears a key unless what has the focus wants it for itself.
  function slidesHear(event) {
    const at = document.activeElement;
    if (!at || at === document.body) return true;
    if (event.key === "PageDown" || event.key === "PageUp") return true;
    if (inWidget(at)) return at.matches("button, summary") && ARROWS.includes(event.key);
    if (at.matches("summary, a, button")) return event.key !== " " && event.key !== "Enter";
    return true;
  }

  function listen() {
    document.addEventListener("keydown", (event) => {
      const at = document.activeElement;
      // A presenter's clicker sends Page Up and Page Down, wherever the focus is.
      if (inWidget(at) && (event.key === "PageDown" || event.key === "PageUp")) {
        event.preventDefault();
        event.stopImmediatePropagation();
        at.blur();
        if (event.key === "PageDown") Reveal.next();
        else Reveal.prev();
      }
    }, true);
    // Escape leaves a widget, so that the arrows turn slides again. (After the widget had its say.)
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && inWidget(document.activeElement)) document.activeElement.blur();
    });
    // A map reckons in pixels of its own, and here it is enlarged: tell it where the pointer is in those.
    const scaled = (event) => {
      const canvas = event.target;
      if (!event.isTrusted || !canvas.matches || !canvas.matches(".rb-map")) return;
      const box = canvas.getBoundingClientRect();
      const scale = box.width / canvas.offsetWidth;
      if (Math.abs(scale - 1) < 0.01) return;
      event.stopImmediatePropagation();
      const clientX = box.left + (event.clientX - box.left) / scale;
      const clientY = box.top + (event.clientY - box.top) / scale;
      const copy = new event.constructor(event.type, {
        bubbles: event.bubbles, cancelable: event.cancelable, composed: true, clientX, clientY,
        button: event.button, buttons: event.buttons, ctrlKey: event.ctrlKey, shiftKey: event.shiftKey,
        pointerId: event.pointerId, pointerType: event.pointerType, isPrimary: event.isPrimary,
        deltaX: event.deltaX, deltaY: event.deltaY, deltaMode: event.deltaMode,
      });
      if (!canvas.dispatchEvent(copy)) event.preventDefault();
    };
    for (const type of ["pointerdown", "pointermove", "pointerup", "wheel"])
      document.addEventListener(type, scaled, { capture: true, passive: false });
    // Two folds opened at once may need more room than was reckoned with. (toggle does not bubble;
    // and as measuring opens folds, it must not start another measuring.)
    document.addEventListener("toggle", ({ target }) => {
      const slide = inWidget(target) ? null : target.closest(".slide");
      if (slide && overflows(slide)) shrink(slide);
    }, true);
  }

  // ------------------------------------------------------------ start

  // For print reveal.js moves the slides about, and a widget that is being drawn would be lost.
  async function widgetsDrawn() {
    const views = all(document, "script[type='application/vnd.jupyter.widget-view+json']").length;
    for (let tries = 0; tries < 1200 && all(document, ".rb-widget").length < views; tries++)
      await new Promise((done) => setTimeout(done, 50));
  }

  async function start() {
    const printing = /print-pdf/.test(window.location.search);
    const ready = () => (document.documentElement.dataset.deck = "ready");
    if (printing) await widgetsDrawn();
    await Promise.all(all(document, ".slide img").map((image) => image.decode().catch(() => {})));
    document.documentElement.classList.add("measuring");
    fitAll(); // while every slide is still laid out
    document.documentElement.classList.remove("measuring");
    listen();
    Reveal.on("slidechanged", () => fit(current()));
    Reveal.on("pdf-ready", () => {
      fitAll();
      ready();
    });
    await Reveal.initialize({
      width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4,
      center: false, transition: "none", backgroundTransition: "none",
      navigationMode: "linear", hash: true, slideNumber: "c/t", controlsTutorial: false,
      scrollActivationWidth: null, pdfMaxPagesPerSlide: 1, pdfSeparateFragments: false,
      keyboardCondition: slidesHear,
      plugins: [RevealNotes],
    });
    fit(current());
    // Widgets are drawn when they come into view, and may grow when moved.
    const grown = new ResizeObserver((entries) =>
      entries.forEach(({ target }) => {
        sizeWidgets(target.closest(".slide"));
        settle(target);
      }));
    all(document, ".live").forEach((live) => grown.observe(live));
    if (!printing) ready();
  }

  window.MathJax = {
    tex: { inlineMath: [["$", "$"], ["\\(", "\\)"]], displayMath: [["$$", "$$"], ["\\[", "\\]"]] },
    // Slides out of sight have no size to match a font against.
    chtml: { matchFontHeight: false },
    options: {
      enableMenu: false, // with it every formula would be a stop of the Tab key
      skipHtmlTags: ["script", "style", "textarea", "pre", "code"],
      ignoreHtmlClass: "rb-widget|printed",
    },
    startup: {
      ready() {
        MathJax.startup.defaultReady();
        MathJax.startup.promise.then(start);
      },
    },
  };
})();
