"""Widgets that stay alive in the rendered page, with no kernel behind them."""

from recsys_book.widgets.explorer import EmbeddingExplorer
from recsys_book.widgets.frames import Frames

__all__ = ["EmbeddingExplorer", "Frames"]
