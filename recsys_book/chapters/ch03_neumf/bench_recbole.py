"""RecBole's NeuMF on pairs from a file; bench_speed.py runs it with the Python of RecBole.

    python bench_recbole.py FOLDER BATCH RATE EPOCHS

Prints one line of JSON: seconds of training and evaluation and HR@10 by epoch.
"""

import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed


def main() -> None:
    folder, batch, rate, epochs = Path(sys.argv[1]), *map(float, sys.argv[2:5])
    pairs = np.load(folder / "pairs.npz")
    home = folder / "pairs"
    home.mkdir(exist_ok=True)
    rows = np.stack([pairs["users"], pairs["items"]], 1)
    np.savetxt(
        home / "pairs.inter", rows, fmt="%d", delimiter="\t", comments="",
        header="user_id:token\titem_id:token",
    )  # fmt: skip
    settings = {
        "data_path": str(folder), "load_col": {"inter": ["user_id", "item_id"]},
        "mf_embedding_size": 32, "mlp_embedding_size": 64, "mlp_hidden_size": [128, 64, 32],
        "dropout_prob": 0.0, "train_batch_size": int(batch), "learning_rate": rate,
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": 4},
        "eval_args": {"split": {"RS": [0.999, 0.0005, 0.0005]}, "order": "RO", "mode": "full"},
        "epochs": int(epochs), "use_gpu": False, "show_progress": False,
        "reproducibility": False, "checkpoint_dir": str(folder / "saved"),
    }  # fmt: skip
    config = Config(model="NeuMF", dataset="pairs", config_dict=settings)
    logging.disable(logging.CRITICAL)
    init_seed(0, False)
    dataset = create_dataset(config)
    train, _, _ = data_preparation(config, dataset)
    model = get_model("NeuMF")(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "NeuMF")(config, model)

    n_users, n_items = int(pairs["users"].max()) + 1, 3_706
    names = dataset.field2token_id
    user_of = torch.tensor([names["user_id"].get(str(u), 0) for u in range(n_users)])
    item_of = torch.tensor([names["item_id"].get(str(i), 0) for i in range(n_items)])
    candidates = torch.from_numpy(pairs["candidates"])  # [U, 100], the held-out item first
    found = {"examples": 5 * len(train.dataset), "training": [], "evaluation": [], "hit_rate": []}
    for epoch in range(int(epochs)):
        began = time.perf_counter()
        trainer._train_epoch(train, epoch)
        found["training"].append(time.perf_counter() - began)
        began = time.perf_counter()
        model.eval()
        with torch.no_grad():
            users = user_of[:, None].expand_as(candidates).flatten()
            asked = Interaction({"user_id": users, "item_id": item_of[candidates].flatten()})
            scores = model.predict(asked).view(candidates.shape)
        rank = (scores >= scores[:, :1]).sum(1)
        found["hit_rate"].append(float((rank <= 10).double().mean()))
        found["evaluation"].append(time.perf_counter() - began)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
