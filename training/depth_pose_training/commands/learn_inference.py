"""Step 3 of Algorithm 1: the weights of the unary and pairwise terms.

``python -m depth_pose_training learn_inference --help``.  Learns w = {w_k, Gamma_km} by the latent
structural SVM (Eqn. 9), and as a conditional random field by two losses; reads joints off held-out
crops with each, as the configuration reads them; keeps the best.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from depth_pose_ros.core.models.config import ModelConfig, Readout
from depth_pose_ros.core.models.tree_inference import max_sum, sum_product
from depth_pose_ros.core.skeleton import EDGES, NUM_JOINTS
from depth_pose_training.configs import options
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.engine.checkpoints import write_whole
from depth_pose_training.engine.distributed import join
from depth_pose_training.engine.tensorboard import TensorBoardLogger
from depth_pose_training.evaluation import metrics
from depth_pose_training.learning import run_folder
from depth_pose_training.structured.cccp import best_length, cccp, objective
from depth_pose_training.structured.crf import CrfSettings, Objective, expectation_loss, fit
from depth_pose_training.structured.tree_data import TreeData, collect
from depth_pose_training.structured.tree_problem import TreeProblem, TreeWeights, tree_terms

LEARNERS = ("svm", "likelihood", "expectation")
#: Images that C is summed over in the paper (its training set); with fewer, each weighs more.
PAPER_IMAGES = 60_000
_TEMPERATURES = tuple(2.0 ** (i / 2) for i in range(-20, 7))
_CHUNK = 16


def initial_weights(data: TreeData, config: ModelConfig, strength: float) -> TreeWeights:
    """A sensible start: the FCN's own heat and templates that all count alike, light bones.

    Gamma is the logarithm of a Gaussian, fitted to the bones of the true joints' nearest proposals,
    times ``strength``.
    """
    unary = torch.full((NUM_JOINTS, data.features.shape[-1]), 1 / config.templates)
    if config.heat_unary:
        unary[:, -1] = 1
    off = (data.pixels - data.truth_pixels[:, :, None]).square().sum(-1)
    nearest = off.argmin(-1)[..., None, None].expand(-1, -1, 1, 3)
    points = data.points.gather(2, nearest)[:, :, 0]
    gamma = torch.zeros(len(EDGES), 6)
    for e, edge in enumerate(EDGES):
        known = data.asked[:, edge.parent] & data.asked[:, edge.child]
        anchors = data.anchors[:, e].gather(1, nearest[:, edge.parent])[:, 0]
        bone = (points[:, edge.child] - anchors)[known]
        if len(bone) > 1:
            variance = bone.var(0) + 1e-4
            gamma[e, 0::2] = strength * bone.mean(0) / variance
            gamma[e, 1::2] = -strength / (2 * variance)
    return TreeWeights(unary, gamma)


@torch.no_grad()
def read_off(
    data: TreeData, weights: TreeWeights, readout: Readout, temperature: float, tied: bool = True
) -> tuple[Tensor, Tensor]:
    """Joints as the network reads them off: (L, 19, 2) pixels and (L, 19, 3) metres.

    With ``tied`` false every part is read by itself.
    """
    pixels, joints = [], []
    for i in range(0, len(data), _CHUNK):
        part = data[i : i + _CHUNK]
        unary, pairwise = tree_terms(part, weights)
        if readout == "marginals":
            if tied:
                share = sum_product(unary, pairwise, EDGES, temperature)[1]
            else:
                share = (unary / temperature).softmax(-1)
        else:
            choice = max_sum(unary, pairwise, EDGES)[1] if tied else unary.argmax(-1)
            share = torch.zeros_like(unary).scatter_(2, choice[..., None], 1.0)
        pixels.append((share[..., None] * part.pixels).sum(2))
        joints.append((share[..., None] * part.points).sum(2))
    return torch.cat(pixels), torch.cat(joints)


def quality(data: TreeData, pixels: Tensor, joints: Tensor) -> dict[str, float]:
    """Average PDJ over the paper's four thresholds, and mean 3-D error, of joints in the image."""
    inside = (data.weight >= 1).numpy()
    distances = metrics.normalized_distances(pixels, data.truth_pixels, inside, "Neck")
    errors = metrics.position_errors(joints, data.truth_joints, inside)
    shares = metrics.pdj(distances)
    return {
        "pdj": round(float(shares.mean()), 4),
        "pdj_05": round(float(shares[0]), 4),
        "pdj_10": round(float(shares[1]), 4),
        "error_mm": round(1000 * metrics.mean_error(errors), 2),
    }


