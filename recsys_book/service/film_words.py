"""Titles and plot words for made-up films.

A film has a genre, a theme and a tone. Its title takes a noun from the theme and an adjective from
the tone; its plot mixes words of theme, genre and tone with words that tell nothing. So the text
says something about a film before anybody has watched it, and a little more than the genre does.
"""

from __future__ import annotations

import numpy as np

GENRES = {
    "action": "chase fight rescue soldier explosion escape mission bodyguard",
    "adventure": "journey treasure jungle expedition compass caravan summit explorer",
    "comedy": "mistake wedding prank roommate neighbour disguise mishap reunion",
    "crime": "detective robbery witness alibi gangster informer trial ransom",
    "documentary": "archive interview portrait footage true record season craft",
    "drama": "family illness inheritance divorce letter teacher secret farewell",
    "family": "puppy school grandmother birthday holiday treehouse friendship toy",
    "fantasy": "wizard dragon prophecy kingdom spell crown portal quest",
    "horror": "haunting cellar curse scream ritual possession grave creature",
    "romance": "love kiss summer proposal heartbreak dance longing encounter",
    "science fiction": "robot planet colony clone signal orbit android laboratory",
    "thriller": "conspiracy stalker hostage blackmail spy countdown traitor suspect",
}
THEMES = {
    "sea": "Harbour Tide Captain Island Lighthouse Voyage sailor storm",
    "desert": "Dune Oasis Mirage Well Sandstorm Nomad thirst heat",
    "mountain": "Peak Glacier Valley Avalanche Ridge Cabin climber snow",
    "city": "Avenue Rooftop Subway Corner Skyline Taxi crowd neon",
    "village": "Orchard Mill Bakery Chapel Meadow Farmhouse harvest gossip",
    "war": "Trench Armistice Regiment Siege Medal Frontier courage retreat",
    "court": "Verdict Jury Appeal Oath Judge Testimony lawyer evidence",
    "music": "Violin Chorus Melody Piano Encore Ballad concert rehearsal",
    "kitchen": "Recipe Banquet Chef Spice Feast Supper restaurant flavour",
    "sport": "Champion Marathon Goalkeeper Final Relay Stadium coach training",
    "heist": "Vault Safecracker Diamond Getaway Forgery Painting plan alarm",
    "space": "Comet Nebula Station Moonrise Cosmonaut Eclipse gravity launch",
    "machines": "Engine Automaton Algorithm Circuit Clockwork Factory invention wire",
    "animals": "Wolf Falcon Elephant Hound Whale Fox migration herd",
    "railway": "Train Platform Conductor Tunnel Timetable Junction passenger delay",
    "theatre": "Stage Curtain Understudy Mask Playwright Premiere actor applause",
    "hospital": "Surgeon Ward Remedy Diagnosis Nurse Heartbeat patient vaccine",
    "schooldays": "Classroom Exam Scholar Playground Diploma Blackboard pupil lesson",
    "royalty": "Queen Throne Regent Palace Heir Coronation court banished",
    "winter": "Frost Icicle Blizzard Sleigh Solstice Hearth cold fireside",
    "circus": "Acrobat Juggler Trapeze Ringmaster Tent Carousel clown tightrope",
    "garden": "Rose Greenhouse Labyrinth Fountain Ivy Seed blossom bees",
    "press": "Headline Editor Column Deadline Scoop Broadcast reporter source",
    "memory": "Photograph Diary Attic Echo Portrait Yesterday forgotten childhood",
}
TONES = {
    "light": (
        "Golden Merry Little Bright Sunny Lucky Gentle Brave Dancing Curious Silver Honest "
        "Laughing Cheerful Green Singing Young Happy Warm Wandering Clever Blue Early Second",
        "cheerful funny hopeful charming playful tender bright carefree",
    ),
    "dark": (
        "Last Silent Broken Cold Hidden Black Lost Empty Bitter Crimson Hollow Final "
        "Pale Burning Forbidden Distant Fallen Nameless Restless Grey Iron Shattered Midnight "
        "Lonely",
        "bleak tense grim violent haunting cruel brooding merciless",
    ),
}
PLACES = (
    "Alder Amberley Arden Ashby Aurora Avalon Barrow Bexley Birchwood Blackwater Bramley Brook "
    "Calder Camber Castel Cedarville Clare Corin Dale Darrow Denby Dover Eastmere Elder Elmstead "
    "Fairhaven Farrow Fenwick Foxley Galen Garnet Glen Greyfriars Hadley Halden Harrow Hazel "
    "Heron Hollis Ivory Jasper Juniper Kelso Kestrel Kirkby Lakeview Larch Linden Lorne Maple "
    "Marlow Merrin Milford Moor Nairn Newhaven Norrow Oakham Olden Orla Perrin Pinewood Quarry "
    "Ravenna Redcliff Rowan Rye Saffron Selby Severn Solway Stonebridge Summerfield Tamar Tarn "
    "Thornton Tilbury Umber Vale Verona Wells Westmere Whitby Willow Winslow Wren Yarrow York "
    "Zephyr"
).split()
FILLERS = (
    "story day life night town year stranger friend morning world house road hour voice choice "
    "change hope past future beginning ending question answer time"
).split()

