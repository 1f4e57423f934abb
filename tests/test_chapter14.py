"""The statements of chapter 14 as laws: the blamed place, the rotation, the two halves, near and far, the walks."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from tutorial_lib import stored
from tutorial_lib.experiments import hunt
from tutorial_lib.explorer import blame, distribution, places, projection, walks
from tutorial_lib.explorer.likelihood import PRIOR, VOLUME
from tutorial_lib.widgets import picture_flows

pytestmark = pytest.mark.slow


def test_a_limit_leaves_one_good_image_in_twenty_above():
    values, good = torch.arange(100.0).flip(0), torch.arange(100) < 60  # the good ones are 99 down to 40
    assert hunt.limit(values, good) == 96.0
    assert int((values[good] > hunt.limit(values, good)).sum()) == 3


def test_shares_count_the_nearer_pairs():
    d = torch.tensor([[0.0, 1, 5], [1, 0, 3], [5, 3, 0]])
    assert torch.equal(hunt.shares_below(d), torch.tensor([[0, 0, 1], [0, 0, 0.5], [1, 0.5, 0]]).double())


def test_a_repair_changes_the_disc_and_nothing_else():
    image, donor = torch.zeros(3, 32, 32), torch.ones(3, 32, 32)
    found = hunt.repaired(image, donor, (10, 20), 5)
    assert found[0, 10, 20] == 1 and found[0, 10, 24] == 1 and found[0, 10, 27] == 0 and found[0, 30, 2] == 0
    assert torch.equal(hunt.repaired(donor, donor, (1, 1), 9), donor)


def test_a_move_keeps_the_picture_and_its_size():
    image = torch.rand(3, 32, 32)
    assert torch.equal(hunt.moved(image, 0, 0), image)
    found = hunt.moved(image, -3, 2)
    assert found.shape == image.shape and torch.equal(found[:, :29, 2:], image[:, 3:, :30])
    assert torch.equal(found[:, :, 1], found[:, :, 3])  # mirrored at the border


def test_the_middle_moves_with_the_picture():
    image = torch.zeros(3, 32, 32)
    image[:, 10:15, 20:23] = 1  # rows 10 to 14, columns 20 to 22
    both = hunt.middles(torch.stack([image, hunt.moved(image, -3, 2)]))
    assert both.tolist() == [[12, 21], [9, 23]]


def test_repairing_the_blamed_place_does_not_take_the_alarm_away():
    study = hunt.study("fastflow")
    suspect = hunt.worst_good(study)
    place = blame(study, suspect).place
    donor = study.images[projection.nearest(study.vectors(), suspect, study.normal).index]
    corners = [(12, 12), (12, 52), (52, 12)]
    tried = torch.stack([hunt.repaired(study.images[suspect], donor, p, 8.0) for p in (place, *corners)])
    after, limit = study.detector.score(tried), hunt.limit(study.scores, study.good)
    assert study.scores[suspect] > limit and (after > limit).all()
    assert after[0] > study.scores[suspect]  # the other washer's rim
    row, col = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    away = torch.hypot(row - float(place[0]), col - float(place[1])) > 20
    assert study.maps[suspect][away].max() > limit  # the score is a maximum: other places would take over


def test_the_worst_good_washer_lies_low_and_the_alarm_goes_when_it_is_moved_home():
    study = hunt.study("fastflow")
    suspect, limit, middle = hunt.worst_good(study), hunt.limit(study.scores, study.good), hunt.middles(study.images)
    usual = middle[study.train].mean(0)
    assert middle[suspect, 0] > middle[study.train][:, 0].max()
    down, right = (usual - middle[suspect]).round().int().tolist()
    steps = [(down, right), (-down, -right), (right, -down), (-right, down)]
    score = study.detector.score(torch.stack([hunt.moved(study.images[suspect], *step) for step in steps]))
    assert score[0] < limit < score[1:].min() and score[0] > study.scores[study.good].median()
    fine = [i for i in study.good.nonzero().flatten().tolist() if i != suspect]

    def ringing(goal):
        put = [hunt.moved(study.images[i], *(goal - middle[i]).round().int().tolist()) for i in fine]
        return int((study.detector.score(torch.stack(put)) > limit).sum())

    counts = [ringing(goal) for goal in (usual, middle[suspect], 2 * usual - middle[suspect])]
    assert counts == pytest.approx([0, 50, 48], abs=1) and len(fine) == 59  # the text's counts, but for rounding


def test_the_worst_good_washer_hides_defects_and_is_odd_in_many_places():
    study = hunt.study("fastflow")
    suspect = hunt.worst_good(study)
    below = [g for g, s in zip(study.groups, study.scores, strict=True) if s < study.scores[suspect]]
    hides = {kind: below.count(kind) for kind in dict.fromkeys(study.groups) if kind not in ("train", "good")}
    assert max(hides, key=hides.get) == "misplaced"  # the widget asks
    assert sorted(hides.values())[-2] < hides["misplaced"]
    assert 0.25 < float((study.scores[study.defective] < study.scores[suspect]).double().mean()) < 0.75
    radius = study.vectors().norm(dim=1).masked_fill(~study.good, 0)
    assert int(radius.argmax()) == suspect


def test_good_images_that_were_not_trained_on_lie_further_out():
    study = hunt.study("fastflow")
    tails = [distribution.chi2_tail(study.latents[0][rows]) for rows in (study.train, study.good, study.defective)]
    assert 0.01 < tails[0] < tails[1] < tails[2]
    gap, middle = zip(*((distribution.chi2_distance(z), float(distribution.squared_norms(z)[0].median()) / z.shape[1])
                        for z in (study.latents[0][study.train], study.latents[0][study.good])), strict=True)
    assert gap[0] > gap[1] and middle[0] < middle[1] < 0.98  # chi2 has 0.986: most vectors of training images are short


def test_right_in_one_look_is_not_right_in_all():
    z = {m: hunt.study(m).latents[0][hunt.study(m).good] for m in stored.METHODS}
    left = {m: distribution.leftover(v) for m, v in z.items()}
    assert {m for m in z if left[m]["mean |r|"] > left[m]["chance"]} == {"pca", "mahalanobis"}
    assert abs(distribution.moments(z["cflow"])["std"] - 1) < 0.03 and distribution.chi2_distance(z["cflow"]) > 0.15
    off = {m: distribution.chi2_distance(v) for m, v in z.items() if m not in ("pca", "pyramidflow")}
    assert max(off, key=off.get) == "differnet"


def test_a_rotation_moves_the_blame_and_nothing_else():
    study = hunt.study("fastflow")
    suspect = hunt.worst_good(study)
    found = blame(study, suspect)
    z = study.latents[found.scale].double()
    C = z.shape[1]
    Q = torch.linalg.qr(torch.randn(C, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    turned = torch.einsum("ij,njhw->nihw", Q, z)
    assert (turned.square().sum(1) - z.square().sum(1)).abs().max() < 1e-8
    row, col = places.cell_at(*found.place, (64, 64), z.shape[2:])
    before, after = (v[suspect, :, row, col].square() for v in (z, turned))
    assert torch.equal(before, found.channels)
    assert before.max() / before.sum() > 0.3 and after.max() / after.sum() < 0.5 * before.max() / before.sum()
    assert int(before.argmax()) != int(after.argmax())


def test_gaussian_and_flows_keep_something_between_neighbours_and_only_the_flows_come_near_chi_square():
    good = {m: hunt.study(m).latents[0][hunt.study(m).good] for m in ("gaussian", "cflow", "fastflow", "csflow")}
    left = {m: distribution.neighbours(z) for m, z in good.items()}
    assert left.pop("gaussian") == pytest.approx(0.27, abs=0.01)  # as the text says
    assert (min(left.values()), max(left.values())) == pytest.approx((0.19, 0.23), abs=0.01)
    off = {m: distribution.chi2_distance(z) for m, z in good.items()}
    assert off.pop("gaussian") > 3 * max(off.values())


def test_log_det_finds_hardly_more_hidden_defects_than_chance():
    found, adds, quiet, lost, expected, by_method, lost_by = 0, 0, 0, 0, 0.0, {}, {}
    for category in stored.CATEGORIES:
        for method in ("differnet", "cflow", "fastflow", "csflow"):
            study = hunt.study(method, category)
            parts = hunt.parts_of(study)
            found += len(hunt.hidden(study, parts))
            by_method[method] = by_method.get(method, 0) + len(hunt.hidden(study, parts))
            calm = study.good & (parts[PRIOR] <= hunt.limit(parts[PRIOR], study.good))
            quiet += int(calm.sum())
            adds += int((calm & (parts[VOLUME] > hunt.limit(parts[VOLUME], study.good))).sum())
            missed = study.defective & (parts[PRIOR] <= hunt.limit(parts[PRIOR], study.good))
            lost += int(missed.sum())
            lost_by[method] = lost_by.get(method, 0) + int(missed.sum())
            expected += (1 - hunt.SHARE) * int(missed.sum())
    assert 0 < found < 1.5 * expected
    assert f"{found / lost:.0%} {adds / quiet:.0%}" == "6% 4%"  # as the text says
    assert by_method["cflow"] == 8 and stats.binom.sf(7, lost_by["cflow"], 0.05) > 0.05  # a hint, not a finding


def test_some_washers_are_near_in_latent_space_and_far_in_pixels():
    study = hunt.study("mahalanobis")
    latent, pixels = hunt.pair_shares(study)
    i, j = hunt.best_pair(study)
    assert latent[i, j] <= hunt.NEAR and pixels[i, j] > 0.9
    d = projection.distances(study.vectors())
    row, col = torch.triu_indices(len(d), len(d), 1)
    assert d[i, j] > 0.5 * d[row, col].median()  # near by rank only
    assert 10 < int((study.normal & (d[i] < d[i, j])).sum()) < 15  # a dozen and itself


def test_the_first_hint_leads_to_a_pair_and_images_far_out_have_no_near_neighbour():
    study = hunt.study("mahalanobis", "board")
    latent, pixels = hunt.pair_shares(study)
    both = (latent <= hunt.NEAR) & (pixels >= hunt.FAR)

    def table(image: int) -> list[int]:
        return [i for i in latent[image].argsort(stable=True).tolist() if i != image][:24]

    last = study.scores.argsort()[:20].tolist()  # by rank: the lowest scores
    assert sum(bool(both[i, table(i)].any()) for i in last) >= 12
    near = (latent <= hunt.NEAR).sum(1) > 1
    assert float(near[study.train].double().mean()) > 0.9 > 0.1 > float(near[~study.train].double().mean())
    assert not near[200]  # with which the table begins


def test_with_many_dimensions_nearest_is_hardly_near():
    def ratio(method):
        study = hunt.study(method)
        near = [projection.nearest(study.vectors(), int(k), study.train) for k in study.good.nonzero().flatten()]
        return float(torch.tensor([n.distance / n.median for n in near]).median())

    assert ratio("pca") < 0.5 < 0.7 < min(ratio("mahalanobis"), ratio("fastflow"))


def test_half_way_between_two_washers_the_pyramid_does_not_come_back():
    study = hunt.study("pyramidflow")
    coder = walks.coder_of(study.detector)
    i, j = hunt.best_pair(hunt.study("mahalanobis"))
    a, b = (coder.encode(study.images[k:k + 1]) for k in (i, j))
    length = float(walks.distance(a, b))
    back = walks.walk(coder, a, b, torch.tensor([0.0, 0.5, 1.0]) * length).back / length
    assert max(back[0], back[2]) < 0.01 and back[1] > 10 * max(back[0], back[2])


def test_half_way_between_two_digits_one_cut_pixel_is_what_is_lost():
    x, coder = picture_flows.pictures(40, seed=1), walks.digits_coder()
    a, b = coder.encode(x[:1]), coder.encode(x[3:4])
    found = walks.walk(coder, a, b, torch.tensor([-0.5, 0.5, 1.5]) * float(walks.distance(a, b)))
    assert found.left[1] == 1 / 64 and found.back[1] > 0.05 and found.uncut.max() < 1e-3
