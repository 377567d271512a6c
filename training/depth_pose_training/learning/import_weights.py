"""Import: the networks of a weights file in a new run folder.

The inverse of :mod:`depth_pose_training.learning.export_weights`.  Steps that are run on the folder
start from these weights.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from depth_pose_ros.core import weights
from depth_pose_ros.core.estimator import DETECTOR
from depth_pose_ros.core.models.detector import build_detector
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_training.engine import step_options
from depth_pose_training.engine.checkpoints import write_text, write_whole
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.run_folder import RunError

#: Of the network's tensors, those that learn_inference makes.
_INFERENCE = ("match_weight", "heat_weight", "gamma", "temperature")


def import_file(file: Path, run: Path, detector: Path | None = None) -> None:
    """Write the networks of a weights file as checkpoints.

    Args:
        file: in half precision.
        run: a new folder, for the pose network.
        detector: a new folder for the person detector, if any.

    Raises:
        RunError: a folder holds a run already.
        WeightsError: not a weights file, or it lacks a network.
    """
    wanted: dict[str, weights.Builder] = {weights.POSE: weights.build_pose}
    if detector is not None:
        wanted[DETECTOR] = build_detector
    for path in (run / run_folder.CONFIG, detector and detector / run_folder.FCN):
        if path is not None and path.exists():
            raise RunError(f"{path} exists: import into a new folder")
    modules = weights.load_modules(file, wanted)
    network = modules[weights.POSE]
    assert isinstance(network, PoseNetwork)
    _write(network, run)
    if detector is not None:
        write_whole(detector / run_folder.FCN, {"model": modules[DETECTOR].state_dict()})


def _write(network: PoseNetwork, run: Path) -> None:
    state = network.state_dict()
    learned = {name: state[name] for name in _INFERENCE if name in state}
    write_whole(run / run_folder.FCN, {"model": network.fcn.state_dict()})
    write_whole(
        run / run_folder.JOINT_DEPTH_OFFSET, {"joint_depth_offset": network.joint_depth_offset}
    )
    write_whole(run / run_folder.TEMPLATES, {"templates": network.matchnet.templates})
    write_whole(run / run_folder.MATCHNET, {"model": network.matchnet.state_dict()})
    write_whole(run / run_folder.INFERENCE, {"model": learned})
    if network.person is not None:
        write_whole(run / run_folder.PERSON, {"model": network.person.state_dict()})
    # Last: it marks the folder as a run.  train_person_classifier adds the classifier itself.
    kept = replace(network.config, person=False)
    write_text(run / run_folder.CONFIG, kept.to_json() + "\n")


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="a file, or a name as the node's parameter")
    parser.add_argument("--run", type=Path, required=True, help="new folder for the pose network")
    parser.add_argument("--detector", type=Path, help="new folder for the person detector")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = step_options.parse(arguments(), "import_weights", argv)
    import_file(weights.resolve(args.weights), args.run, args.detector)
    step_options.save(args.run, "import_weights", args)
