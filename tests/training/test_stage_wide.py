"""The stage's wide cast: FaceKit heads, glasses, hats and hands, against what is known of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("embreex", reason="the stage's renderer needs the extra [training]")

from relume.training.stage import body as bodies
from relume.training.stage import cast, extras, glasses, hats, ict, ict_skin, props, tubes
from relume.training.stage import make as making
from relume.training.stage.anchors import Anchors, Clearance, first_hit
from relume.training.stage.assets import makehuman, read_obj
from relume.training.stage.camera import draw_camera
from relume.training.stage.dataset import WIDE, split_of, split_seeds
from relume.training.stage.geometry import CLOTH, HAIR, OTHER, SKIN, Mesh, rotation, unit
from relume.training.stage.skin import Complexion, base_colour
from relume.training.stage.torso import torso


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return float(np.einsum("fc,fc->f", a, np.cross(b, c)).sum() / 6.0)


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2.0)


def drawn(seed: int) -> ict.Head:
    rng = np.random.default_rng(seed)
    neutral = ict.identity(rng)
    moves, gaze, is_open = ict.expression(rng)
    turn = tuple(float(angle) for angle in rng.uniform(-15, 15, 3))
    return ict.posed(neutral, moves, gaze, turn, mouth_open=is_open)  # type: ignore[arg-type]


def facekit(seed: int) -> tuple[Anchors, Mesh]:
    head = drawn(seed)
    return head.anchors, ict.skin_mesh(head, 5.7, -0.2)


def makehuman_person(seed: int) -> tuple[Anchors, Mesh]:
    rng = np.random.default_rng(seed)
    vertices = bodies.morph(bool(seed % 2), 0.3, rng)
    body = bodies.pose(vertices, (12.0, -5.0, 4.0), (20.0, 20.0))
    skin = bodies.skin_mesh(body, np.zeros(0, np.int32), SKIN, np.full((4, 4, 3), 0.5, np.float32))
    return extras.anchors_of(body), skin


PEOPLE = [(facekit, 1), (facekit, 2), (makehuman_person, 1), (makehuman_person, 2)]


def test_shapes_have_the_area_and_volume_of_the_ideal_ones_and_face_outwards() -> None:
    ball = tubes.ball(1.0, 96)
    assert volume(*ball) == pytest.approx(4 / 3 * np.pi, rel=0.01)
    assert area(*ball) == pytest.approx(4 * np.pi, rel=0.01)
    angle = np.linspace(0, 2 * np.pi, 129)[:-1]
    path = np.stack([np.cos(angle), np.sin(angle), np.zeros(128)], axis=1)
    up = np.array([0, 0, 1], np.float32)
    ring = tubes.tube(path, 0.2, 0.1, up, closed=True, sides=48)
    assert volume(*ring) == pytest.approx(2 * np.pi**2 * 0.2 * 0.1, rel=0.01)
    slab = tubes.box(1.0, 2.0, 0.3, 0.05)
    assert 0.9 * 0.6 < volume(*slab) < 0.6
    assert np.ptp(slab[0], axis=0) == pytest.approx([1.0, 2.0, 0.3], abs=1e-6)


def test_people_of_the_wide_cast_stay_in_their_split_and_are_nobody_else() -> None:
    people: dict[str, set[int]] = {}
    for split in ("train", "val", "test"):
        wide = [split_seeds(split, WIDE + k) for k in range(300)]
        before = {split_seeds(split, number)[0] for number in range(WIDE)}
        assert {split_of(i) for pair in wide for i in pair} == {split}
        people[split] = {person for person, _ in wide}
        assert len(people[split]) == 300
        assert not people[split] & before
        share = np.mean([cast.is_facekit(person) for person in people[split]])
        assert 0.5 < share < 0.7
        tones = np.array([person * 0.6180339887498949 % 1.0 for person, _ in wide[:70]])
        assert np.histogram(tones, 7, (0, 1))[0].min() >= 7


def test_only_numbers_from_the_first_of_the_wide_cast_on_are_its(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Asked(Exception):
        pass

    def asked(name: str) -> object:
        def make(person: int, style: int, pose: int) -> None:
            raise Asked(name)

        return make

    monkeypatch.setattr(making, "make_subject", asked("subject"))
    monkeypatch.setattr(cast, "make_member", asked("member"))
    for number, name in ((0, "subject"), (999, "subject"), (1000, "member"), (2000, "member")):
        with pytest.raises(Asked, match=name):
            making.make_view("val", number, 1, (8, 8))


def test_a_tallest_framing_holds_and_leaves_other_cameras_alone() -> None:
    eyes = np.zeros(3, np.float32)
    for seed in range(40):
        free = draw_camera(eyes, np.random.default_rng(seed))[1]
        wide = draw_camera(eyes, np.random.default_rng(seed), 20.0)[1]
        close = draw_camera(eyes, np.random.default_rng(seed), 4.0)[1]
        assert wide == free
        assert close["height"] <= 4.0
        assert (close == free) == (free["height"] <= 4.0)


def test_expressions_move_what_they_name(assets: Path) -> None:
    neutral = ict.mesh().vertices
    still = (0.0, 0.0, 0.0)
    rest = ict.posed(neutral, {}, (0.0, 0.0), still).vertices
    open_ = ict.posed(neutral, {"jawOpen": 1.0}, (0.0, 0.0), still).vertices
    chin, crown = 1447, int(np.argmax(neutral[:, 1]))
    assert rest[chin, 1] - open_[chin, 1] > 0.2
    assert np.abs(open_[crown] - rest[crown]).max() < 1e-3
    left, right = (slice(*span) for span in ict._SCLERAS)
    assert np.array_equal(open_[left], rest[left])
    # The cornea goes where the gaze does: to the head's left is +X, down is −Y.
    looked = ict.posed(neutral, {}, (15.0, 10.0), still).vertices
    for ball in (left, right):
        front = np.argmax(rest[ball][:, 2])
        moved = (looked[ball] - rest[ball])[front]
        assert moved[0] == pytest.approx(0.16 * np.sin(np.radians(15)), rel=0.35)
        assert moved[1] == pytest.approx(-0.16 * np.sin(np.radians(10)), rel=0.35)


def test_the_head_turns_as_one_and_the_foot_of_the_neck_stays(assets: Path) -> None:
    neutral = ict.mesh().vertices
    still = ict.posed(neutral, {}, (0.0, 0.0), (0.0, 0.0, 0.0))
    turned = ict.posed(neutral, {}, (0.0, 0.0), (30.0, 8.0, -5.0))
    full = np.linalg.matrix_power(rotation(30 / 8, 1.0, -5 / 8).astype(np.float64), 8)
    high = neutral[:, 1] > 6.6
    expected = (still.vertices[high] - ict._NECK) @ full.T + ict._NECK
    assert np.abs(turned.vertices[high] - expected).max() < 1e-4
    # The neck twists: its foot goes a small part of the way that a rigid bust would.
    foot = np.argsort(neutral[:, 1] + 0.5 * neutral[:, 2])[:60]
    rigid = (still.vertices[foot] - ict._NECK) @ full.T + ict._NECK
    whole = np.linalg.norm(rigid - still.vertices[foot], axis=1)
    assert (
        np.linalg.norm(turned.vertices[foot] - still.vertices[foot], axis=1) < 0.3 * whole
    ).all()
    cosine = 0.5 * (np.trace(turned.anchors.head.T @ full) - 1.0)
    assert np.degrees(np.arccos(cosine)) < 3.0


@pytest.mark.parametrize("seed", [3, 4])
def test_heads_are_whole_and_every_part_has_its_label(assets: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = drawn(seed)
    low = 5.7
    skin = ict.skin_mesh(head, low, 0.0)
    assert skin.label == SKIN
    assert np.abs(np.linalg.norm(skin.normals, axis=1) - 1.0).max() < 1e-4
    # From outside, every ray meets skin that faces it.
    ways = unit(rng.normal(size=(400, 3)) * [1.0, 0.5, 1.0] + [0, 0.2, 0]).astype(np.float32)
    origins = head.anchors.skull + 3.0 * ways
    hit = first_hit(skin.vertices, skin.faces, origins, -ways)
    assert np.isfinite(hit).all()
    nearest = Clearance(skin)
    met = nearest.above(origins - ways * hit[:, None])[1]
    # The hollows of the ears look every way.
    assert np.mean(np.einsum("pc,pc->p", met, ways) > 0.0) > 0.97
    used = skin.rest[np.unique(skin.faces)]
    assert used[:, 1].min() > low - 1e-4
    parts = ict.mouth_and_eyes(head, np.full(3, 0.1, np.float32), rng)
    assert {part.label for part in parts} == {OTHER}
    assert len(parts) == (4 if head.mouth_open else 2)
    for part, eye in zip(parts[:2], head.anchors.eyeballs, strict=True):
        assert np.abs(np.linalg.norm(part.vertices - eye, axis=1) - head.anchors.eye).max() < 0.03


def test_hair_brows_and_beard_grow_where_they_do(assets: Path) -> None:
    rest = ict.mesh().vertices[: ict.SKIN_VERTICES]
    scalp, brow, jaw = ict.scalp(rest), ict.brow(rest), ict.jaw(rest)
    assert scalp[np.argmax(rest[:, 1])] == 1.0
    tip = int(np.argmax(rest[:, 2]))
    assert scalp[tip] == brow[tip] == jaw[tip] == 0.0
    assert not (scalp * jaw > 0.3).any()
    assert not (brow * jaw > 0.05).any()
    for mask in (scalp, brow, jaw):
        # Both sides alike.
        left, right = mask[rest[:, 0] > 0].sum(), mask[rest[:, 0] < 0].sum()
        assert left == pytest.approx(right, rel=0.05)
        assert left > 5


@pytest.mark.parametrize("tone", [0.1, 0.5, 0.9])
def test_painted_skin_keeps_its_tone_and_lips_are_redder(assets: Path, tone: float) -> None:
    person = Complexion(tone, 0.0, 1.0, 0.0, (0.3, 0.1, 0.06), "", 0.0, 1)
    picture = ict_skin.texture(person, np.random.default_rng(5), 128)
    at, inside = ict_skin.places(128)
    head = (at - ict.ORIGIN) * 10.0
    cheek = inside & (np.abs(np.abs(head[..., 0]) - 4.5) < 1.5) & (head[..., 2] > 7)
    cheek &= np.abs(head[..., 1] + 1.5) < 1.5
    found = np.median(picture[cheek], axis=0)
    assert np.abs(np.log(found / base_colour(tone, 0.0))).max() < 0.35
    lips = inside & (np.hypot(head[..., 0] / 2.0, (head[..., 1] + 3.9) / 0.3) < 0.8)
    lips &= head[..., 2] > 10.5
    lip = np.median(picture[lips], axis=0)
    assert lip[0] / lip[1] > 1.1 * found[0] / found[1]


@pytest.mark.parametrize(("person", "seed"), PEOPLE)
def test_glasses_sit_before_the_eyes_and_on_the_ears(
    assets: Path, person: object, seed: int
) -> None:
    anchors, skin = person(seed)  # type: ignore[operator]
    clear = Clearance(skin)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        pair = glasses.draw(rng)
        frame = glasses.glasses(anchors, clear, pair, 1)[0]
        assert frame.label == OTHER
        local = anchors.local(frame.vertices)
        eyes = anchors.local(anchors.eyeballs)
        front = local[local[:, 2] > anchors.eye]
        for eye in eyes:
            own = front[np.sign(front[:, 0]) == np.sign(eye[0])]
            middle = 0.5 * (own.min(axis=0) + own.max(axis=0))
            assert np.abs(middle[:2] - eye[:2]).max() < 0.16
            # An eye is between the frame's edges, the frame before it but not far.
            assert own[:, 0].min() < eye[0] < own[:, 0].max()
            assert own[:, 1].max() > eye[1] + 0.08
            assert anchors.eye + 0.02 < np.median(own[:, 2]) < anchors.eye + 0.60
        for ear in anchors.ears:
            assert np.linalg.norm(frame.vertices - ear, axis=1).min() < 0.15
        height, _ = clear.above(frame.vertices)
        assert np.mean(height < -0.02) < 0.06


def test_lens_outlines_are_closed_and_of_their_shape() -> None:
    for shape in glasses.SHAPES:
        outline = glasses.outline(shape, 200)
        step = np.linalg.norm(outline - np.roll(outline, 1, axis=0), axis=1)
        assert step.max() < 0.3
        assert np.ptp(outline[:, 1]) <= np.ptp(outline[:, 0]) + 1e-6
    assert np.linalg.norm(glasses.outline("round"), axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["beanie", "cap"])
@pytest.mark.parametrize(("person", "seed"), [PEOPLE[0], PEOPLE[2]])
def test_no_skull_comes_through_a_hat(assets: Path, kind: str, person: object, seed: int) -> None:
    anchors, skin = person(seed)  # type: ignore[operator]
    rng = np.random.default_rng(seed)
    hat = hats.shell(anchors, skin, hats.draw(kind, rng), 0)
    assert {part.label for part in hat} == {CLOTH}
    crown = unit(rng.normal(size=(500, 3)))
    ways = (crown[crown[:, 1] > np.cos(np.radians(50.0))] @ anchors.head.T).astype(np.float32)
    start = anchors.skull + 3.0 * ways
    hats.press(skin, hat, anchors.skull)
    cloth = first_hit(*hats.together(hat), start, -ways)
    bare = first_hit(skin.vertices, skin.faces, start, -ways)
    assert np.isfinite(cloth).all()
    assert (cloth < bare).all()
    # Eyes stay free.
    ahead = np.repeat(anchors.head[None, :, 2], 2, axis=0)
    assert not np.isfinite(first_hit(*hats.together(hat[:1]), anchors.eyeballs, ahead)).any()


def test_hats_hide_the_hair_below_them_and_shorten_the_rest(assets: Path) -> None:
    anchors, skin = facekit(6)
    hat = hats.shell(anchors, skin, hats.draw("beanie", np.random.default_rng(0)), 0)
    along = np.linspace(1.0, 1.6, 7)[None, :, None].astype(np.float32)
    ways = np.stack([anchors.head[:, 1], -anchors.head[:, 1] - anchors.head[:, 2]])
    strands = anchors.skull + unit(ways)[:, None] * along
    kept = hats.kept_strands(hat, anchors.skull, strands)
    assert kept.tolist() == [False, True]
    cut = hats.shortened(strands, 0.3)
    assert np.linalg.norm(np.diff(cut, axis=1), axis=2).sum(axis=1) == pytest.approx(0.3, rel=1e-4)
    assert np.array_equal(cut[:, 0], strands[:, 0])
    longer = np.linspace(0.0, 3.0, 7)[None, :, None] * np.ones((1, 1, 3), np.float32)
    assert np.array_equal(hats.shortened(longer, 0.3), longer)


def test_a_jersey_closes_around_the_neck_and_nothing_shows_below_it(assets: Path) -> None:
    head = drawn(7)
    skin = ict.skin_mesh(head, 5.3, -0.2)
    jersey = torso(skin, 5.8, np.random.default_rng(1), 0)
    assert jersey.label == CLOTH
    sides = jersey.vertices.reshape(-1, 96, 3)
    assert (sides[-1][:, 1] < 0.0).all()
    trunk = jersey.normals.reshape(-1, 96, 3)[-10]
    assert (np.einsum("sc,sc->s", trunk, sides[-10] - sides[-10].mean(axis=0)) > 0).mean() > 0.95
    below = skin.vertices[np.unique(skin.faces)]
    assert below[:, 1].min() > 5.8 - 0.8
    # Seen level from every side, the shoulder hides the skin's lower edge.
    assert sides[1][:, 1].max() > below[:, 1].min()


def test_hands_are_mirrored_and_point_where_they_are_told(assets: Path) -> None:
    base = read_obj(makehuman("base.obj")).vertices
    texture = np.full((4, 4, 3), 0.5, np.float32)
    frame = np.eye(3, dtype=np.float32)
    grip = np.array([1.0, 2.0, 3.0], np.float32)
    placed = {}
    for right in (False, True):
        hand = props.Hand(base, right, 20.0, np.random.default_rng(1))
        skin, sleeve = hand.meshes(frame, grip, texture, 0, 0.25)
        assert (skin.label, sleeve.label) == (SKIN, CLOTH)
        placed[right] = skin.vertices - grip
        assert volume(skin.vertices, skin.faces) > 0
        # Fingers above the palm, the arm below it, and bent fingers before it.
        assert skin.vertices[:, 1].max() > grip[1] + 0.5
        assert skin.vertices[:, 1].min() < grip[1] - 1.5
        fingers = placed[right][placed[right][:, 1] > 0.5]
        assert np.median(fingers[:, 2]) > -0.2
    assert np.allclose(placed[True], placed[False] * [-1, 1, 1], atol=1e-5)


def test_a_scanned_head_ends_at_the_neck_and_is_the_same_every_time(assets: Path) -> None:
    number, size = WIDE + 2, (48, 48)
    first, again = (making.make_view("train", number, 1, size) for _ in range(2))
    for name in ("alpha", "normals", "albedo", "labels", "visibility", "bounce"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert first.meta == again.meta
    assert (first.meta["cast"], first.meta["framing"]) == ("wide", "scan")
    assert {SKIN, OTHER} <= set(np.unique(first.labels))
    # Where the camera sees the subject's lowest vertex is the last row with anything in it.
    person, style = split_seeds("train", number)
    rng = np.random.default_rng([1, 0, number])
    subject = cast.make_member(person, style, int(rng.integers(1 << 30)))
    camera, _ = draw_camera(subject.eyes, rng, cast.TALLEST["scan"])
    seen = camera.points(
        np.concatenate([m.vertices[np.unique(m.faces)] for m in subject.meshes if m.label != HAIR])
    )
    row = 0.5 * size[0] - seen[:, 1] / -seen[:, 2] * size[0] * camera.focal / 24.0
    last = int(np.ceil(row.max()))
    assert last < size[0] - 2
    assert first.alpha[last + 1 :].sum() == 0.0
    assert first.alpha[last - 3 : last].sum() > 0.0
    assert CLOTH not in np.unique(first.labels) or first.meta["extras"]
