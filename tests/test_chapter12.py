"""The statements of chapter 12 as laws: displacement, pyramids, who pays for shrinking, templates, wrong order."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from tutorial_lib.data import factory
from tutorial_lib.detectors.pyramidflow import PyramidFlow
from tutorial_lib.detectors.views import rotate
from tutorial_lib.experiments import texture_faults, volume
from tutorial_lib.flows.pyramid import laplacian_join, laplacian_split
from tutorial_lib.flows.volume import ChannelVolumeNorm, UnitVolume1x1

CHAPTER = Path(__file__).parents[1] / "course" / "chapters" / "12_pyramidflow.py"


def cell(words: str) -> dict:
    """The names that one code cell of the chapter defines."""
    source = next(part for part in re.split(r"^# %%", CHAPTER.read_text(encoding="utf-8"), flags=re.M) if words in part)
    names = {"torch": torch}
    exec(source.split("\n", 1)[1], names)
    return names


# ---- rungs 1 and 2 -----------------------------------------------------------------------------------------------

def test_a_small_turn_of_a_good_board_does_more_than_a_missing_chip():
    boards = factory.normal("board", 16, size=64, seed=0)
    common = boards[:10].mean(0)
    turned = rotate(boards[10:], torch.full((6,), 5.0), fill="reflect")
    missing = factory.defective("board", "missing", 6, size=64, seed=0)[0]
    good, aside, defect = ((x - common).abs().mean((1, 2, 3)) for x in (boards[10:], turned, missing))
    assert aside.mean() > 1.5 * good.mean() and aside.min() > max(good.max(), defect.max())


def test_a_nonsense_pyramid_is_undone_exactly_and_holds_up_to_four_thirds_as_many_numbers():
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def zeros_between(small):
        large = small.new_zeros(*small.shape[:2], 2 * small.shape[2], 2 * small.shape[3])
        large[..., ::2, ::2] = small
        return large

    parts = laplacian_split(x, 4, lambda g: 0.7 * g[..., ::2, ::2] - 1.3 * g[..., 1::2, 1::2], zeros_between)
    assert (laplacian_join(parts, zeros_between) - x).abs().max() < 1e-6
    assert sum(p[0, 0].numel() for p in parts) == 5440 < 4 / 3 * 4096


# ---- who pays for shrinking --------------------------------------------------------------------------------------

@pytest.mark.slow
def test_without_volume_normalisation_the_loss_falls_because_everything_shrinks():
    boards = factory.normal("board", 40, size=64, seed=0)[:, :, ::2, ::2].contiguous()
    runs = {norm: list(volume.trained_in_view(boards, norm, steps=40, size=32))
            for norm in ("none", "channel")}
    assert runs["none"][0][0] == pytest.approx(runs["channel"][0][0])              # the same start
    assert runs["none"][-1][0] < 0.1 * runs["channel"][-1][0]
    assert runs["none"][-1][1] < -2
    assert max(abs(log_det) for _, log_det in runs["channel"]) < 1e-5


@pytest.mark.parametrize("norm", ["channel", "spatial"])
def test_the_volume_statement_holds_for_a_training_batch_with_channel_and_nowhere_else(norm):
    batch, flow = volume.tiny_batch(), volume.tiny_flow(norm).train()
    alone = flow(batch)[1].detach()
    assert float(alone.abs().min()) > 0.3                                          # no sample keeps its volume
    assert float(alone.sum()) == pytest.approx(volume.joint_log_det(flow, batch), abs=1e-9)
    if norm == "channel":
        assert volume.joint_log_det(flow, batch) == pytest.approx(0, abs=1e-9)
    else:
        assert abs(volume.joint_log_det(flow, batch)) > 0.3
    flow.eval()
    assert abs(volume.joint_log_det(flow, batch)) > 0.3
    one = tuple(level[:1] for level in batch)
    assert volume.joint_log_det(flow, one) == pytest.approx(float(flow(batch)[1][0].detach()), abs=1e-9)


def test_unit_volume_is_a_rotation_at_the_start_and_only_there():
    mixing = UnitVolume1x1(4, seed=0)
    assert torch.allclose(torch.linalg.svdvals(mixing.matrix().detach()), torch.ones(4), atol=1e-5)
    optimiser = torch.optim.Adam(mixing.parameters(), lr=0.05)
    for _ in range(20):
        optimiser.zero_grad()
        (mixing.matrix() - torch.diag(torch.tensor([3.0, 2.0, 0.5, 0.2]))).square().sum().backward()
        optimiser.step()
    values = torch.linalg.svdvals(mixing.matrix().detach())
    assert float(values.prod()) == pytest.approx(1, abs=1e-5) and float(values.max()) > 1.5


def test_the_loss_in_frequencies_charges_concentration():
    even, single = torch.full((1, 64, 64), 1 / 4096), torch.zeros(1, 64, 64)
    single[0, 20, 30] = 1.0
    assert float(PyramidFlow.fourier(single) / PyramidFlow.fourier(even)) == pytest.approx(4096, rel=1e-4)


def test_the_released_running_mean_drags_its_graph_along_and_does_not_load():
    names = cell("class AsReleased")
    weight, sizes, states = torch.ones(1, requires_grad=True), {}, {}
    for name, norm in (("released", names["AsReleased"]()), ("here", ChannelVolumeNorm((4, 4)))):
        sizes[name] = []
        for _ in range(3):
            norm.track(weight * torch.ones(2, 3, 4, 4))
            sizes[name].append(names["graph_nodes"](norm.running_mean))
        states[name] = norm.state_dict()
    assert sizes["here"] == [0, 0, 0] and 0 < sizes["released"][0] < sizes["released"][1] < sizes["released"][2]
    ChannelVolumeNorm((4, 4)).load_state_dict(states["here"])
    with pytest.raises(RuntimeError, match="size mismatch"):
        names["AsReleased"]().load_state_dict(states["released"])


# ---- latents, templates, textures --------------------------------------------------------------------------------

def test_a_moved_latent_is_the_latent_of_no_image():
    boards = factory.normal("board", 8, size=32, seed=0)
    flow = PyramidFlow.small(size=32, levels=3, channels=6, stacks=1, steps=3, progress=False)
    flow.fit(boards)
    z = flow.latents(boards[:1])
    assert float((flow.decode(z) - boards[:1]).abs().max()) < 1e-4
    generator = torch.Generator().manual_seed(0)
    moved = tuple(level + 0.1 * torch.randn(level.shape, generator=generator) for level in z)
    again = flow.latents(flow.decode(moved).clamp(0, 1))

    def distance(u, v):
        return math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(u, v, strict=True)))

    assert distance(again, moved) > 0.3 * distance(moved, z)


@pytest.mark.parametrize("name", texture_faults.FAULTS)
def test_a_texture_fault_brings_no_new_value_and_stays_in_its_mask(name):
    images = factory.normal("carpet", 6, size=64, seed=0)
    made, masks = texture_faults.FAULTS[name](images, seed=1)
    changed = (made - images).abs().amax(1) > 0
    assert not (changed & ~masks).any() and changed[masks].float().mean() > 0.9
    assert all(int(mask.sum()) == (64 // texture_faults.SHARE) ** 2 for mask in masks)
    if name != "pattern missing":
        for image, other in zip(images, made, strict=True):
            assert torch.isin(other.flatten(1)[0], image.flatten(1)[0]).all()
    else:
        assert all(float(other[0][mask].std()) < 1e-6 for other, mask in zip(made, masks, strict=True))
