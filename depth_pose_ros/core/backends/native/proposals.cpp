// From the compact FCN's maps to every part's candidates, and from weighted candidates to joints:
// depth_pose_ros/network/proposals.py and readout.py say what is computed.  In torch these are some
// sixty small operations, between which several people's threads wait for Python.

#include <algorithm>
#include <cmath>

#include "vectors.h"

namespace {

constexpr int REFINE = 2;  // cells either side of the highest one that refinement looks at

// In the order of native/skeleton.py.
struct Constants {
    float range, missing, nearest, gate, reach, unseen, doubt;
};

// Where a pixel lies between cells; beyond the border, on it.
struct Between {
    int low, high;
    float share;

    Between(int64_t pixel, int stride, int cells) {
        const float at = std::min(pixel / (float)stride, (float)(cells - 1));
        low = (int)at, high = std::min(low + 1, cells - 1), share = at - low;
    }
};

float bilinear(const float* map, int columns, const Between& y, const Between& x) {
    const float *above = map + y.low * columns, *below = map + y.high * columns;
    const float top = above[x.low] + x.share * (above[x.high] - above[x.low]);
    const float bottom = below[x.low] + x.share * (below[x.high] - below[x.low]);
    return top + y.share * (bottom - top);
}

// The four cells and weights of cubic (Catmull-Rom) reading at a pixel.
struct Cubic {
    int at[4];
    float weight[4];

    Cubic(int64_t pixel, int stride, int cells) {
        const int whole = (int)(pixel / stride);
        const float t = (pixel - (int64_t)whole * stride) / (float)stride;
        weight[0] = t * (-1 + t * (2 - t)) / 2;
        weight[1] = (2 + t * t * (3 * t - 5)) / 2;
        weight[2] = t * (1 + t * (4 - 3 * t)) / 2;
        weight[3] = t * t * (t - 1) / 2;
        for (int i = 0; i < 4; i++) at[i] = std::clamp(whole + i - 1, 0, cells - 1);
    }
};

// Logarithm of the sum of e to the power of every cell.
float log_sum(const float* map, int cells, float peak) {
    float total = 0;
    int i = 0;
    vec mass = vec{};
    for (; i + LANES <= cells; i += LANES) mass += power_of_2((load(map + i) - peak) * LOG2_E);
    for (; i < cells; i++) total += std::exp(map[i] - peak);
    return peak + std::log(total + sum(mass));
}

// Expectation over the cells round the highest one, in cells.
void refine(const float* map, int rows, int columns, int best, float* x, float* y) {
    const int row = best / columns, column = best % columns;
    float total = 0, across = 0, down = 0;
    for (int r = std::max(row - REFINE, 0); r <= std::min(row + REFINE, rows - 1); r++)
        for (int c = std::max(column - REFINE, 0); c <= std::min(column + REFINE, columns - 1); c++) {
            const float mass = std::exp(map[r * columns + c] - map[best]);
            total += mass, across += mass * c, down += mass * r;
        }
    *x = across / total, *y = down / total;
}

}  // namespace

