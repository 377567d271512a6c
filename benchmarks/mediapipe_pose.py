"""MediaPipe's full pose model, timed on the same frame drawn as a picture.

In an environment of its own under ``build/``: its numpy and protobuf are not ours.
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
from benchmarks.settings import ROOT, NotMeasured, Settings

FOLDER = ROOT / "build" / "bench_mediapipe"
#: What mediapipe imports of its dependencies for this; jax, for one, it does not.
REQUIREMENTS = (
    "mediapipe==0.10.14",
    "numpy==1.26.4",
    "protobuf==4.25.5",
    "opencv-python-headless==4.10.0.84",
    "absl-py",
    "attrs",
    "flatbuffers",
)
_DRAWING = ("matplotlib<3.11", "numpy==1.26.4")  # its drawing module is imported with it


def run(settings: Settings) -> dict[str, Any]:
    """Milliseconds per frame, with the person of the frame before and without.

    Raises:
        NotMeasured: MediaPipe cannot be installed or run here.
    """
    python = _environment()
    picture = ROOT / "build" / "bench_mediapipe.png"
    cv2.imwrite(str(picture), shaded(*kinect_frame()))
    program = Path(__file__).with_name("mediapipe_program.py")
    command = [str(python), str(program), str(settings.seconds), str(picture)]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        raise NotMeasured(f"MediaPipe does not run: {done.stderr.strip()[-300:]}")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if not report["tracked"]["seen"]:
        raise NotMeasured("MediaPipe saw nobody in the picture, so it tracked nobody")
    return report


def shaded(depth: NDArray[np.float32], camera: Any) -> NDArray[np.uint8]:
    """A picture of the scene as if lit from above: MediaPipe's network wants to see a person."""
    smooth = cv2.medianBlur(depth, 5)
    down, across = np.gradient(smooth)
    slope = camera.fx / np.maximum(smooth, 0.3)
    normal = np.dstack((-across * slope, -down * slope, np.ones_like(smooth)))
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    light = np.array((-0.3, -0.5, 0.8)) / np.linalg.norm((-0.3, -0.5, 0.8))
    grey = 255 * np.clip(normal @ light, 0, 1) * (smooth > 0)
    picture = cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2BGR)
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
