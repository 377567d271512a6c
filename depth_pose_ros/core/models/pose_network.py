"""The method assembled: crops in, skeletons out.

The steps of :meth:`PoseNetwork.forward` are methods of their own, which training calls one by one.
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from depth_pose_ros.core.models import proposals as candidates
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.decode import (
    PoseOutput,
    absent,
    calibrated,
    heat_in_window,
    joint_confidence,
    person_score,
)
from depth_pose_ros.core.models.fcn import CompactFcn, FcnOutput, build_fcn, log_heat
from depth_pose_ros.core.models.indices import index_on
from depth_pose_ros.core.models.matchnet import MatchNet
from depth_pose_ros.core.models.pairwise import deformation
from depth_pose_ros.core.models.person_classifier import PersonClassifier
from depth_pose_ros.core.models.proposals import Proposals
from depth_pose_ros.core.models.tree_inference import max_sum, sum_product
from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS, EDGES, NUM_JOINTS

#: How much of the method runs (the paper's ablation): the heat maps' maxima alone, every part's
#: best unary, or the tree.
Stage = Literal["fcn", "matchnet", "full"]


class PoseNetwork(nn.Module):
    """FCN, proposals, MatchNet and inference (Fig. 2).

    Attributes:
        config: what it is made of.
        fcn: crops -> :class:`FcnOutput`.
        matchnet: crops and proposals -> match logits.
        match_weight: (19, T), w_k of Eqn. 3.
        heat_weight: (19,) or None, weight of the log-heat in the unary (extension).
        gamma: (18, 6), Gamma of Eqn. 4.
        joint_depth_offset: buffer (19,) metres, joint's depth minus the surface's in front of it.
        joint_depth_gate: buffer (), metres; a measured depth that differs more than this from the
            FCN's belongs to something else.
        temperature: buffer (), of the marginals (extension).
        calibration: buffer (19, 2), what makes confidence the probability that a joint is within
            10 cm; see :func:`depth_pose_ros.core.models.decode.calibrated`.
    """

    #: May be missing in a file: then it stays as it is made.
    optional = frozenset({"calibration"})

    joint_depth_offset: Tensor
    joint_depth_gate: Tensor
    temperature: Tensor
    calibration: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.fcn = build_fcn(config)
        self.matchnet = MatchNet(config)
        self.match_weight = nn.Parameter(torch.ones(NUM_JOINTS, config.templates))
        self.heat_weight = nn.Parameter(torch.ones(NUM_JOINTS)) if config.heat_unary else None
        self.gamma = nn.Parameter(torch.zeros(len(EDGES), 6))
        self.person = PersonClassifier(CompactFcn.contexts) if config.person else None
        self.register_buffer("joint_depth_offset", torch.zeros(NUM_JOINTS))
        self.register_buffer("joint_depth_gate", torch.tensor(0.15))
        self.register_buffer("temperature", torch.tensor(1.0))
        self.register_buffer("calibration", torch.tensor((1.0, 0.0)).repeat(NUM_JOINTS, 1))

    @property
    def has_calibration(self) -> bool:
        """Whether :attr:`calibration` has been fitted: only then is confidence a probability."""
        made = self.calibration.new_tensor((1.0, 0.0)).expand_as(self.calibration)
        return not torch.equal(self.calibration, made)

    def forward(self, crops: Tensor, frames: Tensor, stage: Stage = "full") -> PoseOutput:
        """Estimate one skeleton per crop.

        Args:
            crops: (B, 1, H, W) from :func:`depth_pose_ros.core.crops.cut`.
            frames: (B, 4), their :class:`depth_pose_ros.core.crops.CropFrame` as arrays.
            stage: how much of the method to run.

        Raises:
            ValueError: shapes that do not fit, or an unknown stage.
        """
        self._check(crops, frames, stage)
        return self.complete(self.fcn(crops), crops, frames, stage)

    def complete(
        self,
        output: FcnOutput,
        crops: Tensor,
        frames: Tensor,
        stage: Stage = "full",
        least: Tensor | None = None,
    ) -> PoseOutput:
        """All that follows the FCN.

        Args:
            output: of the FCN, or of another program that computes the same.
            crops, frames, stage: as of :meth:`forward`.
            least: (B,) lowest scores worth a skeleton.  Where the person head gives less the work
                ends here; see :func:`depth_pose_ros.core.models.decode.absent`.
        """
        score = self.presence(output)
        if least is not None and score is not None and not (score >= least).all():
            (some,) = torch.nonzero(score >= least, as_tuple=True)
            result = absent(score)
            if len(some):
                skeletons = self.complete(output.of(some), crops[some], frames[some], stage)
                for whole, part in zip(result, skeletons, strict=True):
                    whole[some] = part
            return result
        proposals = self.propose(output, crops, frames, single=stage == "fcn")
        if stage == "fcn":
            weights = proposals.points.new_ones(proposals.points.shape[:3])
        else:
            unary = self.unary_terms(output, crops, proposals)
            if stage == "full":
                weights = self.weigh(unary, output, proposals)
            else:
                weights = self.infer(unary, None)
        return self.readout(output, proposals, weights, score)

    def presence(self, output: FcnOutput) -> Tensor | None:
        """(B,) in [0, 1], that a crop holds a person, as far as the FCN's maps alone say.

        None where it takes the joints to say.  How sharp regressed Gaussians are depends on how
        long they learned, not on who is there: with them it is 1/2, no opinion.
        """
        if self.person is not None and output.context is not None:
            return self.person(output.context).sigmoid()
        return None if output.logits else output.heat.new_full((len(output.heat),), 0.5)

    def appearance(self, crops: Tensor, pixels: Tensor) -> Tensor:
        """U of Eqn. 3: the weighted sum of each proposal's match probabilities.

        Args:
            crops: (B, 1, H, W).
            pixels: (B, 19, n, 2) int64, (x, y).

        Returns:
            (B, 19, n).
        """
        return self.matchnet.weighted_matches(crops, pixels, self.match_weight)

    def propose(
        self, output: FcnOutput, crops: Tensor, frames: Tensor, single: bool = False
    ) -> Proposals:
        """The window of candidates round every coarse maximum (Eqn. 1).

        With ``single``, the maximum itself as the only one, pixels not rounded.
        """
        stride = self.fcn.stride
        # The paper's maps are read at their maximum; the finer ones of ours between cells too.
        centres = candidates.coarse_maximum(output, stride, refine=self.config.fcn == "compact")
        if single:
            pixels = centres[:, :, None]
        else:
            pixels = candidates.window_pixels(centres, self.config.window, *crops.shape[-2:])
        points, measured = candidates.locate(
            pixels,
            output.depth,
            stride,
            crops,
            frames,
            self.joint_depth_offset,
            self.joint_depth_gate,
        )
        return Proposals(pixels, points, measured, 0 if single else self.config.window)

    def unary_terms(
        self,
        output: FcnOutput,
        crops: Tensor,
        proposals: Proposals,
        match_logits: Tensor | None = None,
    ) -> Tensor:
        """(B, 19, n): U of Eqn. 3, plus the weighted log-heat where the configuration has it.

        ``match_logits`` (B, 19, n, T) saves computing them again.
        """
        if match_logits is None:
            unary = self.appearance(crops, proposals.pixels)
        else:
            unary = (match_logits.sigmoid() @ self.match_weight[..., None])[..., 0]
        if self.heat_weight is None:
            return unary
        return unary + self.heat_weight[:, None] * self.heat_features(output, proposals)

    def heat_features(self, output: FcnOutput, proposals: Proposals) -> Tensor:
        """(B, 19, n): the log-heat at the proposals."""
        heat = log_heat(output)
        return candidates.read_smooth(heat, proposals.pixels, self.fcn.stride, proposals.side)

    def anchors(self, output: FcnOutput, proposals: Proposals) -> Tensor:
        """(B, 18, n, 3) metres: where every edge's child is measured from (pairwise terms)."""
        parents = index_on(proposals.points.device, EDGE_PARENTS)
        points = proposals.points.index_select(1, parents)
        if not self.config.displacement:
            return points
        if output.displacement is None:
            raise ValueError("the configuration needs displacements, but the FCN gave none")
        maps = output.displacement.unflatten(1, (len(EDGES), 3))
        pixels = proposals.pixels.index_select(1, parents)
        return points + candidates.read_maps(maps, pixels, self.fcn.stride)

    def pairwise_terms(self, output: FcnOutput, proposals: Proposals) -> Tensor:
        """(B, 18, n, n): R of Eqn. 4, the parent's candidate before the child's."""
        children = proposals.points.index_select(1, index_on(self.gamma.device, EDGE_CHILDREN))
        return deformation(self.anchors(output, proposals), children, self.gamma)

    def weigh(
        self,
        unary: Tensor,
        output: FcnOutput,
        proposals: Proposals,
    ) -> Tensor:
        """``infer(unary, pairwise_terms(...))`` with terms made when they are needed."""
        anchors = self.anchors(output, proposals)
        children = proposals.points.index_select(1, index_on(self.gamma.device, EDGE_CHILDREN))
        marginals = self.config.readout == "marginals"
        gamma = self.gamma / self.temperature if marginals else self.gamma

        def terms(edges: Tensor) -> Tensor:
            anchor, child = (t.index_select(1, edges) for t in (anchors, children))
            return deformation(anchor, child, gamma.index_select(0, edges))

        if marginals:
            return sum_product(unary / self.temperature, terms, EDGES)[1]
        return _all_on(max_sum(unary, terms, EDGES)[1], unary)

    def infer(self, unary: Tensor, pairwise: Tensor | None) -> Tensor:
        """How much every candidate counts in the result.

        Args:
            unary: (B, 19, n).
            pairwise: (B, 18, n, n), or None for parts that know nothing of each other.

        Returns:
            (B, 19, n), every part's summing to 1: all on the best configuration's (Eqn. 5), or
            the marginals, as the configuration says.
        """
        if self.config.readout == "marginals":
            if pairwise is None:
                return (unary / self.temperature).softmax(-1)
            return sum_product(unary, pairwise, EDGES, self.temperature)[1]
        choice = unary.argmax(-1) if pairwise is None else max_sum(unary, pairwise, EDGES)[1]
        return _all_on(choice, unary)

    def readout(
        self,
        output: FcnOutput,
        proposals: Proposals,
        weights: Tensor,
        score: Tensor | None = None,
    ) -> PoseOutput:
        """Joints as the weighted mean of their candidates.

        Args:
            output: of the FCN.
            proposals: n candidates per part.
            weights: (B, 19, n), every part's summing to 1.
            score: (B,) of :meth:`presence`, if there is one; else the torso's heat says it.
        """
        share = weights[..., None]
        joints = (share * proposals.points).sum(2)
        pixels = (share * proposals.pixels).sum(2)
        visible = (weights * proposals.measured).sum(2).clamp(0, 1)
        heat = heat_in_window(output, self.fcn.stride, pixels)
        confidence = calibrated(joint_confidence(heat, visible), self.calibration)
        return PoseOutput(
            joints, pixels, confidence, person_score(heat) if score is None else score
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name in self.optional:
            state_dict.setdefault(prefix + name, getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @staticmethod
    def _check(crops: Tensor, frames: Tensor, stage: str) -> None:
        if crops.ndim != 4 or crops.shape[0] < 1 or crops.shape[1] != 1:
            raise ValueError(f"crops must be (B, 1, H, W) with B > 0, got {tuple(crops.shape)}")
        if tuple(frames.shape) != (crops.shape[0], 4):
            raise ValueError(
                f"frames must be ({crops.shape[0]}, 4), one per crop, got {tuple(frames.shape)}"
            )
        if stage not in get_args(Stage):
            raise ValueError(f"stage must be one of {get_args(Stage)}, got {stage!r}")


def _all_on(choice: Tensor, like: Tensor) -> Tensor:
    """(B, 19) indices -> (B, 19, n), 1 at the chosen candidate."""
    return torch.zeros_like(like).scatter_(2, choice[..., None], 1.0)