// Args:
//   heat: (parts, rows, columns) logits.
//   depth: (parts, rows, columns) metres, minus z_ref.
//   moves: (edges, 3, rows, columns) metres, or null.
//   parents: (edges,).
//   crop: (height, width).
//   frame: ray_x, ray_y, step, z_ref.
//   offsets: (parts,) metres, the joint's depth minus the surface's.
//   starts: (parts, 2) first pixel (x, y) of every part's window; of size side.
//   points: (parts, n, 3) metres.
//   measured: (parts, n), 1 or 0.
//   log_heat: (parts, n), at the proposals.
//   norm: (parts,), what turns logits into logarithms of probabilities.
//   anchors: (edges, n, 3) metres.
extern "C" void candidates(const float* heat, const float* depth, const float* moves,
                           const int32_t* parents, int parts, int rows, int columns, int stride,
                           const float* crop, int height, int width, const float* frame,
                           const float* offsets, const float* constants, int side, int64_t* starts,
                           float* points, float* measured, float* log_heat, float* norm,
                           float* anchors) {
    const Constants& k = *(const Constants*)constants;
    const int cells = rows * columns, half = side / 2, n = side * side;
    const float ray_x = frame[0], ray_y = frame[1], step = frame[2], z_ref = frame[3];
    for (int p = 0; p < parts; p++) {
        const float* map = heat + p * cells;
        const int best = (int)(std::max_element(map, map + cells) - map);
        norm[p] = log_sum(map, cells, map[best]);
        float x, y;
        refine(map, rows, columns, best, &x, &y);
        const int64_t left = std::clamp((int)std::nearbyint(stride * x), half, width - 1 - half) - half;
        const int64_t top = std::clamp((int)std::nearbyint(stride * y), half, height - 1 - half) - half;
        starts[2 * p] = left, starts[2 * p + 1] = top;
        for (int r = 0; r < side; r++) {
            const Between down(top + r, stride, rows);
            const Cubic rising(top + r, stride, rows);
            for (int c = 0; c < side; c++) {
                const int i = p * n + r * side + c;
                const Between across(left + c, stride, columns);
                const Cubic along(left + c, stride, columns);
                float level = 0;
                for (int a = 0; a < 4; a++) {
                    const float* row = map + rising.at[a] * columns;
                    float value = 0;
                    for (int b = 0; b < 4; b++) value += along.weight[b] * row[along.at[b]];
                    level += rising.weight[a] * value;
                }
                log_heat[i] = level - norm[p];
                const float value = crop[(top + r) * width + left + c];
                const float predicted = z_ref + bilinear(depth + p * cells, columns, down, across);
                const float seen = z_ref + k.range * value + offsets[p];
                const bool use = value > -1 && value < k.missing && std::abs(seen - predicted) < k.gate;
                const float z = std::max(use ? seen : predicted, k.nearest);
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
        if (!moves) continue;
        for (int r = 0; r < side; r++) {
            const Between down(starts[2 * p + 1] + r, stride, rows);
            for (int c = 0; c < side; c++) {
                const Between across(starts[2 * p] + c, stride, columns);
                for (int d = 0; d < 3; d++)
                    to[3 * (r * side + c) + d] +=
                        bilinear(moves + (e * 3 + d) * cells, columns, down, across);
            }
        }
    }
}

// Args:
//   weights: (parts, n), every part's summing to 1.
//   heat, norm, starts, points, measured: of candidates().
//   calibration: (parts, 2) slope and offset.
//   joints: (parts, 3) metres.
//   pixels: (parts, 2).
//   mass: (parts,) share of the heat round the joint.
//   confidence: (parts,).
extern "C" void readout(const float* weights, const float* heat, const float* norm,
                        const int64_t* starts, const float* points, const float* measured,
                        const float* calibration, int parts, int rows, int columns, int stride,
                        const float* constants, int side, float* joints, float* pixels, float* mass,
                        float* confidence) {
    const Constants& k = *(const Constants*)constants;
    const int n = side * side;
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
            if (std::abs(r * stride - sums[4]) > k.reach) continue;
            for (int c = 0; c < columns; c++)
                if (std::abs(c * stride - sums[3]) <= k.reach)
                    total += std::exp(heat[(p * rows + r) * columns + c] - norm[p]);
        }
        mass[p] = std::clamp(total, 0.0f, 1.0f);
        const float sure = mass[p] * (k.unseen + (1 - k.unseen) * std::clamp(sums[5], 0.0f, 1.0f));
        const float bounded = std::clamp(sure, k.doubt, 1 - k.doubt);
        const float odds = std::log(bounded / (1 - bounded));
        confidence[p] = 1 / (1 + std::exp(-(calibration[2 * p] * odds + calibration[2 * p + 1])));
    }
}

// The person head (depth_pose_ros/network/person.py): two layers, of the context as it is.
//
// Args:
//   context: (inputs,).
//   hidden: (units, inputs).
//   bias: (units,).
//   logit: (units,).
// Returns the sum of the hidden units, as the last layer weighs them, without its bias.
extern "C" float person(const float* context, int inputs, const float* hidden, const float* bias,
                        const float* logit, int units) {
    float result = 0;
    for (int u = 0; u < units; u++) {
        const float* row = hidden + (int64_t)u * inputs;
        vec dot = vec{};
        int i = 0;
        for (; i + LANES <= inputs; i += LANES) dot += load(row + i) * load(context + i);
        float total = bias[u] + sum(dot);
        for (; i < inputs; i++) total += row[i] * context[i];
        result += std::max(total, 0.0f) * logit[u];
    }
    return result;
}
