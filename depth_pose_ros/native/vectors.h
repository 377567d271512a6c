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

static inline vec load(const float* from) { return *(const loose*)from; }

static inline void store(float* to, vec v) { *(loose*)to = v; }

static inline vec splat(float x) { return x - vec{}; }

static inline vec larger(vec a, vec b) { return a > b ? a : b; }

static inline vec relu(vec v) { return larger(v, vec{}); }

static inline float sum(vec v) {
    float total = 0;
    for (int i = 0; i < LANES; i++) total += v[i];
    return total;
}

static inline float largest(vec v) {
    float peak = v[0];
    for (int i = 1; i < LANES; i++) peak = v[i] > peak ? v[i] : peak;
    return peak;
}

// e to the power of v up to 87, within 2 units in the last place: Cody and Waite's reduction to
// |v| < log(2) / 2, a polynomial, and the power of 2 put into the exponent.
static inline vec power(vec v) {
    v = larger(v, splat(-87.0f));
    const float magic = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to an integer
    vec shifted = v * 1.44269504f + magic;
    ivec whole = (ivec)shifted;
    vec n = shifted - magic;
    vec f = v - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    p = p * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * f * f + f + 1.0f;
    return (vec)((ivec)p + (whole << 23));
}
