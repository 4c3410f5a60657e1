// The build for AVX-512: thirty-two registers of sixteen floats, masked tails.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#define ISA_NAME "AVX-512"
#define ISA_TABLE ls_kernels_avx512
#define ISA_AVX512 1
#define ISA_HAS_FMA 1
#define TILE_M 8
#define TILE_LANES 16
#define PANEL 64
#define TILE_VECTORS 3
#define FMA_CHAINS 24
#include "table.inc.h"
#pragma clang attribute pop
#endif
