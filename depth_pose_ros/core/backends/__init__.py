"""What runs the networks: PyTorch, or OpenVINO where it is installed."""
