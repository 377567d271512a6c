// MatchNet for some parts of one crop: the tower over the region that their proposals see, the
// metric network for all pairs of proposals and templates, and the weighted sum of Eqn. 3.  Equal to
// core/models/matchnet.py and tower.py but for rounding; activations are used while in the cache.

#include <algorithm>
#include <cstring>
#include <vector>

#include "vectors.h"

namespace {

constexpr int STRIDE = 8;    // pixels between the features of a patch
constexpr int REACH = 24;    // pixels by which a region exceeds its features
constexpr int HALO = 17;     // pixels that a patch sees beyond its nominal size
constexpr float FAR = 1.0f;  // beyond the crop

// Vectors of outputs computed together, of those that are left.
int block_size(int vectors) { return vectors > 4 ? (vectors == 5 ? 3 : 4) : vectors; }

// A convolution or fully connected layer.  Inputs and outputs of a pixel are neighbors in memory.
struct Layer {
    int taps, inputs, width;  // width: outputs, padded to whole vectors
    Floats weights, bias;     // weights in blocks of outputs: (block, taps * inputs, block_size)

    // from: (taps * inputs, outputs); bias: (outputs,) or null.
    Layer(const float* from, const float* bias_from, int taps, int inputs, int outputs)
        : taps(taps), inputs(inputs), width(round_up(outputs, LANES)),
          weights(allocate((int64_t)taps * inputs * width)), bias(allocate(width)) {
        for (int o = 0; o < width; o++) bias[o] = bias_from && o < outputs ? bias_from[o] : 0;
        float* to = weights.get();
        for (int first = 0; first < width;) {
            const int last = first + block_size((width - first) / LANES) * LANES;
            for (int row = 0; row < taps * inputs; row++)
                for (int o = first; o < last; o++)
                    *to++ = o < outputs ? from[row * outputs + o] : 0;
            first = last;
        }
    }
};

// Input of a layer: each tap's first pixel, and the distance between pixels and between rows.
struct Input {
    const float* const* taps;
    int step, row_step;
};

// PX neighboring pixels with V vectors of outputs, all sums in registers.
template <int PX, int V, bool RELU>
inline void tile(const Layer& layer, const float* weights, const float* bias, const Input& from,
                 int64_t at, float* out) {
    vec sums[PX][V];
    for (int i = 0; i < PX; i++)
        for (int n = 0; n < V; n++) sums[i][n] = load(bias + n * LANES);
    const int64_t step = from.step;
    for (int tap = 0; tap < layer.taps; tap++) {
        const float* in = from.taps[tap] + at;
        for (int c = 0; c < layer.inputs; c++, weights += V * LANES) {
            vec weight[V];
            for (int n = 0; n < V; n++) weight[n] = load(weights + n * LANES);
            for (int i = 0; i < PX; i++)
                for (int n = 0; n < V; n++) sums[i][n] += weight[n] * in[c + i * step];
        }
    }
    for (int i = 0; i < PX; i++)
        for (int n = 0; n < V; n++)
            store(out + (int64_t)i * layer.width + n * LANES, RELU ? relu(sums[i][n]) : sums[i][n]);
}

template <int BUDGET, int V, bool RELU>
void block(const Layer& layer, const float* weights, int first, const Input& from, int rows,
           int columns, float* out) {
    constexpr int PX = std::min(BUDGET / V, 12);
    const float* bias = layer.bias.get() + first;
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns;) {
            // The last tile of a row begins so early that it is whole.
            const int start = columns < PX ? x : std::min(x, columns - PX);
            const int64_t at = (int64_t)y * from.row_step + (int64_t)start * from.step;
            float* to = out + ((int64_t)y * columns + start) * layer.width + first;
            if (columns < PX) tile<1, V, RELU>(layer, weights, bias, from, at, to), x++;
            else tile<PX, V, RELU>(layer, weights, bias, from, at, to), x += PX;
        }
}

