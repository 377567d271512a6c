"""Made-up images, calibrations and weights files: a result that holds, or a refusal that says why.

Anything else, above all another exception, is a fault.
"""

import json
import struct
import warnings

import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="needs ROS messages: `make setup` installs them")

import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from test_compressed_depth import message as compressed
from test_weights import CONFIG

from depth_pose_ros.core import weights
from depth_pose_ros.core.calibration import CalibrationError
from depth_pose_ros.core.camera import CameraError
from depth_pose_ros.core.depth import DepthError
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.weights import WeightsError
from depth_pose_ros.ros.inputs import metres
from depth_pose_ros.ros.reader import DepthReader
from helpers.fuzzing import cases

WIDTH, HEIGHT = 48, 36
UINT32 = st.integers(0, 2**32 - 1)
SIZES = st.one_of(st.integers(0, 80), st.sampled_from([0, 1, 31, 32, WIDTH, HEIGHT]), UINT32)
ENCODINGS = st.one_of(
    st.sampled_from(
        ["16UC1", "mono16", "32FC1", "8UC1", "mono8", "rgb8", "64FC1", "16SC1", "16UC3", "32FC2"]
    ),
    st.text(max_size=12),
)
NUMBERS = st.one_of(
    st.floats(width=64),
    st.sampled_from([0.0, 1.0, -1.0, 365.0, 1e-300, 1e300, np.nan, np.inf, -np.inf]),
)


def text(characters: str) -> str:
    """What a ROS string can hold."""
    return characters.encode("utf-8", "replace").decode().replace("\0", "")


