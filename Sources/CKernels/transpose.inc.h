// Transposition of 16 x 16 blocks of 32 bits in registers, and stores of packed weights.

// Swaps the off-diagonal halves of 16 x 16 blocks, then of their quarters, and so on.
#define SWAP_HALVES(d, i, first, second)            \
  {                                                 \
    vf a = r[i], b = r[(i) + (d)];                  \
    r[i] = __builtin_shufflevector(a, b, first);    \
    r[(i) + (d)] = __builtin_shufflevector(a, b, second); \
  }
#define LOW8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LOW4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31

INLINE void transpose16(vf r[16]) {
  for (int i = 0; i < 8; i++) SWAP_HALVES(8, i, LOW8, HIGH8)
  for (int i = 0; i < 16; i++)
    if (!(i & 4)) SWAP_HALVES(4, i, LOW4, HIGH4)
  for (int i = 0; i < 16; i++)
    if (!(i & 2)) SWAP_HALVES(2, i, LOW2, HIGH2)
  for (int i = 0; i < 16; i++)
    if (!(i & 1)) SWAP_HALVES(1, i, LOW1, HIGH1)
}

// Packed weights that the second-level cache can't keep until they are read go past the caches: a store that fetches its
// line first would move twice the bytes, and drive out what is needed sooner.
INLINE int bypasses_cache(size_t bytes) { return bytes > (size_t)256 << 10; }

INLINE void store_packed(float *p, vf v, int bypass) {
  if (bypass) __builtin_nontemporal_store(v, (vf *)p);  // panels are aligned, and so are their rows
  else store(p, v);
}

// Orders such stores before the barrier behind which other workers read them.
INLINE void publish_packed(void) {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}
