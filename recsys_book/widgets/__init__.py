"""Widgets that stay alive in the rendered page, with no kernel behind them."""

from recsys_book.widgets.explorer import EmbeddingExplorer
from recsys_book.widgets.frames import Frames
from recsys_book.widgets.history_editor import HistoryEditor
from recsys_book.widgets.switches import Switches

__all__ = ["EmbeddingExplorer", "Frames", "HistoryEditor", "Switches"]
