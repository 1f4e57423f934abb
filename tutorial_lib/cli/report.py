"""What a comparison leaves behind: one JSON file, brought up to date after every method, and a sheet per split."""

import io
import time
import warnings
from datetime import datetime
from pathlib import Path

from tutorial_lib.cli import machine, results, table
from tutorial_lib.cli.evaluate import evaluate
from tutorial_lib.cli.pictures import Findings
from tutorial_lib.data import Split


class Report:
    """Collects rows while a comparison runs; a row is on the disk as soon as its method has finished."""

    def __init__(self, folder: Path, settings: dict):
        results.prepare(folder)
        self.stem = results.new_stem(folder, "compare", settings)
        self.settings, self.rows, self.data = settings, [], []
        self.started, self._clock = datetime.now().astimezone(), time.perf_counter()
        self._json = self.stem.with_name(f"{self.stem.name}.json")
        self._stored = self._done = False

    def begin(self, split: Split, found: Findings) -> None:
        """Start a split: hash its data, and choose the pictures of the contact sheet."""
        self._split, self._found, self._maps = split, found, {}
        self.data.append({"split": split.name, "fingerprint": split.fingerprint(), "counts": found.counts,
                          "pixel_truth": len(found.pixel_truth), "kinds": split.kinds, "paths": split.paths})
        self._shown = _examples(split, found)

    def evaluate(self, method: str, settings: dict) -> None:
        """Run one method. A method that cannot work with the data gets a row that says so; the others go on."""
        print(f"{method}: training …", flush=True)
        try:
            outcome = evaluate(method, self._split, self._found, self._shown, settings)
        except ValueError as error:
            if not type(error).__module__.startswith("tutorial_lib."):
                raise
            self.rows.append({"split": self._split.name, "method": method, "error": str(error)})
            self._store_row()
            return
        self.rows.append(outcome.row)
        self._store_row()
        if outcome.maps:
            self._maps[method] = [outcome.maps[index] for index in self._shown]
        row = outcome.row
        print(f"{method}: trained in {row['train_seconds']:.1f} s, scored {len(row['scores'])} pictures in "
              f"{row['score_seconds']:.1f} s" + (f", maps in {row['map_seconds']:.1f} s." if outcome.maps else "."),
              flush=True)

    def draw(self) -> None:
        """Draw the contact sheet of the current split; its lines are the first pictures of each kind, not the best."""
        from tutorial_lib.plots.contact import contact_sheet

        if not self._maps:
            if not any("error" in row for row in self.rows):
                print("No contact sheet: none of these methods has heat maps.")
            return
        split, shown, buffer = self._split, self._shown, io.BytesIO()
        place = {index: position for position, index in enumerate(self._found.pixel_truth)}
        masks = [self._found.masks[place[index]] if index in place else None for index in shown]
        fig = contact_sheet([split.test[i] for i in shown], masks, self._maps, [split.kinds[i] for i in shown],
                            f"{split.name}: the first pictures of each kind, one colour scale per method")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # a name in a script that the font lacks
            fig.savefig(buffer, format="png")
        number = len(self.data)
        path = results.write(self.stem.with_name(f"{self.stem.name}_sheet{number}.png"), buffer.getvalue())
        self.data[-1]["contact_sheet"] = path.name
        print(f"Heat maps: {path}")
        if "differnet" in self._maps:
            print("DifferNet's map shows where its score is sensitive, often beside the defect; chapter 08 says why.")

    def finish(self) -> None:
        """Write the JSON file for the last time and say where it is."""
        self._store(complete=True)
        self._done = True
        print(f"\n{table.LEGEND}\nNumbers, settings and versions: {self._json}")

    def keep(self) -> str:
        """After an interruption: say in a sentence what is on the disk."""
        if self._done:
            return f"The results are complete: {self._json}."
        if not self.rows:
            return "No method had finished, so nothing was stored; older results are unchanged."
        try:
            self._store(complete=False)
        except OSError as error:
            return f"The rows that were ready could not be stored ({error.strerror}); older results are unchanged."
        done = ", ".join(f"{row['method']} on {row['split']}" for row in self.rows)
        return f"Kept what was ready ({done}) in {self._json}."

    def _store(self, complete: bool) -> None:
        results.write(self._json, {
            "format": 1, "command": "compare", "complete": complete, "started": self.started.isoformat("T", "seconds"),
            "seconds": time.perf_counter() - self._clock, "settings": self.settings, "versions": machine.versions(),
            "machine": machine.description(self.rows[0].get("device", "cpu") if self.rows else "cpu"),
            "data": self.data, "rows": self.rows,
        }, replace=self._stored)
        self._stored = True

    def _store_row(self) -> None:
        try:
            self._store(complete=False)
        except OSError as error:
            print(f"Note: the results so far could not be stored ({error.strerror}); the next attempt comes after the "
                  "next method.")


def _examples(split: Split, found: Findings) -> list[int]:
    """Test indices to show: two normal pictures, then the first of each kind whose defect is marked, else its first."""
    first, marked = {}, set(found.pixel_truth)
    for index, kind in enumerate(split.kinds):
        if kind not in first or (first[kind] not in marked and index in marked):
            first[kind] = index
    good = [i for i, kind in enumerate(split.kinds) if kind == "good"][:2]
    return good + [index for kind, index in first.items() if kind != "good"]
