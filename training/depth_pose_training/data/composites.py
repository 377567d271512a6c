"""Rendered people in real rooms: two depth images of one camera, merged by their z-buffers.

What stands in front of a person hides it.  The rooms are real depth images without people
(:func:`depth_pose_training.data.datasets.real_scenes.read_scenes`).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data.datasets.base import LabelledFrame
from depth_pose_training.data.shards import HIDDEN, VISIBLE, FrameSample

Image = NDArray[np.float32]

#: A room's image may be stretched by so much to fill a wider camera.
_MAX_STRETCH = 1.7
#: Range of the factor by which a room is made larger or smaller.
_SCALE = (0.8, 1.3)
#: Pixels, how far a view may reach beyond the room's image.
_MARGIN = 10
#: Range of the share of the pixels along a silhouette that are missing.
_EDGE_DROPOUT = (0.1, 0.7)
#: Shares of single missing pixels in a room without people; one is drawn.
_SPECKLE = (0.0, 0.0, 0.01, 0.03)
#: A joint is hidden by a surface so much in front of it, metres: more than its own depth in the
#: body.
_HIDDEN_BY = 0.25


def room_view(room: LabelledFrame, camera: Camera, rng: np.random.Generator) -> Image:
    """A part of a room at random scale, perhaps flipped, as the given camera would see it.

    Returns:
        (H, W) metres, 0 where missing.
    """
    source, shape = room.camera, (camera.height, camera.width)
    angles = np.array((camera.width / camera.fx, camera.height / camera.fy))
    size = np.array((source.width, source.height))
    focal = np.array((source.fx, source.fy))
    focal = focal / np.clip((angles * focal / size).max(), 1.0, _MAX_STRETCH)
    free = np.maximum(0, (size - angles * focal) / 2) + _MARGIN
    shift = rng.uniform(-free, free) + (source.cx, source.cy)
    v, u = np.indices(shape)
    x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    if rng.random() < 0.5:
        x = -x
    columns = np.rint(x * focal[0] + shift[0]).astype(int)
    rows = np.rint(y * focal[1] + shift[1]).astype(int)
    inside = (columns >= 0) & (columns < size[0]) & (rows >= 0) & (rows < size[1])
    view = np.zeros(shape, np.float32)
    view[inside] = room.depth[rows[inside], columns[inside]] * rng.uniform(*_SCALE)
    return view


def merge(people: Image, room: Image, rng: np.random.Generator) -> Image:
    """The nearer surface of two depth images of one camera, with holes along silhouettes."""
    front = (people > 0) & ((room <= 0) | (people < room))
    depth = np.where(front, people, room)
    mask, kernel = front.astype(np.uint8), np.ones((3, 3), np.uint8)
    edge = cv2.dilate(mask, kernel) > cv2.erode(mask, kernel)
    depth[edge & (rng.random(depth.shape) < rng.uniform(*_EDGE_DROPOUT))] = 0
    return depth


def composite(people: FrameSample, room: LabelledFrame, rng: np.random.Generator) -> FrameSample:
    """People without a background in a room; joints that the room hides are marked hidden."""
    camera = people.camera
    background = room_view(room, camera, rng)
    z = np.maximum(people.joints[..., 2], 0.1)
    pixels = np.rint(camera.project(np.concatenate((people.joints[..., :2], z[..., None]), -1)))
    columns = pixels[..., 0].clip(0, camera.width - 1).astype(int)
    rows = pixels[..., 1].clip(0, camera.height - 1).astype(int)
    surface = background[rows, columns]
    covered = (surface > 0) & (surface < z - _HIDDEN_BY) & (people.visible == VISIBLE)
    visible = np.where(covered, HIDDEN, people.visible).astype(np.uint8)
    return FrameSample(merge(people.depth, background, rng), camera, people.joints, visible)


def empty_room(room: LabelledFrame, camera: Camera, rng: np.random.Generator) -> FrameSample:
    """A room without people."""
    depth = room_view(room, camera, rng)
    depth[rng.random(depth.shape) < rng.choice(_SPECKLE)] = 0
    return FrameSample(
        depth, camera, np.zeros((0, NUM_JOINTS, 3), np.float32), np.zeros((0, NUM_JOINTS), np.uint8)
    )


def composites(
    people: Sequence[FrameSample],
    rooms: Sequence[LabelledFrame],
    frames: int,
    empty: int,
    seed: int,
) -> Iterator[FrameSample]:
    """``frames`` composites and ``empty`` rooms, in random order; every scene equally often.

    Args:
        people: frames with people and no background.
        rooms: frames of real rooms, keyed ``scene/frame``.
    """
    rng = np.random.default_rng(seed)
    scenes: dict[str, list[LabelledFrame]] = defaultdict(list)
    for room in rooms:
        scenes[room.key.rpartition("/")[0]].append(room)
    by_scene = list(scenes.values())
    order = rng.permutation(len(people))
    for number in rng.permutation(frames + empty):
        scene = by_scene[rng.integers(len(by_scene))]
        room, sample = scene[rng.integers(len(scene))], people[order[number % len(order)]]
        if number < frames:
            yield composite(sample, room, rng)
        else:
            yield empty_room(room, sample.camera, rng)