// The layer at rows x columns pixels; out: (rows, columns, width).
template <int BUDGET, bool RELU>
void apply(const Layer& layer, const Input& from, int rows, int columns, float* out) {
    const float* weights = layer.weights.get();
    for (int first = 0; first < layer.width;) {
        const int size = block_size((layer.width - first) / LANES);
        switch (size) {
        case 1: block<BUDGET, 1, RELU>(layer, weights, first, from, rows, columns, out); break;
        case 2: block<BUDGET, 2, RELU>(layer, weights, first, from, rows, columns, out); break;
        case 3: block<BUDGET, 3, RELU>(layer, weights, first, from, rows, columns, out); break;
        default: block<BUDGET, 4, RELU>(layer, weights, first, from, rows, columns, out);
        }
        weights += (int64_t)layer.taps * layer.inputs * size * LANES;
        first += size * LANES;
    }
}

// A row of a tower's layer.
void convolve(const Layer& layer, const float* const* taps, int step, float* out, int count) {
    apply<SUMS, true>(layer, {taps, step, 0}, 1, count, out);
}

// 3 x 3 maximum of a row's pixels with a dilation; width floats a pixel.
void pool(const float* a, const float* b, const float* c, int dilation, int width, float* high,
          float* out, int count) {
    const int step = dilation * width;
    for (int i = 0; i < count * width + 2 * step; i += LANES)
        store(high + i, max(max(load(a + i), load(b + i)), load(c + i)));
    for (int i = 0; i < count * width; i += LANES)
        store(out + i, max(max(load(high + i), load(high + i + step)), load(high + i + 2 * step)));
}

// The last rows of a stage's output, a power of 2 of them.
struct Ring {
    float* data;
    int rows, size;

    float* at(int row) const { return data + (int64_t)(row & (rows - 1)) * size; }
};

// A tower's five layers (core/models/tower.py).  A pool's stride of 2 dilates what follows.
struct Tower {
    std::vector<Layer> layers;

    int widest() const {
        int width = 0;
        for (const Layer& layer : layers) width = std::max(width, layer.width);
        return width;
    }

    int64_t floats(int columns) const {
        const int w0 = layers[0].width, w1 = layers[1].width, w4 = layers[4].width;
        return (int64_t)columns * (12 * w0 + 8 * w1 + 16 * w4 + 3 * widest());
    }

    // region: (rows, columns); work: floats(columns); features: (rows - 24, columns - 24, width).
    // Each stage follows the one before as soon as that has the rows it needs.
    void run(const float* region, int rows, int columns, float* work, float* features) const {
        const int w0 = layers[0].width, w1 = layers[1].width, w4 = layers[4].width;
        const Ring first{work, 4, columns * w0}, pooled{first.at(3) + first.size, 8, columns * w0},
            second{pooled.at(7) + pooled.size, 8, columns * w1},
            last{second.at(7) + second.size, 16, columns * w4};
        float* high = last.at(15) + last.size;
        float* row_a = high + columns * widest();
        float* row_b = row_a + columns * widest();
        for (int y = 0; y < rows - 6; y++) {
            const float* taps[9];
            for (int i = 0; i < 7; i++) taps[i] = region + (y + i) * columns;
            convolve(layers[0], taps, 1, first.at(y), columns - 6);
            const int p = y - 2;  // rows p, p + 1 and p + 2 are complete
            if (p < 0) continue;
            pool(first.at(p), first.at(p + 1), first.at(p + 2), 1, w0, high, pooled.at(p),
                 columns - 8);
            const int s = p - 4;
            if (s < 0) continue;
            for (int i = 0; i < 9; i++) taps[i] = pooled.at(s + i / 3 * 2) + i % 3 * 2 * w0;
            convolve(layers[1], taps, w0, second.at(s), columns - 12);
            const int q = s - 4;
            if (q < 0) continue;
            pool(second.at(q), second.at(q + 2), second.at(q + 4), 2, w1, high, row_a, columns - 16);
            taps[0] = row_a;
            convolve(layers[2], taps, w1, row_b, columns - 16);
            taps[0] = row_b;
            convolve(layers[3], taps, layers[2].width, row_a, columns - 16);
            taps[0] = row_a;
            convolve(layers[4], taps, layers[3].width, last.at(q), columns - 16);
            const int o = q - 8;
            if (o < 0) continue;
            pool(last.at(o), last.at(o + 4), last.at(o + 8), 4, w4, high,
                 features + (int64_t)o * (columns - REACH) * w4, columns - REACH);
        }
    }
};

