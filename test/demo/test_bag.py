"""Bags as depth sources: storage formats, encodings and errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.demo.sources import open_source
from depth_pose_ros.demo.sources.bag import open_bag
from depth_pose_ros.demo.sources.base import SourceError
from helpers.demo_scene import CAMERA, scene
from helpers.depth_encoding import compressed_depth

TYPES = get_typestore(Stores.ROS2_HUMBLE)
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
DEPTH_TOPIC, INFO_TOPIC = "/cam/depth/image_rect", "/cam/depth/camera_info"
HEIGHT, WIDTH = scene().shape


def message(kind: str, **fields: Any) -> Any:
    header = TYPES.types["std_msgs/msg/Header"](
        stamp=TYPES.types["builtin_interfaces/msg/Time"](sec=0, nanosec=0), frame_id="camera"
    )
    return TYPES.types[kind](header=header, **fields)


def image(pixels: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Any:
    rows = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    data = np.pad(rows.view(np.uint8).reshape(len(rows), -1), ((0, 0), (0, padding)))
    return message(
        IMAGE,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=data.shape[1],
        data=data.ravel(),
    )


def compressed(data: bytes, form: str) -> Any:
    return message(COMPRESSED, format=form, data=np.frombuffer(data, np.uint8))


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def info(fx: float = CAMERA.fx, d: tuple[float, ...] = ()) -> Any:
    k = (fx, 0.0, CAMERA.cx, 0.0, CAMERA.fy, CAMERA.cy, 0.0, 0.0, 1.0)
    p = (*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0)
    region = TYPES.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return message(
        INFO,
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        d=np.array(d),
        k=np.array(k),
        r=np.eye(3).ravel(),
        p=np.array(p),
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def write(
    path: Path,
    messages: list[tuple[str, str, Any]],
    storage: StoragePlugin = StoragePlugin.MCAP,
    gap: float = 0.1,
) -> Path:
    """A bag of (topic, type, message), ``gap`` seconds between two of the same topic."""
    with Writer(path, version=8, storage_plugin=storage) as writer:
        connections: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for topic, kind, content in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            stamp = round((100 + counts.get(topic, 0) * gap) * 1e9)
            counts[topic] = counts.get(topic, 0) + 1
            writer.write(connections[topic], stamp, TYPES.serialize_cdr(content, kind))
    return path


def depth_bag(path: Path, content: Any, topic: str = DEPTH_TOPIC) -> Path:
    kind = COMPRESSED if hasattr(content, "format") else IMAGE
    return write(path, [(INFO_TOPIC, INFO, info()), (topic, kind, content)])


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_bag_keeps_the_recorded_times(tmp_path, storage):
    frames = [(DEPTH_TOPIC, IMAGE, image(scene(i), "16UC1")) for i in range(4)]
    path = write(tmp_path / "bag", [(INFO_TOPIC, INFO, info()), *frames], storage)
    source = open_source(str(path))
    assert source.camera == CAMERA and len(source) == 4
    assert source.fps == pytest.approx(10, rel=0.5) and DEPTH_TOPIC in source.name
    read = list(source)
    assert np.diff([frame.stamp for frame in read]) == pytest.approx([0.1] * 3)
    for i, frame in enumerate(read):
        assert frame.depth.dtype == np.uint16
        assert_array_equal(frame.depth, scene(i))
    (file,) = [file for file in path.iterdir() if file.suffix in (".mcap", ".db3")]
    assert len(list(open_source(str(file)))) == 4


def test_bag_without_metadata_is_read_from_its_storage_file(tmp_path):
    path = depth_bag(tmp_path / "bag", image(scene(), "16UC1"))
    (path / "metadata.yaml").unlink()
    assert len(list(open_source(str(path)))) == 1


def metres() -> np.ndarray:
    depth = scene().astype(np.float32) / 1000
    depth[depth == 0] = np.nan
    depth[0, 0], depth[0, 1] = np.inf, -np.inf
    return depth


@pytest.mark.parametrize(
    "make",
    [
        lambda: image(scene(), "mono16"),
        lambda: image(scene(), "16UC1", padding=6),
        lambda: image(scene(), "16UC1", big_endian=True),
        lambda: image(metres(), "32FC1"),
        lambda: image(metres(), "32FC1", padding=8, big_endian=True),
        lambda: compressed(png(scene()), "16UC1; png compressed "),
        lambda: compressed(cv2.imencode(".tiff", scene())[1].tobytes(), "16UC1; tiff compressed"),
        lambda: compressed(bytes(12) + png(scene()), "16UC1; compressedDepth png"),
        lambda: compressed(compressed_depth(scene(), code="rvl"), "16UC1; compressedDepth rvl"),
    ],
    ids=["mono16", "padded", "big-endian", "32F", "32F-padded", "png", "tiff", "depth", "rvl"],
)
def test_all_encodings_decode_to_the_same_depth(tmp_path, make: Callable[[], Any]):
    source = open_bag(depth_bag(tmp_path / "bag", make()))
    assert_array_equal(next(iter(source)).depth, scene())


def test_compressed_topic_uses_the_camera_info_of_its_image(tmp_path):
    content = compressed(png(scene()), "png")
    path = depth_bag(tmp_path / "bag", content, DEPTH_TOPIC + "/compressed")
    assert open_bag(path).camera == CAMERA


def test_rectified_topic_is_the_default_and_topic_can_be_selected(tmp_path):
    color = image(np.zeros((HEIGHT, WIDTH), np.uint8), "mono8")
    path = write(
        tmp_path / "bag",
        [
            ("/cam/color/image", IMAGE, color),
            ("/cam/depth/camera_info", INFO, info()),
            ("/cam/depth/image_raw", IMAGE, image(scene(1), "16UC1")),
            (DEPTH_TOPIC, IMAGE, image(scene(2), "16UC1")),
            ("/cam/infra/camera_info", INFO, info()),
            ("/cam/infra/image_rect", IMAGE, image(scene(3), "mono16")),
        ],
    )
    assert_array_equal(next(iter(open_bag(path))).depth, scene(2))
    raw = open_source(str(path), topic="/cam/depth/image_raw")
    assert_array_equal(next(iter(raw)).depth, scene(1))


def test_raw_image_is_rectified(tmp_path):
    raw = "/cam/depth/image_raw"
    info_message = info(d=(0.2, 0.0, 0.0, 0.0, 0.0))
    path = write(
        tmp_path / "bag", [(INFO_TOPIC, INFO, info_message), (raw, IMAGE, image(scene(), "16UC1"))]
    )
    depth = next(iter(open_bag(path))).depth
    assert (depth != scene()).any()
    assert depth[53, 64] == scene()[53, 64]  # the centre stays
    rectified = write(
        tmp_path / "rect",
        [(INFO_TOPIC, INFO, info_message), (DEPTH_TOPIC, IMAGE, image(scene(), "16UC1"))],
    )
    assert_array_equal(next(iter(open_bag(rectified))).depth, scene())


def test_camera_file_replaces_missing_camera_info(tmp_path):
    path = write(tmp_path / "bag", [(DEPTH_TOPIC, IMAGE, image(scene(), "16UC1"))])
    with pytest.raises(SourceError, match=r"no camera_info for /cam/depth/image_rect.*--camera"):
        open_bag(path)
    camera = tmp_path / "camera.yaml"
    camera.write_text(f"{{fx: 90, fy: 90, cx: 64, cy: 53, width: {WIDTH}, height: {HEIGHT}}}")
    assert open_bag(path, camera_file=camera).camera == Camera(90, 90, 64, 53, WIDTH, HEIGHT)


def test_uncalibrated_camera_is_rejected(tmp_path):
    path = write(
        tmp_path / "bag",
        [(INFO_TOPIC, INFO, info(fx=0.0)), (DEPTH_TOPIC, IMAGE, image(scene(), "16UC1"))],
    )
    with pytest.raises(SourceError, match=r"camera_info: focal lengths must be positive"):
        open_bag(path)


def test_bag_without_depth_images_is_rejected(tmp_path):
    color = image(np.zeros((HEIGHT, WIDTH), np.uint8), "mono8")
    jpeg = compressed(cv2.imencode(".jpg", np.zeros((40, 40, 3), np.uint8))[1].tobytes(), "jpeg")
    quantized = compressed(bytes(12) + png(scene()), "32FC1; compressedDepth png")
    path = write(
        tmp_path / "bag",
        [
            ("/color", IMAGE, color),
            ("/jpeg", COMPRESSED, jpeg),
            ("/quantized", COMPRESSED, quantized),
            (INFO_TOPIC, INFO, info()),
        ],
    )
    with pytest.raises(SourceError, match="has no depth images") as caught:
        open_bag(path)
    for text in ("/color (sensor_msgs/msg/Image)", "'mono8'", "'jpeg'", "quantization"):
        assert text in str(caught.value)
    with pytest.raises(SourceError, match=r"no depth images on /nothing .*/color"):
        open_bag(path, topic="/nothing")


def test_frame_of_other_size_or_truncated_raises(tmp_path):
    first = image(scene(), "16UC1")
    smaller = image(scene()[:50], "16UC1")
    cut = image(scene(), "16UC1")
    cut.data = cut.data[:100]
    for name, second, text in (("size", smaller, "128 x 50 pixels"), ("cut", cut, "is truncated")):
        path = write(
            tmp_path / name,
            [(INFO_TOPIC, INFO, info()), *((DEPTH_TOPIC, IMAGE, m) for m in (first, second))],
        )
        source = iter(open_bag(path))
        next(source)
        with pytest.raises(SourceError, match=text):
            next(source)


def test_damaged_bags_are_rejected(tmp_path):
    path = depth_bag(tmp_path / "bag", image(scene(), "16UC1")) / "bag.mcap"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not an MCAP file, but long enough" * 9):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=r"cannot be read: .* not ended properly"):
            open_bag(path)
    broken = tmp_path / "broken.db3"
    broken.write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(SourceError, match="cannot be read"):
        open_bag(broken)
