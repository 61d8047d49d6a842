"""Train the models of chapter 10 and write the weights that ship with the library.

    python tools/train_molecules.py --work FOLDER [--steps 8000] [--family vmf] [--device cuda]

The three families differ in nothing but the law of their codes, on R^64 or on the sphere S^64: the
same networks, seed, batches, optimiser and number of steps, on the whole training split of MOSES.
FOLDER keeps a checkpoint for each, so that a stopped training goes on where it was when called
again. On one CPU core a family takes about 40 minutes. Weights are stored in half precision with
their provenance beside them. Those that ship today are older: their spheres are S^63, and their
decoders did not start as loud as a Gaussian's.
"""

import argparse
import time
from pathlib import Path

import torch

from vae_course.data import load
from vae_course.lab.ledger import machine
from vae_course.molecules import FAMILIES, SmilesVAE, Vocabulary, ship
from vae_course.training import fit


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--family", choices=FAMILIES, help="this one only")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.steps % 250:
        parser.error("--steps must be a multiple of 250, the interval of the log")
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = load("moses")
    vocabulary = Vocabulary(data.meta["vocabulary"])
    recipe = dict(steps=arguments.steps, batch_size=256, lr=2e-3, clip=5.0, seed=0)
    for family in [arguments.family] if arguments.family else FAMILIES:
        d = 64 + (family != "gaussian")
        model = SmilesVAE(vocabulary, data.train.shape[1], family=family, d=d, warmup=1500)
        start = time.perf_counter()
        history = fit(
            model,
            data,
            device=arguments.device,
            checkpoint=arguments.work / f"{family}.pt",
            **recipe,
        )
        log = {
            name: getattr(history, name).astype(float).reshape(-1, 250).mean(1).round(3).tolist()
            for name in ("distortion", "rate")
        }
        ship(
            model.cpu(),
            data=data.name,
            examples=arguments.steps * recipe["batch_size"],
            recipe=recipe,
            log_every=250,
            log=log,
            machine=machine(),
            torch=torch.__version__,
            seconds_of_last_call=round(time.perf_counter() - start),
        )


if __name__ == "__main__":
    main()
