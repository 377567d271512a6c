"""Pictures: color where the joints are, one scale, nothing that a stray joint can break."""

import numpy as np
import pytest

from depth_pose_ros.core.drawing import (
    CONFIDENT,
    LEFT,
    MIDDLE,
    RIGHT,
    Bounds,
    Person,
    colorize,
    draw_skeleton,
    montage,
    side_view,
)
from depth_pose_ros.core.skeleton import INDEX, JOINTS
from helpers.poses import CAMERA, standing

BOUNDS = Bounds((-1.5, -1.0, 1.0), (1.5, 1.0, 4.0))


def blank() -> np.ndarray:
    return np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)


def drawn(confidence: float = 1.0) -> np.ndarray:
    image = blank()
    draw_skeleton(image, standing().pixels, np.full(len(JOINTS), confidence))
    return image


def person(x: float = 0.0, z: float = 2.5, number: int = 0) -> Person:
    pose = standing(x=x, z=z)
    return Person(pose.joints, pose.confidence, number)


def colored(image: np.ndarray) -> np.ndarray:
    """(N, 2) pixels (u, v) of a bone's or joint's color, text and grid left out."""
    saturation = image.max(axis=2).astype(int) - image.min(axis=2)
    return np.argwhere(saturation > 90)[:, ::-1]


def test_colors_of_near_far_and_missing_depth():
    depth = np.array([[1.0, 2.0, 3.0, 0.0, np.nan]], np.float32)
    image = colorize(depth, near=1.0, far=3.0)
    assert image.shape == (1, 5, 3) and image.dtype == np.uint8
    grey = image[0, :3]
    assert (grey == grey[:, :1]).all()
    assert grey[0, 0] > grey[1, 0] > grey[2, 0]
    assert (image[0, 3] == image[0, 4]).all() and len(np.unique(image[0, 3])) > 1


def test_depth_outside_the_range_is_clipped():
    image = colorize(np.array([[0.5, 1.0, 3.0, 9.0]], np.float32), near=1.0, far=3.0)
    assert (image[0, 0] == image[0, 1]).all() and (image[0, 2] == image[0, 3]).all()


@pytest.mark.parametrize(
    ("joint", "color"),
    [("RightElbow", RIGHT), ("LeftElbow", LEFT), ("RightFoot", RIGHT), ("Head", MIDDLE)],
)
def test_joints_are_drawn_in_the_color_of_their_side(joint, color):
    u, v = np.rint(standing().pixels[INDEX[joint]]).astype(int)
    assert tuple(drawn()[v, u]) == color


def test_bones_connect_the_joints():
    pixels = standing().pixels
    middle = (pixels[INDEX["LeftKnee"]] + pixels[INDEX["LeftFoot"]]) / 2
    u, v = np.rint(middle).astype(int)
    assert tuple(drawn()[v, u]) == LEFT


def test_low_confidence_skeleton_is_thinner_and_fainter():
    sure, unsure = drawn(CONFIDENT), drawn(CONFIDENT - 0.01)
    assert 0 < np.count_nonzero(unsure.any(axis=2)) < np.count_nonzero(sure.any(axis=2))
    u, v = np.rint(standing().pixels[INDEX["Head"]]).astype(int)
    assert 0 < unsure[v, u].max() < 0.7 * sure[v, u].max()


def test_nan_and_distant_joints_are_skipped():
    pixels = standing().pixels.astype(np.float64)
    pixels[INDEX["LeftHand"]] = np.nan
    pixels[INDEX["RightHand"]] = (1e12, -1e12)
    image = blank()
    draw_skeleton(image, pixels, np.ones(len(JOINTS)), person_id=3)
    u, v = np.rint(standing().pixels[INDEX["LeftHand"]]).astype(int)
    assert not image[v, u].any()
    assert image.any()


def test_the_person_is_numbered():
    image = drawn()
    draw_skeleton(labelled := blank(), standing().pixels, np.ones(len(JOINTS)), person_id=12)
    assert (labelled != image).any()


def test_both_projections_have_one_scale():
    """A person 1 m nearer moves as far to the left in the side view as down in the one above."""
    size = (500, 400)
    views = [side_view([person(z=z)], BOUNDS, size=size) for z in (3.0, 2.0)]
    boxes = []
    for view in views:
        uv = colored(view)
        # The view from above is low: a person standing is tall only from the side.
        split = 260
        boxes.append((uv[uv[:, 1] < split].mean(axis=0), uv[uv[:, 1] >= split].mean(axis=0)))
    side, above = boxes[1][0] - boxes[0][0], boxes[1][1] - boxes[0][1]
    assert side[0] < -20 and side[1] == pytest.approx(0, abs=1)
    assert above[1] == pytest.approx(-side[0], abs=2) and above[0] == pytest.approx(0, abs=1)


def test_side_view_size_and_content():
    points = np.array([[0.0, 0.0, 2.4], [9.0, 9.0, 9.0]])
    plain = side_view([person()], BOUNDS, size=(300, 200))
    dotted = side_view([person()], BOUNDS, points, size=(300, 200))
    assert plain.shape == dotted.shape == (300, 200, 3)
    assert 1 <= np.count_nonzero((plain != dotted).any(axis=2)) <= 2


def test_side_view_without_people_is_a_grid():
    assert not len(colored(side_view([], BOUNDS)))


def test_montage_keeps_every_image():
    images = [np.full((10, 20, 3), value, np.uint8) for value in (50, 100, 150)]
    sheet = montage(images, columns=2, gap=4)
    assert sheet.shape == (24, 44, 3)
    assert (sheet[:10, :20] == 50).all()
    assert (sheet[:10, 24:] == 100).all()
    assert (sheet[14:, :20] == 150).all()
