"""The built-in clip: a rendered sequence, compressed, with sensor noise added at playback.

The file is a magic line, a line of JSON (:class:`ClipHeader`) and an xz stream of the differences
between consecutive frames, in which a static background takes almost no space.  Range noise cannot
be compressed, so a clip stores the noise-free scene and :func:`with_sensor_noise` adds the noise.
"""

import json
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera, CameraError
from depth_pose_ros.demo.sources.base import DepthFrame, SourceError, check_size

SUFFIX = ".bin"
BUILTIN = Path(__file__).with_name(f"clip{SUFFIX}")

_MAGIC = b"depth_pose_ros clip 1\n"
#: LZMA's literal context and position bits for 16-bit numbers.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 3, "lp": 1, "pb": 1}]
#: Maximum length of the header line in bytes.
_MAX_HEADER = 4096
_NOISE_SEED = 2016


@dataclass(frozen=True)
class ClipHeader:
    """A clip's metadata.

    Attributes:
        camera: intrinsics of every frame.
        fps: playback rate, Hz.
        count: number of frames.
        step: millimetres per stored unit.
    """

    camera: Camera
    fps: float
    count: int
    step: int


@dataclass(frozen=True)
class Clip:
    """A clip as a depth source; frames are decoded one by one."""

    path: Path
    header: ClipHeader
    noise: bool = field(default=True)

    @property
    def name(self) -> str:
        return "the built-in clip" if self.path == BUILTIN else f"the clip {self.path}"

    @property
    def camera(self) -> Camera:
        return self.header.camera

    @property
    def fps(self) -> float:
        return self.header.fps

    def __len__(self) -> int:
        return self.header.count

    def __iter__(self) -> Iterator[DepthFrame]:
        for i, frame in enumerate(_frames(self.path, self.header)):
            yield DepthFrame(i / self.fps, with_sensor_noise(frame, i) if self.noise else frame)


def write_clip(
    path: Path, frames: Sequence[NDArray[np.uint16]], camera: Camera, fps: float, step: int = 2
) -> int:
    """Write frames as a clip.

    Args:
        path: the file to write, overwritten.
        frames: N of (H, W) uint16 millimetres, 0 where missing, without range noise.
        camera: their intrinsics.
        fps: playback rate, Hz.
        step: millimetres per stored unit.  The default's rounding error (0.6 mm) is below the
            sensor's noise and makes the file one sixth smaller.

    Returns:
        The file's size in bytes.

    Raises:
        SourceError: a frame does not have the camera's size.
    """
    header = ClipHeader(camera, float(fps), len(frames), step)
    previous = np.zeros((camera.height, camera.width), dtype="<u2")
    compressor = lzma.LZMACompressor(format=lzma.FORMAT_XZ, filters=_FILTERS)
    with path.open("wb") as file:
        file.write(_MAGIC + json.dumps(asdict(header)).encode() + b"\n")
        for frame in frames:
            check_size(frame, camera, "a frame of the clip")
            # Valid depth must not be rounded to 0, which means missing.
            units = (frame.astype(np.uint32) + step // 2) // step
            units = np.clip(units, frame > 0, np.iinfo(np.uint16).max // step)
            stored = units.astype("<u2")
            file.write(compressor.compress((stored - previous).tobytes()))  # modulo 2^16
            previous = stored
        file.write(compressor.flush())
        return file.tell()


def read_clip(path: Path, noise: bool = True) -> Clip:
    """Open a clip; frames are read on iteration.

    Raises:
        SourceError: the file is missing or not a clip.
    """
    try:
        with path.open("rb") as file:
            magic, line = file.readline(len(_MAGIC)), file.readline(_MAX_HEADER)
    except OSError as error:
        raise SourceError(f"cannot read the clip {path}: {error.strerror}") from error
    try:
        if magic != _MAGIC:
            raise ValueError("wrong file signature")
        fields = json.loads(line)
        header = ClipHeader(**{**fields, "camera": Camera(**fields["camera"])})
        if header.fps <= 0 or header.count < 1 or header.step < 1:
            raise ValueError(f"invalid values in {header}")
    except (ValueError, KeyError, TypeError, CameraError) as error:
        raise SourceError(f"{path} is not a clip of this version: {error}") from error
    return Clip(path, header, noise)


def builtin_clip() -> Clip:
    """The clip installed with the package.

    Raises:
        SourceError: the file is not installed.
    """
    if not BUILTIN.exists():
        raise SourceError(
            f"the built-in clip {BUILTIN.name} is missing: reinstall the package or "
            "pass another SOURCE"
        )
    return read_clip(BUILTIN)


def with_sensor_noise(frame: NDArray[np.uint16], index: int) -> NDArray[np.uint16]:
    """Add the range noise of a time-of-flight sensor; deterministic for each index.

    Gaussian, with the standard deviation that Fankhauser et al. measured for a Kinect v2 and a
    surface perpendicular to its axis ("Kinect v2 for mobile robot navigation: evaluation and
    modeling", ICAR 2015): 1.5 - 0.5 z + 0.3 z^2 mm for z in metres: 1.3 mm at 1 m, 4.3 mm at 4 m.

    Args:
        frame: (H, W) uint16 millimetres, 0 where missing.
        index: index of the frame in the clip.

    Returns:
        (H, W) uint16 millimetres; missing pixels stay missing.
    """
    rng = np.random.default_rng((_NOISE_SEED, index))
    z = frame.astype(np.float32) * np.float32(1e-3)
    noise = rng.standard_normal(frame.shape, dtype=np.float32) * (1.5 - 0.5 * z + 0.3 * z * z)
    noisy = np.clip(np.rint(frame + noise), 1, np.iinfo(np.uint16).max)
    return np.where(frame > 0, noisy, 0).astype(np.uint16)


def _frames(path: Path, header: ClipHeader) -> Iterator[NDArray[np.uint16]]:
    shape = (header.camera.height, header.camera.width)
    frame = np.zeros(shape, dtype=np.uint16)
    with path.open("rb") as file:
        file.readline()
        file.readline(_MAX_HEADER)
        with lzma.open(file) as stream:
            for i in range(header.count):
                try:
                    data = stream.read(frame.size * 2)
                except (lzma.LZMAError, EOFError) as error:
                    raise SourceError(f"the clip {path} is damaged at frame {i}") from error
                if len(data) != frame.size * 2:
                    raise SourceError(f"the clip {path} ends at frame {i} of {header.count}")
                frame = frame + np.frombuffer(data, "<u2").reshape(shape)  # modulo 2^16
                yield (frame * np.uint16(header.step)).astype(np.uint16)
