"""The simulated service: a film-streaming service whose truth is known.

- world: films, people, and what is true of them; film_words: titles and plots; log: what is written
  down of it.
- loop: how sittings, lists and clicks come about; simulate: a world with its log; online: a policy
  in charge of the lists; policies: some of them, and logs that grow.
- click_models: a log cut by time, encoded, and models trained on its impressions; oracle: requests
  whose truth is asked, and NDCG against it (`oracle_ndcg`); judge: both in one, for models of ids.
"""

from recsys_book.service.online import run_online
from recsys_book.service.simulate import simulate
from recsys_book.service.world import Context, World

__all__ = ["Context", "World", "run_online", "simulate"]
