"""The complete pose network: crops in, skeletons out.

The steps of :meth:`PoseNetwork.forward` are separate methods, which training calls one by one.
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from depth_pose_ros.core.models import proposals as proposing
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.decode import (
    PoseOutput,
    calibrate_confidence,
    empty_pose,
    heat_in_window,
    joint_confidence,
    proposal_weights,
    torso_score,
    weighted_mean,
)
from depth_pose_ros.core.models.fcn import CompactFcn, FcnOutput, build_fcn, log_heat
from depth_pose_ros.core.models.indices import index_on
from depth_pose_ros.core.models.matchnet import MatchNet
from depth_pose_ros.core.models.pairwise import deformation
from depth_pose_ros.core.models.person_classifier import PersonClassifier
from depth_pose_ros.core.models.proposals import Proposals
from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS, EDGES, NUM_JOINTS

#: Last stage that runs (the paper's ablation): the heat maps' maxima, unary terms, or the tree.
Stage = Literal["fcn", "matchnet", "full"]


class PoseNetwork(nn.Module):
    """FCN, proposals, MatchNet and inference (Fig. 2).

    Attributes:
        config: its configuration.
        fcn: crops -> :class:`FcnOutput`.
        matchnet: crops and proposals -> match logits.
        match_weight: (19, T), w_k of Eqn. 3.
        heat_weight: (19,) or None, weight of the log-heat in the unary (extension).
        gamma: (18, 6), Gamma of Eqn. 4.
        joint_depth_offset: buffer (19,) metres, joint's depth minus the surface's in front of it.
        joint_depth_gate: buffer (), metres; a measured depth that differs from the FCN's by more
            than this belongs to another surface.
        temperature: buffer (), of the marginals (extension).
        calibration: buffer (19, 2), maps confidence to the probability that a joint is within
            10 cm; see :func:`depth_pose_ros.core.models.decode.calibrate_confidence`.
    """

    #: Tensors that a file may lack; they keep their initial values.
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
        """Whether :attr:`calibration` was fitted, so that confidence is a probability."""
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
        return self.forward_maps(self.fcn(crops), crops, frames, stage)

    def forward_maps(
        self,
        output: FcnOutput,
        crops: Tensor,
        frames: Tensor,
        stage: Stage = "full",
        min_scores: Tensor | None = None,
    ) -> PoseOutput:
        """Skeletons from the FCN's output.

        Args:
            output: of the FCN.
            crops, frames, stage: as of :meth:`forward`.
            min_scores: (B,) minimum person scores.  Crops whose person classifier gives less get no
                skeleton; see :func:`depth_pose_ros.core.models.decode.empty_pose`.
        """
        score = self.person_score(output)
        if min_scores is not None and score is not None and not (score >= min_scores).all():
            (some,) = torch.nonzero(score >= min_scores, as_tuple=True)
            result = empty_pose(score)
            if len(some):
                skeletons = self.forward_maps(output.of(some), crops[some], frames[some], stage)
                for whole, part in zip(result, skeletons, strict=True):
                    whole[some] = part
            return result
        proposals = self.propose(output, crops, frames, single=stage == "fcn")
        if stage == "fcn":
            weights = proposals.points.new_ones(proposals.points.shape[:3])
        else:
            unary = self.unary_terms(output, crops, proposals)
            if stage == "full":
                weights = self.infer(unary, output, proposals)
            else:
                weights = self.marginals(unary, None)
        return self.decode(output, proposals, weights, score)

    def person_score(self, output: FcnOutput) -> Tensor | None:
        """(B,) probability in [0, 1] that a crop shows a person, from the FCN's output alone.

        None if it can only be computed after decoding; 1/2 for regressed Gaussians, whose sharpness
        depends on training time and not on the image.
        """
        if self.person is not None and output.context is not None:
            return self.person(output.context).sigmoid()
        return None if output.logits else output.heat.new_full((len(output.heat),), 0.5)

    def appearance(self, crops: Tensor, pixels: Tensor) -> Tensor:
        """U of Eqn. 3: weighted sum of each proposal's match probabilities.

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
        """The window of proposals around each coarse maximum (Eqn. 1).

        With ``single`` the maximum itself is the only proposal, at sub-pixel position.
        """
        if single:
            return self.locate(self.coarse_maximum(output)[:, :, None], output, crops, frames)
        pixels = self.window_pixels(output, crops)
        return self.locate(pixels, output, crops, frames, self.config.window)

    def coarse_maximum(self, output: FcnOutput) -> Tensor:
        """(B, 19, 2) crop pixels: the heat maps' maxima, at sub-cell position if compact."""
        refine = self.config.fcn == "compact"
        return proposing.coarse_maximum(output, self.fcn.stride, refine)

    def window_pixels(self, output: FcnOutput, crops: Tensor) -> Tensor:
        """(B, 19, n, 2) int64 pixels of the window around each coarse maximum, row by row."""
        centres = self.coarse_maximum(output)
        return proposing.window_pixels(centres, self.config.window, *crops.shape[-2:])

    def locate(
        self, pixels: Tensor, output: FcnOutput, crops: Tensor, frames: Tensor, side: int = 0
    ) -> Proposals:
        """Proposals at given pixels (B, 19, n, 2); ``side`` as of :class:`Proposals`."""
        points, measured = proposing.locate(
            pixels,
            output.depth,
            self.fcn.stride,
            crops,
            frames,
            self.joint_depth_offset,
            self.joint_depth_gate,
        )
        return Proposals(pixels, points, measured, side)

    def unary_terms(
        self,
        output: FcnOutput,
        crops: Tensor,
        proposals: Proposals,
        match_logits: Tensor | None = None,
    ) -> Tensor:
        """(B, 19, n): U of Eqn. 3, plus the weighted log-heat where the configuration has it.

        ``match_logits`` (B, 19, n, T) are used instead of computing them.
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
        return proposing.read_smooth(heat, proposals.pixels, self.fcn.stride, proposals.side)

    def anchors(self, output: FcnOutput, proposals: Proposals) -> Tensor:
        """(B, 18, n, 3) metres: origin of each edge's child displacement (pairwise terms)."""
        parents = index_on(proposals.points.device, EDGE_PARENTS)
        points = proposals.points.index_select(1, parents)
        if not self.config.displacement:
            return points
        if output.displacement is None:
            raise ValueError("the configuration needs displacements, but the FCN gave none")
        maps = output.displacement.unflatten(1, (len(EDGES), 3))
        pixels = proposals.pixels.index_select(1, parents)
        return points + proposing.read_maps(maps, pixels, self.fcn.stride)

    def pairwise_terms(self, output: FcnOutput, proposals: Proposals) -> Tensor:
        """(B, 18, n, n): R of Eqn. 4, parent proposals before child proposals."""
        children = proposals.points.index_select(1, index_on(self.gamma.device, EDGE_CHILDREN))
        return deformation(self.anchors(output, proposals), children, self.gamma)

    def infer(
        self,
        unary: Tensor,
        output: FcnOutput,
        proposals: Proposals,
    ) -> Tensor:
        """``marginals(unary, pairwise_terms(...))`` with pairwise terms computed level by level."""
        anchors = self.anchors(output, proposals)
        children = proposals.points.index_select(1, index_on(self.gamma.device, EDGE_CHILDREN))
        marginals = self.config.readout == "marginals"
        gamma = self.gamma / self.temperature if marginals else self.gamma

        def terms(edges: Tensor) -> Tensor:
            anchor, child = (t.index_select(1, edges) for t in (anchors, children))
            return deformation(anchor, child, gamma.index_select(0, edges))

        if marginals:
            unary = unary / self.temperature
        return proposal_weights(unary, terms, self.config.readout)

    def marginals(self, unary: Tensor, pairwise: Tensor | None) -> Tensor:
        """:func:`proposal_weights` as configured."""
        return proposal_weights(unary, pairwise, self.config.readout, self.temperature)

    def decode(
        self,
        output: FcnOutput,
        proposals: Proposals,
        weights: Tensor,
        score: Tensor | None = None,
    ) -> PoseOutput:
        """Joints as the weighted mean of their proposals.

        Args:
            output: of the FCN.
            proposals: n per part.
            weights: (B, 19, n), sums to 1 per part.
            score: (B,) from :meth:`person_score`; if None, the torso's heat maps are used.
        """
        joints = weighted_mean(weights, proposals.points)
        pixels = weighted_mean(weights, proposals.pixels)
        visible = (weights * proposals.measured).sum(2).clamp(0, 1)
        heat = heat_in_window(output, self.fcn.stride, pixels)
        confidence = calibrate_confidence(joint_confidence(heat, visible), self.calibration)
        return PoseOutput(joints, pixels, confidence, torso_score(heat) if score is None else score)

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
