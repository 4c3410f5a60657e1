// Products of bf16 operands with f32 sums, for processors with AVX512_BF16. Everything else of a step stays in f32.
#include "CKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), apply_to = function)
#define ISA_AVX512 1
#define ISA_HAS_FMA 1
#define TILE_M 8
#define TILE_LANES 16
#define PANEL 64
#define TILE_VECTORS 3
#include "vector.h"

#define PRODUCT_BF16 1
#define WEIGHT_GRADIENT weight_gradient
#include "weight_gradient.inc.h"
#include "transpose.inc.h"
#include "product.inc.h"

static void convert(uint16_t *to, const float *from, size_t n) {
  size_t j = 0;
  for (; j + 32 <= n; j += 32)
    _mm512_storeu_si512(
        to + j, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + j + 16), _mm512_loadu_ps(from + j)));
  for (; j < n; j += 16) {
    const int k = n - j < 16 ? (int)(n - j) : 16;
    _mm256_mask_storeu_epi16(
        to + j, (__mmask16)((1u << k) - 1), (__m256i)_mm512_cvtneps_pbh((__m512)load_n(from + j, k)));
  }
}

INLINE vf load_or_zero(const float *p, int n) { return n > 0 ? load_n(p, n) : (vf)0.0f; }

// As pack_weights, in panels of pairs: forward pairs two k of one n, backward two n of one k.
static void pack_weights(
    const float *w, ptrdiff_t stride, int32_t n, int32_t k, uint16_t *forward, uint16_t *backward,
    int32_t first_block, int32_t end_block) {
  const size_t k_pairs = ((size_t)k + 31) / 32 * 16;  // rows of a forward panel
  const size_t n_pairs = ((size_t)n + 31) / 32 * 16;  // rows of a backward panel
  const int bypass = bypasses_cache((size_t)n * (size_t)k * sizeof(uint16_t));
  uint32_t *to_forward = (uint32_t *)forward, *to_backward = (uint32_t *)backward;
  for (int block = first_block; block < end_block; block++)
    for (int k0 = 0; k0 < k; k0 += 32)
      for (int part = 0; part < LS_PACKED_ROWS / LANES; part++) {
        const int n0 = block * LS_PACKED_ROWS + part * LANES;
        vf r[LANES];
        vf low[LANES], high[LANES];
        for (int i = 0; i < LANES; i++) {
          const float *row = w + (n0 + i) * stride + k0;
          low[i] = n0 + i < n ? load_or_zero(row, k - k0) : (vf)0.0f;
          high[i] = n0 + i < n ? load_or_zero(row + 16, k - k0 - 16) : (vf)0.0f;
          r[i] = (vf)_mm512_cvtne2ps_pbh((__m512)high[i], (__m512)low[i]);
        }
        if (to_backward && (size_t)n0 / 2 < n_pairs)
          for (int half = 0; half < 2; half++) {
            const int column = k0 + half * LANES;
            if (column >= k) break;
            const vf *rows = half == 0 ? low : high;
            uint32_t *to = to_backward + ((size_t)(column / PANEL) * n_pairs + n0 / 2) * PANEL + column % PANEL;
            for (int i = 0; i < LANES; i += 2) {
              __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)rows[i]));
              __m512i b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)rows[i + 1]));
              store_packed(
                  (float *)to + (size_t)(i / 2) * PANEL, (vf)_mm512_or_si512(a, _mm512_slli_epi32(b, 16)), bypass);
            }
          }
        transpose16(r);
        uint32_t *to = to_forward + ((size_t)(n0 / PANEL) * k_pairs + k0 / 2) * PANEL + n0 % PANEL;
        for (int i = 0; i < LANES; i++) store_packed((float *)to + (size_t)i * PANEL, r[i], bypass);
      }
  if (bypass) publish_packed();
}

enum { BURN_CHAINS = 24 };

static float burn(int64_t iterations) {
  __m512 acc[BURN_CHAINS];
  for (int i = 0; i < BURN_CHAINS; i++) acc[i] = _mm512_set1_ps(0.5f + 0.01f * i);
  __m512i a = _mm512_set1_epi32(0x3c003c00), b = _mm512_set1_epi32(0x3c003c00);
  for (int64_t n = 0; n < iterations; n++) {
    __asm__ volatile("" : "+m"(a), "+m"(b));
    __m512bh x = (__m512bh)a, y = (__m512bh)b;
    for (int i = 0; i < BURN_CHAINS; i++) acc[i] = _mm512_dpbf16_ps(acc[i], x, y);
  }
  float total = 0;
  for (int i = 0; i < BURN_CHAINS; i++) total += acc[i][0];
  return total;
}

static const ls_bfloat16_kernels table = {
    .burn_operations = BURN_CHAINS * 16 * 2 * 2,
    .panel_columns = PANEL,
    .weight_gradient = weight_gradient,
    .product = product,
    .convert = convert,
    .pack_weights = pack_weights,
    .burn = burn,
};
#pragma clang attribute pop

const ls_bfloat16_kernels *ls_bfloat16(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") && ls_kernels_at(2) ? &table : 0;
}
#else
const ls_bfloat16_kernels *ls_bfloat16(void) { return 0; }
#endif
