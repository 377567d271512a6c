"""Print the head of every person in a depth image."""

from pathlib import Path

import cv2
import numpy as np

from depth_pose_ros import Camera, PoseEstimator

path = Path(__file__).with_name("depth_mm.png")  # 16-bit, millimetres, 0 where missing
depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
camera = Camera(fx=365, fy=365, cx=255.5, cy=211.5, width=512, height=424)
estimator = PoseEstimator.from_pretrained()
for pose in estimator.estimate(depth, camera):
    x, y, z = pose.joints[0]  # Head; metres, optical frame
    print(f"score {pose.score:.2f}, head at ({x:.2f}, {y:.2f}, {z:.2f}) m")
