// 3 x 3 convolutions of stride 1 by Winograd's F(4 x 4, 3 x 3): 36 instead of 144 multiplications for
// 4 x 4 outputs of a pair of channels.  Matrices: Lavin and Gray, Fast Algorithms for Convolutional
// Neural Networks, CVPR 2016.
//
// Tensors are dense, channels last; channels are multiples of 16.  What stands between the steps is
// of one block of tiles at a time and stays in the processor's second cache.
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16, ROWS = 12, FEW = 8, MANY = 12;
#else
constexpr int LANES = 8, ROWS = 6, FEW = 4, MANY = 6;
#endif
constexpr int PANEL = 16, VECS = PANEL / LANES;  // outputs that a register block is wide
constexpr int TILE = 6, STEP = 4, POINTS = TILE * TILE;
typedef float vec __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef ptrdiff_t index_t;
constexpr int BLOCK = 24;  // tiles, a multiple of ROWS

inline vec load(const float* p) { return *reinterpret_cast<const vec*>(p); }
inline void store(float* p, vec v) { *reinterpret_cast<vec*>(p) = v; }

struct Shape {
    index_t n, h, w, channels;
    index_t down() const { return (h + STEP - 1) / STEP; }
    index_t across() const { return (w + STEP - 1) / STEP; }
    index_t tiles() const { return n * down() * across(); }
};

struct SamplerState {
    index_t image, y, x;  // of the tile's first output
    SamplerState(const Shape& s, index_t tile)
        : image(tile / (s.down() * s.across())),
          y(tile / s.across() % s.down() * STEP),
          x(tile % s.across() * STEP) {}
};

// Floats from one of a tile's 36 points to the next: an odd number of cache lines.
inline index_t spacing(index_t channels) { return BLOCK * channels + 16; }

