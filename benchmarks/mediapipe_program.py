"""Times MediaPipe's pose landmarker: run by another Python, the one that has MediaPipe.

``python mediapipe_program.py seconds image.png``: prints JSON.  "tracked" has the person of the
frame before, "detected" looks for the person anew.
"""

import json
import sys
import time
from typing import Any

import cv2
import mediapipe
import numpy as np


def times(image: Any, seconds: float, still: bool) -> tuple[list[float], int]:
    """Seconds of each frame, and in how many a person was seen."""
    solution = mediapipe.solutions.pose.Pose(static_image_mode=still, model_complexity=1)
    found = 0
    spent: list[float] = []
    for _ in range(5):
        solution.process(image)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(spent) < 5:
        start = time.perf_counter()
        result = solution.process(image)
        spent.append(time.perf_counter() - start)
        found += result.pose_landmarks is not None
    return spent, found


def main() -> None:
    seconds, path = float(sys.argv[1]), sys.argv[2]
    picture = cv2.imread(path, cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"no picture at {path}")
    image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    report = {}
    for name, still in (("tracked", False), ("detected", True)):
        spent, found = times(image, seconds, still)
        report[name] = {
            **{f"p{q}": 1000 * float(np.percentile(spent, q)) for q in (50, 95, 99)},
            "runs": len(spent),
            "seen": found,
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