@st.composite
def images(draw) -> Image:
    """A good image with some of its fields replaced."""
    encoding = draw(st.sampled_from(["16UC1", "mono16", "32FC1"]))
    size = 2 if encoding != "32FC1" else 4
    message = Image(width=WIDTH, height=HEIGHT, encoding=encoding, step=WIDTH * size)
    content = draw(st.one_of(st.binary(max_size=64), st.just(b"\x00\x00\xc0\x7f\xd0\x07")))
    repeated = (content or b"\0") * (WIDTH * HEIGHT * size // max(1, len(content)) + 1)
    message.data.frombytes(repeated[: WIDTH * HEIGHT * size])
    faults = draw(st.sets(st.sampled_from(["width", "height", "step", "encoding", "data", "big"])))
    if "width" in faults:
        message.width = draw(SIZES)
    if "height" in faults:
        message.height = draw(SIZES)
    if "step" in faults:
        message.step = draw(st.one_of(SIZES, st.integers(WIDTH, 8 * WIDTH)))
    if "encoding" in faults:
        message.encoding = text(draw(ENCODINGS))
    if "data" in faults:
        message.data = message.data[: draw(st.integers(0, len(message.data)))]
    if "big" in faults:
        message.is_bigendian = draw(st.integers(0, 255))
    return message


@st.composite
def compressed_images(draw) -> CompressedImage:
    """A good compressedDepth message with bytes changed, cut off or all made up."""
    seed, a, b = draw(st.integers(0, 9)), draw(NUMBERS), draw(NUMBERS)
    pixels = np.random.default_rng(seed).integers(0, 9000, (HEIGHT, WIDTH)).astype(np.uint16)
    code = draw(st.sampled_from(["png", "rvl"]))
    with np.errstate(over="ignore"):
        data = bytearray(compressed(pixels, float(np.float32(a)), float(np.float32(b)), code))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    if draw(st.integers(0, 9)) == 0:
        data = bytearray(draw(st.binary(max_size=200)))
    if draw(st.integers(0, 9)) == 0 and len(data) >= 36:
        at, order = (28, ">") if code == "png" else (12, "<")
        data[at : at + 8] = struct.pack(f"{order}II", draw(UINT32), draw(UINT32))
    names = [f"{encoding}; compressedDepth {code}" for encoding in ("16UC1", "32FC1")]
    message = CompressedImage(format=text(draw(st.one_of(st.sampled_from(names), st.text()))))
    message.data.frombytes(bytes(data))
    return message


@st.composite
def camera_infos(draw) -> CameraInfo:
    """A good camera_info with some of its fields replaced."""
    f = draw(st.sampled_from([20.0, 365.0, 1e-3, 1e6]))
    message = CameraInfo(
        width=WIDTH,
        height=HEIGHT,
        distortion_model=draw(
            st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "", "other"])
        ),
        k=[f, 0.0, 24.0, 0.0, f, 18.0, 0.0, 0.0, 1.0],
        p=[f, 0.0, 24.0, 0.0, 0.0, f, 18.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
    faults = draw(st.sets(st.sampled_from(["k", "p", "d", "size", "binning", "roi"])))
    if "k" in faults:
        message.k = draw(st.lists(NUMBERS, min_size=9, max_size=9))
    if "p" in faults:
        message.p = draw(st.lists(NUMBERS, min_size=12, max_size=12))
    if "d" in faults:
        length = draw(st.sampled_from([0, 1, 4, 5, 8, 12, 14, 20]))
        message.d = draw(st.lists(NUMBERS, min_size=length, max_size=length))
    if "size" in faults:
        message.width, message.height = draw(SIZES), draw(SIZES)
    if "binning" in faults:
        message.binning_x, message.binning_y = draw(SIZES), draw(SIZES)
    if "roi" in faults:
        message.roi = RegionOfInterest(
            x_offset=draw(SIZES), y_offset=draw(SIZES), width=draw(SIZES), height=draw(SIZES)
        )
    return message


def holds(depth: np.ndarray) -> bool:
    return depth.dtype == np.float32 and bool(np.isfinite(depth).all() and (depth >= 0).all())


@cases(40)
@given(images())
def test_any_image(message):
    try:
        depth = metres(message, DepthReader(True, lambda _: None))
    except DepthError as refusal:
        assert len(str(refusal)) > 20
    else:
        assert depth.shape == (message.height, message.width) and holds(depth)


@cases(40)
@given(compressed_images())
def test_any_compressed_image(message):
    try:
        depth = metres(message, DepthReader(True, lambda _: None))
    except DepthError as refusal:
        assert len(str(refusal)) > 20
    else:
        assert depth.ndim == 2 and holds(depth)


@cases(40)
@given(camera_infos(), st.booleans())
def test_any_calibration(info, rectified):
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    calibrations = []
    try:
        result, camera = DepthReader(rectified, calibrations.append).rectified(depth, info)
    except (CalibrationError, CameraError) as refusal:
        assert len(str(refusal)) > 20
        return
    assert result.shape == depth.shape and holds(result)
    assert (camera.width, camera.height) == (WIDTH, HEIGHT) and camera.fx > 0 and camera.fy > 0
    assert np.isfinite((camera.fx, camera.fy, camera.cx, camera.cy)).all()
    assert calibrations[0].camera == camera


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> bytes:
    """Good weights of a tiny network."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    weights.save(path, PoseNetwork(CONFIG))
    return path.read_bytes()


def loads_or_refuses(path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = weights.load(path)
    except WeightsError as refusal:
        assert str(path) in str(refusal)
    else:
        assert all(bool(t.isfinite().all()) for t in network.parameters())


@cases(15, share=0.5)
@given(data=st.data())
def test_any_bytes_for_weights(file, tmp_path_factory, data):
    changed = bytearray(file)
    header = 8 + struct.unpack("<Q", file[:8])[0]
    for _ in range(data.draw(st.integers(0, 3))):
        # The header is a small part of the file, and nearly all that can go wrong.
        end = data.draw(st.sampled_from([9, header, len(changed)]))
        changed[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        changed = changed[: data.draw(st.integers(0, len(changed)))]
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(bytes(changed))
    loads_or_refuses(path)


JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 3, 7, 64, 10**15]),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.lists(st.integers(-2, 9), max_size=6),
    st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=2),
)


@cases(15, share=0.5)
@given(data=st.data())
def test_any_configuration_of_weights(tmp_path_factory, data):
    config = json.loads(CONFIG.to_json())
    for key in data.draw(st.sets(st.sampled_from(sorted(config)), max_size=2)):
        config[key] = data.draw(JSON)
    if data.draw(st.booleans()):
        config = data.draw(st.one_of(JSON, st.just(config)))
    path = tmp_path_factory.getbasetemp() / "configured.safetensors"
    metadata = {"project": "depth_pose_ros", "format_version": "1"}
    metadata["config.pose"] = json.dumps(config)
    save_file({"pose.x": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(WeightsError):
        weights.load(path)
