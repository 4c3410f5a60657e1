// The ceiling: what the multiply-add units do with operands in registers.

// Enough independent chains to fill two pipes of latency four, on registers alone.
static float fma_burn(int64_t iterations) {
  tf acc[FMA_CHAINS];
  for (int i = 0; i < FMA_CHAINS; i++) acc[i] = (tf)(0.5f + 0.01f * i);
  tf a = (tf)0.999f, b = (tf)0.0005f;
  for (int64_t n = 0; n < iterations; n++) {
    // The compiler must neither fold the loop nor keep fewer chains.
    __asm__ volatile("" : "+m"(a), "+m"(b));
    tf x = a, y = b;
    for (int i = 0; i < FMA_CHAINS; i++) {
#if ISA_HAS_FMA
      acc[i] = __builtin_elementwise_fma(acc[i], x, y);
#else
      acc[i] = acc[i] * x + y;
#endif
    }
  }
  float total = 0;
  for (int i = 0; i < FMA_CHAINS; i++) total += acc[i][0];
  return total;
}
