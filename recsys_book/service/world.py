"""A small film-streaming service whose truth is known.

Nothing here is learned. `World` says how likely a user is to click a film in a context, and how
long they are expected to watch it: the oracle that no real log has. `simulate` (simulate.py) lets
the users live with it for some weeks and keeps the log.

The chance of a click, with the film at position r of a list (from 0):

    P(click) = examined(r) · sum over moods m of P(m) · sigmoid(
        base + quality(film) + taste(user, film) + combination(age, genre, tone)
        + habit(time of day, genre) + three_way(device, time of day, tone)
        + sequel(watched before, film) + clickbait(film) + mood(m, genre))

The form examined(r) · attractive(user, film) is the position-based model of Craswell, Zoeter,
Taylor, Ramsey: An Experimental Comparison of Click Position-Bias Models. WSDM 2008,
https://doi.org/10.1145/1341531.1341545.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recsys_book.arguments import check_ids
from recsys_book.service import film_words
from recsys_book.service.log import Log

#: Every planted effect, by name.
EFFECTS = {
    "long_tail": "few films are shown and liked a lot, most hardly ever",
    "taste": "users like genres and themes, along four hidden directions",
    "combination": "an age group likes a genre in one tone and dislikes it in the other",
    "habit": "genres have their time of day",
    "three_way": "dark films go with a small screen by day and a large one by night; "
    "light films the other way round",
    "sequels": "whoever watched part one, at any time, wants part two",
    "mood": "within a session the mood drifts, and with it the genres that are welcome",
    "clickbait": "some films are clicked and not watched",
    "position": "what stands lower in the list is looked at less often",
    "words": "titles and plots tell something about a film",
    "releases": "some films come out during the log, the last ones in its last days",
}

#: What makes a person of the simulated service prefer one genre to another. Without these nobody
#: does, but the service goes on filling a third of each list from the genre it guesses.
PREFERENCES = ("taste", "combination", "habit", "mood")

GENRES, THEMES, TONES = tuple(film_words.GENRES), tuple(film_words.THEMES), tuple(film_words.TONES)
AGES = ("under 20", "20s", "30s", "40s", "50s", "60 and over")
REGIONS = ("north", "east", "south", "west")
DEVICES = ("phone", "tablet", "laptop", "tv")  # the first two are small screens
DAYPARTS = ("morning", "afternoon", "evening", "night")  # the first two are day
MOODS = ("thrilled", "curious", "amused", "moved", "cosy", "scared")  # a ring: neighbours are near

#: The mood that welcomes each genre.
MOOD_OF_GENRE = {
    "action": 0, "thriller": 0, "adventure": 1, "documentary": 1, "comedy": 2, "crime": 5,
    "drama": 3, "romance": 3, "family": 4, "fantasy": 4, "horror": 5, "science fiction": 1,
}  # fmt: skip

#: Sizes of the effects, in log-odds (standard deviation, or the plus and minus of a sign).
SIZES = {
    "base": -1.7, "popular": 0.5, "quality": 0.3, "taste": 1.2, "combination": 0.9, "habit": 0.8,
    "three_way": 1.0, "sequels": 3.0, "mood": 1.0, "clickbait": 1.0,
}  # fmt: skip
RANK = 4  # hidden directions of taste
SLATE = 10  # films in a list
STAY_IN_MOOD = 0.7  # chance to keep the mood from one list to the next


@dataclass(frozen=True)
class Context:
    """The circumstances of an impression. Each part is one value, or one per example.

    Attributes:
        device: 0..3, see DEVICES.
        daypart: 0..3, see DAYPARTS.
        position: place in the list from 0; None takes the film as looked at.
        mood: 0..5, or None for a mood nobody knows, when `belief` (or an even spread) counts.
        belief: `[B, 6]` chance of each mood, as the session's clicks so far tell it.
        history: `[B, L]` films the user has watched, in any order, padded with n_films. Sequels
            count from here, and a film already watched is not clicked again. None: nothing yet.
    """

    device: Tensor | int
    daypart: Tensor | int
    position: Tensor | int | None = None
    mood: Tensor | int | None = None
    belief: Tensor | None = None
    history: Tensor | None = None


@dataclass(frozen=True)
class Truth:
    """What the world is made of; a learner sees none of it. U users, N films."""

    taste_of_user: np.ndarray  # [U, RANK]
    taste_of_film: np.ndarray  # [N, RANK]
    quality: np.ndarray  # [N]
    clickbait: np.ndarray  # [N] bool
    combination: np.ndarray  # [6 ages, 12 genres, 2 tones]
    habit: np.ndarray  # [4 dayparts, 12 genres]
    three_way: np.ndarray  # [4 devices, 4 dayparts, 2 tones]
    mood: np.ndarray  # [6 moods, 12 genres]
    examined: np.ndarray  # [positions]
    popularity: np.ndarray  # [N] weight with which the service shows a film


@dataclass(frozen=True)
class Film:
    """What everybody can know about the films, `[N]` each."""

    genre: np.ndarray
    second_genre: np.ndarray
    theme: np.ndarray  # not told as such; titles and plots tell it
    tone: np.ndarray
    minutes: np.ndarray
    release_day: np.ndarray  # 0 or less: there from the start
    sequel_of: np.ndarray  # −1 for none
    words: np.ndarray  # [N, 12]


@dataclass
class World:
    """The service: its users, its films, the truth about them, and the log of the first days.

    Attributes:
        n_users: U.
        n_films: N.
        days: length of the log.
        effects: names of the effects that are switched on.
        log: the impressions, see `recsys_book.service.log.Log`.
        age, region: `[U]` what is known about the users.
        film: what is known about the films.
        truth: the rest.
    """

    n_users: int
    n_films: int
    days: int
    seed: int
    effects: frozenset[str]
    age: np.ndarray
    region: np.ndarray
    activity: np.ndarray
    film: Film
    truth: Truth
    log: Log
    _titles: np.ndarray | None = field(default=None, repr=False)

    # ------------------------------------------------------------ the oracle

    def click_probability(self, users: Tensor, films: Tensor, context: Context) -> Tensor:
        """The true chance of a click.

        Args:
            users: ids of any shape; `[U, 1]` beside films `[1, N]` asks for the whole catalogue.
            films: ids, of a shape that broadcasts with users.
            context: parts of one value, or of a shape that broadcasts with users; `belief` and
                `history` have one row per entry of users' first dimension.

        Returns:
            float64 of the broadcast shape, in 0..1.

        Raises:
            ValueError: an id out of range.
        """
        users, films = self._checked(users, films)
        return torch.from_numpy(self._click_probability(users, films, _numpy(context)))

    def expected_watch(self, users: Tensor, films: Tensor, context: Context) -> Tensor:
        """Expected seconds watched when the film is shown: the chance of a click times what is
        watched after one. Arguments and errors as in `click_probability`."""
        users, films = self._checked(users, films)
        clicks = self._click_probability(users, films, _numpy(context))
        seconds = self.watched_share(users, films) * self.film.minutes[films] * 60
        return torch.from_numpy(clicks * seconds)

    def watched_share(self, users: np.ndarray, films: np.ndarray) -> np.ndarray:
        """Expected share of a film's length that is watched once it is clicked, in 0..1.

        Taste and quality raise it; clickbait loses its viewer within minutes.
        """
        t = self.truth
        logit = 0.4 + 0.6 * self._taste(users, films) + 0.5 * t.quality[films]
        return _sigmoid(logit - 3.5 * t.clickbait[films])

    def _click_probability(self, users, films, context: Context) -> np.ndarray:
        logit = self.static_logit(users, films, context.device, context.daypart)
        watched = None
        if context.history is not None:
            shape = (len(context.history), *[1] * (logit.ndim - 1), context.history.shape[1])
            history = context.history.reshape(shape)
            logit = logit + self.sequel_bonus(films, history)
            watched = (history == films[..., None]).any(-1)
        genre = self.film.genre[films]
        if context.mood is not None:
            chance = _sigmoid(logit + self.truth.mood[context.mood, genre])
        else:
            n_moods = len(MOODS)
            belief = context.belief
            if belief is None:
                belief = np.full((1, n_moods), 1 / n_moods)
            belief = belief.reshape(len(belief), *[1] * (logit.ndim - 1), n_moods)
            chance = self.attraction(logit, genre)
            chance = (chance * belief).sum(-1)
        if context.position is not None:
            chance = chance * self.truth.examined[context.position]
        return chance if watched is None else np.where(watched, 0.0, chance)

    def static_logit(self, users, films, device, daypart) -> np.ndarray:
        """Log-odds of a click on a film looked at, before sequels and mood."""
        t, genre, tone = self.truth, self.film.genre[films], self.film.tone[films]
        logit = SIZES["base"] + t.quality[films] + self._taste(users, films)
        logit = logit + t.combination[self.age[users], genre, tone]
        logit = logit + t.habit[daypart, genre] + t.three_way[device, daypart, tone]
        return logit + SIZES["clickbait"] * t.clickbait[films]

    def sequel_bonus(self, films, history) -> np.ndarray:
        """Log-odds added where part one is in history `[..., L]`."""
        if "sequels" not in self.effects:
            return np.zeros(films.shape)
        part_one = self.film.sequel_of[films]  # [...], −1 is in no history
        return SIZES["sequels"] * (history == part_one[..., None]).any(-1)

    def attraction(self, logit, genre) -> np.ndarray:
        """`[..., 6]` chance of a click on a film looked at, under each mood."""
        if "mood" not in self.effects:
            return np.repeat(_sigmoid(logit)[..., None], len(MOODS), axis=-1)
        return _sigmoid(logit[..., None] + self.truth.mood.T[genre])

    def _taste(self, users, films) -> np.ndarray:
        of_user, of_film = self.truth.taste_of_user, self.truth.taste_of_film
        if users.ndim == 2 and users.shape[1] == 1 and films.ndim == 2 and films.shape[0] == 1:
            return of_user[users[:, 0]] @ of_film[films[0]].T  # a whole table, by one product
        return (of_user[users] * of_film[films]).sum(-1)

    def _checked(self, users: Tensor, films: Tensor) -> tuple[np.ndarray, np.ndarray]:
        check_ids("users", users, self.n_users)
        check_ids("films", films, self.n_films)
        return users.cpu().numpy(), films.cpu().numpy()

    # ------------------------------------------------------------ what people can read

    @property
    def titles(self) -> np.ndarray:
        """`[N]` titles, all different."""
        if self._titles is None:
            film = self.film
            theme = film.theme
            if "words" not in self.effects:  # titles that tell nothing: themes out of place
                theme = np.roll(theme, len(theme) // 2 + 1)
            self._titles = film_words.titles(theme, film.tone, film.sequel_of)
        return self._titles

    def plots(self, films: Iterable[int] | None = None) -> list[str]:
        """The plot words of films (all of them when None), twelve a film."""
        films = np.arange(self.n_films) if films is None else np.asarray(films)
        words = np.array(film_words.VOCABULARY, dtype=object)[self.film.words[films]]
        return [" ".join(row) for row in words]

    def film_table(self, films: Iterable[int] | None = None) -> pd.DataFrame:
        """What a learner may know about films, one row each."""
        films = np.arange(self.n_films) if films is None else np.asarray(films)
        known = self.film
        return pd.DataFrame(
            {
                "title": self.titles[films],
                "genre": np.array(GENRES)[known.genre[films]],
                "second_genre": np.array(GENRES)[known.second_genre[films]],
                "tone": np.array(TONES)[known.tone[films]],
                "minutes": known.minutes[films],
                "release_day": known.release_day[films],
                "plot": self.plots(films),
            },
            index=pd.Index(films, name="film"),
        )

    def __str__(self) -> str:
        text = f"{self.n_users:,} users, {self.n_films:,} films, {self.days} days"
        if len(self.log):
            rate = float(self.log.clicked.double().mean())
            text += f", {len(self.log):,} impressions, {rate:.1%} clicked"
        off = [name for name in EFFECTS if name not in self.effects]
        return text + (f"; without {', '.join(off)}" if off else "")


def make_world(n_users: int, n_films: int, days: int, seed: int, effects: frozenset[str]) -> World:
    """Draw users, films and truth. Each part has a stream of random numbers of its own, so that
    switching one effect off leaves everything else as it was."""
    film, truth = _draw_films(n_users, n_films, days, seed, effects)
    random = stream(seed, "users")
    return World(
        n_users=n_users,
        n_films=n_films,
        days=days,
        seed=seed,
        effects=effects,
        age=random.randint(len(AGES), size=n_users).astype(np.int8),
        region=random.randint(len(REGIONS), size=n_users).astype(np.int8),
        activity=np.exp(0.6 * random.standard_normal(n_users) - 0.18),  # mean 1, long right tail
        film=film,
        truth=truth,
        log=Log.empty(n_users, n_films),
    )


def _draw_films(n_users, n_films, days, seed, effects) -> tuple[Film, Truth]:
    on = lambda name: float(name in effects)
    random = stream(seed, "films")
    genre = random.randint(len(GENRES), size=n_films).astype(np.int8)
    second_genre = random.randint(len(GENRES), size=n_films).astype(np.int8)
    theme = random.randint(len(THEMES), size=n_films).astype(np.int8)
    minutes = (70 + 80 * random.random_sample(n_films)).astype(np.int16)
    clickbait = (random.random_sample(n_films) < 0.08) & ("clickbait" in effects)
    quality = SIZES["quality"] * random.standard_normal(n_films)
    rank = random.permutation(n_films)  # 0 is shown most
    # Tones alternate down the ranks, so that light and dark films are shown about equally often.
    tone = ((rank + random.randint(2)) % 2).astype(np.int8)

    popularity = (rank + 3 + 0.005 * n_films) ** -1.0 if on("long_tail") else np.ones(n_films)
    standing = np.log(popularity) - np.log(popularity).mean()
    quality = quality + SIZES["popular"] * standing / max(standing.std(), 1e-12)

    sequel_of = _draw_sequels(n_films, rank, stream(seed, "sequels"))
    part_two = np.flatnonzero(sequel_of >= 0)
    for column in (genre, second_genre, theme):  # part two is the same kind of film
        column[part_two] = column[sequel_of[part_two]]

    random = stream(seed, "releases")
    release_day = np.zeros(n_films, dtype=np.int16)
    if on("releases"):
        uniform = random.random_sample(n_films)
        late = (uniform < 0.12) & (sequel_of < 0) & ~np.isin(np.arange(n_films), sequel_of)
        # A third of the newcomers in the last three days, the others spread over the days before.
        last = np.maximum(days - 3, 0) + (random.random_sample(n_films) * min(days, 3)).astype(int)
        spread = 1 + (random.random_sample(n_films) * max(days - 4, 0)).astype(int)
        release_day[late] = np.where(uniform < 0.04, last, spread)[late]

    random = stream(seed, "taste")
    of_genre = random.standard_normal((len(GENRES), RANK))
    of_theme = random.standard_normal((len(THEMES), RANK))
    of_film = of_genre[genre] + 0.5 * of_genre[second_genre] + 0.7 * of_theme[theme]
    of_film *= on("taste") * SIZES["taste"] / np.sqrt((of_film**2).sum(1).mean())
    of_user = random.standard_normal((n_users, RANK))

    random = stream(seed, "tables")
    sign = np.where(random.random_sample((len(AGES), len(GENRES))) < 0.5, -1.0, 1.0)
    combination = sign[:, :, None] * np.array([1.0, -1.0])  # neither genre nor tone alone matters
    habit = random.standard_normal((len(DAYPARTS), len(GENRES)))
    habit -= habit.mean(axis=0)  # a habit moves clicks between times of day, it adds none
    small = np.array([1, 1, -1, -1])[:, None, None]
    by_day = np.array([1, 1, -1, -1])[None, :, None]
    parity = small * by_day * np.array([-1.0, 1.0])
    welcome = np.array([MOOD_OF_GENRE[g] for g in GENRES]) == np.arange(len(MOODS))[:, None]
    mood = welcome - 1 / len(MOODS)  # [6, 12], no genre gains on average

    truth = Truth(
        taste_of_user=of_user,
        taste_of_film=of_film,
        quality=quality,
        clickbait=clickbait,
        combination=on("combination") * SIZES["combination"] * combination,
        habit=on("habit") * SIZES["habit"] * habit,
        three_way=on("three_way") * SIZES["three_way"] * parity,
        mood=on("mood") * SIZES["mood"] * 2 * mood,
        examined=(1.0 + np.arange(SLATE)) ** (-0.5 * on("position")),
        popularity=popularity,
    )
    words = film_words.plot_words(
        genre, theme, tone, stream(seed, "words"), telling="words" in effects
    )
    film = Film(genre, second_genre, theme, tone, minutes, release_day, sequel_of, words)
    return film, truth


def _draw_sequels(n_films: int, rank: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """`[N]`: for one film in sixteen, a film of the better known half that it continues."""
    known = np.flatnonzero(rank < n_films // 2)
    others = np.flatnonzero(rank >= n_films // 2)
    n_pairs = min(n_films // 16, len(known), len(others))
    sequel_of = np.full(n_films, -1, dtype=np.int32)
    part_two = random.permutation(others)[:n_pairs]
    sequel_of[part_two] = random.permutation(known)[:n_pairs]
    return sequel_of


_STREAMS = ("users", "films", "sequels", "releases", "taste", "tables", "words", "log", "online")


def stream(seed: int, name: str, part: int = 0) -> np.random.RandomState:
    """A stream of random numbers of its own for each part of the world.

    RandomState because NumPy has frozen it: its numbers are the same in every version.
    """
    return np.random.RandomState([seed, _STREAMS.index(name), part])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def _numpy(context: Context) -> Context:
    parts = {k: v.cpu().numpy() for k, v in vars(context).items() if isinstance(v, Tensor)}
    return replace(context, **parts)