def score(numbers: dict[str, float]) -> float:
    """What weights are chosen by: average PDJ, less 0.1 points per millimetre of 3-D error."""
    return numbers["pdj"] - numbers["error_mm"] / 1000


@torch.no_grad()
def fit_temperature(data: TreeData, weights: TreeWeights) -> float:
    """The temperature at which expectations are nearest to the truth."""
    losses = []
    for temperature in tqdm(_TEMPERATURES, unit="temperature"):
        scaled = TreeWeights(weights.unary / temperature, weights.gamma / temperature)
        values = [
            expectation_loss(part, *tree_terms(part, scaled))
            for part in (data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK))
        ]
        losses.append(float(torch.cat(values).mean()))
    return _TEMPERATURES[int(np.argmin(losses))]


def learn(
    name: str,
    data: TreeData,
    start: TreeWeights,
    args: argparse.Namespace,
    report: Callable[[dict[str, Any]], None],
) -> TreeWeights:
    """w by one of :data:`LEARNERS`."""
    if name == "svm":
        problem = TreeProblem(data[: args.svm_crops], args.tau, args.clip, groups=args.svm_crops)
        # The problem's sums are means over crops.
        c = args.c * PAPER_IMAGES
        first = best_length(problem, c, problem.scaled(start))
        with tqdm(unit="call") as bar:

            def step(entry: dict[str, Any]) -> None:
                bar.update("gap" in entry)
                bar.set_postfix(entry)
                report({"learner": name, **entry})

            result = cccp(problem, c, first, args.rounds, args.tolerance, args.calls, step)
        report({"learner": name, "wrong_configurations": problem.wrong(result.w)})
        return problem.unscaled(result.w)
    kind: Objective = "likelihood" if name == "likelihood" else "expectation"
    settings = CrfSettings(
        kind,
        args.steps,
        rate=args.rate,
        decay=args.decay,
        unary_share=args.unary_share,
        seed=args.seed,
    )
    return fit(data, start, settings, lambda entry: report({"learner": name, **entry}))


def state(weights: TreeWeights, config: ModelConfig, temperature: float) -> dict[str, Tensor]:
    """The network's parameters and buffers that hold w."""
    found = {
        "match_weight": weights.unary[:, : config.templates].clone(),
        "gamma": weights.gamma.clone(),
        "temperature": torch.tensor(temperature),
    }
    if config.heat_unary:
        found["heat_weight"] = weights.unary[:, -1].clone()
    return found


def convergence(data: TreeData, weights: TreeWeights, args: argparse.Namespace) -> dict[str, float]:
    """What Algorithm 1 converges by, of some crops.

    Returns:
        "eqn_2": the mean score of the best configurations, in spreads of the scores of all, since
        the score itself grows with the length of w alone; "eqn_9": the objective at the best length
        of w, over C: in units of h.
    """
    problem = TreeProblem(data, args.tau, args.clip)
    c = args.c * PAPER_IMAGES
    w = best_length(problem, c, problem.scaled(weights))
    return {
        "eqn_2": round(float(np.mean(best_scores(data, weights))), 4),
        "eqn_9": round(objective(problem, c, w) / c, 4),
    }


@torch.no_grad()
def best_scores(data: TreeData, weights: TreeWeights) -> NDArray[np.float64]:
    """(L,) by how many standard deviations the best configuration beats one drawn at random."""
    scores = []
    for i in range(0, len(data), _CHUNK):
        unary, pairwise = tree_terms(data[i : i + _CHUNK], weights)
        best, _ = max_sum(unary, pairwise, EDGES)
        mean = unary.mean(-1).sum(1) + pairwise.mean((2, 3)).sum(1)
        # As if the terms were independent: all that is asked is a unit of its own.
        variance = unary.var(-1).sum(1) + pairwise.var((2, 3)).sum(1)
        scores.append((best - mean) / variance.sqrt().clamp(min=1e-9))
    return torch.cat(scores).double().numpy()


