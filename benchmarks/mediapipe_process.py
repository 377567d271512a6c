"""Times MediaPipe's pose landmarker; runs in a Python environment that has MediaPipe.

``python mediapipe_process.py image.png``: for every line "tracked" or "detected" on the standard
input it processes the image once and prints a line of JSON: seconds, and whether it found a person.
"tracked" starts from the person of the previous call, "detected" runs the detector first.
"""

import json
import sys
import time

import cv2
import mediapipe


def main() -> None:
    picture = cv2.imread(sys.argv[1], cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"cannot read the image {sys.argv[1]}")
    image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    solutions = {
        name: mediapipe.solutions.pose.Pose(static_image_mode=static, model_complexity=1)
        for name, static in (("tracked", False), ("detected", True))
    }
    for line in sys.stdin:
        start = time.perf_counter()
        result = solutions[line.strip()].process(image)
        seconds = time.perf_counter() - start
        found = result.pose_landmarks is not None
        print(json.dumps({"seconds": seconds, "found": found}), flush=True)


if __name__ == "__main__":
    main()
