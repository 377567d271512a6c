"""Synthetic depth images with known joints: bodies, poses, rooms, cameras and sensors."""
