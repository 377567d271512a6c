"""Units, validity and layout (REP-118), with the messages' own bytes through cv_bridge."""

import numpy as np
import pytest

from depth_pose_ros.core.depth import MIN_SIZE, DepthError, check_layout, to_metres

W, H = 48, 40


def test_millimetres_become_metres_and_zero_stays_invalid():
    image = np.zeros((H, W), np.uint16)
    image[3, 5], image[4, 6] = 2345, 65535
    for encoding in ("16UC1", "mono16"):
        metres = to_metres(image, encoding)
        assert metres.dtype == np.float32 and metres.shape == (H, W)
        assert metres[3, 5] == pytest.approx(2.345) and metres[4, 6] == pytest.approx(65.535)
        assert np.count_nonzero(metres) == 2


def test_depth_scale_is_the_unit_of_16_bit_images_only():
    image = np.array(((0, 4000), (1, 65535)), np.uint16)
    for encoding in ("16UC1", "mono16"):
        metres = to_metres(image, encoding, 0.00025)
        np.testing.assert_allclose(metres, ((0, 1.0), (0.00025, 16.38375)))
    metres = to_metres(image.astype(np.float32), "32FC1", 0.00025)
    np.testing.assert_array_equal(metres, image)


def test_every_invalid_metre_becomes_zero():
    image = np.full((H, W), 1.5, np.float32)
    image[0, :5] = np.nan, np.inf, -np.inf, -1.0, 0.0
    metres = to_metres(image, "32FC1")
    assert not metres[0, :5].any()
    assert (metres[0, 5:] == 1.5).all()
    assert np.isnan(image[0, 0]), "the message's own data must not be written to"


def test_any_byte_order_and_memory_layout():
    image = np.arange(W * H * 2, dtype=np.uint16).reshape(H, W * 2)
    expected = image[:, ::2].astype(np.float32) * np.float32(0.001)
    for variant in (image[:, ::2], image.astype(">u2")[:, ::2], np.asfortranarray(image[:, ::2])):
        metres = to_metres(variant, "16UC1")
        assert metres.dtype.isnative
        np.testing.assert_array_equal(metres, expected)
    np.testing.assert_array_equal(to_metres(image[:, ::2, None], "16UC1"), expected)
    big = np.full((H, W), 1.25, ">f4")
    np.testing.assert_array_equal(to_metres(big, "32FC1"), 1.25)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(
    ("encoding", "dtype"), [("16UC1", "u2"), ("mono16", "u2"), ("32FC1", "f4")]
)
def test_padded_rows_and_byte_order_through_cv_bridge(big_endian, padding, encoding, dtype):
    image_msg = pytest.importorskip("sensor_msgs.msg").Image
    bridge = pytest.importorskip("cv_bridge").CvBridge()
    values = np.random.default_rng(0).integers(500, 4000, (H, W))
    order = ">" if big_endian else "<"
    rows = np.full((H, W + padding), 9, dtype=order + dtype)  # the padding must not be read
    rows[:, :W] = values
    message = image_msg(
        height=H,
        width=W,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=rows.strides[0],
    )
    message.data.frombytes(rows.tobytes())
    check_layout(encoding, W, H, message.step, len(message.data))
    try:
        decoded = bridge.imgmsg_to_cv2(message, desired_encoding="passthrough")
    except AttributeError as error:
        pytest.xfail(f"vision_opencv's cv_bridge cannot swap bytes under NumPy 2: {error}")
    metres = to_metres(decoded, encoding)
    np.testing.assert_allclose(metres, values * (0.001 if dtype == "u2" else 1.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"encoding": "rgb8"}, "encoding 'rgb8' is not depth"),
        ({"encoding": ""}, "encoding '' is not depth"),
        ({"width": 0, "step": 0}, "is empty"),
        ({"height": 0, "num_bytes": 0}, "is empty"),
        ({"width": 3, "height": 3, "step": 6, "num_bytes": 18}, "3 x 3 pixels is too small"),
        ({"num_bytes": W * H * 2 - 1}, "truncated"),
        ({"num_bytes": 0}, "truncated"),
        ({"step": W * 2 - 2}, "step is 94 bytes"),
        ({"step": W * 2 + 1, "num_bytes": (W * 2 + 1) * H}, "step is 97 bytes"),
        ({"encoding": "32FC1"}, "step is 96 bytes"),
    ],
)
def test_a_bad_layout_is_named(fields, complaint):
    good = {"encoding": "16UC1", "width": W, "height": H, "step": W * 2, "num_bytes": W * H * 2}
    check_layout(**good)
    with pytest.raises(DepthError) as caught:
        check_layout(**{**good, **fields})
    assert complaint in str(caught.value)


def test_the_smallest_image_is_accepted():
    check_layout("16UC1", MIN_SIZE, MIN_SIZE, MIN_SIZE * 2, MIN_SIZE * MIN_SIZE * 2)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((H, W), np.uint8),
        np.zeros((H, W), np.float32),
        np.zeros((H, W, 3), np.uint16),
        np.zeros(W, np.uint16),
    ],
)
def test_an_array_that_does_not_match_its_encoding_is_refused(image):
    with pytest.raises(DepthError, match="16UC1 image must decode to"):
        to_metres(image, "16UC1")
    with pytest.raises(DepthError, match="is not depth"):
        to_metres(image, "bgr8")
