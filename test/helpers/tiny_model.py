"""Configuration of a tiny pose network."""

from depth_pose_ros.core.models.config import ModelConfig

CONFIG = ModelConfig(
    name="tiny",
    window=5,
    templates=2,
    tower=(2, 3, 4, 4, 3),
    metric_units=(5, 4),
    shared_tower=True,
    heat_unary=True,
)
