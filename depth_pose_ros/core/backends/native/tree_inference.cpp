// Exact inference over the tree of parts: depth_pose_ros/network/inference.py and pairwise.py say what
// is computed.  An edge's n x n terms are never stored: a row is made, used, and made again on the way
// down, where only rows that still matter are.

#include <cmath>

#include "vectors.h"

namespace {

constexpr float NEVER = -1e30f;     // of candidates that only fill a vector up
constexpr float NOTHING = 1e-10f;   // a marginal that adds nothing to a float's sum of 1

// One edge, ready to make rows of terms from: coordinates about the anchors' mean.
struct Edge {
    const float *anchors;   // (n, 3)
    float *x, *y, *z, *own; // (padded,) the children's, and their own terms with their beliefs
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

    // Once, on the way up.
    void put(const float* children, const float* beliefs, int n, int padded) {
        for (int j = 0; j < padded; j++) {
            const bool real = j < n;
            x[j] = real ? children[3 * j] - mean[0] : 0;
            y[j] = real ? children[3 * j + 1] - mean[1] : 0;
            z[j] = real ? children[3 * j + 2] - mean[2] : 0;
            own[j] = real ? x[j] * (square[0] * x[j] + linear[0]) +
                                y[j] * (square[1] * y[j] + linear[1]) +
                                z[j] * (square[2] * z[j] + linear[2]) + beliefs[j]
                          : NEVER;
        }
    }

    // The anchor's own term; its factors of the children's coordinates.
    float factors(int i, float a[3]) const {
        float alone = 0;
        for (int d = 0; d < 3; d++) {
            a[d] = anchors[3 * i + d] - mean[d];
            alone += a[d] * (square[d] * a[d] - linear[d]);
            a[d] *= -2 * square[d];
        }
        return alone;
    }

    // The terms of an anchor with some children, less its own.
    vec terms(const float a[3], int j) const {
        return load(own + j) + load(x + j) * a[0] + load(y + j) * a[1] + load(z + j) * a[2];
    }
};

}  // namespace

// Floats of workspace for so many parts and candidates.
extern "C" int64_t programme_workspace(int parts, int n) {
    return (int64_t)(2 * parts + 4 * (parts - 1) + 1) * round_up(n, LANES) + (int64_t)(parts - 1) * 2 * n;
}

// Marginals of p(g) ~ exp(F(g) * scale), or the best configuration.
//
// Args:
//   unary: (parts, n).
//   anchors: (edges, n, 3) metres.
//   points: (parts, n, 3) metres, the candidates.
//   gamma: (edges, 6).
//   order: (edges, 3), edge, parent and child, children before their parents' own edges.
//   root: the part that is nobody's child.
//   work: workspace.
//   marginals: (parts, n), or null.
//   choice: (parts,), where marginals is null.
extern "C" void programme(const float* unary, const float* anchors, const float* points,
                          const float* gamma, float scale, const int32_t* order, int root, int parts,
                          int n, float* work, float* marginals, int64_t* choice) {
    const int padded = round_up(n, LANES), edges = parts - 1;
    scale *= LOG2_E;  // all scores in powers of 2
    float* beliefs = work;
    float* shares = beliefs + parts * padded;
    float* row = shares + parts * padded;
    float* coordinates = row + padded;
    float* totals = coordinates + edges * 4 * padded;  // of every row, and its peak
    for (int k = 0; k < parts; k++)
        for (int i = 0; i < n; i++) beliefs[k * padded + i] = unary[k * n + i] * scale;

    for (int s = 0; s < edges; s++) {
        const int e = order[3 * s], p = order[3 * s + 1], c = order[3 * s + 2];
        Edge edge(anchors + e * n * 3, gamma + e * 6, scale, n, padded,
                  coordinates + e * 4 * padded);
        edge.put(points + c * n * 3, beliefs + c * padded, n, padded);
        float *total = totals + e * 2 * n, *peaks = total + n;
        for (int i = 0; i < n; i++) {
            float a[3];
            const float alone = edge.factors(i, a);
            vec highest = splat(NEVER);
            for (int j = 0; j < padded; j += LANES) {
                const vec terms = edge.terms(a, j);
                store(row + j, terms);
                highest = larger(highest, terms);
            }
            const float peak = largest(highest);
            float message = peak;
            if (marginals) {
                vec mass = vec{};
                for (int j = 0; j < padded; j += LANES) mass += power_of_2(load(row + j) - peak);
                total[i] = sum(mass), peaks[i] = peak;
                message += std::log2(total[i]);
            }
            beliefs[p * padded + i] += message + alone;
        }
    }

    float* top = beliefs + root * padded;
    int best = 0;
    for (int i = 1; i < n; i++) best = top[i] > top[best] ? i : best;
    if (!marginals) choice[root] = best;
    else {
        double mass = 0;
        for (int i = 0; i < n; i++) mass += shares[root * padded + i] = std::exp2(top[i] - top[best]);
        for (int i = 0; i < n; i++) shares[root * padded + i] /= (float)mass;
    }

    for (int s = edges - 1; s >= 0; s--) {
        const int e = order[3 * s], p = order[3 * s + 1], c = order[3 * s + 2];
        const Edge edge(anchors + e * n * 3, gamma + e * 6, scale, n, padded,
                        coordinates + e * 4 * padded);
        float a[3];
        if (!marginals) {
            edge.factors((int)choice[p], a);
            for (int j = 0; j < padded; j += LANES) store(row + j, edge.terms(a, j));
            int at = 0;
            for (int j = 1; j < n; j++) at = row[j] > row[at] ? j : at;
            choice[c] = at;
            continue;
        }
        const float *total = totals + e * 2 * n, *peaks = total + n;
        float* share = shares + c * padded;
        for (int j = 0; j < padded; j++) share[j] = 0;
        for (int i = 0; i < n; i++) {
            const float own = shares[p * padded + i];
            if (own < NOTHING) continue;
            edge.factors(i, a);
            const float part = own / total[i], peak = peaks[i];
            for (int j = 0; j < padded; j += LANES)
                store(share + j, load(share + j) + power_of_2(edge.terms(a, j) - peak) * part);
        }
    }
    if (marginals)
        for (int k = 0; k < parts; k++)
            for (int i = 0; i < n; i++) marginals[k * n + i] = shares[k * padded + i];
}
