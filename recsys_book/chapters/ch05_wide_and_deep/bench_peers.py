"""deepctr-torch's WDL or torch-rechub's WideDeep on rows from a file; bench_speed.py runs it.

    python bench_peers.py FOLDER deepctr|rechub BATCH RATE ROWS

Trains one epoch, writes predicted chances of the test rows to FOLDER/predicted.npy, and prints one
line of JSON: seconds of training.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

N_VALUES, DIM, HIDDEN = 2_000, 16, (256, 128, 64)


def deepctr(data: dict, batch: int, rate: float):
    """Its own fit, on arrays in memory; Adam as in its examples, the rate ours to choose."""
    import torch
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import WDL

    columns = [SparseFeat(f"f{i}", N_VALUES, embedding_dim=DIM) for i in range(8)]
    model = WDL(columns, columns, dnn_hidden_units=HIDDEN, task="binary", device="cpu")
    model.compile(torch.optim.Adam(model.parameters(), lr=rate), "binary_crossentropy")
    x = {f"f{i}": data["ids"][:, i] for i in range(8)}
    start = time.perf_counter()
    model.fit(x, data["labels"], batch_size=batch, epochs=1, verbose=0)
    seconds = time.perf_counter() - start
    test = {f"f{i}": data["test_ids"][:, i] for i in range(8)}
    return seconds, model.predict(test, batch_size=16_384).ravel()


def rechub(data: dict, batch: int, rate: float):
    """Its own trainer and loader; Adam, its default."""
    import torch
    from torch_rechub.basic.features import SparseFeature
    from torch_rechub.models.ranking import WideDeep
    from torch_rechub.trainers import CTRTrainer
    from torch_rechub.utils.data import DataGenerator

    columns = [SparseFeature(f"f{i}", N_VALUES, embed_dim=DIM) for i in range(8)]
    parameters = {"dims": list(HIDDEN), "dropout": 0.0, "activation": "relu"}
    model = WideDeep(columns, columns, parameters)
    x = {f"f{i}": data["ids"][:, i] for i in range(8)}
    test = {f"f{i}": data["test_ids"][:, i] for i in range(8)}
    generator = DataGenerator(x, data["labels"])
    none = {name: column[:2] for name, column in test.items()}
    loader, _, _ = generator.generate_dataloader(
        x_val=none, y_val=data["labels"][:2], x_test=none, y_test=data["labels"][:2],
        batch_size=batch,
    )  # fmt: skip
    trainer = CTRTrainer(model, optimizer_params={"lr": rate, "weight_decay": 0.0})
    start = time.perf_counter()
    trainer.train_one_epoch(loader)
    seconds = time.perf_counter() - start
    model.eval()
    with torch.no_grad():
        parts = np.array_split(np.arange(len(data["test_ids"])), 20)
        predicted = [
            model({name: torch.from_numpy(column[rows]) for name, column in test.items()}).numpy()
            for rows in parts
        ]
    return seconds, np.concatenate(predicted)


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    batch, rate, n = int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    loaded = np.load(folder / "data.npz")
    data = {
        "ids": loaded["ids"][:n],
        "labels": loaded["labels"][:n],
        "test_ids": loaded["test_ids"],
    }
    seconds, predicted = {"deepctr": deepctr, "rechub": rechub}[name](data, batch, rate)
    np.save(folder / "predicted.npy", predicted)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