// One part's metric network.
struct Metric {
    Layer patch;        // the patches' half of the first layer
    int units, second;  // of both layers; the second's padded to UNITS
    Floats templates;   // (templates, units), the templates' half with the bias
    Floats weights;     // (second / UNITS, units, UNITS)
    Floats bias, match; // (second,)
    float match_bias;
    const float* w;     // (templates,), w_k of Eqn. 3

    // All pairs of two vectors of proposals with the templates.
    // proposals: (units, stride); hidden: workspace, (units, 2) vectors.
    void compare(const float* proposals, int stride, int count, float* hidden, float* out) const {
        vec total[2] = {vec{}, vec{}};
        for (int k = 0; k < count; k++) {
            for (int d = 0; d < units; d++)
                for (int v = 0; v < 2; v++)
                    store(hidden + (2 * d + v) * LANES,
                          relu(load(proposals + (int64_t)d * stride + v * LANES) +
                               templates[k * units + d]));
            vec logit[2] = {splat(match_bias), splat(match_bias)};
            const float* weight = weights.get();
            for (int j = 0; j < second; j += UNITS) {
                vec sums[UNITS][2];
                for (int u = 0; u < UNITS; u++)
                    for (int v = 0; v < 2; v++) sums[u][v] = splat(bias[j + u]);
                for (int d = 0; d < units; d++, weight += UNITS)
                    for (int u = 0; u < UNITS; u++)
                        for (int v = 0; v < 2; v++)
                            sums[u][v] += load(hidden + (2 * d + v) * LANES) * weight[u];
                for (int u = 0; u < UNITS; u++)
                    for (int v = 0; v < 2; v++) logit[v] += relu(sums[u][v]) * match[j + u];
            }
            for (int v = 0; v < 2; v++) {
                const vec clamped = max(logit[v] * LOG2_E, splat(-120.0f));
                total[v] += w[k] / (exp2(-clamped) + 1.0f);
            }
        }
        for (int v = 0; v < 2; v++) store(out + v * LANES, total[v]);
    }
};

Floats copy(const float* from, int count, int padded) {
    Floats to = allocate(padded);
    for (int i = 0; i < padded; i++) to[i] = i < count ? from[i] : 0;
    return to;
}

// In the order of binding.py.
struct Sizes {
    int32_t window, patch, templates, towers, parts, channels[5], units[2];
};

struct MatchNet {
    Sizes sizes;
    std::vector<Tower> towers;
    std::vector<Metric> metrics;
    Floats w;
};

// A rectangle of the crop, FAR beyond its border.
void cut(const float* crop, int height, int width, int left, int top, float* region, int rows,
         int columns) {
    const int from = std::max(-left, 0);  // columns from..to are in the crop
    const int to = std::min(columns, width - left);
    std::fill(region, region + (int64_t)rows * columns, FAR);
    for (int y = std::max(-top, 0); y < std::min(rows, height - top) && from < to; y++)
        std::memcpy(region + y * columns + from, crop + (top + y) * width + left + from,
                    (to - from) * sizeof(float));
}

}  // namespace

// Args:
//   tensors: weight (towers, k * k * inputs, outputs) and bias (towers, outputs) of each of the
//     tower's layers; patch, templates' half, second weight and bias, match weight and bias of the
//     metric network, and w_k, each (parts, ...) as in MatchNet.  All are copied.
// Returns a MatchNet for matchnet() and matchnet_free().
extern "C" MatchNet* matchnet_create(const Sizes* sizes, const float* const* tensors) {
    const Sizes s = *sizes;
    const int kernels[5] = {7, 3, 1, 1, 1}, cells = (s.patch / STRIDE) * (s.patch / STRIDE);
    const int first = s.units[0], second = s.units[1], padded = round_up(second, UNITS);
    MatchNet* net = new MatchNet{s, {}, {}, copy(tensors[16], s.parts * s.templates,
                                                 s.parts * s.templates)};
    for (int64_t t = 0; t < s.towers; t++) {
        Tower tower;
        for (int i = 0; i < 5; i++) {
            const int inputs = i ? s.channels[i - 1] : 1, outputs = s.channels[i], k = kernels[i];
            // The first layer has one channel: its columns are the inputs of a row's tap.
            tower.layers.emplace_back(tensors[2 * i] + t * k * k * inputs * outputs,
                                      tensors[2 * i + 1] + t * outputs, i ? k * k : k,
                                      i ? inputs : k, outputs);
        }
        net->towers.push_back(std::move(tower));
    }
    for (int64_t p = 0; p < s.parts; p++) {
        const int features = cells * s.channels[4];
        Floats weights = allocate((int64_t)first * padded);
        const float* from = tensors[12] + p * first * second;
        for (int j = 0; j < padded; j++)
            for (int d = 0; d < first; d++)
                weights[((int64_t)(j / UNITS) * first + d) * UNITS + j % UNITS] =
                    j < second ? from[d * second + j] : 0;
        net->metrics.push_back(
            {Layer(tensors[10] + p * features * first, nullptr, cells, s.channels[4], first), first,
             padded, copy(tensors[11] + p * s.templates * first, s.templates * first,
                          s.templates * first),
             std::move(weights), copy(tensors[13] + p * second, second, padded),
             copy(tensors[14] + p * second, second, padded), tensors[15][p],
             net->w.get() + p * s.templates});
    }
    return net;
}

