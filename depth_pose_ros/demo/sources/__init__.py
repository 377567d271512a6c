"""Depth sources: rosbag2, images, UTD-MHAD and the built-in clip."""

from pathlib import Path

from depth_pose_ros.demo.sources import clip
from depth_pose_ros.demo.sources.bag import is_bag, open_bag
from depth_pose_ros.demo.sources.base import DepthSource, SourceError
from depth_pose_ros.demo.sources.images import open_folder, open_still
from depth_pose_ros.demo.sources.utd_mhad import open_sequence

_SUPPORTED = (
    "a rosbag2 (folder, .mcap or .db3), a folder of 16-bit PNGs with a camera.yaml, one such PNG, "
    "a UTD-MHAD depth sequence (.mat) or a clip of this package (.bin)"
)


def open_source(
    source: str | None = None, camera_file: Path | None = None, topic: str | None = None
) -> DepthSource:
    """Open a depth source; its type is found from the path.

    Args:
        source: path; None or empty for the built-in clip.
        camera_file: intrinsics for images and for bags without camera_info.
        topic: depth topic of a bag with several.

    Raises:
        SourceError: the path does not exist, has an unknown type or cannot be played.
    """
    if not source:
        return clip.builtin_clip()
    path = Path(source).expanduser()
    if not path.exists():
        raise SourceError(f"{path} does not exist. SOURCE may be {_SUPPORTED}")
    if is_bag(path):
        return open_bag(path, topic, camera_file)
    if path.is_dir():
        return open_folder(path, camera_file)
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return open_sequence(path)
    if suffix in (".png", ".tif", ".tiff"):
        return open_still(path, camera_file)
    if suffix == clip.SUFFIX:
        return clip.read_clip(path)
    raise SourceError(f"{path} has an unknown type. SOURCE may be {_SUPPORTED}")
