"""Distortion models as drivers name and fill them."""

import cv2
import numpy as np
import pytest

from depth_pose_ros.core.lens import FISHEYE, POLYNOMIAL, LensError, read_lens

FIVE = [0.11, -0.05, 0.001, -0.002, 0.03]
EIGHT = [*FIVE, 0.2, -0.04, 0.006]
TWELVE = [*EIGHT, 1e-4, 2e-4, -1e-4, 3e-4]
FISH = [-0.02, 0.01, -0.004, 0.001]


@pytest.mark.parametrize(
    ("model", "d", "kind", "expected", "is_usual"),
    [
        ("plumb_bob", FIVE, POLYNOMIAL, FIVE, True),
        ("rational_polynomial", EIGHT, POLYNOMIAL, EIGHT, True),
        ("equidistant", FISH, FISHEYE, FISH, True),
        ("plumb_bob", EIGHT, POLYNOMIAL, EIGHT, False),
        ("plumb_bob", [*FIVE, 0, 0, 0], POLYNOMIAL, FIVE, False),
        ("plumb_bob", [*EIGHT, 0, 0], POLYNOMIAL, EIGHT, False),
        ("plumb_bob", TWELVE, POLYNOMIAL, TWELVE, False),
        ("rational_polynomial", FIVE, POLYNOMIAL, FIVE, False),
        ("rational_polynomial", [*EIGHT, *[0] * 6], POLYNOMIAL, EIGHT, True),
        ("", FIVE, POLYNOMIAL, FIVE, False),
        ("", EIGHT, POLYNOMIAL, EIGHT, False),
        ("Brown-Conrady", FIVE, POLYNOMIAL, FIVE, False),
        ("brown_conrady", [*FIVE[:4], 0], POLYNOMIAL, FIVE[:4], False),
        ("radtan", FIVE[:4], POLYNOMIAL, FIVE[:4], False),
        ("distortion.brown_conrady", FIVE, POLYNOMIAL, FIVE, False),
        ("kannala_brandt4", [*FISH, 0], FISHEYE, FISH, False),
        ("fisheye", FISH, FISHEYE, FISH, False),
        ("equidistant", [*FISH, 0, 0, 0, 0], FISHEYE, FISH, False),
        ("Kannala Brandt", FISH, FISHEYE, FISH, False),
    ],
)
def test_usual_models_are_read_and_unusual_ones_are_logged(model, d, kind, expected, is_usual):
    lens = read_lens(model, d)
    assert lens is not None and lens.kind == kind
    np.testing.assert_array_equal(lens.coefficients, expected)
    assert (lens.assumption == "") == is_usual
    if not is_usual:
        assert f"model '{model}' with {len(d)} coefficients" in lens.assumption
        assert f"the first {len(expected)}" in lens.assumption


@pytest.mark.parametrize("model", ["", "plumb_bob", "equidistant", "anything"])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 20])
def test_no_distortion_needs_no_model(model, count):
    assert read_lens(model, [0.0] * count) is None


@pytest.mark.parametrize(
    ("model", "d", "reason"),
    [
        ("mei", FIVE, "unknown; known are plumb_bob, rational_polynomial, equidistant"),
        ("ftheta", FISH, "unknown"),
        ("inverse_brown_conrady", FIVE, "another function"),
        ("distortion.modified_brown_conrady", FIVE, "another function"),
        ("plumb_bob", EIGHT[:6], "6 coefficients are ambiguous"),
        ("plumb_bob", [0.1, 0.2], "2 coefficients are ambiguous"),
        ("plumb_bob", [*TWELVE, *TWELVE], "24 coefficients are ambiguous"),
        ("equidistant", EIGHT, "8 coefficients are ambiguous"),
        ("plumb_bob", [float("nan")] * 5, "not finite"),
    ],
)
def test_other_models_are_refused_with_a_reason(model, d, reason):
    with pytest.raises(LensError, match=reason):
        read_lens(model, d)


def test_model_name_does_not_change_a_rectified_image():
    matrix = np.array(((91.0, 0, 64), (0, 91, 53), (0, 0, 1)))
    expected = cv2.initUndistortRectifyMap(
        matrix, np.array(EIGHT), np.eye(3), matrix, (128, 106), cv2.CV_32FC1
    )
    for model in ("plumb_bob", "rational_polynomial", "", "brown_conrady"):
        lens = read_lens(model, EIGHT)
        np.testing.assert_array_equal(lens.undistortion(matrix, 128, 106), expected)
