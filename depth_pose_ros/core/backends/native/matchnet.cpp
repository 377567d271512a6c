// MatchNet in one pass for some parts of one crop, every activation used while it is in the cache:
// the tower over the region that their proposals see, the metric network for all their pairs with
// templates, and the weighted sum of Eqn. 3.  depth_pose_ros/network/matchnet.py and tower.py say
// what is computed; this is the same for the sizes below.

#include <cstring>

#include "vectors.h"

namespace {

constexpr int C = 16;           // channels of the tower's first, second and last layer
constexpr int D = 32;           // of the two between, and units of the metric network
constexpr int N = C / LANES;    // vectors
constexpr int M = D / LANES;
constexpr int GRID = 4;         // features of a patch, each way
constexpr int STRIDE = 8;       // pixels between them
constexpr int REACH = 24;       // pixels by which a region exceeds its features
constexpr int HALF = 24;        // from a patch's first pixel to its middle
constexpr int EXTENT = 49;      // side of a patch
constexpr float FAR = 1.0f;     // beyond the crop
constexpr int RINGS = 38;       // rows that the tower keeps between its stages

struct Tower {
    const float *conv0, *bias0, *conv1, *bias1, *conv2, *bias2, *conv3, *bias3, *conv4, *bias4;
};

struct Metric {
    const float *patch, *templates, *second, *second_bias, *match, *match_bias, *weights;
};

// The last block of a row begins so early that it is whole.
template <int PX> inline int begin(int x, int count) { return x + PX > count ? count - PX : x; }

// Sums of products for PX neighbours with V vectors of outputs each, kept in registers.
template <int PX, int V> struct Sums {
    vec acc[PX][V];

    explicit Sums(const float* bias) {
        for (int i = 0; i < PX; i++)
            for (int n = 0; n < V; n++) acc[i][n] = bias ? load(bias + n * LANES) : vec{};
    }

    // Add one input of every neighbour, STEP apart, by its weights.
    template <int STEP>
    inline __attribute__((always_inline)) void add(const float* weights, const float* in) {
        vec weight[V];
        for (int n = 0; n < V; n++) weight[n] = load(weights + n * LANES);
        for (int i = 0; i < PX; i++)
            for (int n = 0; n < V; n++) acc[i][n] += weight[n] * in[i * STEP];
    }

    void rectified(float* out) const {
        for (int i = 0; i < PX; i++)
            for (int n = 0; n < V; n++) store(out + (i * V + n) * LANES, relu(acc[i][n]));
    }
};

void convolve_7x7(const float* region, int stride, const Tower& t, float* out, int count) {
    for (int at = 0; at < count; at += NARROW) {
        const int x = begin<NARROW>(at, count);
        Sums<NARROW, N> sums(t.bias0);
        for (int row = 0; row < 7; row++)
            for (int column = 0; column < 7; column++)
                sums.add<1>(t.conv0 + (row * 7 + column) * C, region + row * stride + x + column);
        sums.rectified(out + x * C);
    }
}

// 3 x 3, every second pixel: the pool before has made its stride of 2 into a dilation.
void convolve_3x3(const float* const rows[3], const Tower& t, float* out, int count) {
    for (int at = 0; at < count; at += NARROW) {
        const int x = begin<NARROW>(at, count);
        Sums<NARROW, N> sums(t.bias1);
        for (int tap = 0; tap < 9; tap++) {
            const float* in = rows[tap / 3] + (x + 2 * (tap % 3)) * C;
            for (int c = 0; c < C; c++) sums.add<C>(t.conv1 + (tap * C + c) * C, in + c);
        }
        sums.rectified(out + x * C);
    }
}

// relu(in @ weights + bias) of WIDE pixels.
template <int IN, int OUT>
inline void layer(const float* in, const float* weights, const float* bias, float* out) {
    Sums<WIDE, OUT / LANES> sums(bias);
    for (int c = 0; c < IN; c++) sums.template add<IN>(weights + c * OUT, in + c);
    sums.rectified(out);
}

void convolve_1x1(const float* in, const Tower& t, float* out, int count) {
    alignas(64) float first[WIDE * D], second[WIDE * D];
    for (int at = 0; at < count; at += WIDE) {
        const int x = begin<WIDE>(at, count);
        layer<C, D>(in + x * C, t.conv2, t.bias2, first);
        layer<D, D>(first, t.conv3, t.bias3, second);
        layer<D, C>(second, t.conv4, t.bias4, out + x * C);
    }
}

// 3 x 3 maximum of pixels so far apart.
void pool(const float* a, const float* b, const float* c, int apart, float* high, float* out,
          int count) {
    const int width = count + 2 * apart;
    for (int i = 0; i < width * C; i += LANES)
        store(high + i, larger(larger(load(a + i), load(b + i)), load(c + i)));
    const int step = apart * C;
    for (int i = 0; i < count * C; i += LANES)
        store(out + i,
              larger(larger(load(high + i), load(high + i + step)), load(high + i + 2 * step)));
}

// Rows of one stage's output, the newest few.
struct Ring {
    float* data;
    int rows, size;

