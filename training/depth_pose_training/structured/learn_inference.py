"""Step 3 of Algorithm 1: the weights of the unary and pairwise terms.

Learns w = {w_k, Gamma_km} by the latent structural SVM (Eqn. 9) and as a conditional random field
with two losses, and keeps the weights that are best on held-out crops.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from depth_pose_ros.core.models.config import ModelConfig, Readout
from depth_pose_ros.core.models.decode import proposal_weights, weighted_mean
from depth_pose_ros.core.models.proposals import gather_proposals
from depth_pose_ros.core.models.tree_inference import max_sum
from depth_pose_ros.core.skeleton import EDGE_PARENTS, EDGES, NUM_JOINTS
from depth_pose_training.configs.cli import option
from depth_pose_training.configs.groups import Device, RunOptions
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.engine.checkpoints import write_whole
from depth_pose_training.engine.distributed import join
from depth_pose_training.engine.tensorboard import TensorBoardLogger
from depth_pose_training.learning import metrics, run_folder
from depth_pose_training.structured import crf
from depth_pose_training.structured.cccp import best_length, cccp, objective
from depth_pose_training.structured.tree_data import TreeData, collect
from depth_pose_training.structured.tree_problem import TreeProblem, TreeWeights, tree_terms

Learner = Literal["svm", "likelihood", "expectation"]
LEARNERS: tuple[Learner, ...] = get_args(Learner)
#: Number of training images in the paper, which its C refers to.
PAPER_IMAGES = 60_000
_NEED = (run_folder.FCN, run_folder.JOINT_DEPTH_OFFSET, run_folder.TEMPLATES, run_folder.MATCHNET)
_TEMPERATURES = tuple(2.0 ** (i / 2) for i in range(-20, 7))
_CHUNK = 16  # crops whose pairwise terms are in memory at once
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class LearnInferenceOptions(RunOptions):
    """Options of the step."""

    data: tuple[Path, ...] = option("folders of training shards")
    validation: Path = option("folder of held-out shards")
    crops: int = option("number of training crops", 1000)
    validation_crops: int = option("number of crops to compare the learners on", 500)
    stride: int = option("use every n-th row and column of the proposals", 2)
    learners: tuple[Learner, ...] = option("learners to compare", LEARNERS)
    strength: float = option("factor of the initial pairwise weights", 0.1)
    c: float = option(f"C of Eqn. 9, for {PAPER_IMAGES} images", 0.001)
    tau: float = option("tau of Eqn. 8, in squared box sides", 0.2)
    clip: bool = option("limit the loss of each part to 1", False)
    svm_crops: int = option("number of training crops of the SVM", 150)
    rounds: int = option("maximum number of CCCP rounds", 5)
    calls: int = option("maximum number of loss-augmented inferences per round", 40)
    tolerance: float = option("of CCCP and of the inner problem, in units of h", 2e-2)
    steps: int = option("gradient descent steps of the CRF", 400)
    rate: float = option("learning rate of the CRF", 0.02)
    decay: float = option("decay of the CRF weights towards the initial ones", 0.01)
    unary_share: float = option("share of the loss without pairwise terms", 0.2)
    device: Device = option("device of the networks", "auto")


def initial_weights(data: TreeData, config: ModelConfig, strength: float) -> TreeWeights:
    """Initial w: weight 1 for the log-heat, equal weights of the templates, weak pairwise terms.

    Gamma is the logarithm of a Gaussian, fitted to the bones between the proposals nearest to the
    true joints, times ``strength``.
    """
    unary = torch.full((NUM_JOINTS, data.features.shape[-1]), 1 / config.templates)
    if config.heat_unary:
        unary[:, -1] = 1
    nearest = (data.pixels - data.truth_pixels[:, :, None]).square().sum(-1).argmin(-1)
    points = gather_proposals(data.points, nearest)
    anchors = gather_proposals(data.anchors, nearest[:, EDGE_PARENTS])
    gamma = torch.zeros(len(EDGES), 6)
    for e, edge in enumerate(EDGES):
        known = data.supervised[:, edge.parent] & data.supervised[:, edge.child]
        bone = (points[:, edge.child] - anchors[:, e])[known]
        if len(bone) > 1:
            variance = bone.var(0) + 1e-4
            gamma[e, 0::2] = strength * bone.mean(0) / variance
            gamma[e, 1::2] = -strength / (2 * variance)
    return TreeWeights(unary, gamma)


@torch.no_grad()
def decode(
    data: TreeData,
    weights: TreeWeights,
    readout: Readout,
    temperature: float,
    pairwise: bool = True,
) -> tuple[Tensor, Tensor]:
    """Joints as the network decodes them: (L, 19, 2) pixels and (L, 19, 3) meters.

    Without ``pairwise`` every part is decoded independently.
    """
    pixels, joints = [], []
    for part in data.chunks(_CHUNK):
        unary, edges = tree_terms(part, weights)
        share = proposal_weights(unary, edges if pairwise else None, readout, temperature)
        pixels.append(weighted_mean(share, part.pixels))
        joints.append(weighted_mean(share, part.points))
    return torch.cat(pixels), torch.cat(joints)


def quality(data: TreeData, pixels: Tensor, joints: Tensor) -> dict[str, float]:
    """Mean PDJ over the four thresholds of the paper and mean 3-D error of joints in the image."""
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
    """Selection criterion: mean PDJ minus 0.001 per millimeter of 3-D error."""
    return numbers["pdj"] - numbers["error_mm"] / 1000


@torch.no_grad()
def fit_temperature(data: TreeData, weights: TreeWeights) -> float:
    """Temperature with the lowest :func:`depth_pose_training.structured.crf.expectation_loss`."""
    losses = []
    for temperature in tqdm(_TEMPERATURES, unit="temperature"):
        scaled = TreeWeights(weights.unary / temperature, weights.gamma / temperature)
        values = [
            crf.expectation_loss(part, *tree_terms(part, scaled)) for part in data.chunks(_CHUNK)
        ]
        losses.append(float(torch.cat(values).mean()))
    return _TEMPERATURES[int(np.argmin(losses))]


def learn(
    name: Learner,
    data: TreeData,
    start: TreeWeights,
    options: LearnInferenceOptions,
    report: Report,
) -> TreeWeights:
    """w by one of :data:`LEARNERS`."""
    if name == "svm":
        number = options.svm_crops
        problem = TreeProblem(data[:number], options.tau, options.clip, groups=number)
        c = options.c * PAPER_IMAGES  # the sums of the problem are means over the crops
        first = best_length(problem, c, problem.scaled(start))
        with tqdm(unit="call") as bar:

            def show(entry: dict[str, Any]) -> None:
                bar.update("gap" in entry)
                bar.set_postfix(entry)
                report({"learner": name, **entry})

            result = cccp(problem, c, first, options.rounds, options.tolerance, options.calls, show)
        report({"learner": name, "wrong_configurations": problem.wrong(result.w)})
        return problem.unscaled(result.w)
    settings = crf.CrfSettings(
        name,
        options.steps,
        rate=options.rate,
        decay=options.decay,
        unary_share=options.unary_share,
        seed=options.seed,
    )
    return crf.fit(data, start, settings, lambda entry: report({"learner": name, **entry}))


def state(weights: TreeWeights, config: ModelConfig, temperature: float) -> dict[str, Tensor]:
    """Parameters and buffers of the network that hold w."""
    found = {
        "match_weight": weights.unary[:, : config.templates].clone(),
        "gamma": weights.gamma.clone(),
        "temperature": torch.tensor(temperature),
    }
    if config.heat_unary:
        found["heat_weight"] = weights.unary[:, -1].clone()
    return found


def convergence(
    data: TreeData, weights: TreeWeights, options: LearnInferenceOptions
) -> dict[str, float]:
    """Convergence criteria of Algorithm 1.

    Returns:
        "eqn_2": mean of :func:`best_scores`; "eqn_9": the objective at the best length of w,
        divided by C (in units of h).
    """
    problem = TreeProblem(data, options.tau, options.clip)
    c = options.c * PAPER_IMAGES
    w = best_length(problem, c, problem.scaled(weights))
    return {
        "eqn_2": round(float(np.mean(best_scores(data, weights))), 4),
        "eqn_9": round(objective(problem, c, w) / c, 4),
    }


@torch.no_grad()
def best_scores(data: TreeData, weights: TreeWeights) -> NDArray[np.float64]:
    """(L,) scores of the best configurations minus the mean, in standard deviations.

    Mean and deviation are those of random configurations, so that the length of w has no effect.
    """
    scores = []
    for part in data.chunks(_CHUNK):
        unary, pairwise = tree_terms(part, weights)
        best, _ = max_sum(unary, pairwise, EDGES)
        mean = unary.mean(-1).sum(1) + pairwise.mean((2, 3)).sum(1)
        # The variance ignores the correlation of the terms: it only sets the unit.
        variance = unary.var(-1).sum(1) + pairwise.var((2, 3)).sum(1)
        scores.append((best - mean) / variance.sqrt().clamp(min=1e-9))
    return torch.cat(scores).double().numpy()


def compare(
    data: TreeData,
    held_out: TreeData,
    start: TreeWeights,
    config: ModelConfig,
    options: LearnInferenceOptions,
    report: Report,
) -> tuple[dict[str, tuple[TreeWeights, float]], dict[str, dict[str, Any]]]:
    """Weights and temperature of every learner and of the start, and their quality."""
    learned: dict[str, tuple[TreeWeights, float]] = {}
    results: dict[str, dict[str, Any]] = {}
    names: tuple[Learner | Literal["start"], ...] = ("start", *options.learners)
    for name in names:
        weights = start if name == "start" else learn(name, data, start, options, report)
        temperature = 1.0
        if config.readout == "marginals" and name == "svm":
            temperature = fit_temperature(data[: options.svm_crops], weights)
        learned[name] = weights, temperature
        results[name] = {"temperature": temperature}
        for kind, pairwise in (("unary", False), ("full", True)):
            decoded = decode(held_out, weights, config.readout, temperature, pairwise)
            results[name][kind] = quality(held_out, *decoded)
        tqdm.write(json.dumps({name: results[name]}))
        report({"learner": name, **results[name]})
    return learned, results


def learn_inference(options: LearnInferenceOptions) -> dict[str, Any]:
    """Learn w with each learner and keep the best one on held-out crops.

    Returns:
        The name of the best learner ("chosen") and the quality of all ("held_out").
    """
    device = join(options.device).device
    config = run_folder.start(options, "learn_inference")
    network = run_folder.load_network(options.run, config, options.fcn, _NEED).to(device)
    rng = np.random.default_rng(options.seed)

    def terms(crops: CropDataset, number: int, augment: bool) -> TreeData:
        chosen = rng.permutation(len(crops))[:number]
        return collect(network, crops, chosen, options.stride, rng if augment else None)

    data = terms(CropDataset(*options.data, mapped=True), options.crops, augment=True)
    held_out = terms(
        CropDataset(options.validation, mapped=True), options.validation_crops, augment=False
    )
    start = initial_weights(data, config, options.strength)
    # Scale the start to its best temperature for the CRF; the best configuration stays the same.
    temperature = fit_temperature(data[: options.svm_crops], start)
    start = TreeWeights(start.unary / temperature, start.gamma / temperature)

    logger, number = TensorBoardLogger(options.run / run_folder.TENSORBOARD / "inference"), count()
    logger.forget_after(-1)  # the step cannot resume: it starts a new log

    def report(entry: dict[str, Any]) -> None:
        run_folder.log(options.run, "inference", entry)
        name = entry.get("learner", "chosen")
        logger.scalars(next(number), {f"{name}/{k}": v for k, v in entry.items()})

    learned, results = compare(data, held_out, start, config, options, report)
    best = max(options.learners, key=lambda name: score(results[name]["full"]))
    weights, temperature = learned[best]
    write_whole(
        options.run / run_folder.INFERENCE,
        {"model": state(weights, config, temperature), "learner": best},
    )
    report({"chosen": best, **convergence(data[: options.svm_crops], weights, options)})
    return {"chosen": best, "held_out": results}
