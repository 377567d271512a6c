// Before and after the inference: proposals from the FCN's maps (core/models/proposals.py), and
// joints from weighted proposals (core/models/decode.py).  Equal to these but for rounding.

#include <algorithm>
#include <cmath>

#include "vectors.h"

namespace {

constexpr int REFINE_RADIUS = 2;  // cells

// Of a network, in the order of binding.py; the last three are integers.
struct Constants {
    float depth_range, missing, min_depth, gate, reach, unmeasured, min_doubt;
    float stride, window, refine;  // refine: 1 for sub-cell maxima
};

// Linear interpolation between two cells; the border's value beyond the border.
struct Linear {
    int low, high;
    float share;

    Linear(int64_t pixel, int stride, int cells) {
        const float at = std::min(pixel / (float)stride, (float)(cells - 1));
        low = (int)at, high = std::min(low + 1, cells - 1), share = at - low;
    }
};

float bilinear(const float* map, int columns, const Linear& y, const Linear& x) {
    const float *above = map + y.low * columns, *below = map + y.high * columns;
    const float top = above[x.low] + x.share * (above[x.high] - above[x.low]);
    const float bottom = below[x.low] + x.share * (below[x.high] - below[x.low]);
    return top + y.share * (bottom - top);
}

// Cubic (Catmull-Rom) interpolation between four cells.
struct Cubic {
    int at[4];
    float weight[4];

    Cubic(int64_t pixel, int stride, int cells) {
        const int cell = (int)(pixel / stride);
        const float t = (pixel - (int64_t)cell * stride) / (float)stride;
        weight[0] = t * (-1 + t * (2 - t)) / 2;
        weight[1] = (2 + t * t * (3 * t - 5)) / 2;
        weight[2] = t * (1 + t * (4 - 3 * t)) / 2;
        weight[3] = t * t * (t - 1) / 2;
        for (int i = 0; i < 4; i++) at[i] = std::clamp(cell + i - 1, 0, cells - 1);
    }
};

float log_sum_exp(const float* map, int cells, float peak) {
    float total = 0;
    int i = 0;
    vec mass = vec{};
    for (; i + LANES <= cells; i += LANES) mass += exp2((load(map + i) - peak) * LOG2_E);
    for (; i < cells; i++) total += std::exp(map[i] - peak);
    return peak + std::log(total + reduce_sum(mass));
}

// Position of the maximum in cells; with a radius the expectation over the cells around it.
void soft_argmax(const float* map, int rows, int columns, int best, int radius, float* x, float* y) {
    const int row = best / columns, column = best % columns;
    float total = 0, sum_x = 0, sum_y = 0;
    for (int r = std::max(row - radius, 0); r <= std::min(row + radius, rows - 1); r++)
        for (int c = std::max(column - radius, 0); c <= std::min(column + radius, columns - 1); c++) {
            const float mass = std::exp(map[r * columns + c] - map[best]);
            total += mass, sum_x += mass * c, sum_y += mass * r;
        }
    *x = sum_x / total, *y = sum_y / total;
}

}  // namespace

