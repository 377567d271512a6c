"""Quantization of the FCN to int8, and the loss of accuracy.

``python -m depth_pose_training quantize --help``.  Post-training quantization by NNCF: the ranges
of the activations are those on crops the FCN was trained with.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import nncf
import numpy as np
import torch
from numpy.typing import NDArray

from depth_pose_ros.core.backends import int8
from depth_pose_ros.core.backends.backend import int8_path
from depth_pose_ros.core.backends.openvino_models import CompiledModel, FcnMaps, convert
from depth_pose_ros.core.crops import HEIGHT, WIDTH
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.weights import load, resolve
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.evaluation.labelled_crops import evaluate, summarize, table
from depth_pose_training.learning.compiled_fcn import CompiledFcn


def quantize(network: PoseNetwork, crops: NDArray[np.float32]) -> int8.ov.Model:
    """The network's FCN with 8-bit weights and activations.

    Args:
        network: in evaluation mode.
        crops: (N, 1, H, W), to learn the activations' ranges from.
    """
    model = convert(FcnMaps(network.fcn), (1, 1, HEIGHT, WIDTH))
    dataset = nncf.Dataset([crop[None] for crop in crops])
    return nncf.quantize(model, dataset, subset_size=len(crops))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="name or path of the weights (default: the shipped ones)")
    parser.add_argument("--data", type=Path, required=True, help="folder of training shards")
    parser.add_argument("--crops", type=int, default=300, help="how many of them to use")
    parser.add_argument("--validation", type=Path, help="held-out shards: measure before and after")
    parser.add_argument("--limit", type=int, default=300, help="at most so many held-out crops")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    weights = resolve(args.weights)
    network, data = load(weights), CropDataset(args.data)
    model = quantize(network, data.batch(data.evenly_spaced(args.crops)).crops.numpy())
    path = int8_path(weights)
    int8.write(path, model, network.fcn)
    print(f"{path} and its .bin")
    if args.validation is None:
        return
    held_out = CropDataset(args.validation)
    chosen = held_out.evenly_spaced(args.limit)
    before = summarize(*evaluate(network, held_out, chosen))
    fcn = CompiledFcn(CompiledModel(int8.read(path, network.fcn), args.threads), network.fcn)
    network.fcn = fcn  # type: ignore[assignment]
    after = summarize(*evaluate(network, held_out, chosen))
    print(f"{len(chosen)} crops\n\nbefore\n{table(before)}\n\nafter\n{table(after)}")
