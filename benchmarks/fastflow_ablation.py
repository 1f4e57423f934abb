"""Chapter 11's tables: kernels, blocks, extractors and spoiled training sets, over three seeds.

    python benchmarks/fastflow_ablation.py                         about a quarter of an hour on one core
    python benchmarks/fastflow_ablation.py --weights pretrained    extractors with published weights, where there are

Writes ``benchmarks/results/11_fastflow_ablation.json`` (with ``pretrained``: ``11_fastflow_pretrained.json``): one row
per (study, product, seed, row, map) with the backbone's label and a hash of the images.
"""

from __future__ import annotations

import argparse
import time

import rows
import torch

from tutorial_lib import backbones, metrics
from tutorial_lib.backbones.cache import FeatureCache
from tutorial_lib.data import factory
from tutorial_lib.detectors import FastFlow, Patches
from tutorial_lib.experiments import map_flows as study
from tutorial_lib.experiments.side_by_side import contaminated

NAME = "11_fastflow_ablation"
FLOW = ("blocks", "kernels", "ratio", "steps", "images_per_step", "lr", "ridge")
SETTINGS = {"n_train": 150, "n_good": 30, "n_per_kind": 6, "size": 64, "extractor_size": 128,
            "channels": study.CHANNELS, "score": "maximum of the map"}
STEPS = 150  # of the small setting's 325, for all studies but that of the extractors
SEEDS = (0, 1, 2)
KERNELS = {"3x3": (3,), "3x3 and 1x1": (3, 1), "1x1": (1,)}
BLOCKS = (1, 2)
SHARES = (0.1,)
EXTRACTORS = {  # row: network, tap of stride 16, weights
    "embedded, trained": ("embedded", "stride16", "embedded"), "embedded, random": ("embedded", "stride16", "random"),
    "resnet18": ("resnet18", "layer3", None), "mobilenet_v3_large": ("mobilenet_v3_large", "project12", None),
    "vit_b_16": ("vit_b_16", "block8", None)}


def split_of(product: str, seed: int, size: int):
    """The images of one product and seed: normal ones to learn from, good and defective ones to be judged."""
    return factory.split(product, size, SETTINGS["n_train"], SETTINGS["n_good"], SETTINGS["n_per_kind"], seed)


def judged(heat: torch.Tensor, data) -> dict:
    """Image AUROC of the map's maximum, pixel AUROC, AUPRO, and the image AUROC of each kind of defect."""
    top, kinds = heat.amax((1, 2)), data.kinds
    by_kind = {}
    for kind in dict.fromkeys(k for k, bad in zip(kinds, data.labels.tolist(), strict=True) if bad):
        chosen = torch.tensor([k == kind for k in kinds]) | ~data.labels
        by_kind[kind] = round(metrics.auroc(top[chosen], data.labels[chosen]), 4)
    return {"auroc": round(metrics.auroc(top, data.labels), 4),
            "pixel_auroc": round(metrics.pixel_auroc(heat, data.masks), 4),
            "aupro": round(metrics.aupro(heat, data.masks), 4), "kinds": by_kind}


def fitted(train: torch.Tensor, seed: int, **changed) -> tuple[FastFlow, dict]:
    """A trained detector, and what is the same for all its rows."""
    detector = FastFlow.small(changed.pop("backbone", "embedded"), seed=seed, progress=False, **changed)
    history = detector.fit(train)
    return detector, {"backbone": detector.backbone_label, "parameters": detector.parameters_count(),
                      "loss": round(history["loss"][-1], 1), "seconds": round(history["seconds"], 1)}


def maps_rows(product: str, seed: int, row: str, **changed):
    """Kernels and blocks: one training, three maps; beside the first row the models that need no training."""
    data = split_of(product, seed, SETTINGS["size"])
    detector, same = fitted(data.train, seed, **changed)
    same |= {"data": data.fingerprint()}
    for name, heat in study.heat_maps(detector, data.test).items():
        yield {"row": row, "map": name} | judged(heat, data) | same
    if row == "3x3":
        still, same_still = fitted(data.train, seed, steps=1, lr=0.0)
        free = {"parameters": None, "loss": None, "seconds": None}
        yield {"row": "untrained flow", "map": "proxy"} | judged(still.anomaly_map(data.test), data) | same | {
            "loss": same_still["loss"]}
        gaussian = study.position_gaussian_map(detector, data.train, data.test)
        yield {"row": "Gaussian per place", "map": "proxy"} | judged(gaussian, data) | same | free
        memory = Patches.small(seed=seed, size=SETTINGS["size"], taps=detector.settings.taps or
                               tuple(detector.backbone.taps), progress=False)
        memory.fit(data.train)
        yield {"row": "patches", "map": "distance"} | judged(memory.anomaly_map(data.test), data) | same | free


