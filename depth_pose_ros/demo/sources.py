"""From what the user names as SOURCE to a depth source."""

from pathlib import Path

from depth_pose_ros.demo import clip
from depth_pose_ros.demo.bag import is_bag, open_bag
from depth_pose_ros.demo.frames import DepthSource, SourceError
from depth_pose_ros.demo.images import open_folder, open_still
from depth_pose_ros.demo.utd_mhad import open_sequence

KINDS = (
    "a rosbag2 (folder, .mcap or .db3), a folder of 16-bit PNGs with a camera.yaml, one such PNG, "
    "a UTD-MHAD depth sequence (.mat) or a clip of ours (.bin)"
)


def open_source(
    source: str | None = None, camera_file: Path | None = None, topic: str | None = None
) -> DepthSource:
    """Open a depth source by what it is.

    Args:
        source: a path; None or empty for the built-in clip.
        camera_file: intrinsics for images and for bags without camera_info.
        topic: the depth topic of a bag that has several.

    Raises:
        SourceError: nothing there, nothing known, or nothing playable.
    """
    if not source:
        return clip.builtin_clip()
    path = Path(source).expanduser()
    if not path.exists():
        raise SourceError(f"{path} does not exist. SOURCE may be {KINDS}")
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
    raise SourceError(f"{path} is of no known kind. SOURCE may be {KINDS}")