_GENRE_WORDS = [words.split() for words in GENRES.values()]
_THEME_WORDS = [words.split() for words in THEMES.values()]
_TONE_WORDS = [words.split() for _, words in TONES.values()]
_ADJECTIVES = [adjectives.split() for adjectives, _ in TONES.values()]
_NOUNS = [[w for w in words if w[0].isupper()] for words in _THEME_WORDS]

#: How many words of each kind a plot holds: theme, genre, tone, and words that tell nothing.
PLOT = {"theme": 4, "genre": 3, "tone": 2, "filler": 3}

#: Every plot word, in lower case, once.
VOCABULARY = sorted(
    {w.lower() for group in (*_THEME_WORDS, *_GENRE_WORDS, *_TONE_WORDS, FILLERS) for w in group}
)
_INDEX = {word: i for i, word in enumerate(VOCABULARY)}


def titles(theme: np.ndarray, tone: np.ndarray, sequel_of: np.ndarray) -> np.ndarray:
    """`[N]` different titles; a sequel carries its predecessor's title and a numeral.

    Args:
        theme: `[N]` 0..23.
        tone: `[N]` 0 light, 1 dark.
        sequel_of: `[N]` the film continued, −1 for none.

    Raises:
        ValueError: more films of one theme and tone than there are different titles.
    """
    cell = theme * len(TONES) + tone  # films of one cell draw from one list of titles
    order = np.argsort(cell, kind="stable")
    start = np.searchsorted(cell[order], np.arange(len(THEMES) * len(TONES)))
    place_in_cell = np.empty(len(cell), dtype=np.int64)
    place_in_cell[order] = np.arange(len(cell)) - start[cell[order]]

    made = np.empty(len(cell), dtype=object)
    for c in range(len(THEMES) * len(TONES)):
        nouns, adjectives = _NOUNS[c // len(TONES)], _ADJECTIVES[c % len(TONES)]
        short = [f"The {a} {n}" for n in nouns for a in adjectives]
        # A step that shares no factor with the length visits every title once, well mixed.
        short = [short[(i * 59) % len(short)] for i in range(len(short))]
        members = np.flatnonzero(cell == c)
        lap, which = np.divmod(place_in_cell[members], len(short))
        if len(members) and lap.max() > len(PLACES) ** 2:
            raise ValueError(f"{len(members)} films share a theme and a tone; titles run out")
        suffix = ["", *(f" of {p}" for p in PLACES)]
        suffix += [f" of {p} and {q}" for p in PLACES for q in PLACES if p != q]
        made[members] = [short[w] + suffix[k] for w, k in zip(which, lap, strict=True)]
    sequels = np.flatnonzero(sequel_of >= 0)
    made[sequels] = [f"{made[a]} II" for a in sequel_of[sequels]]
    return made


def plot_words(
    genre: np.ndarray,
    theme: np.ndarray,
    tone: np.ndarray,
    random: np.random.RandomState,
    *,
    telling: bool = True,
) -> np.ndarray:
    """`[N, 12]` int16 positions in VOCABULARY.

    Args:
        genre, theme, tone: `[N]`.
        random: where the draws come from.
        telling: False draws every word from the whole vocabulary, so that the text says nothing.
    """
    if not telling:
        shape = (len(genre), sum(PLOT.values()))
        return random.randint(len(VOCABULARY), size=shape).astype(np.int16)
    columns = []
    kinds = {"theme": (_THEME_WORDS, theme), "genre": (_GENRE_WORDS, genre)}
    kinds |= {"tone": (_TONE_WORDS, tone), "filler": ([FILLERS], np.zeros_like(genre))}
    for kind, count in PLOT.items():
        groups, group_of_film = kinds[kind]
        size = min(len(words) for words in groups)
        table = np.array([[_INDEX[w.lower()] for w in words[:size]] for words in groups])
        for _ in range(count):
            columns.append(table[group_of_film, random.randint(size, size=len(genre))])
    return np.stack(columns, axis=1).astype(np.int16)
