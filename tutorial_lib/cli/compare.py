"""``python -m tutorial_lib compare``: train the methods, score them, print the table, store it, draw the heat maps."""

import difflib
import sys
import warnings
from pathlib import Path

from tutorial_lib import data, detectors
from tutorial_lib.cli import pictures, table
from tutorial_lib.cli.errors import CommandError, Parser
from tutorial_lib.cli.report import Report

FACTORY = {"n_train": 60, "n_good": 20, "n_per_kind": 4}  # small enough for four products in two minutes
PRODUCTS = ("carpet", "metal", "washer", "board")         # these four; the others when they are named
METHODS = ("pca", "mahalanobis", "gaussian", "differnet")  # likewise


def run(argv: list[str]) -> int:
    """Compare methods on a folder of photographs, or without ``--data`` on the defect factory: the exit code."""
    options = _parser().parse_args(argv)
    methods = _methods(",".join(options.methods))
    _check(options)
    report = Report(options.out, {
        "methods": methods, "size": options.size, "seed": options.seed, "category": options.category,
        "train_list": options.train_list and options.train_list.name, "setting": "small", "device": options.device,
        "factory": None if options.data else FACTORY,
    })
    print(f"Every method in its 'small' setting: pictures at {options.size} px, seed {options.seed}. These are budgets "
          "for two processor cores, not the papers' numbers.", flush=True)
    if options.data is None and options.category is None:
        print(f"Products of the defect factory: {', '.join(PRODUCTS)}. '--category all' compares on all "
              f"{len(data.factory.CATEGORIES)}.", flush=True)
    try:
        for split in _splits(options):
            _one_split(split, methods, options, report)
        report.finish()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped. {report.keep()}") from None
    except BaseException:
        if report.rows:
            print(report.keep(), file=sys.stderr)
        raise
    failed = [f"{row['method']} on {row['split']}: {row['error']}" for row in report.rows if "error" in row]
    if failed:
        raise CommandError(f"{len(failed)} of {len(report.rows)} runs failed. The first: {failed[0]}")
    return 0


def _one_split(split: data.Split, methods: list[str], options, report: Report) -> None:
    found = pictures.inspect(split, _bars())
    print(f"\n{split.name}. " + " ".join(pictures.in_words(found)))
    for note in found.notes:
        print(f"Note: {note}")
    if found.problems:
        more = f" And {len(found.problems) - 1} more." if len(found.problems) > 1 else ""
        raise CommandError(f"{found.problems[0]}{more} Nothing was trained. 'python -m tutorial_lib doctor "
                           f"{options.data}' lists every problem of the folder.")
    report.begin(split, found)
    for method in methods:
        report.evaluate(method, {"size": options.size, "seed": options.seed, "device": options.device,
                                 "progress": _bars()})
    rows = [row for row in report.rows if row["split"] == split.name]
    print(f"\n{table.text(rows)}\n\n{table.kinds(rows)}", flush=True)
    report.draw()


def _splits(options):
    """The splits to compare on, one after the other, so that only one is in memory."""
    if options.data is None:
        for category in _products(options.category):
            yield data.factory.split(category, size=options.size, seed=options.seed, **FACTORY)
        return
    several = data.folder.categories(options.data) if options.data.is_dir() else []
    alone = options.category or (options.data / "train").is_dir() or not several
    if options.train_list and not alone and len(several) > 1:
        raise CommandError(f"--train-list belongs to one category, and {options.data} holds {', '.join(several)}. Say "
                           "which one with --category.")
    for category in [options.category] if alone else several:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            split = data.folder.read(options.data, category, options.train_list)
        for warning in caught:
            print(f"Note: {warning.message}")
        yield split


def _check(options) -> None:
    if not 32 <= options.size <= 1024:
        raise CommandError(f"--size is {options.size}. Expected 32 to 1024 pixels; 128 suits two processor cores.")
    if options.seed < 0:
        raise CommandError(f"--seed is {options.seed}. Expected 0 or a positive whole number.")
    if options.data is None and options.train_list:
        raise CommandError("--train-list needs photographs. Name their folder with --data.")
    if options.data is None:
        _products(options.category)


def _products(text: str | None) -> tuple[str, ...]:
    """The factory's products that ``--category`` names: one, several with commas between, or ``all``."""
    if text is None:
        return PRODUCTS
    if text.strip() == "all":
        return data.factory.CATEGORIES
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names or ("",):
        if name not in data.factory.CATEGORIES:
            raise CommandError(f"The factory makes no '{name}'. Choose from {', '.join(data.factory.CATEGORIES)}, or "
                               "say 'all', or name a folder of photographs with --data.")
    return names


def _methods(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise CommandError(f"--methods names no method. Choose from {', '.join(detectors.NAMES)}, with commas between.")
    for name in names:
        if name not in detectors.NAMES:
            near = difflib.get_close_matches(name, detectors.NAMES, n=1)
            meant = f"Did you mean '{near[0]}'? " if near else ""
            raise CommandError(f"There is no method '{name}'. {meant}Choose from {', '.join(detectors.NAMES)}.")
    return names


def _bars() -> bool:
    return sys.stderr.isatty()


def _parser() -> Parser:
    parser = Parser(prog="python -m tutorial_lib compare", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--data", type=Path, metavar="PATH",
                        help="folder in the layout of MVTec AD (default: the defect factory)")
    parser.add_argument("--category", metavar="NAME,NAME",
                        help="one folder inside --data (default: every one); without --data, products of the factory: "
                             f"{', '.join(data.factory.CATEGORIES)}, or all (default: {','.join(PRODUCTS)}: "
                             "under two minutes on two cores)")
    parser.add_argument("--train-list", type=Path, metavar="FILE",
                        help="text file with the names of the normal pictures to train on; the others are tested on")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="NAME,NAME",
                        help=f"of {','.join(detectors.NAMES)} (default: {','.join(METHODS)})")
    parser.add_argument("--size", type=int, default=128, help="side in pixels that pictures are resized to "
                                                              "(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER", help="default: results/")
    return parser
