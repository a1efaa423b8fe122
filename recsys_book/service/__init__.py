"""The simulated service: a film-streaming service whose truth is known."""

from recsys_book.service.online import run_online
from recsys_book.service.simulate import simulate
from recsys_book.service.world import Context, World

__all__ = ["Context", "World", "run_online", "simulate"]
