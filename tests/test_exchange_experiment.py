"""Chapter 10's experiment: rows differ in what they say and in nothing else; its stored table is complete."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tutorial_lib.experiments import exchange as study


def test_rows_differ_in_the_exchange_and_the_wider_one_trains_as_many_numbers():
    with_exchange, apart, wider = (study.make(row, 2, seed=3) for row in study.ROWS)
    differing = {name for name, value in dataclasses.asdict(apart.settings).items()
                 if value != getattr(with_exchange.settings, name)}
    assert differing == {"exchange"}
    assert apart.parameters_count() < 0.6 * with_exchange.parameters_count()
    assert wider.parameters_count() == pytest.approx(with_exchange.parameters_count(), rel=0.01)
    assert not wider.settings.exchange


@pytest.mark.slow
def test_a_row_is_judged_on_its_split_and_one_block_brings_the_row_without_a_flow(monkeypatch):
    data = study.split_of("washer", 0, 6, 3, 1)
    rows = study.row_of(data, "exchange", 1, 0, steps=2, hidden=4)
    assert [(row["row"], row["blocks"]) for row in rows] == [("exchange", 1), ("no flow", 0)]
    assert rows[0] == study.row_of(data, "exchange", 1, 0, steps=2, hidden=4)[0]
    detector = study.make("exchange", 1, 0, steps=2, hidden=4)
    detector.fit(data.train)
    assert rows[0]["auroc"] == study.judged(detector, data)["auroc"]
    front = detector.flow.transform[:1](detector.features(data.test))[0]
    assert rows[1]["auroc"] == round(float(study.metrics.auroc(
        torch.cat([z.flatten(1) for z in front], 1).square().mean(1) / 2, data.labels)), 4)
    assert len(study.row_of(data, "apart", 2, 0, steps=1, hidden=4)) == 1
