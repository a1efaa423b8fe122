"""What the simulated service is like: the truth about one user, and the log at a glance."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from torch import Tensor

from recsys_book.service.world import DAYPARTS, DEVICES, GENRES, TONES, Context, World
from recsys_book.show.plots import PALETTE, Picture, show, to_png
from recsys_book.widgets import Frames


def truth_frames(world: World, user: int = 0) -> Frames:
    """The widget: what one user would click, by genre, tone, device and hour: the truth itself.

    Args:
        world: any.
        user: whose.
    """
    films = torch.arange(world.n_films)
    rows = torch.from_numpy(world.film.genre.astype(np.int64) * 2 + world.film.tone)
    count = rows.bincount(minlength=24).clamp(min=1)

    def rates(device: int, daypart: int) -> Tensor:
        chance = world.click_probability(
            torch.tensor([[user]]), films[None, :], Context(device, daypart)
        )[0]
        return torch.zeros(24, dtype=torch.float64).index_add_(0, rows, chance) / count

    every = [[rates(d, h).view(12, 2) for h in range(4)] for d in range(4)]
    top = max(float(r.max()) for row in every for r in row)
    figures, alts, captions = [], [], []
    for d, device in enumerate(DEVICES):
        for h, hour in enumerate(DAYPARTS):
            figure, ax = plt.subplots(figsize=(4.6, 4.4))
            table = pd.DataFrame(every[d][h].numpy(), GENRES, TONES)
            sns.heatmap(
                table, annot=True, fmt=".2f", cmap="cividis", vmin=0, vmax=top, cbar=False, ax=ax,
                annot_kws={"fontsize": 9},
            )  # fmt: skip
            ax.tick_params(length=0, labeltop=True, labelbottom=False)
            figures.append(to_png(figure))
            best = table.stack().idxmax()
            captions.append(f"On a {device} in the {hour}: {best[1]} {best[0]} is welcome most.")
            alts.append(
                f"Mean true chance of a click of user {user} on a {device} in the {hour}: highest "
                f"for {best[1]} {best[0]}, {table.to_numpy().max():.2f}; light films "
                f"{table[TONES[0]].mean():.2f}, dark ones {table[TONES[1]].mean():.2f}"
            )
    return Frames.from_images(
        figures,
        {"device": list(DEVICES), "part of the day": [0, 1, 2, 3]},
        alts,
        title=f"The truth about user {user}: chance of a click, by genre and tone",
        captions=captions,
        start=[3, 3],
    )


def log_figure(world: World) -> Picture:
    """Four views of the log: the tail, positions, clickbait, and the last days' newcomers."""
    log = world.log
    figure, axes = plt.subplots(2, 2, figsize=(7.4, 5.2))
    clicks = log.clicks().item_counts().sort(descending=True).values.numpy()
    axes[0, 0].plot(np.arange(1, len(clicks) + 1), clicks, color=PALETTE["blue"])
    axes[0, 0].set(
        yscale="log", xlabel="films, most clicked first", ylabel="clicks", title="a long tail"
    )
    position = log.position.long()
    rate = torch.bincount(position, log.clicked.double()) / torch.bincount(position)
    axes[0, 1].bar(np.arange(len(rate)), rate.numpy(), color=PALETTE["blue"])
    axes[0, 1].set(
        xlabel="place in the list", ylabel="click rate", title="position: looked at, and better"
    )
    watched = log[log.clicked]
    film = watched.film.numpy()
    share = watched.watch_seconds.numpy() / (60 * world.film.minutes[film].astype(float))
    bait = world.truth.clickbait[film]
    for rows, name, color in ((~bait, "others", "blue"), (bait, "clickbait", "orange")):
        axes[1, 0].hist(
            share[rows], bins=20, density=True, alpha=0.6, color=PALETTE[color], label=name
        )
    axes[1, 0].set(
        xlabel="share of the film watched", ylabel="density", title="clicked, not watched"
    )
    axes[1, 0].legend()
    late = world.film.release_day[world.film.release_day > 0]
    axes[1, 1].hist(late, bins=np.arange(1, world.days + 1), color=PALETTE["blue"])
    axes[1, 1].set(xlabel="day", ylabel="films released", title="newcomers")
    top = clicks[: len(clicks) // 10].sum() / clicks.sum()
    return show(
        figure,
        alt=f"Four views of the log: a tenth of the films has {top:.0%} of the clicks; click rate "
        f"falls from {rate[0]:.2f} at the top place to {rate[-1]:.2f} at the last; clickbait is "
        f"watched to {share[bait].mean():.0%} on average, others to {share[~bait].mean():.0%}; "
        f"{len(late)} films come out during the log",
    )
