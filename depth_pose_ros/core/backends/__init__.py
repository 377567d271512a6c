"""Inference backends: torch, OpenVINO, and compiled code for the stages after the FCN."""