extern "C" void matchnet_free(MatchNet* net) { delete net; }

// Args:
//   crop: (height, width).
//   starts: (19, 2), the first pixel (x, y) of every part's window.
//   which: (parts,) the parts' indices.
//   out: (19, n), of which the parts' rows are written.
extern "C" void matchnet(const MatchNet* net, const float* crop, int height, int width,
                         const int64_t* starts, const int32_t* which, int parts, float* out) {
    const Sizes& s = net->sizes;
    const int extent = s.patch + HALO, grid = s.patch / STRIDE, side = s.window;
    const int count = side * side, padded = round_up(count, 2 * LANES);
    const bool shared = s.towers == 1;
    for (int begin = 0; begin < parts; begin += shared ? parts : 1) {
        const int end = shared ? parts : begin + 1;
        int64_t left = INT32_MAX, right = INT32_MIN, top = left, bottom = right;
        for (int i = begin; i < end; i++) {
            const int64_t *start = starts + 2 * which[i];
            left = std::min(left, start[0]), right = std::max(right, start[0]);
            top = std::min(top, start[1]), bottom = std::max(bottom, start[1]);
        }
        const int columns = (int)(right - left) + side - 1 + extent, wide = columns - REACH;
        const int rows = (int)(bottom - top) + side - 1 + extent;
        const Tower& tower = net->towers[shared ? 0 : which[begin]];
        const int channels = tower.layers[4].width, units = net->metrics[0].patch.width;
        const int64_t sizes[] = {tower.floats(columns), (int64_t)(rows - REACH) * wide * channels,
                                 (int64_t)count * units, (int64_t)units * padded,
                                 (int64_t)units * 2 * LANES, padded, (int64_t)rows * columns};
        int64_t total = 0;
        for (int64_t size : sizes) total += round_up((int)size, LANES);
        float* next = workspace(total);
        float* buffers[7];
        for (int i = 0; i < 7; i++) buffers[i] = next, next += round_up((int)sizes[i], LANES);
        auto [work, features, embedded, proposals, hidden, result, region] = buffers;

        cut(crop, height, width, (int)left - extent / 2, (int)top - extent / 2, region, rows, columns);
        tower.run(region, rows, columns, work, features);
        std::vector<const float*> taps(grid * grid);
        for (int i = begin; i < end; i++) {
            const int64_t k = which[i], x = starts[2 * k] - left, y = starts[2 * k + 1] - top;
            const Metric& metric = net->metrics[k];
            for (int t = 0; t < grid * grid; t++)
                taps[t] = features + ((y + t / grid * STRIDE) * wide + x + t % grid * STRIDE) * channels;
            apply<WINDOW_SUMS, false>(metric.patch, {taps.data(), channels, wide * channels}, side,
                                      side, embedded);
            for (int d = 0; d < metric.units; d++)
                for (int j = 0; j < padded; j++)
                    proposals[(int64_t)d * padded + j] =
                        j < count ? embedded[(int64_t)j * units + d] : 0;
            for (int at = 0; at < padded; at += 2 * LANES)
                metric.compare(proposals + at, padded, s.templates, hidden, result + at);
            std::memcpy(out + k * count, result, count * sizeof(float));
        }
    }
}