    float* at(int row) const { return data + (row & (rows - 1)) * size; }
};

// Every stage follows the one before as soon as that has the rows it needs.
void run_tower(const float* region, int height, int width, const Tower& t, float* work,
               float* features) {
    const int size = width * C;
    const Ring first{work, 4, size}, pooled{work + 4 * size, 8, size},
        second{work + 12 * size, 8, size}, last{work + 20 * size, 16, size};
    float* high = work + 36 * size;
    float* wide = work + 37 * size;
    for (int y = 0; y < height - 6; y++) {
        convolve_7x7(region + y * width, width, t, first.at(y), width - 6);
        const int p = y - 2;  // rows p, p + 1, p + 2 are there
        if (p < 0) continue;
        pool(first.at(p), first.at(p + 1), first.at(p + 2), 1, high, pooled.at(p), width - 8);
        const int s = p - 4;
        if (s < 0) continue;
        const float* rows[3] = {pooled.at(s), pooled.at(s + 2), pooled.at(s + 4)};
        convolve_3x3(rows, t, second.at(s), width - 12);
        const int q = s - 4;
        if (q < 0) continue;
        pool(second.at(q), second.at(q + 2), second.at(q + 4), 2, high, wide, width - 16);
        convolve_1x1(wide, t, last.at(q), width - 16);
        const int o = q - 8;
        if (o < 0) continue;
        pool(last.at(o), last.at(o + 4), last.at(o + 8), 4, high, features + o * (width - REACH) * C,
             width - REACH);
    }
}

// The patches' half of the first layer for PX neighbouring proposals; units (D, stride).
template <int PX>
inline void embed(const float* features, int row, const float* weights, float* units, int stride) {
    Sums<PX, M> sums(nullptr);
    for (int cell = 0; cell < GRID * GRID; cell++) {
        const float* in = features + (cell / GRID * STRIDE * row + cell % GRID * STRIDE) * C;
        for (int c = 0; c < C; c++) sums.template add<C>(weights + (cell * C + c) * D, in + c);
    }
    for (int i = 0; i < PX; i++)
        for (int n = 0; n < M; n++)
            for (int l = 0; l < LANES; l++) units[(n * LANES + l) * stride + i] = sums.acc[i][n][l];
}

// All pairs of two vectors of proposals with a part's templates.
inline void compare(const float* units, int stride, int templates, const Metric& m, float* out) {
    alignas(64) vec hidden[D][2];
    vec total[2] = {vec{}, vec{}};
    for (int k = 0; k < templates; k++) {
        for (int d = 0; d < D; d++)
            for (int v = 0; v < 2; v++)
                hidden[d][v] = relu(load(units + d * stride + v * LANES) + m.templates[k * D + d]);
        vec logit[2] = {splat(*m.match_bias), splat(*m.match_bias)};
        for (int j = 0; j < D; j += UNITS) {
            vec acc[UNITS][2];
            for (int u = 0; u < UNITS; u++)
                for (int v = 0; v < 2; v++) acc[u][v] = splat(m.second_bias[j + u]);
            for (int d = 0; d < D; d++)
                for (int u = 0; u < UNITS; u++)
                    for (int v = 0; v < 2; v++)
                        acc[u][v] += hidden[d][v] * m.second[d * D + j + u];
            for (int u = 0; u < UNITS; u++)
                for (int v = 0; v < 2; v++) logit[v] += relu(acc[u][v]) * m.match[j + u];
        }
        for (int v = 0; v < 2; v++) {
            const vec lowest = larger(logit[v] * LOG2_E, splat(-120.0f));
            total[v] += m.weights[k] / (power_of_2(-lowest) + 1.0f);
        }
    }
    for (int v = 0; v < 2; v++) store(out + v * LANES, total[v]);
}

void cut(const float* crop, int height, int width, int left, int top, float* region, int rows,
         int columns) {
    const int from = left < 0 ? -left : 0;  // columns from..to are in the crop
    const int to = left + columns > width ? width - left : columns;
    for (int y = 0; y < rows; y++) {
        float* out = region + y * columns;
        const bool inside = top + y >= 0 && top + y < height && from < to;
        for (int x = 0; x < (inside ? from : columns); x++) out[x] = FAR;
        if (!inside) continue;
        std::memcpy(out + from, crop + (top + y) * width + left + from, (to - from) * sizeof(float));
        for (int x = to; x < columns; x++) out[x] = FAR;
    }
}

}  // namespace

