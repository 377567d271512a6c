// Vectors of floats as the compiler knows them, for whichever processor it compiles.

#pragma once

#include <cstdint>

#if defined(__AVX512F__)
#define LANES 16
#define NARROW 12  // pixels at a time with 16 channels each: as many sums as registers can hold
#define WIDE 12    // with 32 channels
#define SIDE 9     // proposals of a row of a window, with 32 units
#define UNITS 8    // units at a time, with two vectors of proposals
#elif defined(__AVX__)
#define LANES 8
#define NARROW 6
#define WIDE 3
#define SIDE 3
#define UNITS 4
#else
#define LANES 4
#define NARROW 6
#define WIDE 3
#define SIDE 3
#define UNITS 8
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));
typedef float loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

constexpr float LOG2_E = 1.44269504f;

// The next multiple.
static inline int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

static inline vec load(const float* from) { return *(const loose*)from; }

static inline void store(float* to, vec v) { *(loose*)to = v; }

static inline vec splat(float x) { return x - vec{}; }

static inline vec larger(vec a, vec b) { return a > b ? a : b; }

static inline vec relu(vec v) { return larger(v, vec{}); }

// A vector's halves put together until there are four, and then those.
template <int L, typename Join> static inline float folded(const void* workers, Join join) {
    if constexpr (L == 4) {
        const float* a = (const float*)workers;
        return join(join(a[0], a[1]), join(a[2], a[3]));
    } else {
        typedef float half __attribute__((vector_size(L * 2), may_alias));
        const half both = join(((const half*)workers)[0], ((const half*)workers)[1]);
        return folded<L / 2>(&both, join);
    }
}

static inline float sum(vec v) {
    return folded<LANES>(&v, [](auto a, auto b) { return a + b; });
}

static inline float largest(vec v) {
    return folded<LANES>(&v, [](auto a, auto b) { return a > b ? a : b; });
}

// 2 to the power of v up to 127, within 2.4e-7 of it.  The whole part goes into the exponent; for the
// rest there is a polynomial, the one of the least relative error.  What is below 2^-60 becomes that:
// it is nothing beside 1, and products of it are no denormal numbers, which are slow.
static inline vec power_of_2(vec v) {
    v = larger(v, splat(-60.0f));
    const float magic = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to an integer
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
