"""The plain network on vectors side by side."""

import pytest
import torch

from recsys_book.models.dnn import DNN


def test_dnn_is_an_mlp_on_the_vectors_side_by_side():
    model = DNN([3, 4], dim=2, hidden=(5,), bag_fields=(1,), init_std=1)
    ids = torch.tensor([[2, 3], [0, 1]])
    bag, mask = torch.tensor([[1, 2], [0, 0]]), torch.tensor([[True, True], [False, False]])
    table = model.vectors.table.weight
    side_by_side = torch.stack(
        [
            torch.cat([table[2], table[3 + 3], (table[3 + 1] + table[3 + 2]) / 2]),
            torch.cat([table[0], table[3 + 1], torch.zeros(2)]),
        ]
    )
    assert torch.allclose(model(ids, {1: (bag, mask)}), model.mlp(side_by_side).squeeze(-1))
    with pytest.raises(
        ValueError, match=r"bags are of fields \(\); this model was made for \(1,\)"
    ):
        model(ids)
    with pytest.raises(ValueError, match="bag_fields contains 2"):
        DNN([3, 4], bag_fields=(2,))
