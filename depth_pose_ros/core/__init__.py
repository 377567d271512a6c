"""The pose estimator, without ROS: depth image and camera in, skeletons and tracks out."""
