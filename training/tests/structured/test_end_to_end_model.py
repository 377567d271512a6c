"""End-to-end training: structured losses, joint model, and fine-tuning."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.skeleton import EDGES, INDEX, NUM_JOINTS
from depth_pose_training.commands.finetune import main as finetune_main
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.engine.checkpoints import read, write_whole
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.strided_matchnet import strided_phase
from depth_pose_training.learning.templates import make_templates
from depth_pose_training.structured import finetune
from depth_pose_training.structured.end_to_end import (
    JointModel,
    network_weights,
    structured_hinge,
    structured_loss,
)
from depth_pose_training.structured.tree_data import collect
from depth_pose_training.structured.tree_problem import (
    TreeProblem,
    TreeWeights,
    configuration_loss,
    feature_scale,
    tree_terms,
)
from training_helpers.stick_figures import OFFSET, TINY, MeanFcn, write_figures
from training_helpers.tree_problems import ambiguous, start_of

WIDE = replace(TINY, window=17)


class LearnedFcn(nn.Module):
    """Initially the mean figure; all maps are parameters."""

    stride = 4

    def __init__(self) -> None:
        super().__init__()
        maps = MeanFcn()(torch.zeros(1, 1, 216, 176))
        self.heat = nn.Parameter(maps.heat.clone())
        self.depth = nn.Parameter(maps.depth.clone())
        self.displacement = nn.Parameter(maps.displacement.clone())

    def forward(self, x: Tensor) -> FcnOutput:
        """(B, 1, 216, 176) -> maps."""
        maps = (m.expand(len(x), -1, -1, -1) for m in (self.heat, self.depth, self.displacement))
        return FcnOutput(*maps, logits=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_figures(tmp_path_factory.mktemp("figures"), 12)


def joint(data: CropDataset, *parts: str) -> JointModel:
    torch.manual_seed(0)
    network = PoseNetwork(WIDE).eval()
    network.fcn = LearnedFcn()  # type: ignore[assignment]
    network.joint_depth_offset.fill_(OFFSET)
    network.matchnet.templates.copy_(make_templates(data, 3, 16, 12, seed=0)[0])
    with torch.no_grad():
        network.gamma[:, 1::2] = -10.0
    scale = feature_scale(collect(network, data, np.arange(4), stride=4)).flat()
    return JointModel(network, scale, parts)


def test_hinge_equals_enumeration_of_all_configurations() -> None:
    data = ambiguous(4, 6)
    flat = torch.randn(NUM_JOINTS + 108, generator=torch.Generator().manual_seed(2))
    unary, pair = tree_terms(data, TreeWeights.of(flat))
    free = [INDEX[k] for k in ("RightElbow", "RightWrist", "RightHand")]
    fixed = [k for k in range(NUM_JOINTS) if k not in free]
    unary[:, fixed, 1:] = -torch.inf  # few configurations remain
    allowed = data.allowed.clone()
    allowed[:, fixed] = True
    data = replace(data, allowed=allowed)
    loss = configuration_loss(data, 0.2, clip=False)
    augmented, completed = torch.full((4,), -torch.inf), torch.full((4,), -torch.inf)
    rows = torch.arange(4)
    for digits in product(range(4), repeat=len(free)):
        choice = torch.zeros(NUM_JOINTS, dtype=torch.long)
        choice[free] = torch.tensor(digits)
        at = choice.expand(4, -1)[..., None]
        score = unary.gather(2, at).sum((1, 2))
        for e, (parent, child) in enumerate(EDGES):
            score = score + pair[rows, e, choice[parent], choice[child]]
        augmented = torch.maximum(augmented, score + loss.gather(2, at).sum((1, 2)))
        right = data.allowed.gather(2, at)[..., 0].all(1)
        completed = torch.maximum(completed, score.masked_fill(~right, -torch.inf))
    found = structured_hinge(data, unary, pair, tau=0.2)
    assert torch.allclose(found, augmented - completed, atol=1e-4)
    assert (found >= 0).all()


def test_hinge_and_its_gradient_equal_those_of_eqn_9() -> None:
    data = ambiguous(10, 1)
    problem = TreeProblem(data, tau=0.2, clip=False)
    w = np.random.default_rng(0).normal(size=len(problem.scale))
    flat = torch.from_numpy(w / problem.scale).float().requires_grad_(True)
    hinge = structured_hinge(data, *tree_terms(data, TreeWeights.of(flat)), tau=0.2).mean()
    hinge.backward()
    values, slopes = problem.augmented(w)
    completed, slope = problem.completed(w)
    assert float(hinge.detach()) == pytest.approx(values.sum() - completed, abs=1e-4)
    expected = (slopes.sum(0) - slope) * problem.scale
    assert flat.grad is not None
    assert np.allclose(flat.grad.numpy(), expected, atol=1e-4)


def test_gradient_of_the_hinge_equals_finite_differences() -> None:
    data = ambiguous(3, 5)
    generator = torch.Generator().manual_seed(0)
    unary = torch.randn(3, NUM_JOINTS, 4, generator=generator, dtype=torch.float64)
    pair = torch.randn(3, len(EDGES), 4, 4, generator=generator, dtype=torch.float64)
    data = replace(data, pixels=data.pixels.double(), truth_pixels=data.truth_pixels.double())
    inputs = (unary.requires_grad_(True), pair.requires_grad_(True))
    assert torch.autograd.gradcheck(
        lambda u, r: structured_hinge(data, u, r, 0.2), inputs, fast_mode=True
    )


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("fcn",), "hinge"),
        (("fcn",), "expectation"),
        (("matchnet", "w"), "likelihood"),
        (("fcn", "matchnet", "w"), "hinge"),
    ],
)
def test_only_the_selected_parts_are_trained(
    folder: Path, parts: tuple[str, ...], name: str
) -> None:
    data = CropDataset(folder)
    model = joint(data, *parts)
    batch = data.batch(np.arange(4))
    phase = strided_phase(4, 1, torch.Generator().manual_seed(0))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = finetune.optimizer(model, rate=1e-2, w_rate=1e-2)
    losses = []
    for _ in range(4):
        loss = structured_loss(model(batch, phase), name, tau=0.2)  # type: ignore[arg-type]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.stay_within_bounds()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    kinds = {"w" if k == "w" else k.split(".")[1] for k in changed}
    assert kinds == set(parts)
    if "fcn" in parts:  # through log-heat, depth and displacement
        assert {f"network.fcn.{m}" for m in ("heat", "depth", "displacement")} <= changed
    assert (model.weights().gamma[:, 1::2] <= 0).all()


def test_joint_model_divides_w_by_the_temperature(folder: Path) -> None:
    data = CropDataset(folder)
    network = joint(data).network
    network.temperature.fill_(4.0)
    model = JointModel(network, torch.ones(NUM_JOINTS * 4 + 108), ())
    assert torch.allclose(model.weights().flat(), network_weights(network).flat() / 4)


def test_fine_tuning_writes_a_run_folder_and_resumes(folder: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    network = PoseNetwork(TINY).eval()
    for name, part in (("checkpoint.pt", network.fcn), ("matchnet.pt", network.matchnet)):
        write_whole(run / name, {"model": part.state_dict()})
    write_whole(run / "templates.pt", {"templates": network.matchnet.templates})
    write_whole(run / "surface.pt", {"joint_depth_offset": torch.full((19,), OFFSET)})
    w = {"match_weight": network.match_weight.detach(), "gamma": network.gamma.detach(),
         "heat_weight": torch.ones(19), "temperature": torch.tensor(2.0)}  # fmt: skip
    write_whole(run / "inference.pt", {"model": w})
    (run / "config.json").write_text(TINY.to_json())
    command = ["--run", str(run), "--data", str(folder), "--validation", str(folder),
               "--validation-crops", "2", "--threads", "1", "--checkpoint-every", "1",
               "--batch", "2", "--steps", "2", "--device", "cpu"]  # fmt: skip
    finetune_main([*command, "--out", str(out)])
    assert read(out / finetune.CHECKPOINT)["step"] == 2
    finetune_main([*command, "--out", str(out)])  # already complete
    assert len((out / finetune.LOG).read_text().splitlines()) == 2

    tuned = run_folder.load_network(out, run_folder.kept_config(out), need=finetune.ALL)
    state = read(out / finetune.CHECKPOINT)["model"]
    assert torch.equal(tuned.fcn.heat.weight, state["network.fcn.heat.weight"])
    assert not torch.equal(tuned.fcn.heat.weight, network.fcn.heat.weight)
    assert torch.allclose(network_weights(tuned).flat(), state["w"] / state["scale"])
    assert float(tuned.temperature) == 1
    # Batch normalization keeps its statistics.
    assert torch.equal(tuned.fcn.stem[1].running_mean, network.fcn.stem[1].running_mean)
    with pytest.raises(run_folder.RunError, match="another folder"):
        finetune_main([*command, "--out", str(run)])


def test_initial_weights_violate_the_margin_of_the_ambiguous_problem() -> None:
    data = ambiguous(40, 3)
    unary, pair = tree_terms(data, start_of(data))
    assert float(structured_hinge(data, unary, pair, 0.2).mean()) > 0.5
