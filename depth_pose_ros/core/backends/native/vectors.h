// Vectors of floats by the compiler's vector extensions, and memory for them.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#if defined(__AVX512F__)
#define LANES 16
#define SUMS 24        // vectors of sums kept in registers by a layer
#define WINDOW_SUMS 18 // the same over the rows of a window of 17 proposals: two blocks of 9
#define UNITS 8        // units of the metric network at a time, each with two vectors of proposals
#elif defined(__AVX__)
#define LANES 8
#define SUMS 12
#define WINDOW_SUMS 12
#define UNITS 4
#else
#define LANES 4
#define SUMS 24
#define WINDOW_SUMS 24
#define UNITS 8
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));
typedef float unaligned __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

constexpr float LOG2_E = 1.44269504f;

static inline int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

static inline vec load(const float* from) { return *(const unaligned*)from; }

static inline void store(float* to, vec v) { *(unaligned*)to = v; }

static inline vec splat(float x) { return x - vec{}; }

static inline vec max(vec a, vec b) { return a > b ? a : b; }

static inline vec relu(vec v) { return max(v, vec{}); }

// Joins the elements of a vector pairwise.
template <int L, typename Join> static inline float reduce(const void* lanes, Join join) {
    if constexpr (L == 4) {
        const float* a = (const float*)lanes;
        return join(join(a[0], a[1]), join(a[2], a[3]));
    } else {
        typedef float half __attribute__((vector_size(L * 2), may_alias));
        const half both = join(((const half*)lanes)[0], ((const half*)lanes)[1]);
        return reduce<L / 2>(&both, join);
    }
}

static inline float reduce_sum(vec v) {
    return reduce<LANES>(&v, [](auto a, auto b) { return a + b; });
}

static inline float reduce_max(vec v) {
    return reduce<LANES>(&v, [](auto a, auto b) { return a > b ? a : b; });
}

// 2^v for v up to 127, relative error below 2.4e-7: the integer part goes into the exponent, a
// minimax polynomial gives the rest.  v is clamped to -60, so that products are never denormal.
static inline vec exp2(vec v) {
    v = max(v, splat(-60.0f));
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    const vec shifted = v + magic;
    const vec f = v - (shifted - magic);
    vec p = splat(1.327647129e-3f);
    p = p * f + 9.675540961e-3f;
    p = p * f + 5.550713092e-2f;
    p = p * f + 2.402212024e-1f;
    p = p * f + 6.931469440e-1f;
    p = p * f + 1.0f;
    return (vec)((ivec)p + ((ivec)shifted << 23));
}

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};
using Floats = std::unique_ptr<float[], Free>;

static inline Floats allocate(int64_t count) {
    return Floats((float*)std::aligned_alloc(64, (size_t)(count * 4 + 63) / 64 * 64));
}

// This thread's workspace; a later call in the same source file overwrites it.
static inline float* workspace(int64_t count) {
    static thread_local Floats memory;
    static thread_local int64_t size = 0;
    if (count > size) memory = allocate(size = count);
    return memory.get();
}
