// The build for any processor: vectors as wide as the target's baseline.
#define ISA_NAME "portable"
#define ISA_TABLE ls_kernels_portable
#define ISA_AVX512 0
#define TILE_M 4
#define TILE_LANES 4
#define PANEL 16
#define TILE_VECTORS 2
#define FMA_CHAINS 12
#if defined(__aarch64__)
#define ISA_HAS_FMA 1
#else
#define ISA_HAS_FMA 0
#endif
#include "table.inc.h"
