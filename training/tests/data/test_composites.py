"""People in real rooms: z-buffer, visibility, views of a room."""

import numpy as np
import pytest

from depth_pose_ros.core.camera import Camera
from depth_pose_training.data import composites
from depth_pose_training.data.datasets.base import LabelledFrame
from depth_pose_training.data.shards import HIDDEN, VISIBLE, FrameSample, pack

CAMERA = Camera(110.0, 110.0, 79.5, 59.5, 160, 120)


@pytest.fixture
def room() -> LabelledFrame:
    """A wall at 3 m with a cupboard at 1 m on the left half."""
    depth = np.full((240, 320), 3.0, np.float32)
    depth[:, :160] = 1.0
    return LabelledFrame(depth, Camera(260.0, 260.0, 159.5, 119.5, 320, 240), (), "room/0")


@pytest.fixture
def people() -> FrameSample:
    """A person, a rectangle at 2 m across both halves of the room."""
    depth = np.zeros((120, 160), np.float32)
    depth[20:100, 40:120] = 2.0
    u = np.linspace(45, 115, 19)
    joints = np.stack([CAMERA.back_project((x, 60.0), 2.1) for x in u])[None].astype(np.float32)
    return FrameSample(depth, CAMERA, joints, np.full((1, 19), VISIBLE, np.uint8))


def test_the_nearer_surface_wins() -> None:
    rng = np.random.default_rng(0)
    person = np.zeros((30, 30), np.float32)
    person[5:25, 5:25] = 2.0
    wall = np.full((30, 30), 3.0, np.float32)
    wall[:, :15] = 1.0
    wall[10:20, 20:28] = 0.0  # missing
    merged = composites.merge(person, wall, rng)
    assert (merged[:, :14] == 1.0).all()
    assert set(np.unique(merged[7:23, 17:23])) <= {0.0, 2.0}
    assert (merged[8:22, 17:23] == 2.0).mean() > 0.9
    assert (merged[:3, 16:] == 3.0).all()


def test_joints_behind_the_room_are_hidden(
    room: LabelledFrame, people: FrameSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composites, "_SCALE", (1.0, 1.0))
    made = composites.composite(people, room, np.random.default_rng(3))
    pixels = np.rint(CAMERA.project(people.joints[0])).astype(int)
    surface = made.depth[pixels[:, 1], pixels[:, 0]]
    covered = surface == 1.0
    assert 0 < covered.sum() < 19
    np.testing.assert_array_equal(made.visible[0] == HIDDEN, covered)
    np.testing.assert_array_equal(made.joints, people.joints)


def test_views_fill_the_image_of_a_wider_camera(room: LabelledFrame) -> None:
    wide = Camera(90.0, 90.0, 79.5, 59.5, 160, 120)
    for seed in range(5):
        view = composites.room_view(room, wide, np.random.default_rng(seed))
        assert view.shape == (120, 160)
        assert (view > 0).mean() > 0.85
        low, high = composites._SCALE
        assert set(np.round(np.unique(view[view > 0]), 3).tolist()).issubset(
            set(np.round([x for x in np.unique(view) if low <= x <= 3 * high], 3).tolist())
        )


def test_frames_and_empty_rooms_are_reproducible(room: LabelledFrame, people: FrameSample) -> None:
    first, second = (list(composites.composites([people], [room], 3, 2, seed=7)) for _ in range(2))
    assert sorted(len(f.joints) for f in first) == [0, 0, 1, 1, 1]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.depth, b.depth)
    shard = pack([], first)
    assert len(shard.depth) == 0 and sorted(shard.view_people.tolist()) == [0, 0, 1, 1, 1]
