"""Person-centred crops: geometry and values."""

import numpy as np
import pytest

from depth_pose_ros.core import crops
from depth_pose_ros.core.camera import Camera

KINECT_V2 = Camera(365.0, 365.0, 255.5, 211.5, 512, 424)
CAMERAS = [
    KINECT_V2,
    Camera(540.0, 540.0, 480.0, 270.0, 960, 540),
    Camera(285.6, 285.6, 159.5, 119.5, 320, 240),
    Camera(504.0, 480.0, 320.0, 288.0, 640, 576),
]


@pytest.mark.parametrize("camera", CAMERAS)
def test_crop_pixels_sample_their_rays(camera: Camera) -> None:
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    # A slanted surface: its depth says which image pixel a crop pixel was read from.
    depth = (2.5 + 0.001 * u + 0.0005 * v).astype(np.float32)
    frame = crops.frame_around((0.1, -0.05, 2.8))
    values = crops.cut(depth, camera, frame) * crops.DEPTH_RANGE + frame.z_ref
    for x, y in ((60, 80), (88, 108), (120, 140)):
        column = camera.fx * (frame.ray_x + frame.step * x) + camera.cx
        row = camera.fy * (frame.ray_y + frame.step * y) + camera.cy
        expected = 2.5 + 0.001 * column + 0.0005 * row
        assert values[y, x] == pytest.approx(expected, abs=0.0011)  # one pixel


def test_crop_scale_is_independent_of_distance_and_camera() -> None:
    for camera in CAMERAS:
        for z in (1.5, 3.0):
            depth = np.zeros((camera.height, camera.width), np.float32)
            top_left = camera.project((-0.25, -0.25, z)).round().astype(int)
            bottom_right = camera.project((0.25, 0.25, z)).round().astype(int)
            depth[top_left[1] : bottom_right[1], top_left[0] : bottom_right[0]] = z
            crop = crops.cut(depth, camera, crops.frame_around((0, 0, z)))
            sides = (crop < crops.FAR).any(0).sum(), (crop < crops.FAR).any(1).sum()
            assert sides == pytest.approx((45, 45), abs=3)  # 0.5 m at 11 mm a pixel


def test_missing_depth_is_far_and_other_depth_is_clipped() -> None:
    depth = np.full((424, 512), np.nan, np.float32)
    depth[:200] = 0
    depth[200:212] = 0.5  # far too near
    crop = crops.cut(depth, KINECT_V2, crops.frame_around((0, 0, 3.0)))
    assert set(np.unique(crop)) == {-1.0, crops.FAR}


def test_outside_the_image_is_missing() -> None:
    depth = np.full((424, 512), 2.0, np.float32)
    crop = crops.cut(depth, KINECT_V2, crops.frame_around((-1.4, 0, 2.0)))
    assert (crop[:, :20] == crops.FAR).all()
    assert (crop[100:110, -20:] == 0).all()


def test_space_and_pixels_round_trip() -> None:
    frame = crops.frame_around((0.3, -0.2, 2.2))
    points = np.array([(0.5, 0.1, 2.0), (-0.1, -0.4, 2.5)])
    pixels = frame.from_space(points)
    np.testing.assert_allclose(frame.to_space(pixels, points[:, 2]), points, atol=1e-12)
    np.testing.assert_allclose(frame.from_space((0.3, -0.2, 2.2)), (87.5, 107.5), atol=1e-9)


def test_crops_of_millimetre_images_are_unchanged() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 6, (424, 512)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.2] = 0
    frame = crops.frame_around((0, 0, 3.0))
    direct = crops.cut(depth, KINECT_V2, frame)
    z = direct * crops.DEPTH_RANGE + frame.z_ref
    z[direct == crops.FAR] = 0
    stored = crops.from_millimetres(crops.relative_millimetres(z, frame))
    np.testing.assert_allclose(stored, direct, atol=0.0006 / crops.DEPTH_RANGE)


def test_centre_behind_the_camera_is_refused() -> None:
    with pytest.raises(ValueError, match="in front of the camera"):
        crops.frame_around((0, 0, -1))
