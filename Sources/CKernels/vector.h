// Vectors of sixteen floats for every instruction set: the compiler splits them where registers are narrower, so the
// lanes, and with them the order of sums, are the same on all machines.
#include "CKernels.h"

#include <string.h>

// Every function that takes or returns a vector is inlined, so no call depends on how vectors are passed.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((ext_vector_type(16)));
typedef int32_t vi __attribute__((ext_vector_type(16)));
typedef uint32_t vu __attribute__((ext_vector_type(16)));
typedef uint64_t vul __attribute__((ext_vector_type(16)));
typedef double vd __attribute__((ext_vector_type(16)));

enum { LANES = 16 };

INLINE vf load(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }

#if ISA_AVX512
// Rows end in the middle of a vector; masked moves keep the tail as fast as the rest.
INLINE vf load_first(const float *p, int n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
INLINE void store_first(float *p, vf v, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
#else
INLINE vf load_first(const float *p, int n) {
  float t[LANES] = {0};
  for (int i = 0; i < n; i++) t[i] = p[i];
  return load(t);
}
INLINE void store_first(float *p, vf v, int n) {
  float t[LANES];
  store(t, v);
  for (int i = 0; i < n; i++) p[i] = t[i];
}
#endif

INLINE vf load_n(const float *p, int n) { return n >= LANES ? load(p) : load_first(p, n); }
INLINE void store_n(float *p, vf v, int n) {
  if (n >= LANES) store(p, v);
  else store_first(p, v, n);
}

INLINE vf fma_(vf a, vf b, vf c) {
#if ISA_HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  // Without the instruction the library call costs a hundred times the two operations.
  return a * b + c;
#endif
}

INLINE vf select_(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }
INLINE vf abs_(vf x) { return (vf)((vi)x & 0x7fffffff); }

// e^x by reduction to |r| <= ln2/2 and a polynomial of degree 6 (own weighted least-squares fit); at most 1 ulp on
// [-87, 88], saturating outside. NaN fails both comparisons and passes through.
INLINE vf exp_(vf x) {
  const float low = -87.33654f, high = 88.02969f;
  x = select_(x < low, (vf)low, x);
  x = select_(x > high, (vf)high, x);
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  vf shifted = fma_(x, (vf)1.44269504088896341f, (vf)magic);
  vf n = shifted - magic;
  vf r = fma_(n, (vf)-0.693359375f, x);
  r = fma_(n, (vf)2.12194440e-4f, r);
  vf p = fma_((vf)0.0013814562698826194f, r, (vf)0.008368730545043945f);
  p = fma_(p, r, (vf)0.04166838899254799f);
  p = fma_(p, r, (vf)0.1666652113199234f);
  p = fma_(p, r, (vf)0.4999999403953552f);
  vf e = fma_(p * r, r, r) + 1.0f;
  vi exponent = ((vi)shifted - (vi)(vf)magic + 127) << 23;
  return e * (vf)exponent;
}

INLINE vf sigmoid_(vf x) { return 1.0f / (1.0f + exp_(-x)); }

// Odd polynomial below 0.625 (own fit), 1 - 2 / (e^2|x| + 1) above: relative error stays at a few ulp everywhere.
INLINE vf tanh_(vf x) {
  vf a = abs_(x);
  vf s = x * x;
  vf p = fma_((vf)-0.005704239942133427f, s, (vf)0.020638447254896164f);
  p = fma_(p, s, (vf)-0.053739529103040695f);
  p = fma_(p, s, (vf)0.13331440091133118f);
  p = fma_(p, s, (vf)-0.3333328068256378f);
  vf small = fma_(p * s, x, x);
  vf large = 1.0f - 2.0f / (exp_(a + a) + 1.0f);
  large = (vf)((vi)large | ((vi)x & (vi)0x80000000));
  return select_(a < 0.625f, small, large);
}

INLINE float sum_lanes(vf v) {
  float a[LANES];
  store(a, v);
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) a[i] += a[i + width];
  return a[0];
}

INLINE float max_lanes(vf v) {
  float a[LANES];
  store(a, v);
  float m = a[0];
  for (int i = 1; i < LANES; i++) m = a[i] > m ? a[i] : m;
  return m;
}
