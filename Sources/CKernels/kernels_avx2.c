// The build for AVX2 with FMA: sixteen registers of eight floats.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define ISA_NAME "AVX2"
#define ISA_TABLE ls_kernels_avx2
#define ISA_AVX512 0
#define ISA_HAS_FMA 1
#define TILE_M 4
#define TILE_LANES 8
#define PANEL 16
#define TILE_VECTORS 2
#define FMA_CHAINS 12
#include "table.inc.h"
#pragma clang attribute pop
#endif
