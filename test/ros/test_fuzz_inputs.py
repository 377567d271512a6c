"""Arbitrary images and calibrations give a valid result or an error of ours that explains why."""

import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="needs ROS messages: `make setup` installs them")

from hypothesis import given
from hypothesis import strategies as st

from depth_pose_ros.core.calibration import CalibrationError
from depth_pose_ros.core.camera import CameraError
from depth_pose_ros.core.depth import DepthError
from depth_pose_ros.ros.inputs import DepthReader
from helpers.fuzzing import cases
from helpers.message_strategies import HEIGHT, WIDTH, camera_infos, compressed_images, images


def is_valid(depth: np.ndarray) -> bool:
    return depth.dtype == np.float32 and bool(np.isfinite(depth).all() and (depth >= 0).all())


@cases(40)
@given(images())
def test_any_image(message):
    try:
        depth = DepthReader(True, lambda _: None).decode(message)
    except DepthError as error:
        assert len(str(error)) > 20
    else:
        assert depth.shape == (message.height, message.width) and is_valid(depth)


@cases(40)
@given(compressed_images())
def test_any_compressed_image(message):
    try:
        depth = DepthReader(True, lambda _: None).decode(message)
    except DepthError as error:
        assert len(str(error)) > 20
    else:
        assert depth.ndim == 2 and is_valid(depth)


@cases(40)
@given(camera_infos(), st.booleans())
def test_any_calibration(info, rectified):
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    calibrations = []
    try:
        result, camera = DepthReader(rectified, calibrations.append).rectify(depth, info)
    except (CalibrationError, CameraError) as error:
        assert len(str(error)) > 20
        return
    assert result.shape == depth.shape and is_valid(result)
    assert (camera.width, camera.height) == (WIDTH, HEIGHT) and camera.fx > 0 and camera.fy > 0
    assert np.isfinite((camera.fx, camera.fy, camera.cx, camera.cy)).all()
    assert calibrations[0].camera == camera
