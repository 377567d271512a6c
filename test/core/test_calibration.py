"""From camera_info to a camera, and undoing distortion."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from depth_pose_ros.core.calibration import CalibrationError, calibrate, fingerprint
from depth_pose_ros.core.camera import CameraError

W, H = 512, 424
K = [365.0, 0.0, 256.0, 0.0, 366.0, 212.0, 0.0, 0.0, 1.0]
P = [360.0, 0.0, 250.0, 0.0, 0.0, 361.0, 210.0, 0.0, 0.0, 0.0, 1.0, 0.0]
D = [0.09, -0.27, 0.001, -0.002, 0.1]


def info(**fields):
    """What the code reads of sensor_msgs/CameraInfo."""
    no_roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    defaults = {
        "width": W,
        "height": H,
        "distortion_model": "plumb_bob",
        "d": D,
        "k": K,
        "p": P,
        "binning_x": 0,
        "binning_y": 0,
        "roi": no_roi,
    }
    return SimpleNamespace(**{**defaults, **fields})


def intrinsics(camera):
    return camera.fx, camera.fy, camera.cx, camera.cy


def test_a_rectified_image_uses_p_and_ignores_d():
    calibration = calibrate(info(), W, H, rectified=True)
    assert intrinsics(calibration.camera) == (360.0, 361.0, 250.0, 210.0)
    assert (calibration.camera.width, calibration.camera.height) == (W, H)
    assert calibration.undistortion is None and calibration.ignored_distortion
    depth = np.ones((H, W), np.float32)
    assert calibration.rectify(depth) is depth


def test_an_empty_p_leaves_k():
    calibration = calibrate(info(p=[0.0] * 12, d=[]), W, H, rectified=True)
    assert intrinsics(calibration.camera) == (365.0, 366.0, 256.0, 212.0)
    assert not calibration.ignored_distortion


@pytest.mark.parametrize("d", [[], [0.0] * 5])
def test_a_raw_image_without_distortion_uses_k_as_it_is(d):
    calibration = calibrate(info(d=d), W, H, rectified=False)
    assert intrinsics(calibration.camera) == (365.0, 366.0, 256.0, 212.0)
    assert calibration.undistortion is None


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", [0.3, 0.1, 1e-3, -2e-3, 0.0]),
        ("rational_polynomial", [0.5, 0.3, 1e-3, -1e-3, 0.02, 0.8, 0.4, 0.1]),
        ("equidistant", [-0.02, 0.01, -0.004, 0.001]),
    ],
)
def test_distortion_is_undone(model, d):
    """A point in space, projected through the lens, lies where the pinhole puts it afterwards."""
    message = info(distortion_model=model, d=d)
    calibration = calibrate(message, W, H, rectified=False)
    points = np.array([(-0.6, -0.5, 1.5), (0.7, 0.4, 1.5), (0.5, -0.5, 1.5), (-0.1, 0.1, 1.5)])
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    matrix = np.reshape(K, (3, 3))
    seen, _ = project(points[:, None], np.zeros(3), np.zeros(3), matrix, np.array(d))
    raw = np.zeros((H, W), np.float32)
    for number, (u, v) in enumerate(seen[:, 0].round().astype(int), start=1):
        raw[v - 3 : v + 4, u - 3 : u + 4] = number
    rectified = calibration.rectify(raw)
    ideal = calibration.camera.project(points).round().astype(int)
    assert [rectified[v, u] for u, v in ideal] == [1, 2, 3, 4]
    assert set(np.unique(rectified)) == {0, 1, 2, 3, 4}, "depths must not be mixed"
    assert np.abs(seen[:, 0] - ideal).max() > 4, "the test needs distortion worth undoing"


@pytest.mark.parametrize("rectified", [True, False])
def test_an_uncalibrated_camera_is_named(rectified):
    with pytest.raises(CameraError, match="all-zero K"):
        calibrate(info(k=[0.0] * 9, p=[0.0] * 12, d=[]), W, H, rectified)
    nan = [float("nan")] * 12
    with pytest.raises(CameraError, match="finite"):
        calibrate(info(k=nan[:9], p=nan, d=[]), W, H, rectified)


def test_another_size_is_refused_and_a_missing_one_taken_from_the_image():
    with pytest.raises(CalibrationError, match=r"camera_info is for 512 x 424 .* 960 x 540"):
        calibrate(info(), 960, 540, rectified=True)
    assert calibrate(info(width=0, height=0), W, H, rectified=True).camera.width == W


def test_another_size_of_the_same_shape_is_scaled_and_said():
    for width, height, scale in ((256, 212, 0.5), (1024, 848, 2.0), (171, 141, 1 / 3)):
        calibration = calibrate(info(), width, height, rectified=True)
        expected = np.array((360.0, 361.0, 250.0, 210.0)) * scale
        np.testing.assert_allclose(intrinsics(calibration.camera), expected, rtol=5e-3)
        (text,) = calibration.assumptions
        assert text.startswith("camera_info is for 512 x 424 pixels and is scaled")
    assert calibrate(info(), W, H, rectified=True).assumptions == ()
    with pytest.raises(CalibrationError):
        calibrate(info(), W * 9, H * 9, rectified=True)


def roi(x, y, width, height):
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height)


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"binning_x": 2, "binning_y": 2}, "binning"),
        ({"roi": roi(50, 60, 300, 200)}, "roi"),
        ({"roi": roi(50, 60, 300, 200), "binning_x": 4, "binning_y": 4}, "roi and binning"),
        ({"roi": roi(100, 0, W, H)}, "roi"),  # beyond the sensor
        ({"roi": roi(16, 8, 0, 0)}, "roi"),
        ({"roi": roi(0, 0, W, H)}, ""),
        ({"roi": roi(7, 5, 300, 200), "width": 0, "height": 0}, "roi"),
        ({"binning_x": 2, "binning_y": 2, "width": 0, "height": 0}, "binning"),
    ],
)
def test_roi_and_binning_that_contradict_the_size_of_the_image_are_ignored(fields, ignored):
    calibration = calibrate(info(**fields), W, H, rectified=True)
    assert intrinsics(calibration.camera) == (360.0, 361.0, 250.0, 210.0)
    text = f"{ignored} of camera_info contradicts the size of the image and is ignored"
    assert calibration.assumptions == ((text,) if ignored else ())


def test_roi_holds_where_binning_contradicts_the_size_and_the_reverse():
    message = info(roi=roi(100, 40, 300, 200), binning_x=2, binning_y=2)
    calibration = calibrate(message, 300, 200, rectified=True)
    assert intrinsics(calibration.camera) == (360.0, 361.0, 150.0, 170.0)
    assert calibration.assumptions[0].startswith("binning of camera_info")
    calibration = calibrate(message, W // 2, H // 2, rectified=True)
    assert intrinsics(calibration.camera) == (180.0, 180.5, 125.0, 105.0)
    assert calibration.assumptions[0].startswith("roi of camera_info")
    odd = info(width=511, height=423, binning_x=2, binning_y=2)
    for size in ((255, 211), (256, 212)):
        assert calibrate(odd, *size, rectified=True).assumptions == ()


@pytest.mark.parametrize("p", [[0.0] * 12, [float("nan")] * 12, [1.0, *[0.0] * 11]])
def test_k_is_used_where_p_is_unusable_and_p_where_k_is(p):
    calibration = calibrate(info(p=p), W, H, rectified=True)
    assert intrinsics(calibration.camera) == (365.0, 366.0, 256.0, 212.0)
    assert calibration.assumptions[0].startswith("P is empty")
    assert calibrate(info(p=p, d=[]), W, H, rectified=True).assumptions == ()
    calibration = calibrate(info(k=[0.0] * 9, d=[0.0] * 5), W, H, rectified=False)
    assert intrinsics(calibration.camera) == (360.0, 361.0, 250.0, 210.0)
    assert calibration.assumptions[0].startswith("K is empty")
    with pytest.raises(CameraError, match="all-zero K"):
        calibrate(info(k=[0.0] * 9), W, H, rectified=False)


def test_region_of_interest_and_binning_as_image_geometry_has_them():
    message = info(roi=roi(100, 40, 300, 200), binning_x=2, binning_y=2)
    camera = calibrate(message, 150, 100, rectified=True).camera
    assert intrinsics(camera) == (180.0, 180.5, 75.0, 85.0)


@pytest.mark.parametrize(
    "fields",
    [{"distortion_model": "kannala"}, {"d": [0.1, 0.2]}, {"d": [float("nan")] * 5}],
)
def test_distortion_that_cannot_be_undone_is_refused_only_where_it_matters(fields):
    with pytest.raises(CalibrationError, match="cannot be undone"):
        calibrate(info(**fields), W, H, rectified=False)
    assert calibrate(info(**fields), W, H, rectified=True).camera.fx == 360.0


def test_the_fingerprint_changes_with_everything_that_is_read():
    changed = [
        {"width": 511},
        {"height": 1},
        {"distortion_model": "x"},
        {"d": [*D[:4], 0.2]},
        {"k": [1.0, *K[1:]]},
        {"p": [1.0, *P[1:]]},
        {"binning_x": 2},
        {"binning_y": 2},
        {"roi": SimpleNamespace(x_offset=1, y_offset=0, width=0, height=0)},
    ]
    assert fingerprint(info(d=[float("nan")])) == fingerprint(info(d=[float("nan")]))
    assert len({fingerprint(info()), *(fingerprint(info(**fields)) for fields in changed)}) == 10
