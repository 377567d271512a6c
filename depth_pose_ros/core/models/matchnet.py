"""Task two, appearance: how well proposals match their part's templates (Sect. 3.2, Fig. 5)."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pose_ros.core.crops import FAR
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.tower import STRIDE, Tower, patch_extent
from depth_pose_ros.core.skeleton import NUM_JOINTS


class MatchNet(nn.Module):
    """Two towers with shared weights, then a metric network, for all parts at once.

    The first fully connected layer of joined features [patch, template] is the sum of a layer on
    the patch's and one on the template's, so n x T pairs cost n + T; the templates' half is kept
    between calls in evaluation.  Its per-part layers are tensors (19, inputs, outputs).

    Attributes:
        templates: buffer (19, T, P, P), crop values, P = :func:`patch_extent`; the cluster centres
            of the parts' true patches (K-means).
    """

    templates: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.extent = patch_extent(config.patch)
        self.side = config.patch // STRIDE
        self.towers = 1 if config.shared_tower else NUM_JOINTS
        self.tower = Tower(self.towers, config.tower)
        self.register_buffer(
            "templates", torch.zeros(NUM_JOINTS, config.templates, self.extent, self.extent)
        )
        features = self.side**2 * config.tower[-1]
        first, second = config.metric_units
        self.patch_weight = _uniform(features, first, joined=2)
        self.template_weight = _uniform(features, first, joined=2)
        self.first_bias = nn.Parameter(torch.zeros(NUM_JOINTS, 1, first))
        self.second_weight = _uniform(first, second)
        self.second_bias = nn.Parameter(torch.zeros(NUM_JOINTS, 1, second))
        # Near zero, so that an untrained network says "perhaps" (phi = 0.5) to everything.
        self.match_weight = nn.Parameter(0.01 * torch.randn(NUM_JOINTS, second, 1))
        self.match_bias = nn.Parameter(torch.zeros(NUM_JOINTS, 1, 1))
        self._cache: tuple[object, Tensor] | None = None

    def forward(self, crops: Tensor, pixels: Tensor) -> Tensor:
        """Match logits of every proposal with every template of its part; dense evaluation.

        Args:
            crops: (B, 1, H, W).
            pixels: (B, 19, n, 2) int64, (x, y); any pixels, cheapest when close together.

        Returns:
            (B, 19, n, T); their sigmoid is phi of Eqn. 3.
        """
        return self.match(self.embed_proposals(crops, pixels), self.template_half())

    def match(self, patches: Tensor, templates: Tensor) -> Tensor:
        """The metric network after its first layer's two halves.

        Args:
            patches: (B, 19, n, H1) from :meth:`embed_proposals` or :meth:`embed_patches`.
            templates: (19, T, H1) from :meth:`template_half`.

        Returns:
            (B, 19, n, T) logits.
        """
        batch, parts, count, _ = patches.shape
        by_part, logits = _by_part(patches), []
        for t in range(templates.shape[1]):  # one template at a time: its activations stay in cache
            hidden = F.relu(by_part + templates[:, t, None], inplace=True)
            hidden = F.relu(self.second_bias.baddbmm(hidden, self.second_weight), inplace=True)
            logits.append(self.match_bias.baddbmm(hidden, self.match_weight))
        return torch.cat(logits, dim=-1).view(parts, batch, count, -1).transpose(0, 1)

    def weighted_matches(self, crops: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
        """Every proposal's weighted sum of match probabilities (Eqn. 3).

        Args:
            crops, pixels: as of :meth:`forward`.
            weights: (19, T), w_k.

        Returns:
            (B, 19, n), equal to ``forward(crops, pixels).sigmoid() @ weights``.
        """
        patches, templates = self.embed_proposals(crops, pixels), self.template_half()
        if torch.is_grad_enabled() or patches.device.type != "cpu":
            return (self.match(patches, templates).sigmoid() @ weights[..., None])[..., 0]
        return self._weighted_in_blocks(patches, templates, weights)

    def _weighted_in_blocks(self, patches: Tensor, templates: Tensor, weights: Tensor) -> Tensor:
        """One part of one crop after the other: its pairs' activations stay in the cache."""
        batch, parts, count, first = patches.shape
        kinds, second = templates.shape[1], self.second_weight.shape[-1]
        hidden1, hidden2 = (
            patches.new_empty(kinds, count, first),
            patches.new_empty(kinds * count, second),
        )
        result = torch.empty_like(patches[..., 0])
        for k in range(parts):
            for b in range(batch):
                torch.add(patches[b, k], templates[k, :, None], out=hidden1).relu_()
                flat = hidden1.view(kinds * count, first)
                torch.addmm(self.second_bias[k], flat, self.second_weight[k], out=hidden2).relu_()
                logits = (hidden2 @ self.match_weight[k]).view(kinds, count) + self.match_bias[k]
                torch.mv(logits.sigmoid_().T, weights[k], out=result[b, k])
        return result

    def template_half(self) -> Tensor:
        """(19, T, H1): the templates' half of the first fully connected layer, with its bias."""
        if self.training or torch.is_grad_enabled():
            return self._template_half()
        key = tuple(
            (t.data_ptr(), t.dtype, 0 if t.is_inference() else t._version)
            for t in (*self.tower.parameters(), self.templates)
            + (self.template_weight, self.first_bias)
        )
        if self._cache is None or self._cache[0] != key:
            self._cache = (key, self._template_half())
        return self._cache[1]

    def _template_half(self) -> Tensor:
        features = self._patch_features(self.templates)
        return features @ self.template_weight + self.first_bias

    def embed_patches(self, patches: Tensor) -> Tensor:
        """The plain version: the patches' half of the first layer, patch by patch.

        Args:
            patches: (B, 19, n, P, P) crop values, P = ``extent``, the proposal's pixel in the
                middle (:func:`cut_patches`).

        Returns:
            (B, 19, n, H1).
        """
        batch, parts, count = patches.shape[:3]
        by_part = patches.transpose(0, 1).reshape(parts, batch * count, self.extent, self.extent)
        features = self._patch_features(by_part) @ self.patch_weight
        return features.view(parts, batch, count, -1).transpose(0, 1)

    def embed_proposals(self, crops: Tensor, pixels: Tensor) -> Tensor:
        """Equal to ``embed_patches(cut_patches(crops, pixels, extent))``, all work shared.

        Args and result as of :meth:`forward` and :meth:`embed_patches`.
        """
        return self.embed_features(self.gather_features(crops, pixels))

    def embed_features(self, features: Tensor) -> Tensor:
        """(B, 19, n, F) features of patches -> (B, 19, n, H1), their half of the first layer."""
        batch, parts, count, _ = features.shape
        embedded = _by_part(features) @ self.patch_weight
        return embedded.view(parts, batch, count, -1).transpose(0, 1)

    def gather_features(self, crops: Tensor, pixels: Tensor) -> Tensor:
        """The tower's features of the patch round every pixel, computed once for all of them.

        Args:
            crops, pixels: as of :meth:`forward`.

        Returns:
            (B, 19, n, side * side * C), rows and columns of features first.
        """
        batch, parts, count, _ = pixels.shape
        # Every tower covers, in one region, the proposals of all parts that it serves.
        groups = pixels.reshape(batch, self.towers, -1, 2)
        origin = groups.amin(2)
        span_x, span_y = (int(v) for v in (groups.amax(2) - origin).flatten(0, 1).amax(0))
        height, width = span_y + self.extent, span_x + self.extent
        regions = cut_regions(crops, origin - self.extent // 2, height, width)
        maps = self.tower.dense(regions).permute(0, 2, 3, 1)
        rows, columns = maps.shape[1:3]
        table = maps.reshape(batch * rows * columns * self.towers, -1)

        steps = STRIDE * torch.arange(self.side, device=pixels.device)
        offsets = (steps[:, None] * columns + steps).flatten()
        at = (groups - origin[:, :, None]).view(batch, self.towers, -1, 2)
        cells = at[..., 1] * columns + at[..., 0]
        cells = cells + (rows * columns) * torch.arange(batch, device=cells.device)[:, None, None]
        towers = torch.arange(self.towers, device=cells.device)[:, None, None]
        index = (cells[..., None] + offsets) * self.towers + towers
        return table.index_select(0, index.flatten()).view(batch, parts, count, -1)

    def _patch_features(self, patches: Tensor) -> Tensor:
        """(19, N, P, P) -> (19, N, side * side * C), rows and columns of features first."""
        parts, count = patches.shape[:2]
        if self.towers == 1:
            x = self.tower(patches.reshape(parts * count, 1, self.extent, self.extent))
        else:
            x = self.tower(patches.transpose(0, 1))
            x = x.unflatten(1, (parts, -1)).transpose(0, 1)
        return x.reshape(parts, count, -1, self.side**2).transpose(2, 3).flatten(2)


def _by_part(x: Tensor) -> Tensor:
    """(B, 19, n, C) -> (19, B n, C): a part's weights are there once, not for every crop."""
    return x.transpose(0, 1).flatten(1, 2)


def cut_regions(crops: Tensor, origins: Tensor, height: int, width: int) -> Tensor:
    """Rectangles out of each crop, FAR where they reach beyond it.

    Args:
        crops: (B, 1, H, W).
        origins: (B, R, 2) int64, (x, y) of each rectangle's first pixel; may be negative.
        height, width: size of all of them.

    Returns:
        (B, R, height, width).
    """
    batch, _, rows, columns = crops.shape
    y = origins[..., 1, None] + torch.arange(height, device=crops.device)
    x = origins[..., 0, None] + torch.arange(width, device=crops.device)
    inside = ((y >= 0) & (y < rows))[..., :, None] & ((x >= 0) & (x < columns))[..., None, :]
    index = y.clamp(0, rows - 1)[..., :, None] * columns + x.clamp(0, columns - 1)[..., None, :]
    values = crops.reshape(batch, -1).gather(1, index.view(batch, -1)).view(index.shape)
    return values.masked_fill(~inside, FAR)


def cut_patches(crops: Tensor, pixels: Tensor, extent: int) -> Tensor:
    """The patch in its place round every pixel.

    Args:
        crops: (B, 1, H, W).
        pixels: (B, K, n, 2) int64, (x, y).
        extent: side of a patch, odd (:func:`patch_extent`).

    Returns:
        (B, K, n, extent, extent); FAR beyond the crop.
    """
    batch, parts, count, _ = pixels.shape
    origins = pixels.reshape(batch, parts * count, 2) - extent // 2
    patches = cut_regions(crops, origins, extent, extent)
    return patches.view(batch, parts, count, extent, extent)


def _uniform(inputs: int, outputs: int, joined: int = 1) -> nn.Parameter:
    """(19, inputs, outputs), He initialization for a layer with ``joined`` such inputs."""
    bound = sqrt(6 / (joined * inputs))
    return nn.Parameter(torch.empty(NUM_JOINTS, inputs, outputs).uniform_(-bound, bound))
