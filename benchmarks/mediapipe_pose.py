"""MediaPipe's full pose model on the same frame, rendered as a picture.

It runs in an environment of its own in ``build/``, with other versions of numpy and protobuf.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.scene import kinect_frame
from benchmarks.settings import ROOT, NotMeasured

FOLDER = ROOT / "build" / "bench_mediapipe"
#: The dependencies that MediaPipe's pose solution imports (not jax, for example).
REQUIREMENTS = (
    "mediapipe==0.10.14",
    "numpy==1.26.4",
    "protobuf==4.25.5",
    "opencv-python-headless==4.10.0.84",
    "absl-py",
    "attrs",
    "flatbuffers",
)
_DRAWING = ("matplotlib<3.11", "numpy==1.26.4")  # imported by its drawing module


class MediaPipe:
    """A process with MediaPipe's pose solution, which processes the frame on request.

    Raises:
        NotMeasured: MediaPipe cannot be installed or run, or does not find the person.
    """

    def __init__(self) -> None:
        python = _environment()
        picture = ROOT / "build" / "bench_mediapipe.png"
        cv2.imwrite(str(picture), shaded(*kinect_frame()))
        command = [str(python), str(Path(__file__).with_name("mediapipe_process.py")), str(picture)]
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=env,
        )  # fmt: skip
        for mode in ("tracked", "tracked", "detected"):
            if not self._request(mode)["found"]:
                raise NotMeasured("MediaPipe found no person in the picture")

    def process(self, mode: str) -> float:
        """Seconds for the frame; mode "tracked" or "detected"."""
        return float(self._request(mode)["seconds"])

    def _request(self, mode: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(mode + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise NotMeasured(f"MediaPipe does not run: {error}") from error
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def shaded(depth: NDArray[np.float32], camera: Any) -> NDArray[np.uint8]:
    """A picture of the scene lit from above, in which MediaPipe's network recognizes a person."""
    smooth = cv2.medianBlur(depth, 5)
    down, across = np.gradient(smooth)
    slope = camera.fx / np.maximum(smooth, 0.3)
    normal = np.dstack((-across * slope, -down * slope, np.ones_like(smooth)))
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    light = np.array((-0.3, -0.5, 0.8)) / np.linalg.norm((-0.3, -0.5, 0.8))
    gray = 255 * np.clip(normal @ light, 0, 1) * (smooth > 0)
    picture = cv2.cvtColor(gray.astype(np.uint8), cv2.COLOR_GRAY2BGR)
    return np.asarray(picture, dtype=np.uint8)


def _environment() -> Path:
    python = FOLDER / "bin" / "python"
    if python.exists() and _works(python):
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True, capture_output=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", *REQUIREMENTS], check=True, capture_output=True)
        subprocess.run([*pip, *_DRAWING], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotMeasured(f"MediaPipe cannot be installed here: {error}") from error
    return python


def _works(python: Path) -> bool:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [str(python), "-c", "import mediapipe"]
    return subprocess.run(command, capture_output=True, env=env).returncode == 0