def spoiled_rows(product: str, seed: int, share: float, steps: int):
    """The 3x3 flow after training images of which a share is defective."""
    data = split_of(product, seed, SETTINGS["size"])
    detector, same = fitted(contaminated(data, product, share, seed).train, seed, steps=steps)
    yield {"row": f"{share:g}", "map": "proxy"} | judged(detector.anomaly_map(data.test), data) | same | {
        "data": data.fingerprint()}


def extractor_rows(product: str, seed: int, row: str, weights: str | None = None):
    """One extractor behind the same flow: one tap of stride 16 on images of 128 px, the same number of channels."""
    name, tap, own = EXTRACTORS[row]
    inner = backbones.load(name, weights or own, seed, (tap,))
    data = split_of(product, seed, SETTINGS["extractor_size"])
    backbone = study.Thinned(FeatureCache(limit=0).of(inner), seed)  # every image once
    detector, same = fitted(data.train, seed, backbone=backbone, size=SETTINGS["extractor_size"])
    same |= {"data": data.fingerprint(), "parameters": sum(p.numel() for p in detector.heads.parameters()),
             "backbone_parameters": sum(p.numel() for p in inner.parameters())}
    yield {"row": row, "map": "proxy"} | judged(detector.anomaly_map(data.test), data) | same
    gaussian = study.position_gaussian_map(detector, data.train, data.test)
    yield {"row": f"{row}, Gaussian per place", "map": "proxy"} | judged(gaussian, data) | same


def image_ms(row: str) -> float:
    """Processor time of one image of 128 px through an extractor up to its tap, in milliseconds: the best of three."""
    name, tap, own = EXTRACTORS[row]
    network, times = backbones.load(name, own, 0, (tap,)), []
    images = split_of("washer", 0, SETTINGS["extractor_size"]).test[:4]
    for _ in range(4):  # the first one allocates
        start = time.process_time()
        network(images)
        times.append(1000 * (time.process_time() - start) / len(images))
    return round(min(times[1:]), 1)


def jobs(weights: str | None):
    """(study, product, seed, function, arguments) of every cell."""
    if weights is None:
        for seed in SEEDS:
            for product in ("washer", "board"):
                for row, kernels in KERNELS.items():
                    yield "kernels", product, seed, maps_rows, {"row": row, "kernels": kernels, "steps": STEPS}
        for seed in SEEDS:
            for share in SHARES:
                yield "spoiled", "washer", seed, spoiled_rows, {"share": share, "steps": STEPS}
            for n in BLOCKS:
                yield "blocks", "washer", seed, maps_rows, {"row": str(n), "blocks": n, "steps": STEPS}
    for seed in SEEDS:
        for row, (_, _, own) in EXTRACTORS.items():
            if (weights is None or own is None) and (seed == 0 or row != "vit_b_16"):  # a minute for each seed
                yield "extractors", "washer", seed, extractor_rows, {"row": row, "weights": weights}


def main() -> None:
    """Run what is not there yet, then write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", choices=["pretrained"])
    weights = parser.parse_args().weights
    torch.set_num_threads(1)
    found, todo, embedded = [], list(jobs(weights)), backbones.load().label
    for done, (kind, product, seed, function, arguments) in enumerate(todo):
        name = {"study": kind, "product": product, "seed": seed}
        rows.report(done, len(todo), f"{kind} {product} {seed} {arguments}")
        other = kind == "extractors" and EXTRACTORS[arguments["row"]][2] != "embedded"
        label = "another" if other else embedded  # other extractors need not run again when the embedded one changes
        cell = rows.row_of(name | {"of": NAME, "embedded": label, "settings": SETTINGS} | arguments,
                           lambda: {"rows": list(function(product, seed, **arguments))})  # noqa: B023  called at once
        found += [name | {k: v for k, v in row.items() if k != "image_ms"} for row in cell["rows"]]
    flow = {name: getattr(FastFlow.Settings(), name) for name in FLOW}
    rows.write(f"11_fastflow_{weights}" if weights else NAME, __doc__.splitlines()[0],
               SETTINGS | {"flow": flow, "steps": STEPS}, SEEDS, found,
               image_ms={row: image_ms(row) for row in EXTRACTORS})


if __name__ == "__main__":
    main()
