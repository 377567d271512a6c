"""A rosbag2 recording (SQLite or MCAP) as a depth source, read without ROS.

Images are decoded here because rosbags-image ignores row padding (``step``) and reduces compressed
images to 8 bits.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import compressed_depth
from depth_pose_ros.core.calibration import Calibration, CalibrationError, calibrate
from depth_pose_ros.core.camera import Camera, CameraError
from depth_pose_ros.core.depth import DepthError, check_layout, to_metres
from depth_pose_ros.demo.sources.base import (
    DEFAULT_FPS,
    DepthFrame,
    SourceError,
    check_size,
    millimetres,
)
from depth_pose_ros.demo.sources.camera_file import read_camera_file

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection

_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


@dataclass(frozen=True)
class Bag:
    """The rectified depth images of one topic of a bag, with their times of recording."""

    name: str
    calibration: Calibration
    fps: float
    path: Path
    topic: str
    count: int

    @property
    def camera(self) -> Camera:
        return self.calibration.camera

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[DepthFrame]:
        with _open_reader(self.path) as reader:
            for connection, stamp, data in reader.messages(_connections(reader, self.topic)):
                try:
                    metres = _decoded(reader, connection, data)
                except DepthError as error:
                    raise SourceError(f"{self.path}, a frame of {self.topic}: {error}") from error
                check_size(metres, self.camera, f"a frame of {self.topic}")
                yield DepthFrame(stamp * 1e-9, millimetres(self.calibration.rectify(metres)))


def is_bag(path: Path) -> bool:
    """Whether a path is a rosbag2 recording: a storage file or a folder that contains one."""
    if path.is_dir():
        return (path / "metadata.yaml").exists() or bool(_storage_files(path))
    return path.suffix in (".mcap", ".db3")


def open_bag(path: Path, topic: str | None = None, camera_file: Path | None = None) -> Bag:
    """Find the depth topic and its intrinsics; images are read on iteration.

    Args:
        path: a rosbag2 folder, or a .mcap or .db3 file.
        topic: depth topic; by default the first topic with depth images and known intrinsics,
            rectified topics first.
        camera_file: intrinsics for a bag without camera_info; its images must be rectified.

    Raises:
        SourceError: the bag is unreadable, or has no depth topic or no intrinsics.
    """
    with _open_reader(path) as reader:
        first_error: SourceError | None = None
        for candidate, (height, width) in _depth_topics(reader, path, topic).items():
            try:
                calibration = _calibration(reader, candidate, width, height, path, camera_file)
            except SourceError as error:
                first_error = first_error or error
                continue
            count = sum(c.msgcount for c in _connections(reader, candidate))
            seconds = reader.duration * 1e-9
            fps = count / seconds if count > 1 and seconds > 0 else DEFAULT_FPS
            name = f"{candidate} of the bag {path}"
            return Bag(name, calibration, fps, path, candidate, count)
    raise first_error or SourceError(f"{path} contains no depth images")


@contextmanager
def _open_reader(path: Path) -> Iterator["AnyReader"]:
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.rosbag2 import ReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise SourceError(
            f"{path} is a bag, which requires rosbags: `pip install rosbags` or `make setup`"
        ) from error
    files = _storage_files(path) if path.is_dir() else []
    if path.is_dir() and not (path / "metadata.yaml").exists() and len(files) == 1:
        path = files[0]  # an interrupted recording has no metadata.yaml
    try:
        # SQLite bags before Iron have no message definitions; those used here have not changed.
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            yield reader
    except (AnyReaderError, ReaderError, OSError) as error:
        raise SourceError(
            f"the bag {path} cannot be read: {error} If the recording was not ended properly, "
            "`ros2 bag reindex` may repair it"
        ) from error


def _storage_files(folder: Path) -> list[Path]:
    return sorted((*folder.glob("*.mcap"), *folder.glob("*.db3")))


def _connections(reader: "AnyReader", topic: str) -> list["Connection"]:
    return [c for c in reader.connections if c.topic == topic]


def _decoded(reader: "AnyReader", connection: "Connection", data: bytes) -> NDArray[np.float32]:
    return decode(reader.deserialize(data, connection.msgtype))


def _first(reader: "AnyReader", connection: "Connection") -> bytes | None:
    return next((data for _, _, data in reader.messages([connection])), None)


def _depth_topics(reader: "AnyReader", path: Path, topic: str | None) -> dict[str, tuple[int, ...]]:
    """Depth topics and their image sizes (H, W), rectified topics first.

    The encoding is known only from a message, so the first message of every topic is read.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    errors = []
    for connection in reader.connections:
        if connection.msgtype not in _IMAGES or topic not in (None, connection.topic):
            continue
        data = _first(reader, connection)
        try:
            if data is not None:
                shapes.setdefault(connection.topic, _decoded(reader, connection, data).shape)
        except DepthError as error:
            errors.append(f"{connection.topic}: {error}")
    if not shapes:
        contents = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in reader.connections}))
        raise SourceError(
            f"{path} has no depth images{f' on {topic}' if topic else ''} (16UC1, mono16 or 32FC1, "
            f"or 16-bit PNG or TIFF); it contains {contents or 'nothing'}. " + "; ".join(errors)
        )
    # Infrared images have 16 bits too; a compressed topic is sorted after its raw topic.
    order = sorted(shapes, key=lambda name: ("depth" not in name, "rect" not in name, name))
    return {name: shapes[name] for name in order}


def _calibration(
    reader: "AnyReader",
    topic: str,
    width: int,
    height: int,
    path: Path,
    camera_file: Path | None,
) -> Calibration:
    if camera_file is not None:
        return read_camera_file(camera_file).calibration(width, height)
    infos = {c.topic: c for c in reader.connections if c.msgtype == _CAMERA_INFO and c.msgcount}
    # <camera>/camera_info belongs to <camera>/<image> and <camera>/<image>/<transport>.
    for namespace in (topic.rsplit("/", 1)[0], topic.rsplit("/", 2)[0]):
        connection = infos.get(f"{namespace}/camera_info")
        data = None if connection is None else _first(reader, connection)
        if connection is None or data is None:
            continue
        info: Any = reader.deserialize(data, connection.msgtype)
        try:
            calibration = calibrate(info, width, height, rectified="rect" in topic)
        except (CalibrationError, CameraError) as error:
            raise SourceError(f"{path}, {connection.topic}: {error}") from error
        for assumption in calibration.assumptions:
            logging.getLogger(__name__).warning("%s, %s: %s", path, connection.topic, assumption)
        return calibration
    raise SourceError(
        f"{path} has no camera_info for {topic} (CameraInfo topics: "
        f"{', '.join(infos) or 'none'}): pass the intrinsics with --camera (make: CAMERA=...)"
    )


def decode(message: Any) -> NDArray[np.float32]:
    """Decode a sensor_msgs Image or CompressedImage to (H, W) float32 metres, 0 where missing.

    Raises:
        DepthError: unsupported encoding, or fewer bytes than the header implies.
    """
    if hasattr(message, "format"):
        return compressed_depth.decode(message.format, message.data)
    return _decode_raw(message)


def _decode_raw(message: Any) -> NDArray[np.float32]:
    height, width, step = int(message.height), int(message.width), int(message.step)
    check_layout(message.encoding, width, height, step, len(message.data))
    dtype = np.dtype("f4" if message.encoding == "32FC1" else "u2")
    dtype = dtype.newbyteorder(">" if message.is_bigendian else "<")
    image: NDArray[Any] = np.ndarray(
        (height, width), dtype, buffer=message.data, strides=(step, dtype.itemsize)
    )
    return to_metres(image, message.encoding)
