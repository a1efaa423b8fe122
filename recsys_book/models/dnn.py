"""Field embeddings and an MLP: the plainest deep model for clicks.

Zhang, Du, Wang: Deep Learning over Multi-field Categorical Data. ECIR 2016,
https://doi.org/10.1007/978-3-319-30671-1_4, section 3.1 (FNN), without its pre-training by a
factorization machine: embeddings start at random and are trained with the rest. It is the deep
side of Wide & Deep (Cheng et al. 2016, figure 1) standing alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from recsys_book.layers import MLP, Bags, FieldEmbedding


class DNN(nn.Module):
    """Look up a vector per field, put them side by side, and send them through an MLP.

    Args:
        cardinalities: how many ids each of the F fields has.
        dim: D, length of the vectors.
        hidden: widths of the MLP's hidden layers.
        bag_fields: positions of the fields that come with a bag, such as a history. They must be
            known beforehand: each bag makes the MLP's input D wider.
        dropout: chance of dropping a hidden unit in training.
        init_std: standard deviation of the vectors' normal initialization.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        dim: int = 16,
        hidden: Sequence[int] = (64, 32),
        bag_fields: Sequence[int] = (),
        dropout: float = 0.0,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        for field in bag_fields:
            if not 0 <= field < len(cardinalities):
                raise ValueError(
                    f"bag_fields contains {field}; fields run from 0 to {len(cardinalities) - 1}"
                )
        self.bag_fields = tuple(bag_fields)
        self.vectors = FieldEmbedding(cardinalities, dim, init_std)
        self.mlp = MLP((len(cardinalities) + len(self.bag_fields)) * dim, hidden, dropout=dropout)

    def forward(self, ids: Tensor, bags: Bags | None = None) -> Tensor:
        """Logits `[B]` for ids `[B, F]` and the bags that the model was made for."""
        if tuple(bags or ()) != self.bag_fields:
            raise ValueError(
                f"bags are of fields {tuple(bags or ())}; this model was made for {self.bag_fields}"
            )
        vectors = self.vectors(ids, bags)  # [B, F + bags, D]
        return self.mlp(vectors.flatten(1)).squeeze(-1)  # [B]