def run(args: argparse.Namespace) -> None:
    """The step, by a command line's options."""
    distributed = join(args.device)
    config = run_folder.start(args, "learn_inference")
    need = (
        run_folder.FCN,
        run_folder.JOINT_DEPTH_OFFSET,
        run_folder.TEMPLATES,
        run_folder.MATCHNET,
    )
    network = run_folder.load_network(args.run, config, args.fcn, need).to(distributed.device)
    rng = np.random.default_rng(args.seed)

    def gather(crops: CropDataset, count: int, augment: bool) -> TreeData:
        chosen = rng.permutation(len(crops))[:count]
        return collect(network, crops, chosen, args.stride, rng if augment else None)

    data = gather(CropDataset(*args.data, mapped=True), args.crops, augment=True)
    held_out = gather(CropDataset(args.validation, mapped=True), args.validation_crops, augment=False)
    start = initial_weights(data, config, args.strength)
    # As a distribution the start is at its best at some temperature, which the field's weights
    # have taken in; the best configuration is the same at all.
    heat = fit_temperature(data[: args.svm_crops], start)
    start = TreeWeights(start.unary / heat, start.gamma / heat)

    logger, number = TensorBoardLogger(args.run / run_folder.TENSORBOARD / "inference"), count()
    logger.forget_after(-1)  # this step is done as a whole

    def report(entry: dict[str, Any]) -> None:
        run_folder.log(args.run, "inference", entry)
        name = entry.get("learner", "chosen")
        logger.scalars(next(number), {f"{name}/{k}": v for k, v in entry.items()})

    results: dict[str, dict[str, Any]] = {}
    learned: dict[str, tuple[TreeWeights, float]] = {}
    for name in ("start", *args.learners):
        weights = start if name == "start" else learn(name, data, start, args, report)
        temperature = 1.0
        if config.readout == "marginals" and name == "svm":
            temperature = fit_temperature(data[: args.svm_crops], weights)
        learned[name] = weights, temperature
        results[name] = {"temperature": temperature}
        for kind, tied in (("unary", False), ("full", True)):
            off = read_off(held_out, weights, config.readout, temperature, tied)
            results[name][kind] = quality(held_out, *off)
        tqdm.write(json.dumps({name: results[name]}))
        report({"learner": name, **results[name]})
    # The start is there to compare with: what is kept has been learned.
    best = max(args.learners, key=lambda name: score(results[name]["full"]))
    write_whole(
        args.run / run_folder.INFERENCE,
        {"model": state(learned[best][0], config, learned[best][1]), "learner": best},
    )
    report({"chosen": best, **convergence(data[: args.svm_crops], learned[best][0], args)})
    print(json.dumps({"chosen": best, "held_out": results}, indent=1))


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    run_folder.add_arguments(parser)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, help="folders of training shards")
    add("--validation", type=Path, required=True, help="folder of held-out shards")
    add("--crops", type=int, default=1000, help="to learn from")
    add("--validation-crops", type=int, default=500, help="to choose by")
    add("--stride", type=int, default=2, help="use every n-th row and column of proposals")
    add("--learners", nargs="+", choices=LEARNERS, default=LEARNERS)
    add("--strength", type=float, default=0.1, help="of the bones at the start")
    add("--c", type=float, default=0.001, help=f"C of Eqn. 9, for {PAPER_IMAGES} images")
    add("--tau", type=float, default=0.2, help="of Eqn. 8, in squared sides of a box")
    add("--clip", action="store_true", help="count a wrong part once, however far off")
    add("--svm-crops", type=int, default=150, help="of the crops to learn from, for the SVM alone")
    add("--rounds", type=int, default=5, help="of CCCP, at the most")
    add("--calls", type=int, default=40, help="of loss-augmented inference per round, at the most")
    add(
        "--tolerance",
        type=float,
        default=2e-2,
        help="of CCCP and of the inner problem, in units of h",
    )
    add("--steps", type=int, default=400, help="of gradient descent")
    add("--rate", type=float, default=0.02, help="of gradient descent")
    add("--decay", type=float, default=0.01, help="of the field's weights towards the start")
    add("--unary-share", type=float, default=0.2, help="of the loss that parts alone have")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="of the networks")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(options.parse(arguments(), "learn_inference", argv))
