"""Chapter 04's drawings are drawn from what they are of."""

from itertools import pairwise

import numpy as np

from recsys_book.chapters.ch04_youtube_dnn import blackboard as lab
from recsys_book.reproduce import read_record


def test_the_funnel_has_the_recorded_costs():
    costs = read_record("ch04/serving")
    row = costs["figures"]["stages"]["100000"]
    alt = lab.funnel(costs).alt
    assert f"200 times: {row['parts']['ranking']:.1f} ms" in alt
    assert f"takes {row['one ranker']['median']:.0f}" in alt


def test_a_walk_ends_where_no_neighbour_is_nearer():
    random = np.random.RandomState(0)
    points, query = random.uniform(size=(50, 2)), np.array([0.4, 0.6])
    there = np.arange(50)
    graph = lab.links(points, there, 3)
    assert all(i in graph[j] for i in graph for j in graph[i])  # both ways
    path = lab.walk(points, graph, 7, query)
    far = [float(np.linalg.norm(points[i] - query)) for i in path]
    assert path[0] == 7 and far == sorted(far, reverse=True)
    assert all(b in graph[a] for a, b in pairwise(path))
    assert min(np.linalg.norm(points[graph[path[-1]]] - query, axis=1)) >= far[-1]


def test_every_layer_has_all_of_the_one_above():
    points = np.random.RandomState(1).uniform(size=(40, 2))
    top, middle, bottom = lab.layers(points, (0.1, 0.4, 1.0))
    assert set(top) < set(middle) < set(bottom) and len(bottom) == 40
    assert "over 70 points" in lab.hnsw().alt and "6 points" in lab.neighbours().alt
