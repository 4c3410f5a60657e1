// Which tables this processor can run.
#include "CKernels.h"

extern const ls_kernels ls_kernels_portable;
#if defined(__x86_64__)
extern const ls_kernels ls_kernels_avx2, ls_kernels_avx512;
#endif

const ls_kernels *ls_kernels_at(int32_t index) {
  if (index == 0) return &ls_kernels_portable;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (index == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &ls_kernels_avx2;
  if (index == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    return &ls_kernels_avx512;
#endif
  return 0;
}

void ls_flush_denormals(void) {
#if defined(__x86_64__)
  // FTZ and DAZ of MXCSR, which every 64-bit processor has.
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | (uint64_t)1 << 24));
#endif
}

size_t ls_weight_gradient_scratch(size_t row_count, int32_t n) {
  // The widest tile of all builds is 48 columns and 8 rows; 33 levels are more than a 32-bit shard count can need.
  const size_t panels = ((size_t)n + 47) / 48;
  return row_count * panels * 48 + row_count * 64 + (size_t)33 * 8 * 8 * 48;
}
