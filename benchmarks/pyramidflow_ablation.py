"""Chapter 12's table: levels, normalisation, channels, normals in the template, resolution, over three seeds.

    python benchmarks/pyramidflow_ablation.py        about five minutes on one core, no backbone

Writes ``benchmarks/results/12_pyramidflow.json``: one row per (study, product, seed, row) with a hash of the images.
Everything not named in a row is ``PyramidFlow.small`` with half its steps. Beside each product stand the flow before
its first step and two baselines on the same images. ``gain`` says how much longer the trained flow makes small noise in
the colours of the images (``image``) and in the directions that the stem leaves empty (``empty``; none with three
channels).
"""

from __future__ import annotations

import rows
import torch

from tutorial_lib import detectors, metrics
from tutorial_lib.data import factory
from tutorial_lib.detectors import PyramidFlow

NAME = "12_pyramidflow"
SETTINGS = {"n_train": 100, "n_good": 30, "n_per_kind": 6, "size": 64, "steps": 100, "score": "maximum of the map"}
FLOW = ("levels", "channels", "stacks", "kernel", "down", "norm", "images_per_step", "lr", "map_sigma")
SEEDS = (0, 1, 2)
TEMPLATES = (1, 4, 16)  # normals; all of them are the row "small"
STUDIES = {  # study: row: changed settings
    "levels": {"2": {"levels": 2}},
    "normalisation": {"spatial": {"norm": "spatial"}},
    "channels": {"8": {"channels": 8}},
    "resolution": {"32": {"size": 32}},
}


def split_of(product: str, seed: int, size: int):
    """The images of one product and seed: normal ones to learn from, good and defective ones to be judged."""
    return factory.split(product, size, SETTINGS["n_train"], SETTINGS["n_good"], SETTINGS["n_per_kind"], seed)


def judged(heat: torch.Tensor, data) -> dict:
    """Image AUROC of the map's maximum, pixel AUROC and AUPRO."""
    return {"auroc": round(metrics.auroc(heat.amax((1, 2)), data.labels), 4),
            "pixel_auroc": round(metrics.pixel_auroc(heat, data.masks), 4),
            "aupro": round(metrics.aupro(heat, data.masks), 4)}


@torch.no_grad()
def gain(detector: PyramidFlow, images: torch.Tensor, size: float = 1e-2) -> dict:
    """Length of the flow's answer to small noise, relative to that of the noise, for the two kinds of direction."""
    model, draw, found = detector.model, torch.Generator().manual_seed(0), {}
    x = model.pyramid(detector.features(model, images))
    colours = model.stem.weight @ model.stem.weight.T  # (C, C): keeps what an image can hold
    noise = [size * torch.randn(p.shape, generator=draw) for p in x]
    for name, kept in (("image", colours), ("empty", torch.eye(len(colours)) - colours)):
        small = tuple(torch.einsum("cd,bdhw->bchw", kept, n) for n in noise)
        shifted = model.flow(tuple(a + b for a, b in zip(x, small, strict=True)))[0]
        out = sum(float((a - b).square().sum()) for a, b in zip(shifted, model.flow(x)[0], strict=True)) ** 0.5
        length = sum(float(p.square().sum()) for p in small) ** 0.5
        found[name] = round(out / length, 3) if length > 1e-3 * size else None
    return found


def trained_rows(product: str, seed: int, row: str, **changed):
    """One training; with the row "small" the smaller templates of the same flow, and what needs no training."""
    data = split_of(product, seed, changed.get("size", SETTINGS["size"]))
    detector = PyramidFlow.small(seed=seed, progress=False, device="cpu", **{"steps": SETTINGS["steps"]} | changed)
    history = detector.fit(data.train)
    first = sum(history["loss"][:10]) / 10
    same = {"loss_first": round(first, 4), "loss_last": round(sum(history["loss"][-10:]) / 10, 4),
            "seconds": round(history["seconds"], 1), "parameters": detector.parameters_count(),
            "data": data.fingerprint()}
    latents = detector.latents(data.test)
    heat = detector.level_maps(latents, detector.template).sum(1)
    yield {"row": row} | judged(heat, data) | {"gain": gain(detector, data.test[:8])} | same
    if row != "small":
        return
    for n in TEMPLATES:
        heat = detector.level_maps(latents, detector.build_template(data.train[:n])).sum(1)
        yield {"row": f"template of {n}"} | judged(heat, data) | same
    still = PyramidFlow.small(seed=seed, progress=False, device="cpu", steps=1, lr=1e-12)
    still.fit(data.train)
    yield {"row": "untrained"} | judged(still.anomaly_map(data.test), data) | {"data": data.fingerprint()}
    pca = detectors.create("pca", seed=seed, size=SETTINGS["size"], progress=False, device="cpu")
    pca.fit(data.train)
    yield {"row": "pca", "data": data.fingerprint(), "pixel_auroc": None, "aupro": None,
           "auroc": round(metrics.auroc(pca.score(data.test), data.labels), 4)}
    mean = (data.test - data.train.mean(0)).abs().mean(1)
    yield {"row": "pixel template"} | judged(mean, data) | {"data": data.fingerprint()}


def jobs():
    """(study, product, seed, arguments) of every cell."""
    for seed in SEEDS:
        for product in ("washer", "board"):
            yield "small", product, seed, {"row": "small"}
            for study, table in STUDIES.items():
                for row, changed in table.items():
                    yield study, product, seed, {"row": row} | changed


def main() -> None:
    """Run what is not there yet, then write the file."""
    torch.set_num_threads(1)
    numbers = {name: getattr(PyramidFlow.Settings(), name) for name in FLOW}
    found, todo = [], list(jobs())
    for done, (study, product, seed, arguments) in enumerate(todo):
        name = {"study": study, "product": product, "seed": seed}
        rows.report(done, len(todo), f"{study} {product} {seed} {arguments}")
        cell = rows.row_of(name | {"of": NAME, "settings": SETTINGS, "flow": numbers} | arguments,
                           lambda: {"rows": list(trained_rows(product, seed, **arguments))})  # noqa: B023  at once
        found += [name | row for row in cell["rows"]]
    rows.write(NAME, __doc__.splitlines()[0], SETTINGS | {"flow": numbers}, SEEDS, found)


if __name__ == "__main__":
    main()
