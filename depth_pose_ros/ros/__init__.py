"""The ROS 2 node: subscriptions, parameters and messages around :mod:`depth_pose_ros.core`."""
