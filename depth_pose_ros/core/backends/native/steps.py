"""What of a network there is compiled code for."""

from typing import NamedTuple

from depth_pose_ros.core.backends.native.loading import library
from depth_pose_ros.core.backends.native.matchnet import NativeMatchNet, fits
from depth_pose_ros.core.backends.native.skeleton import NativeSkeleton, follows
from depth_pose_ros.core.backends.native.tree_inference import NativeTreeInference
from depth_pose_ros.core.models.pose_network import PoseNetwork


class Steps(NamedTuple):
    """Compiled steps of one network.

    Attributes:
        tree: the programme.
        match: MatchNet, where the code is for its shape.
        skeleton: all that follows the FCN, where it is for all of its shapes.
    """

    tree: NativeTreeInference
    match: NativeMatchNet | None
    skeleton: NativeSkeleton | None


def steps(network: PoseNetwork, workers: int) -> Steps | None:
    """As much as there is; None without compiled code.

    Args:
        network: float32 on the CPU; its weights are copied.
        workers: how many threads may call at once.
    """
    functions = library()
    if functions is None:
        return None
    tree = NativeTreeInference(network, functions, workers)
    if not fits(network.config):
        return Steps(tree, None, None)
    match = NativeMatchNet(network, functions, workers)
    if not follows(network.config):
        return Steps(tree, match, None)
    return Steps(tree, match, NativeSkeleton(network, functions, match, tree, workers))
