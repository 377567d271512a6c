"""Training for depth_pose_ros: data, learning and evaluation, on the node's own model code."""
