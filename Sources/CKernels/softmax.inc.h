// Softmax and cross-entropy of one row of logits, bias added on the way.

INLINE float row_maximum(const float *x, const float *bias, int n) {
  vf m = (vf)(-__builtin_inff());
  int j = 0;
  for (; j + LANES <= n; j += LANES) {
    vf v = load(x + j) + load(bias + j);
    m = select_(v > m, v, m);
  }
  float best = max_lanes(m);
  for (; j < n; j++) {
    float v = x[j] + bias[j];
    if (v > best) best = v;
  }
  return best;
}

// x = e^(x + bias - maximum); returns the sum in an order given by the column alone. NaN reaches the sum.
INLINE float row_exponentials(float *x, const float *bias, int n, float maximum) {
  vf s0 = 0.0f, s1 = 0.0f;
  int j = 0;
  for (; j + 2 * LANES <= n; j += 2 * LANES) {
    vf a = exp_(load(x + j) + load(bias + j) - maximum);
    vf b = exp_(load(x + j + LANES) + load(bias + j + LANES) - maximum);
    store(x + j, a);
    store(x + j + LANES, b);
    s0 += a;
    s1 += b;
  }
  for (; j < n; j += LANES) {
    const int k = n - j;
    vf a = exp_(load_n(x + j, k) + load_n(bias + j, k) - maximum);
    store_n(x + j, a, k);
    if (k < LANES) {
      float t[LANES] = {0};
      for (int i = 0; i < k; i++) t[i] = x[j + i];
      a = load(t);
    }
    s0 += a;
  }
  return sum_lanes(s0 + s1);
}

static double softmax_loss(float *x, const float *bias, int32_t n, int32_t target) {
  if (target < 0) return 0;
  const float shifted = x[target] + bias[target];
  const float maximum = row_maximum(x, bias, n);
  const float sum = row_exponentials(x, bias, n, maximum);
  return log((double)sum) + (double)maximum - (double)shifted;
}

static double softmax_gradient(float *x, const float *bias, int32_t n, int32_t target) {
  if (target < 0) {
    memset(x, 0, (size_t)n * sizeof *x);
    return 0;
  }
  const float shifted = x[target] + bias[target];
  const float maximum = row_maximum(x, bias, n);
  const float sum = row_exponentials(x, bias, n, maximum);
  const float inverse = 1.0f / sum;
  int j = 0;
  for (; j + LANES <= n; j += LANES) store(x + j, load(x + j) * inverse);
  for (; j < n; j++) x[j] *= inverse;
  x[target] -= 1.0f;
  return log((double)sum) + (double)maximum - (double)shifted;
}
