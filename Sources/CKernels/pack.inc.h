// Weights from PyTorch's layout, w[n x k], into the panels that the matrix products read: PANEL columns wide, one row of a
// panel after the other, padded with zeros. Forward multiplies by w^T: panels over n, rows over k. Backward multiplies by
// w: panels over k, rows over n. Both are written from one reading of w.

#include "transpose.inc.h"

static void pack_weights(
    const float *w, ptrdiff_t stride, int32_t n, int32_t k, float *forward, float *backward, int32_t first_block,
    int32_t end_block) {
  const size_t k_rows = ((size_t)k + 15) / 16 * 16;  // rows of a forward panel
  const size_t n_rows = ((size_t)n + 15) / 16 * 16;  // rows of a backward panel
  const int n_end = (n + PANEL - 1) / PANEL * PANEL;
  const int bypass = bypasses_cache((size_t)n * (size_t)k * sizeof(float));
  for (int block = first_block; block < end_block; block++)
    for (int k0 = 0; k0 < k; k0 += LANES)
      for (int part = 0; part < LS_PACKED_ROWS / LANES; part++) {
        const int n0 = block * LS_PACKED_ROWS + part * LANES;
        if (n0 >= n_end) break;
        vf r[LANES];
        for (int i = 0; i < LANES; i++)
          r[i] = n0 + i < n ? load_n(w + (n0 + i) * stride + k0, k - k0) : (vf)0.0f;
        if (backward && (size_t)n0 < n_rows) {
          float *to = backward + ((size_t)(k0 / PANEL) * n_rows + n0) * PANEL + k0 % PANEL;
          for (int i = 0; i < LANES; i++) store_packed(to + (size_t)i * PANEL, r[i], bypass);
        }
        transpose16(r);
        float *to = forward + ((size_t)(n0 / PANEL) * k_rows + k0) * PANEL + n0 % PANEL;
        for (int i = 0; i < LANES; i++) store_packed(to + (size_t)i * PANEL, r[i], bypass);
      }
  if (bypass) publish_packed();
}
