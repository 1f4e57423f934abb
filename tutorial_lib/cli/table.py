"""Rows into a table of plain text, aligned, with a dash where a method has no such number."""

import shutil
import textwrap

COLUMNS = {
    "method": ("method", "{}"),
    "image_auroc": ("image AUROC", "{:.3f}"),
    "image_auroc_interval": ("95 % interval", "{0[0]:.3f}–{0[1]:.3f}"),
    "average_precision": ("AP", "{:.3f}"),
    "pixel_auroc": ("pixel AUROC", "{:.3f}"),
    "aupro": ("AUPRO", "{:.3f}"),
    "train_seconds": ("train s", "{:.1f}"),
    "images_per_second": ("images/s", "{:.0f}"),
    "parameters": ("parameters", "{:,}"),
    "peak_memory_mib": ("peak MiB", "{:.0f}"),
    "backbone": ("backbone and weights", "{}"),
}
LEFT = ("method", "backbone")
LEGEND = textwrap.fill(
    "image AUROC with its 95 % bootstrap interval over the test pictures; AP average precision; AUPRO up to 30 % false "
    "positives; train s includes features; images/s is scoring without maps; parameters: numbers that fitting sets, "
    "without the frozen backbone; peak MiB: the most memory that the whole process held while the method ran.",
    width=110,
)


def text(rows: list[dict], width: int | None = None) -> str:
    """The table, in two blocks (quality, cost) where it would be wider than ``width`` columns (None: the terminal).

    A row with ``error`` instead of numbers shows the sentence.
    """
    width = shutil.get_terminal_size((160, 24)).columns if width is None else width
    good = [row for row in rows if "error" not in row]
    table = _block(good, list(COLUMNS))
    if max(map(len, table)) > width:
        table = [*_block(good, list(COLUMNS)[:6]), "", *_block(good, ["method", *list(COLUMNS)[6:]])]
    return "\n".join(table + [f"{row['method']}: failed. {row['error']}" for row in rows if "error" in row])


def kinds(rows: list[dict]) -> str:
    """Image AUROC per kind of defect: one line per kind, one column per method."""
    rows = [row for row in rows if "error" not in row]
    names = list(rows[0]["per_kind"]) if rows else []
    width = max([len("image AUROC by kind"), *(len(name) + 6 for name in names)])
    lines = ["image AUROC by kind".ljust(width) + "".join(f"{row['method']:>13}" for row in rows)]
    for name in names:
        label = f"{name} ({rows[0]['per_kind'][name]['n']})"
        lines.append(label.ljust(width) + "".join(f"{row['per_kind'][name]['image_auroc']:13.3f}" for row in rows))
    return "\n".join(lines) if names else ""


def _block(rows: list[dict], keys: list[str]) -> list[str]:
    cells = [[COLUMNS[key][0] for key in keys], *([_cell(row, key) for key in keys] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(w) if key in LEFT else cell.rjust(w)
                       for key, cell, w in zip(keys, line, widths, strict=True)).rstrip() for line in cells]
    return [lines[0], "─" * max(map(len, lines)), *lines[1:]]


def _cell(row: dict, key: str) -> str:
    value = row.get(key)
    return "–" if value is None else COLUMNS[key][1].format(value)
