"""Augmentation keeps depth image and joints consistent."""

import numpy as np
import pytest

from depth_pose_ros.core import crops
from depth_pose_ros.core.skeleton import FLIP_INDEX
from depth_pose_training.data import augmentation as module
from depth_pose_training.data.augmentation import CropArrays, augment

_H, _W = crops.HEIGHT, crops.WIDTH


def _marked(seed: int, background: int) -> CropArrays:
    """One crop with a small square at each of 19 joints, each at a depth of its own."""
    rng = np.random.default_rng(seed)
    frame = np.array([[-0.3, -0.4, 0.004, 2.5]], np.float32)
    grid = np.array([(x, y) for y in range(50, 180, 30) for x in range(35, 150, 30)])[:19]
    pixels = grid + rng.integers(-3, 4, (19, 2))
    relative = np.linspace(-900, 900, 19).astype(np.int16)
    depth = np.full((1, _H, _W), background, np.int16)
    for (x, y), value in zip(pixels, relative, strict=True):
        depth[0, y - 4 : y + 5, x - 4 : x + 5] = value
    z = frame[0, 3] + relative / 1000
    rays = frame[0, :2] + pixels * frame[0, 2]
    joints = np.concatenate((rays * z[:, None], z[:, None]), 1)[None].astype(np.float32)
    return CropArrays(depth, frame, joints, np.arange(19, dtype=np.uint8)[None])


@pytest.mark.parametrize("seed", range(12))
def test_depth_at_joints_is_preserved(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for share in ("_OCCLUDED", "_BACKGROUND", "_SECOND_PERSON"):
        monkeypatch.setattr(module, share, 0.0)
    made = augment(_marked(seed, int(crops.MISSING)), np.random.default_rng(seed))
    frame, joints = made.frame[0], made.joints[0]
    pixels = (joints[:, :2] / joints[:, 2:] - frame[:2]) / frame[2]
    inside = ((pixels >= 0) & (pixels <= (_W - 1, _H - 1))).all(1)
    assert inside.sum() > 9
    x, y = np.rint(pixels[inside]).astype(int).T
    found = made.depth[0, y, x]
    assert (found != crops.MISSING).all()
    np.testing.assert_allclose(
        found / 1000.0, joints[inside, 2] - frame[3], atol=0.003, err_msg=f"seed {seed}"
    )
    if made.visible[0, 5] == 5:
        np.testing.assert_array_equal(made.visible[0], np.arange(19))
    else:
        np.testing.assert_array_equal(made.visible[0], np.array(FLIP_INDEX))


def test_input_is_not_modified() -> None:
    given = _marked(0, 700)
    copies = [a.copy() for a in (given.depth, given.frame, given.joints, given.visible)]
    augment(given, np.random.default_rng(0))
    for before, now in zip(
        copies, (given.depth, given.frame, given.joints, given.visible), strict=True
    ):
        np.testing.assert_array_equal(before, now)


def test_added_depth_never_covers_nearer_surfaces() -> None:
    rng = np.random.default_rng(3)
    person = np.full((_H, _W), crops.MISSING, np.int16)
    person[60:160, 60:110] = 100
    other = np.full_like(person, crops.MISSING)
    other[40:200, 40:140] = 0
    behind = person.copy()
    module.fill_background(behind, other, rng)
    np.testing.assert_array_equal(behind[person != crops.MISSING], 100)
    assert (behind[40:60, 40:140] >= 500).all()
    assert (behind[:40] == crops.MISSING).all()
    for _ in range(8):
        beside = person.copy()
        module._add_second_person(beside, other, rng)
        changed = beside != person
        assert changed.any()
        assert (beside[changed] < person[changed]).all()


def test_the_frame_follows_a_naive_map_of_every_pixel() -> None:
    """A pixel's point in space, mapped by hand, is where the new frame says."""
    rng = np.random.default_rng(5)
    frame = np.array([-0.2, -0.5, 0.0045, 3.0], np.float32)
    plane, _ = module._sample_plane_map(np.random.default_rng(8))
    size = float(np.sqrt(abs(np.linalg.det(plane))))
    shift = np.array([7, -4])
    new, _ = module.map_labels(frame, np.zeros((19, 3), np.float32), plane, size, shift, (_H, _W))
    centre = np.array([_W - 1, _H - 1]) / 2
    for pixel in rng.uniform(0, 170, (20, 2)):
        point = np.append(frame[:2] + pixel * frame[2], 1.0) * 2.7
        there = np.append(plane @ point[:2], size * point[2])
        expected = centre + plane @ (pixel - centre) + shift
        np.testing.assert_allclose((there[:2] / there[2] - new[:2]) / new[2], expected, atol=1e-2)
