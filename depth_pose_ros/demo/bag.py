"""A rosbag2 recording (SQLite or MCAP) as a depth source, read without ROS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.calibration import Calibration, CalibrationError, calibrate
from depth_pose_ros.core.camera import Camera, CameraError
from depth_pose_ros.core.depth import DepthError
from depth_pose_ros.demo.bag_images import decode
from depth_pose_ros.demo.camera_file import read_camera_file
from depth_pose_ros.demo.frames import (
    DEFAULT_FPS,
    DepthFrame,
    SourceError,
    check_size,
    millimetres,
)

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection

_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


@dataclass(frozen=True)
class Bag:
    """The depth images of one topic of a bag, rectified, paced by the bag's own clock."""

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
        with _opened(self.path) as reader:
            for connection, stamp, data in reader.messages(_connections(reader, self.topic)):
                try:
                    metres = _decoded(reader, connection, data)
                except DepthError as error:
                    raise SourceError(f"{self.path}, a frame of {self.topic}: {error}") from error
                check_size(metres, self.camera, f"a frame of {self.topic}")
                yield DepthFrame(stamp * 1e-9, millimetres(self.calibration.rectify(metres)))


def is_bag(path: Path) -> bool:
    """Whether a path looks like a rosbag2 recording: a storage file or a folder that holds one."""
    if path.is_dir():
        return (path / "metadata.yaml").exists() or bool(_storage_files(path))
    return path.suffix in (".mcap", ".db3")


def open_bag(path: Path, topic: str | None = None, camera_file: Path | None = None) -> Bag:
    """Detection the depth topic and its intrinsics; the images themselves are read when iterated.

    Args:
        path: a rosbag2 folder, or a .mcap or .db3 file.
        topic: the depth topic; by default the first one, rectified topics first, whose first
            message is a depth image and whose intrinsics are known.
        camera_file: intrinsics for a bag without camera_info; its images count as rectified.

    Raises:
        SourceError: unreadable bag, no depth topic, or no intrinsics.
    """
    with _opened(path) as reader:
        refused: SourceError | None = None
        for candidate, (height, width) in _depth_topics(reader, path, topic).items():
            try:
                calibration = _calibration(reader, candidate, width, height, path, camera_file)
            except SourceError as error:
                refused = refused or error
                continue
            count = sum(c.msgcount for c in _connections(reader, candidate))
            seconds = reader.duration * 1e-9
            fps = count / seconds if count > 1 and seconds > 0 else DEFAULT_FPS
            name = f"{candidate} of the bag {path}"
            return Bag(name, calibration, fps, path, candidate, count)
    raise refused or SourceError(f"{path} holds no depth images")


@contextmanager
def _opened(path: Path) -> Iterator["AnyReader"]:
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.rosbag2 import ReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise SourceError(
            f"{path} is a bag, which needs rosbags: `pip install rosbags` (`make setup` does)"
        ) from error
    files = _storage_files(path) if path.is_dir() else []
    if path.is_dir() and not (path / "metadata.yaml").exists() and len(files) == 1:
        path = files[0]  # a recording that was cut off has no metadata.yaml
    try:
        # SQLite bags before Iron embed no definitions; the messages read here never changed since.
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            yield reader
    except (AnyReaderError, ReaderError, OSError) as error:
        raise SourceError(
            f"the bag {path} cannot be read: {error} Was the recording ended properly? "
            "`ros2 bag reindex` may mend it"
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

    What an image holds shows only in its message, so the first one of every topic is read.
    """
    found: dict[str, tuple[int, ...]] = {}
    refused = []
    for connection in reader.connections:
        if connection.msgtype not in _IMAGES or topic not in (None, connection.topic):
            continue
        data = _first(reader, connection)
        try:
            if data is not None:
                found.setdefault(connection.topic, _decoded(reader, connection, data).shape)
        except DepthError as error:
            refused.append(f"{connection.topic}: {error}")
    if not found:
        held = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in reader.connections}))
        raise SourceError(
            f"{path} has no depth images{f' on {topic}' if topic else ''} (16UC1, mono16 or 32FC1, "
            f"or 16-bit PNG or TIFF); it holds {held or 'nothing'}. " + "; ".join(refused)
        )
    # "infra" and the like carry 16 bits too; a compressed twin sorts after its raw topic.
    order = sorted(found, key=lambda name: ("depth" not in name, "rect" not in name, name))
    return {name: found[name] for name in order}


def _calibration(
    reader: "AnyReader",
    topic: str,
    width: int,
    height: int,
    path: Path,
    camera_file: Path | None,
) -> Calibration:
    if camera_file is not None:
        camera = read_camera_file(camera_file).camera
        return Calibration(camera, undistortion=None, ignored_distortion=False)
    infos = {c.topic: c for c in reader.connections if c.msgtype == _CAMERA_INFO and c.msgcount}
    # <camera>/<image> and <camera>/<image>/<transport> go with <camera>/camera_info.
    for namespace in (topic.rsplit("/", 1)[0], topic.rsplit("/", 2)[0]):
        connection = infos.get(f"{namespace}/camera_info")
        data = None if connection is None else _first(reader, connection)
        if connection is None or data is None:
            continue
        info: Any = reader.deserialize(data, connection.msgtype)
        try:
            return calibrate(info, width, height, rectified="rect" in topic)
        except (CalibrationError, CameraError) as error:
            raise SourceError(f"{path}, {connection.topic}: {error}") from error
    raise SourceError(
        f"{path} has no camera_info beside {topic} (CameraInfo topics: "
        f"{', '.join(infos) or 'none'}): give the intrinsics with --camera (make: CAMERA=...)"
    )
