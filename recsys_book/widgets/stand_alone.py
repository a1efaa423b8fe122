"""A widget as a piece of plain HTML: no kernel, no widget manager, no network."""

from __future__ import annotations

import base64
import html
import json
import uuid

import anywidget

from recsys_book.widgets.carried import check_carried


def stand_alone(widget: anywidget.AnyWidget, kind: type) -> str:
    """HTML that shows one of the book's widgets by itself.

    A stand-in for the widget manager's model, a few lines long, holds the state.

    Args:
        widget: with a module that ends in `export default { render };` and a `title`.
        kind: the class that declares its state. (An instance is of a class made for it alone.)
    """
    state = {name: getattr(widget, name) for name in kind.class_own_traits(sync=True)}
    raw = {k: base64.b64encode(v).decode() for k, v in state.items() if isinstance(v, bytes)}
    rest = {k: check_carried(k, v) for k, v in state.items() if not isinstance(v, bytes)}
    export = "export default { render };"
    code = str(widget._esm).strip()
    if not code.endswith(export):
        raise ValueError(f"the widget's module must end in {export!r}")
    place = f"widget-{uuid.uuid4().hex[:12]}"  # several may stand on one page
    # No </script> in a title, and no NaN anywhere.
    safe = lambda value: json.dumps(value, allow_nan=False).replace("<", "\\u003c")
    return (
        f"<style>{widget._css}</style><div id='{place}'></div>"
        f"<noscript>{html.escape(widget.title)}: this needs JavaScript.</noscript>"
        f"<script type='module'>{code.removesuffix(export)}\n"
        f"const state = {safe(rest)};\nconst packed = {safe(raw)};\n"
        f"const place = {safe(place)};\n{_STAND_IN}</script>"
    )


_STAND_IN = """
for (const [name, text] of Object.entries(packed))
  state[name] = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const heard = {};
render({
  el: document.getElementById(place),
  model: {
    get: (name) => state[name],
    set: (name, value) => {
      const changed = state[name] !== value;
      state[name] = value;
      if (changed) (heard[`change:${name}`] || []).forEach((act) => act());
    },
    save_changes: () => {},
    on: (name, act) => (heard[name] = [...(heard[name] || []), act]),
    off: (name, act) => (heard[name] = (heard[name] || []).filter((a) => a !== act)),
  },
});
"""
