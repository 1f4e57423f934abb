"""What each stored detector differs in from its method's small setting, to be small enough to travel."""

from __future__ import annotations

CATEGORIES = ("washer", "board")
SPLIT = {"size": 64, "n_train": 100, "n_good": 60, "n_per_kind": 10, "seed": 0}
_FINE = ("stride4", "stride8")  # the taps that see 39 and 95 pixels

SETTINGS: dict[str, dict] = {
    "pca": {},
    "mahalanobis": {"scales": 1, "pooling": ("mean",), "taps": _FINE},    # 144 features instead of 1344
    "gaussian": {"channels": 20},                                         # 20 of 144 channels at 256 positions
    "differnet": {"scales": 1, "pooling": ("mean",), "taps": _FINE, "hidden": 64},
    "cflow": {"taps": _FINE, "width": 1, "position_dim": 32},
    "fastflow": {"taps": _FINE},
    "csflow": {"taps": ("stride4",), "blocks": 2, "hidden": 12},
    "pyramidflow": {},
}
METHODS = tuple(SETTINGS)
SEED = 0
