// Exact inference over the tree of parts (core/models/tree_inference.py and pairwise.py), equal to these
// but for rounding.  An edge's n x n terms are never stored: each row is computed, used, and computed
// again in the downward pass, where rows with negligible marginals are skipped.

#include <algorithm>
#include <cmath>

#include "vectors.h"

namespace {

constexpr float PADDING = -1e30f;     // score of the proposals that pad a vector
constexpr float NEGLIGIBLE = 1e-10f;  // marginal without effect on a float's sum of 1

// The terms of one edge, row by row; coordinates relative to the anchors' mean.
struct Edge {
    const float *anchors;   // (n, 3)
    float *x, *y, *z, *own; // (padded,) the children's, and their own terms plus beliefs
    float mean[3], linear[3], square[3];

    Edge(const float* anchors, const float* gamma, float scale, int n, int padded, float* work)
        : anchors(anchors), x(work), y(work + padded), z(work + 2 * padded),
          own(work + 3 * padded) {
        for (int d = 0; d < 3; d++) {
            double total = 0;
            for (int i = 0; i < n; i++) total += anchors[3 * i + d];
            mean[d] = (float)(total / n);
            linear[d] = gamma[2 * d] * scale, square[d] = gamma[2 * d + 1] * scale;
        }
    }

    // Once, in the upward pass.
    void set_children(const float* children, const float* beliefs, int n, int padded) {
        for (int j = 0; j < padded; j++) {
            const bool real = j < n;
            x[j] = real ? children[3 * j] - mean[0] : 0;
            y[j] = real ? children[3 * j + 1] - mean[1] : 0;
            z[j] = real ? children[3 * j + 2] - mean[2] : 0;
            own[j] = real ? x[j] * (square[0] * x[j] + linear[0]) +
                                y[j] * (square[1] * y[j] + linear[1]) +
                                z[j] * (square[2] * z[j] + linear[2]) + beliefs[j]
                          : PADDING;
        }
    }

    // Returns the anchor's own term; a: its factors of the children's coordinates.
    float factors(int i, float a[3]) const {
        float alone = 0;
        for (int d = 0; d < 3; d++) {
            a[d] = anchors[3 * i + d] - mean[d];
            alone += a[d] * (square[d] * a[d] - linear[d]);
            a[d] *= -2 * square[d];
        }
        return alone;
    }

    // The terms of an anchor with a vector of children, without the anchor's own.
    vec terms(const float a[3], int j) const {
        return load(own + j) + load(x + j) * a[0] + load(y + j) * a[1] + load(z + j) * a[2];
    }
};

}  // namespace

// Marginals of p(g) ~ exp(F(g) * scale), or the best configuration.
//
// Args:
//   unary: (parts, n).
//   anchors: (edges, n, 3) metres.
//   points: (parts, n, 3) metres, the proposals.
//   gamma: (edges, 6).
//   parents: (edges,), parts before their children; edge e is of part e + 1, part 0 is the root.
//   best: the best configuration instead of marginals.
//   weights: (parts, n), every part's sum to 1: the marginals, or 1 at the best configuration's.
extern "C" void tree_inference(const float* unary, const float* anchors, const float* points,
                               const float* gamma, float scale, const int32_t* parents, int parts,
                               int n, int best, float* weights) {
    const int padded = round_up(n, LANES), edges = parts - 1;
    scale *= LOG2_E;  // scores are powers of 2
    float* beliefs = workspace((2 * parts + 4 * edges + 1) * (int64_t)padded + edges * 2 * n);
    float* shares = beliefs + parts * padded;
    float* row = shares + parts * padded;
    float* coordinates = row + padded;
    float* totals = coordinates + edges * 4 * padded;  // sum and peak of every row
    for (int k = 0; k < parts; k++)
        for (int i = 0; i < n; i++) beliefs[k * padded + i] = unary[k * n + i] * scale;

    for (int e = edges - 1; e >= 0; e--) {
        const int p = parents[e], c = e + 1;
        Edge edge(anchors + e * n * 3, gamma + e * 6, scale, n, padded,
                  coordinates + e * 4 * padded);
        edge.set_children(points + c * n * 3, beliefs + c * padded, n, padded);
        float *total = totals + e * 2 * n, *peaks = total + n;
        for (int i = 0; i < n; i++) {
            float a[3];
            const float own = edge.factors(i, a);
            vec highest = splat(PADDING);
            for (int j = 0; j < padded; j += LANES) {
                const vec terms = edge.terms(a, j);
                store(row + j, terms);
                highest = max(highest, terms);
            }
            const float peak = reduce_max(highest);
            float message = peak;
            if (!best) {
                vec mass = vec{};
                for (int j = 0; j < padded; j += LANES) mass += exp2(load(row + j) - peak);
                total[i] = reduce_sum(mass), peaks[i] = peak;
                message += std::log2(total[i]);
            }
            beliefs[p * padded + i] += message + own;
        }
    }

    for (int i = 0; i < parts * padded; i++) shares[i] = 0;
    const int top = (int)(std::max_element(beliefs, beliefs + n) - beliefs);
    if (best) shares[top] = 1;
    else {
        double mass = 0;
        for (int i = 0; i < n; i++) mass += shares[i] = std::exp2(beliefs[i] - beliefs[top]);
        for (int i = 0; i < n; i++) shares[i] /= (float)mass;
    }

    for (int e = 0; e < edges; e++) {
        const float* parent = shares + parents[e] * padded;
        float* child = shares + (e + 1) * padded;
        const Edge edge(anchors + e * n * 3, gamma + e * 6, scale, n, padded,
                        coordinates + e * 4 * padded);
        const float *total = totals + e * 2 * n, *peaks = total + n;
        for (int i = 0; i < n; i++) {
            if (parent[i] < NEGLIGIBLE) continue;
            float a[3];
            edge.factors(i, a);
            if (best) {
                for (int j = 0; j < padded; j += LANES) store(row + j, edge.terms(a, j));
                child[std::max_element(row, row + n) - row] = 1;
                break;
            }
            const float share = parent[i] / total[i], peak = peaks[i];
            for (int j = 0; j < padded; j += LANES)
                store(child + j, load(child + j) + exp2(edge.terms(a, j) - peak) * share);
        }
    }
    for (int k = 0; k < parts; k++)
        for (int i = 0; i < n; i++) weights[k * n + i] = shares[k * padded + i];
}