// Floats of workspace for windows of that side in a crop of that size.
extern "C" int64_t matchnet_workspace(int height, int width, int side) {
    const int64_t rows = height + EXTENT, columns = width + EXTENT;
    return rows * columns + RINGS * columns * C + rows * columns * C +
           (D + 1) * round_up(side * side, 2 * LANES);
}

// Args:
//   crop: (height, width).
//   starts: (parts, 2), the first pixel (x, y) of every part's window.
//   side: of the windows.
//   templates: how many for each part.
//   weights: the members of Tower and of Metric, in order; the latter of all 19 parts.
//   which: (parts,) the parts' indices.
//   work: workspace.
//   out: (parts, side * side).
extern "C" void matchnet(const float* crop, int height, int width, const int64_t* starts, int side,
                         int templates, const float* const* weights, const int32_t* which, int parts,
                         float* work, float* out) {
    int64_t left = starts[0], right = left, top = starts[1], bottom = top;
    for (int i = 1; i < parts; i++) {
        const int64_t x = starts[2 * i], y = starts[2 * i + 1];
        left = x < left ? x : left, right = x > right ? x : right;
        top = y < top ? y : top, bottom = y > bottom ? y : bottom;
    }
    const int columns = (int)(right - left) + side - 1 + EXTENT;
    const int rows = (int)(bottom - top) + side - 1 + EXTENT;
    float* region = work;
    float* rings = region + rows * columns;
    float* features = rings + RINGS * columns * C;
    const int wide = columns - REACH;
    float* units = features + (rows - REACH) * wide * C;
    const int step = 2 * LANES, count = side * side, padded = round_up(count, step);
    float* result = units + D * padded;

    cut(crop, height, width, (int)left - HALF, (int)top - HALF, region, rows, columns);
    const Tower tower{weights[0], weights[1], weights[2], weights[3], weights[4],
                      weights[5], weights[6], weights[7], weights[8], weights[9]};
    run_tower(region, rows, columns, tower, rings, features);

    for (int d = 0; d < D; d++)
        for (int i = count; i < padded; i++) units[d * padded + i] = 0;
    for (int i = 0; i < parts; i++) {
        const int64_t k = which[i];
        const Metric metric{weights[10] + k * GRID * GRID * C * D,
                            weights[11] + k * templates * D,
                            weights[12] + k * D * D,
                            weights[13] + k * D,
                            weights[14] + k * D,
                            weights[15] + k,
                            weights[16] + k * templates};
        const int64_t x0 = starts[2 * i] - left, y0 = starts[2 * i + 1] - top;
        for (int y = 0; y < side; y++) {
            const float* row = features + ((y0 + y) * wide + x0) * C;
            float* to = units + y * side;
            if (side < SIDE)
                for (int x = 0; x < side; x++) embed<1>(row + x * C, wide, metric.patch, to + x, padded);
            else
                for (int at = 0; at < side; at += SIDE) {
                    const int x = begin<SIDE>(at, side);
                    embed<SIDE>(row + x * C, wide, metric.patch, to + x, padded);
                }
        }
        for (int at = 0; at < padded; at += step)
            compare(units + at, padded, templates, metric, result + at);
        std::memcpy(out + i * count, result, count * sizeof(float));
    }
}