struct Buffer {
    float* data;  // zeros
    explicit Buffer(index_t floats) {
        const size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
        data = static_cast<float*>(std::aligned_alloc(64, bytes));
        if (data != nullptr) std::memset(data, 0, bytes);
    }
    ~Buffer() { std::free(data); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
};

// B^T v for six values.
inline void to_points(const vec* d, index_t step, vec* o, index_t out) {
    vec a = d[4 * step] - 4.f * d[2 * step], b = d[3 * step] - 4.f * d[step];
    vec c = d[4 * step] - d[2 * step], e = 2.f * (d[3 * step] - d[step]);
    o[0] = 4.f * d[0] - 5.f * d[2 * step] + d[4 * step];
    o[out] = a + b;
    o[2 * out] = a - b;
    o[3 * out] = c + e;
    o[4 * out] = c - e;
    o[5 * out] = 4.f * d[step] - 5.f * d[3 * step] + d[5 * step];
}

// A^T v for six values.
inline void from_points(const vec* m, index_t step, vec* o, index_t out) {
    vec a = m[step] + m[2 * step], b = m[step] - m[2 * step];
    vec c = m[3 * step] + m[4 * step], d = m[3 * step] - m[4 * step];
    o[0] = m[0] + a + c;
    o[out] = b + 2.f * d;
    o[2 * out] = a + 4.f * c;
    o[3 * out] = b + 8.f * d + m[5 * step];
}

// A v for four values.
inline void spread(const vec* g, index_t step, vec* o, index_t out) {
    vec a = g[0] + g[2 * step], b = g[step] + g[3 * step];
    vec c = g[0] + 4.f * g[2 * step], d = 2.f * g[step] + 8.f * g[3 * step];
    o[0] = g[0];
    o[out] = a + b;
    o[2 * out] = a - b;
    o[3 * out] = c + d;
    o[4 * out] = c - d;
    o[5 * out] = g[3 * step];
}

// Points of a tile of the input, (36, BLOCK, channels).
void input_tile(const float* x, const Shape& s, index_t tile, float* points) {
    const SamplerState at(s, tile);
    const float* image = x + at.image * s.h * s.w * s.channels;
    const bool inside = at.y > 0 && at.x > 0 && at.y + 5 <= s.h && at.x + 5 <= s.w;
    for (index_t c = 0; c < s.channels; c += LANES) {
        vec d[POINTS], t[POINTS];
        for (int i = 0; i < TILE; ++i) {
            const index_t y = at.y - 1 + i;
            for (int j = 0; j < TILE; ++j) {
                const index_t xx = at.x - 1 + j;
                const bool seen = inside || (y >= 0 && y < s.h && xx >= 0 && xx < s.w);
                d[i * TILE + j] = seen ? load(image + (y * s.w + xx) * s.channels + c) : vec{};
            }
        }
        for (int j = 0; j < TILE; ++j) to_points(d + j, TILE, t + j, TILE);
        for (int i = 0; i < TILE; ++i) to_points(t + i * TILE, 1, d + i * TILE, 1);
        for (int p = 0; p < POINTS; ++p) store(points + p * spacing(s.channels) + c, d[p]);
    }
}

// The outputs of a tile from its points.
void output_tile(float* y, const Shape& s, index_t tile, const float* points) {
    const SamplerState at(s, tile);
    float* image = y + at.image * s.h * s.w * s.channels;
    for (index_t c = 0; c < s.channels; c += LANES) {
        vec m[POINTS], t[STEP * TILE], o[STEP * STEP];
        for (int p = 0; p < POINTS; ++p) m[p] = load(points + p * spacing(s.channels) + c);
        for (int j = 0; j < TILE; ++j) from_points(m + j, TILE, t + j, TILE);
        for (int i = 0; i < STEP; ++i) from_points(t + i * TILE, 1, o + i * STEP, 1);
        for (int i = 0; i < STEP && at.y + i < s.h; ++i)
            for (int j = 0; j < STEP && at.x + j < s.w; ++j)
                store(image + ((at.y + i) * s.w + at.x + j) * s.channels + c, o[i * STEP + j]);
    }
}

// Points of a tile's gradient.
void gradient_tile(const float* g, const Shape& s, index_t tile, float* points) {
    const SamplerState at(s, tile);
    const float* image = g + at.image * s.h * s.w * s.channels;
    for (index_t c = 0; c < s.channels; c += LANES) {
        vec d[STEP * STEP], t[TILE * STEP], o[POINTS];
        for (int i = 0; i < STEP; ++i)
            for (int j = 0; j < STEP; ++j) {
                const bool seen = at.y + i < s.h && at.x + j < s.w;
                d[i * STEP + j] =
                    seen ? load(image + ((at.y + i) * s.w + at.x + j) * s.channels + c) : vec{};
            }
        for (int j = 0; j < STEP; ++j) spread(d + j, STEP, t + j, STEP);
        for (int i = 0; i < TILE; ++i) spread(t + i * STEP, 1, o + i * TILE, 1);
        for (int p = 0; p < POINTS; ++p) store(points + p * spacing(s.channels) + c, o[p]);
    }
}

// (rows, inner) x packed (outer / 16, inner, 16) -> (rows, outer).
void product(const float* a, const float* packed, float* out, index_t rows, index_t inner, index_t outer) {
    for (index_t k = 0; k < outer; k += PANEL) {
        const float* b = packed + k * inner;
        for (index_t r = 0; r < rows; r += ROWS) {
            vec sum[ROWS][VECS] = {};
            const float* first = a + r * inner;
            for (index_t c = 0; c < inner; ++c) {
                vec v[VECS];
                for (int j = 0; j < VECS; ++j) v[j] = load(b + c * PANEL + j * LANES);
#pragma GCC unroll 16
                for (int i = 0; i < ROWS; ++i) {
                    const float f = first[i * inner + c];
                    for (int j = 0; j < VECS; ++j) sum[i][j] += f * v[j];
                }
            }
            for (int i = 0; i < ROWS; ++i)
                for (int j = 0; j < VECS; ++j) store(out + (r + i) * outer + k + j * LANES, sum[i][j]);
        }
    }
}

// SUMS rows of outer_products, for one panel of k.
template <int SUMS>
inline void outer_rows(const float* a, const float* b, float* out, index_t rows, index_t m, index_t k) {
    vec sum[SUMS][VECS];
    for (int s = 0; s < SUMS; ++s)
        for (int l = 0; l < VECS; ++l) sum[s][l] = load(out + s * k + l * LANES);
    for (index_t r = 0; r < rows; ++r) {
        vec v[VECS];
        for (int l = 0; l < VECS; ++l) v[l] = load(b + r * k + l * LANES);
#pragma GCC unroll 16
        for (int s = 0; s < SUMS; ++s) {
            const float f = a[r * m + s];
            for (int l = 0; l < VECS; ++l) sum[s][l] += f * v[l];
        }
    }
    for (int s = 0; s < SUMS; ++s)
        for (int l = 0; l < VECS; ++l) store(out + s * k + l * LANES, sum[s][l]);
}

// (rows, m)^T x (rows, k), added to (m, k).
void outer_products(const float* a, const float* b, float* out, index_t rows, index_t m, index_t k) {
    for (index_t j = 0; j < k; j += PANEL) {
        index_t i = 0;
        for (; (m - i) % MANY != 0; i += FEW) outer_rows<FEW>(a + i, b + j, out + i * k + j, rows, m, k);
        for (; i < m; i += MANY) outer_rows<MANY>(a + i, b + j, out + i * k + j, rows, m, k);
    }
}

}  // namespace

