"""The matting network's plumbing: sizes, exactness, tiles, people. Quality is in training tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from relume.errors import UsageError
from relume.image import Box, Image
from relume.matting import cascade, network
from relume.matting.network import coarse_person, estimate_matte
from relume.matting.people import people
from relume.networks.matte import Coarse, build, settle
from relume.networks.refiner import (
    FULL,
    HALO,
    SPARSE,
    TILE,
    Refiner,
    enlarged,
    readings,
    surroundings,
)


class Threshold(nn.Module):
    """A stand-in whose person is whatever is brighter than middle grey."""

    side = 512

    def __init__(self, soft: float = 8.0) -> None:
        super().__init__()
        self.soft = nn.Parameter(torch.tensor(soft))
        torch.manual_seed(3)
        self.refiner = Refiner(2).eval()
        nn.init.normal_(self.refiner.finer[-1].weight, std=0.1)  # type: ignore[arg-type]

    def coarse(self, x: Tensor) -> Coarse:
        assert x.shape[2] % 32 == 0 and x.shape[3] % 32 == 0
        level = self.soft * 10 * (x[:, :3].mean(1, keepdim=True) - 0.3)
        trimap = torch.cat((-level, 0 * level, level), 1)
        small = level[:, :, ::2, ::2]
        return Coarse(
            level, trimap, 0 * level, level[:, :, ::16, ::16], torch.cat((small, small), 1)
        )


def disc(height: int, width: int, *, bright: float = 2.0, dark: float = 0.02) -> Image:
    y, x = np.mgrid[:height, :width]
    radius = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    soft = np.clip((0.3 - radius) * 40 + 0.5, 0, 1)[..., None]
    return Image((dark + (bright - dark) * soft * np.ones(3)).astype(np.float32), ("R", "G", "B"))


@pytest.fixture(scope="module")
def random_network() -> Any:
    torch.manual_seed(0)
    model = build().eval()
    nn.init.normal_(model.refiner.finer[-1].weight, std=0.1)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize(
    ("height", "width", "aspect"),
    [(1, 1, 1.0), (1, 9, 1.0), (33, 65, 1.0), (271, 480, 1.0), (600, 3, 1.0), (90, 70, 2.0)],
)
def test_any_size_and_any_value_gives_a_matte(
    random_network: Any, monkeypatch: pytest.MonkeyPatch, height: int, width: int, aspect: float
) -> None:
    # An untrained network is sure of nobody; look at what it says all the same.
    monkeypatch.setattr(network, "people", lambda alpha, chosen=None: np.ones(alpha.shape, bool))
    pixels = np.random.default_rng(1).normal(0, 1, (height, width, 3)).astype(np.float32)
    pixels.flat[0], pixels.flat[-1] = 1e5, -5
    plate = Image(
        pixels, ("R", "G", "B"), pixel_aspect=aspect, data=Box(3, 4, 3 + width, 4 + height)
    )
    out = estimate_matte(plate, 0.5, None, random_network)
    for image in (out.matte, out.trimap):
        assert image.pixels.shape == (height, width, 1) and image.channels == ("A",)
        assert (image.data, image.pixel_aspect) == (plate.data, aspect)
        assert np.isfinite(image.pixels).all()
        assert image.pixels.min() >= 0 and image.pixels.max() <= 1
    assert out.matte.pixels.std() > 0 or height * width == 1


def test_the_matte_is_exactly_zero_and_one_away_from_the_edge() -> None:
    out = estimate_matte(disc(96, 128), 0.0, None, Threshold())
    alpha = out.matte.pixels[:, :, 0]
    assert alpha[48, 64] == 1.0 and alpha[0, 0] == 0.0
    assert not out.empty
    assert np.all(out.trimap.pixels[:, :, 0][alpha == 1.0] >= 0.5)


def test_a_certain_guide_always_wins() -> None:
    guide = np.full((96, 128, 1), 0.5, np.float32)
    guide[:20], guide[40:56, 60:68], guide[-10:, :10] = 0.96, 0.04, 1.0
    out = estimate_matte(disc(96, 128), 0.0, Image(guide, ("A",)), Threshold())
    for image in (out.matte, out.trimap):
        assert np.all(image.pixels[guide > 0.95] == 1.0)
        assert np.all(image.pixels[guide < 0.05] == 0.0)


def test_soft_parts_hang_on_a_guide_that_the_network_would_not_have_found() -> None:
    # The stand-in sees at most alpha 0.4 here, so without the guide there is nobody.
    plate = disc(96, 128, bright=0.24)
    assert estimate_matte(plate, 0.0, None, Threshold(0.2)).empty
    y, x = np.mgrid[:96, :128]
    drawn = np.hypot(x - 64, y - 48) < 12
    guide = Image(np.where(drawn, 1.0, 0.5).astype(np.float32)[..., None], ("A",))
    alpha = estimate_matte(plate, 0.0, guide, Threshold(0.2)).matte.pixels[:, :, 0]
    assert np.all(alpha[drawn] == 1.0)
    assert alpha[48, 64 + 20] > 0.1


@pytest.mark.parametrize("level", [0.0, 0.5, 1e4])
def test_a_plate_of_one_colour_holds_nobody(level: float) -> None:
    plate = Image(np.full((70, 90, 3), level, np.float32), ("R", "G", "B"))
    out = estimate_matte(plate, 0.0, None, Threshold())
    assert out.empty and not out.matte.pixels.any() and not out.trimap.pixels.any()
    assert not coarse_person(plate, 0.0, Threshold()).pixels.any()


def test_speckles_and_guesses_are_nobody() -> None:
    alpha = np.zeros((100, 100), np.float32)
    alpha[10:14, 10:14] = 1.0
    assert not people(alpha).any()
    alpha[40:80, 40:80] = 0.8
    assert not people(alpha).any()
    alpha[42:78, 42:78] = 1.0
    found = people(alpha)
    assert found[60, 60] and found[40, 40] and not found[12, 12]


def test_soft_parts_belong_to_the_person_they_hang_on() -> None:
    alpha = np.zeros((100, 100), np.float32)
    alpha[40:80, 40:80] = 1.0
    alpha[20:40, 50] = 0.1
    alpha[20:40, 90] = 0.1
    found = people(alpha)
    assert found[25, 50] and not found[25, 90]


def test_a_drawn_mask_chooses_among_people() -> None:
    left, right = disc(96, 96).pixels, disc(96, 96).pixels
    plate = Image(np.concatenate((left, right), 1), ("R", "G", "B"))
    both = coarse_person(plate, 0.0, Threshold()).pixels[:, :, 0]
    assert both[48, 48] == 1 and both[48, 144] == 1
    drawn = np.zeros((96, 192, 1), np.float32)
    drawn[46:50, 46:50] = 1
    kept = coarse_person(plate, 0.0, Threshold(), keep=Image(drawn, ("A",))).pixels[:, :, 0]
    assert kept[48, 48] == 1 and not kept[:, 96:].any()
    away = np.zeros((96, 192, 1), np.float32)
    away[:, 96:] = 1
    left_only = coarse_person(plate, 0.0, Threshold(), reject=Image(away, ("A",))).pixels[:, :, 0]
    assert left_only[48, 48] == 1 and not left_only[:, 96:].any()


def test_the_same_plate_gives_the_same_matte_whatever_the_anchor_hides() -> None:
    plate = disc(150, 200)
    darker = plate.like(plate.pixels / 8)
    first = estimate_matte(plate, 0.0, None, Threshold()).matte.pixels
    second = estimate_matte(darker, 3.0, None, Threshold()).matte.pixels
    assert np.array_equal(first, second)


def an_octave(height: int = 100, width: int = 140, **help_: Tensor) -> cascade.Octave:
    torch.manual_seed(5)
    plate, alpha = torch.rand(1, 3, height, width), torch.rand(1, 1, 50, 70)
    hidden = torch.rand(1, 2, 25, 35)
    frame = cascade.Frame(plate, hidden, **help_)
    return cascade.octave((height, width), frame, alpha, 0.1 * alpha)


def test_a_tile_does_not_depend_on_how_many_there_are() -> None:
    model, at = Threshold(), an_octave()
    tiles = cascade.doubtful(at)
    assert len(tiles) == 4 * 5
    with torch.inference_mode():
        whole = cascade.refine_octave(model, at, tiles)
        for _, row, column in tiles[[0, 7, 12]].tolist():
            # The same tile by hand, alone in its batch of padding.
            alone = cascade.refine_octave(model, at, torch.tensor([[0, row, column]]))
            y, x = row * TILE, column * TILE
            part = (slice(None), slice(None), slice(y, y + TILE), slice(x, x + TILE))
            assert torch.equal(whole[part], alone[part])
            start = at.state[part]
            assert float((whole[part] - start).abs().max()) > 0.01


def test_sure_tiles_stay_as_they_are() -> None:
    at = an_octave()
    with torch.inference_mode():
        left = cascade.refine_octave(Threshold(), at, torch.zeros(0, 3, dtype=torch.int64))
    assert torch.equal(left, at.state)
    at.state[:, 0], at.state[:, 1] = 1.0, 0.0
    assert not len(cascade.doubtful(at))


def test_octaves_double_up_to_the_plate() -> None:
    assert cascade.sizes((1080, 1920), (180, 320)) == [(270, 480), (540, 960), (1080, 1920)]
    assert cascade.sizes((300, 400), (240, 320)) == [(300, 400)]
    assert cascade.sizes((60, 80), (240, 320)) == [(60, 80)]
    assert cascade.sizes((2161, 4097), (232, 440)) == [(541, 1025), (1081, 2049), (2161, 4097)]


def test_what_is_drawn_is_there() -> None:
    marks = torch.zeros(1, 2, 100, 140)
    marks[:, 0, :50], marks[:, 1, 50:70] = 1.0, 1.0
    at = an_octave(50, 70, marks=marks)
    alpha = at.state[0, 0]
    # A row at either border is mixed of what is sure and what is not.
    assert bool((alpha[:24] == 1).all()) and bool((alpha[36:] == 0).all())
    assert 0 < float(alpha[25:35].mean()) < 1


def test_a_mixed_pixel_explains_its_own_alpha() -> None:
    front = torch.tensor([0.9, 0.2, 0.1])[None, :, None, None].expand(1, 3, 1, 11)
    behind = torch.tensor([0.05, 0.1, 0.6])[None, :, None, None].expand(1, 3, 1, 11)
    truth = torch.linspace(0, 1, 11)[None, None, None]
    plate = front * truth + behind * (1 - truth)
    made = readings(plate, 0 * truth, 0 * truth, front, behind)
    assert made.shape[1] == FULL
    assert torch.allclose(made[:, 4:5], truth, atol=1e-3)
    # With a clean plate its colour is taken, whatever was found nearby.
    clean = torch.cat((behind, torch.ones_like(truth)), 1)
    known = readings(plate, 0 * truth, 0 * truth, front, 0 * front, clean)
    assert torch.allclose(known[:, 4:5], truth, atol=1e-3)


def around(plate: Tensor, alpha: Tensor, inside: Tensor | None = None) -> tuple[Tensor, Tensor]:
    ones = torch.ones(1, 1, *plate.shape[2:]) if inside is None else inside
    found = surroundings(*(avg_pool2d(x, SPARSE) for x in (plate, alpha, ones)))
    return found[:, :3], found[:, 3:]


def test_colours_nearby_are_those_of_what_is_sure() -> None:
    plate = torch.zeros(1, 3, 64, 208)
    plate[:, 0, :, :88], plate[:, 2, :, 112:] = 0.8, 0.4
    plate[:, 1, :, 88:112] = 5.0
    alpha = torch.zeros(1, 1, 64, 208)
    alpha[..., :88], alpha[..., 88:112] = 1.0, 0.5
    front, behind = around(plate, alpha)
    # Nowhere does the doubtful middle's green come in by more than its little share.
    middle = (0, slice(None), 8, 25)
    assert torch.allclose(front[middle], torch.tensor([0.8, 0.0, 0.0]), atol=0.02)
    assert torch.allclose(behind[middle], torch.tensor([0.0, 0.0, 0.4]), atol=0.02)


def test_a_highlight_does_not_outshine_the_colours_nearby() -> None:
    plate, alpha = torch.full((1, 3, 64, 64), 0.1), torch.zeros(1, 1, 64, 64)
    before = around(plate, alpha)[1]
    plate[..., 20, 20] = 6e4
    after = around(plate, alpha)[1]
    far = (after[..., 9, 9] - before[..., 9, 9]).abs().max()
    assert float(far) < 0.03


def test_what_was_added_at_the_border_is_no_evidence() -> None:
    plate = torch.full((1, 3, 32, 96), 0.2)
    plate[..., 64:] = 5.0
    inside = torch.ones(1, 1, 32, 96)
    inside[..., 64:] = 0.0
    behind = around(plate, torch.zeros(1, 1, 32, 96), inside)[1]
    assert torch.allclose(behind[..., :16], torch.tensor(0.2), atol=2e-3)


@pytest.mark.parametrize("level", [-1e5, 1e5, 1e30])
def test_no_value_is_too_large_for_the_refiner(level: float) -> None:
    plate = torch.rand(1, 3, 64, 64)
    plate[..., 10:20, 10:20] = level
    frame = cascade.Frame(plate, torch.rand(1, 2, 16, 16))
    at = cascade.octave((64, 64), frame, torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32))
    full, _ = cascade.cut(at, cascade.doubtful(at))
    assert bool(torch.isfinite(full).all())


def test_tiles_of_colours_nearby_lie_where_the_tiles_do() -> None:
    at = an_octave()
    at.nearby[:] = torch.linspace(0, 1, at.nearby.shape[3])
    side = (TILE + 2 * HALO) // 4 + 2
    tiles = torch.tensor([[0, 1, 1], [0, 1, 2]])
    first, second = enlarged(cascade.windows(at.nearby, tiles, side, TILE // 4))
    assert first.shape[1:] == (TILE + 2 * HALO, TILE + 2 * HALO)
    # What two neighbours both see is the same.
    assert torch.allclose(first[..., TILE:], second[..., : 2 * HALO], atol=1e-6)


@pytest.mark.parametrize("height", [96, 100, 135, 150])
def test_features_lie_where_the_frame_has_them(height: int) -> None:
    ramp = (torch.arange(40) + 0.5) / 40
    frame = cascade.Frame(
        torch.rand(1, 3, height, 64), ramp[None, None, :, None].expand(1, 1, 40, 16)
    )
    at = cascade.octave((height, 64), frame, torch.rand(1, 1, 50, 32), torch.rand(1, 1, 50, 32))
    rows = -(-height // 2)
    expected = (torch.arange(rows) + 0.5) / rows
    # The first and last half pixel of what is enlarged repeat the border.
    assert torch.allclose(at.hidden[0, 0, 4 : rows - 4, 0], expected[4:-4], atol=0.01)


def test_what_lies_beyond_the_border_repeats_it() -> None:
    torch.manual_seed(4)
    x = torch.rand(2, 3, 100, 140)
    tiles = torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(5))
    found = cascade.windows(x, tiles, TILE + 2 * HALO)
    padded = pad(x, (HALO, HALO + 20, HALO, HALO + 28), mode="replicate")
    for (n, row, column), window in zip(tiles.tolist(), found, strict=True):
        y, x0 = row * TILE, column * TILE
        side = TILE + 2 * HALO
        assert torch.equal(window, padded[n, :, y : y + side, x0 : x0 + side])


def a_tile(count: int = 1) -> list[Tensor]:
    side = TILE + 2 * HALO
    shapes = ((FULL, side), (2, side // 2))
    return [torch.rand(count, planes, size, size) for planes, size in shapes]


def test_the_refiner_reads_no_farther_than_its_halo() -> None:
    model = Refiner(2).eval()
    nn.init.normal_(model.finer[-1].weight, std=0.1)  # type: ignore[arg-type]
    full, hidden = a_tile()
    full.requires_grad_(True)
    alpha, error = model(full, hidden)
    assert alpha.shape == error.shape == (1, 1, TILE, TILE)
    (grad,) = torch.autograd.grad(alpha[0, 0, 0, 0], full)
    reach = torch.nonzero(grad.abs().sum((0, 1)))
    assert int(reach.max()) <= 2 * HALO + 1


def test_an_untrained_refiner_leaves_the_coarse_matte() -> None:
    full, hidden = a_tile(2)
    found = Refiner(2).eval()(full, hidden)
    for plane, out in zip((3, 7), found, strict=True):
        inner = full[:, plane, HALO:-HALO, HALO:-HALO].clamp(0.01, 0.99)
        assert torch.allclose(torch.sigmoid(out[:, 0]), inner, atol=1e-5)


def test_settling_is_exact_at_both_ends_and_never_jumps() -> None:
    alpha = torch.linspace(0, 1, 101)[None, None, None]
    settled = settle(alpha)
    assert settled.min() == 0 and settled.max() == 1
    assert bool((settled.diff() >= 0).all())
    sure = torch.linspace(0, 1, 1001)
    classes = torch.stack((0 * sure, 1 - sure, sure))[None, :, None]
    ramp = settle(torch.full((1, 1, 1, 1001), 0.5), classes)
    assert ramp[..., -1] == 1 and float(ramp.diff().abs().max()) < 0.01


@pytest.mark.parametrize("what", ["guide", "clean_plate", "keep", "reject"])
def test_help_of_another_size_is_refused(what: str) -> None:
    plate = disc(40, 50)
    if what == "clean_plate":
        other = disc(20, 50)
    else:
        other = Image(np.ones((20, 50, 1), np.float32), ("A",))
    with pytest.raises(UsageError, match="50×20"):
        if what == "guide":
            estimate_matte(plate, 0.0, other, Threshold())
        elif what == "clean_plate":
            estimate_matte(plate, 0.0, None, Threshold(), clean_plate=other)
        else:
            coarse_person(plate, 0.0, Threshold(), **{what: other})


def test_the_network_is_as_small_as_promised() -> None:
    model = build()
    assert sum(p.numel() for p in model.parameters()) < 1_500_000
    assert sum(p.numel() for p in model.refiner.parameters()) < 40_000


def test_a_clean_plate_reaches_the_network(random_network: Any) -> None:
    seen = []
    with torch.no_grad():
        handle = random_network.coarse.register_forward_pre_hook(
            lambda module, args: seen.append(args[0].clone())
        )
        plate = disc(64, 64)
        estimate_matte(plate, 0.0, None, random_network)
        estimate_matte(plate, 0.0, None, random_network, clean_plate=disc(64, 64, bright=0.1))
        handle.remove()
    # Three passes a frame, the second smaller.
    assert [few[0].shape[2] > few[1].shape[2] for few in (seen[:3], seen[3:])] == [True, True]
    assert not any(bool(inputs[:, 3:].any()) for inputs in seen[:3])
    for inputs in seen[3:]:
        assert torch.allclose(inputs[:, 6], torch.ones(())) and bool(inputs[:, 3:6].any())


def test_of_three_looks_the_middle_one_counts(random_network: Any) -> None:
    from relume.networks.matte import LOOKS, look_around

    inputs = torch.rand(1, 10, 128, 192, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        seen = look_around(random_network.coarse, inputs)
        answers = []
        for size, mirror in (((128, 192), False), ((96, 160), True), ((128, 192), True)):
            part = inputs.flip(3) if mirror else inputs
            if size != (128, 192):
                part = nn.functional.interpolate(part, size, mode="bilinear", antialias=True)
            alpha = torch.sigmoid(random_network.coarse(part).alpha)
            alpha = nn.functional.interpolate(alpha, (128, 192), mode="bilinear")
            answers.append(alpha.flip(3) if mirror else alpha)
    assert len(LOOKS) == 3
    assert torch.allclose(seen.alpha, torch.stack(answers).sort(0)[0][1], atol=1e-5)
    assert torch.allclose(seen.trimap.sum(1), torch.ones(()), atol=1e-5)


def test_a_small_plate_is_enlarged_to_what_the_network_knows() -> None:
    seen: list[tuple[int, int]] = []

    class Watching(Threshold):
        def coarse(self, inputs: torch.Tensor) -> object:
            seen.append((inputs.shape[2], inputs.shape[3]))
            return super().coarse(inputs)

    estimate_matte(disc(60, 90), 0.0, None, Watching())
    assert max(seen[0]) >= Threshold().side
