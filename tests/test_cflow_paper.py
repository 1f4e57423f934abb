"""CFlow-AD's numbers: settings, parameter counts, position code, loss, rates and loops of the released code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tutorial_lib.data import factory
from tutorial_lib.detectors import CFlow
from tutorial_lib.detectors.cflow_schedule import Passes, cosine
from tutorial_lib.flows import position_code


def small(**overrides) -> CFlow:
    numbers = {"size": 64, "weights": "random", "steps": 3, "vectors_per_step": 64, "blocks": 2, "position_dim": 8,
               "taps": ("stride4", "stride8")}
    return CFlow.small(progress=False, **numbers | overrides)


def paper(**overrides) -> CFlow:
    return CFlow.paper(progress=False, **{"weights": "random", "backbone": "resnet18"} | overrides)


def test_the_paper_setting_holds_the_published_numbers():
    expected = {"backbone": "wide_resnet50_2", "weights": "pretrained", "taps": ("layer2", "layer3", "layer4"),
                "size": 256, "blocks": 8, "width": 2, "alpha": 1.9, "mixing": "rotation", "position": True,
                "position_dim": 128, "whiten": False, "loss": "log-sigmoid", "align_corners": True, "steps": 0,
                "vectors_per_step": 256, "images_per_step": 32, "meta_epochs": 25, "sub_epochs": 8, "warm_epochs": 2,
                "rotation": 5.0, "lr": 2e-4}
    settings = CFlow.paper().settings
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize(("backbone", "per_tap"), [("wide_resnet50_2", (5_523_456, 17_074_176, 59_049_984)),
                                                   ("resnet18", (989_184, 2_107_392, 5_523_456))])
def test_parameters_are_counted_as_published_and_do_not_grow_with_the_image(backbone, per_tap):
    detector, total = paper(backbone=backbone), {"wide_resnet50_2": 81_647_616, "resnet18": 8_620_032}[backbone]
    assert detector.parameters_count() == sum(per_tap) == total
    assert tuple(paper(backbone=backbone, taps=(tap,)).parameters_count() for tap in detector.settings.taps) == per_tap
    assert paper(backbone=backbone, size=512).parameters_count() == detector.parameters_count()


def test_one_block_is_coupling_scale_and_rotation_with_one_hidden_layer_of_twice_its_inputs():
    coupling, scale, rotation = paper(blocks=1).build_flow(64).transform
    assert [(m.in_features, m.out_features) for m in coupling.scale_shift.net[::2]] == [(160, 320), (320, 64)]
    assert coupling.scale_shift.clamp(torch.tensor(1e9)) == 1.9
    assert torch.allclose(scale.scale(), torch.ones(64), atol=1e-6)
    assert scale.q[0].item() == pytest.approx(9.98648, abs=1e-5)
    assert torch.linalg.det(rotation.matrix.double()).item() == pytest.approx(1, abs=1e-5)


def test_the_position_code_has_the_check_values_and_counts_columns_first():
    code = position_code(128, 32, 32)
    at = code[:, 5, 7]
    assert at[:4].tolist() == pytest.approx([0.656987, 0.753902, -0.859313, 0.511449], abs=1e-6)
    assert at[62:66].tolist() == pytest.approx([0.000933, 1.0, -0.958924, 0.283662], abs=1e-6)
    assert at[126:].tolist() == pytest.approx([0.000667, 1.0], abs=1e-6)
    torch.testing.assert_close(code.square().sum(0), torch.full((32, 32), 64.0))
    assert (code[:64] == code[:64, :1]).all()  # half of it is the same in every row
    assert (code[64:] == code[64:, :, :1]).all()  # and half in every column
    assert len(code.flatten(1).T.unique(dim=0)) == 1024
    assert position_code(8, 3, 5).shape == (8, 3, 5)


def test_the_loss_is_the_log_sigmoid_of_the_likelihood_per_channel():
    detector, flow = small(position=False, mixing="permutation"), small(position=False).build_flow(4)
    flow.transform.transforms = flow.transform.transforms[:0]  # no transform: z = x
    likely = detector.likelihood(flow, torch.zeros(1, 4), None)
    assert likely.item() == pytest.approx(-0.918939, abs=1e-6)
    assert detector.loss(likely).item() == pytest.approx(1.2547, abs=5e-5)
    far = torch.tensor([-1e4, 30.0], requires_grad=True)
    detector.loss(far).sum().backward()
    assert detector.loss(far).tolist() == pytest.approx([1e4, 0], abs=1e-6)
    assert far.grad.tolist() == pytest.approx([-1, 0], abs=1e-6)
    assert small(loss="nll").loss(far).tolist() == [1e4, -30]


def test_learning_rates_are_those_of_the_table():
    table = {0: 2.0, 2: 1.96861, 5: 1.80921, 12: 1.06373, 20: 0.19279, 24: 0.00988}
    assert {e: round(1e4 * cosine(2e-4, e / 25), 5) for e in table} == table
    plan = Passes(64, (1024, 256, 64), 256, 32, 25, 8, 2, 2e-4, seed=0)
    assert plan.chunks == (128, 32, 8)
    assert plan.steps == 25 * 8 * 2 * 168
    rates = [plan.rate(168 * k) for k in range(50 * 8)]  # one for each batch of images
    assert rates[0] == pytest.approx(2e-5)
    assert rates[16] == pytest.approx((2e-5 + 1.96861e-4) / 2, rel=1e-5)
    np.testing.assert_allclose(np.diff(rates[:33]), (1.96861e-4 - 2e-5) / 32, rtol=1e-4)
    assert [round(1e4 * rates[16 * e], 5) for e in (2, 5, 12, 20, 24)] == [table[e] for e in (2, 5, 12, 20, 24)]


def test_a_pass_shows_every_image_once_and_no_vector_twice():
    plan, seen = Passes(7, (16, 4), 5, 3, 1, 1, 0, 1e-3, seed=0), {}
    for step in range(plan.steps):
        draw = plan.draw(step)
        ((tap, rows),) = draw.rows.items()
        assert len(rows) == 5 and rows.max() < 3 * (16, 4)[tap]
        seen.setdefault((draw.images, tap), []).extend(rows.tolist())
    assert [len(v) for v in seen.values()] == [45, 10, 45, 10]  # 48 and 12 vectors: what fills no chunk is left out
    assert all(len(v) == len(set(v)) for v in seen.values())
    first, second = dict.fromkeys(images for images, _ in seen)
    assert not set(first) & set(second)


def test_the_papers_loops_train_on_images_turned_anew(monkeypatch):
    images, seen = factory.normal("washer", 6, size=64), []
    detector = small(steps=0, rotation=5.0, whiten=False, meta_epochs=2, sub_epochs=1, warm_epochs=1, images_per_step=4)
    plain = detector.maps
    monkeypatch.setattr(detector, "maps", lambda batch: seen.append(batch) or plain(batch))
    assert detector.fit(images)["steps"] == 2 * (4 * 256 // 64 + 4 * 64 // 64)
    turned = torch.cat([batch for batch in seen if len(batch) == 4])  # the other calls look at all six as they are
    assert len(turned) == 8
    distance = (turned[:, None] - images).abs().mean((2, 3, 4)).amin(1)  # to the nearest of the originals
    assert (distance > 0).sum() > 4  # an angle below one degree moves no pixel of so small an image
    assert distance.max() < 0.1