extern "C" {

// x (n, h, w, inputs), weights (36, outputs / 16, inputs, 16) -> tiles of y (n, h, w, outputs).
// Returns 0, or 1 without memory.
int convolve(const float* x, const float* weights, float* y, index_t n, index_t h, index_t w,
             index_t inputs, index_t outputs, index_t begin, index_t end) {
    const Shape in{n, h, w, inputs}, out{n, h, w, outputs};
    const Buffer before(POINTS * spacing(inputs)), after(POINTS * spacing(outputs));
    if (before.data == nullptr || after.data == nullptr) return 1;
    for (; begin < end; begin += BLOCK) {
        const index_t some = end - begin < BLOCK ? end - begin : BLOCK;
        const index_t rows = (some + ROWS - 1) / ROWS * ROWS;
        for (index_t t = 0; t < some; ++t) input_tile(x, in, begin + t, before.data + t * inputs);
        for (int p = 0; p < POINTS; ++p)
            product(before.data + p * spacing(inputs), weights + p * inputs * outputs,
                    after.data + p * spacing(outputs), rows, inputs, outputs);
        for (index_t t = 0; t < some; ++t) output_tile(y, out, begin + t, after.data + t * outputs);
    }
    return 0;
}

// x (n, h, w, inputs), gradient (n, h, w, outputs): what tiles add to the gradient of the weights'
// points (36, inputs, outputs).  Returns 0, or 1 without memory.
int weights_gradient(const float* x, const float* gradient, float* sums, index_t n, index_t h, index_t w,
                     index_t inputs, index_t outputs, index_t begin, index_t end) {
    const Shape in{n, h, w, inputs}, out{n, h, w, outputs};
    const Buffer a(POINTS * spacing(inputs)), b(POINTS * spacing(outputs));
    if (a.data == nullptr || b.data == nullptr) return 1;
    for (; begin < end; begin += BLOCK) {
        const index_t some = end - begin < BLOCK ? end - begin : BLOCK;
        for (index_t t = 0; t < some; ++t) {
            input_tile(x, in, begin + t, a.data + t * inputs);
            gradient_tile(gradient, out, begin + t, b.data + t * outputs);
        }
        for (int p = 0; p < POINTS; ++p)
            outer_products(a.data + p * spacing(inputs), b.data + p * spacing(outputs),
                           sums + p * inputs * outputs, some, inputs, outputs);
    }
    return 0;
}
}