// Args:
//   heat: (parts, rows, columns) logits.
//   depth: (parts, rows, columns) metres, minus z_ref.
//   displacement: (edges, 3, rows, columns) metres, or null.
//   parents: (edges,); edge e is of part e + 1.
//   crop: (height, width).
//   frame: ray_x, ray_y, step, z_ref.
//   offsets: (parts,) metres, joint_depth_offset.
//   starts: (parts, 2) first pixel (x, y) of every part's window.
//   points: (parts, n, 3) metres.
//   measured: (parts, n), 1 or 0.
//   log_heat: (parts, n) at the proposals.
//   log_norm: (parts,), log-sum-exp of the logits.
//   anchors: (edges, n, 3) metres.
extern "C" void proposals(const Constants* constants, const float* heat, const float* depth,
                          const float* displacement, const int32_t* parents, int parts, int rows,
                          int columns, const float* crop, int height, int width, const float* frame,
                          const float* offsets, int64_t* starts, float* points, float* measured,
                          float* log_heat, float* log_norm, float* anchors) {
    const Constants& k = *constants;
    const int stride = (int)k.stride, side = (int)k.window;
    const int cells = rows * columns, half = side / 2, n = side * side;
    const float ray_x = frame[0], ray_y = frame[1], step = frame[2], z_ref = frame[3];
    for (int p = 0; p < parts; p++) {
        const float* map = heat + p * cells;
        const int best = (int)(std::max_element(map, map + cells) - map);
        log_norm[p] = log_sum_exp(map, cells, map[best]);
        float x, y;
        soft_argmax(map, rows, columns, best, k.refine ? REFINE_RADIUS : 0, &x, &y);
        const int64_t left = std::clamp((int)std::nearbyint(stride * x), half, width - 1 - half) - half;
        const int64_t top = std::clamp((int)std::nearbyint(stride * y), half, height - 1 - half) - half;
        starts[2 * p] = left, starts[2 * p + 1] = top;
        for (int r = 0; r < side; r++) {
            const Linear linear_y(top + r, stride, rows);
            const Cubic cubic_y(top + r, stride, rows);
            for (int c = 0; c < side; c++) {
                const int i = p * n + r * side + c;
                const Linear linear_x(left + c, stride, columns);
                const Cubic cubic_x(left + c, stride, columns);
                float level = 0;
                for (int a = 0; a < 4; a++) {
                    const float* row = map + cubic_y.at[a] * columns;
                    float value = 0;
                    for (int b = 0; b < 4; b++) value += cubic_x.weight[b] * row[cubic_x.at[b]];
                    level += cubic_y.weight[a] * value;
                }
                log_heat[i] = level - log_norm[p];
                const float value = crop[(top + r) * width + left + c];
                const float predicted =
                    z_ref + bilinear(depth + p * cells, columns, linear_y, linear_x);
                const float seen = z_ref + k.depth_range * value + offsets[p];
                const bool use =
                    value > -1 && value < k.missing && std::abs(seen - predicted) < k.gate;
                const float z = std::max(use ? seen : predicted, k.min_depth);
                measured[i] = use;
                points[3 * i] = (ray_x + step * (left + c)) * z;
                points[3 * i + 1] = (ray_y + step * (top + r)) * z;
                points[3 * i + 2] = z;
            }
        }
    }
    for (int e = 0; e < parts - 1; e++) {
        const int p = parents[e];
        const float* from = points + p * n * 3;
        float* to = anchors + e * n * 3;
        std::copy(from, from + 3 * n, to);
        if (!displacement) continue;
        for (int r = 0; r < side; r++) {
            const Linear y(starts[2 * p + 1] + r, stride, rows);
            for (int c = 0; c < side; c++) {
                const Linear x(starts[2 * p] + c, stride, columns);
                for (int d = 0; d < 3; d++)
                    to[3 * (r * side + c) + d] +=
                        bilinear(displacement + (e * 3 + d) * cells, columns, y, x);
            }
        }
    }
}

// Args:
//   weights: (parts, n), every part's sum to 1.
//   heat, log_norm, starts, points, measured: of proposals().
//   calibration: (parts, 2) slope and offset.
//   joints: (parts, 3) metres.
//   pixels: (parts, 2).
//   mass: (parts,) share of the heat around the joint.
//   confidence: (parts,).
extern "C" void decode(const Constants* constants, const float* weights, const float* heat,
                       const float* log_norm, const int64_t* starts, const float* points,
                       const float* measured, const float* calibration, int parts, int rows,
                       int columns, float* joints, float* pixels, float* mass, float* confidence) {
    const Constants& k = *constants;
    const int side = (int)k.window, n = side * side;
    for (int p = 0; p < parts; p++) {
        float sums[6] = {};
        for (int i = 0; i < n; i++) {
            const float w = weights[p * n + i];
            for (int d = 0; d < 3; d++) sums[d] += w * points[(p * n + i) * 3 + d];
            sums[3] += w * (starts[2 * p] + i % side);
            sums[4] += w * (starts[2 * p + 1] + i / side);
            sums[5] += w * measured[p * n + i];
        }
        for (int d = 0; d < 3; d++) joints[3 * p + d] = sums[d];
        for (int d = 0; d < 2; d++) pixels[2 * p + d] = sums[3 + d];
        float total = 0;
        for (int r = 0; r < rows; r++) {
            if (std::abs(r * k.stride - sums[4]) > k.reach) continue;
            for (int c = 0; c < columns; c++)
                if (std::abs(c * k.stride - sums[3]) <= k.reach)
                    total += std::exp(heat[(p * rows + r) * columns + c] - log_norm[p]);
        }
        mass[p] = std::clamp(total, 0.0f, 1.0f);
        const float visible = k.unmeasured + (1 - k.unmeasured) * std::clamp(sums[5], 0.0f, 1.0f);
        const float bounded = std::clamp(mass[p] * visible, k.min_doubt, 1 - k.min_doubt);
        const float logit = std::log(bounded / (1 - bounded));
        confidence[p] = 1 / (1 + std::exp(-(calibration[2 * p] * logit + calibration[2 * p + 1])));
    }
}
