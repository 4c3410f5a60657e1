// Sums and optimiser updates over flat arrays; dropout.

static void add(float *restrict d, const float *restrict s, size_t n) {
  for (size_t j = 0; j < n; j++) d[j] += s[j];
}

static void sum(float *d, const float *a, const float *b, size_t n) {
  size_t j = 0;
  for (; j + LANES <= n; j += LANES) store(d + j, load(a + j) + load(b + j));
  for (; j < n; j++) d[j] = a[j] + b[j];
}

static double squared_norm(const float *values, size_t n) {
  vd s = 0.0;
  size_t j = 0;
  for (; j + LANES <= n; j += LANES) {
    vd v = __builtin_convertvector(load(values + j), vd);
    s += v * v;
  }
  double lanes[LANES];
  memcpy(lanes, &s, sizeof lanes);
  double total = 0;
  for (int i = 0; i < LANES; i++) total += lanes[i];
  for (; j < n; j++) total += (double)values[j] * (double)values[j];
  return total;
}

// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), sixteen counters at a time.
INLINE void philox(vu c[4], uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    vul p0 = __builtin_convertvector(c[0], vul) * 0xD2511F53ull;
    vul p1 = __builtin_convertvector(c[2], vul) * 0xCD9E8D57ull;
    vu hi0 = __builtin_convertvector(p0 >> 32, vu), lo0 = __builtin_convertvector(p0, vu);
    vu hi1 = __builtin_convertvector(p1 >> 32, vu), lo1 = __builtin_convertvector(p1, vu);
    vu a = hi1 ^ c[1] ^ k0, b = hi0 ^ c[3] ^ k1;
    c[0] = a;
    c[1] = lo1;
    c[2] = b;
    c[3] = lo0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

// Element j of a row takes word j / q of block j % q, with q = ceil(n / 4): a block feeds four runs of the row, and
// vectors need no shuffle.
static void dropout(
    float *destination, const float *source, int32_t n, uint32_t threshold, float factor, const ls_dropout_key *key) {
  const int q = (n + 3) / 4;
  // A counter has room for the lower eight bits of the layer; the others go into the key.
  const uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32) ^ key->layer >> 8;
  const vu lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (int j = 0; j < q; j += LANES) {
    vu c[4];
    c[0] = lane + (uint32_t)j + ((key->layer & 0xffu) << 24);
    c[1] = (vu)(uint32_t)key->step;
    c[2] = (vu)key->stream;
    c[3] = (vu)(key->time ^ ((uint32_t)(key->step >> 32) << 24));
    philox(c, k0, k1);
    for (int word = 0; word < 4; word++) {
      const int at = word * q + j;
      int k = q - j;
      if (at + k > n) k = n - at;
      if (k <= 0) continue;
      vi kept = c[word] >= threshold;
      store_n(destination + at, select_(kept, load_n(source + at, k) * factor, (vf)0.0f), k);
    }
  }
}

// Update rules as in PyTorch's optimisers, so that learning rates carry over. `g` is the scaled gradient with decay.
#define UPDATE(name, slots, body)                                                                     \
  static void name(float *w, const float *gradients UNPACK slots, size_t n, const ls_update_settings *s) { \
    const vf lr = (vf)s->learning_rate, gs = (vf)s->gradient_scale, decay = (vf)s->weight_decay;      \
    for (size_t j = 0; j < n; j += LANES) {                                                           \
      const int k = n - j < LANES ? (int)(n - j) : LANES;                                             \
      vf x = load_n(w + j, k);                                                                        \
      vf g = fma_(decay, x, load_n(gradients + j, k) * gs);                                           \
      body                                                                                            \
      store_n(w + j, x, k);                                                                           \
    }                                                                                                 \
  }
#define UNPACK(...) __VA_OPT__(, ) __VA_ARGS__

UPDATE(sgd, (), { x = fma_(-lr, g, x); })

UPDATE(momentum_, (float *velocity), {
  vf v = fma_((vf)s->momentum, load_n(velocity + j, k), g);
  store_n(velocity + j, v, k);
  x = fma_(-lr, v, x);
})

// Kingma & Ba 2015, algorithm 1, with both bias corrections.
UPDATE(adam, (float *m, float *v), {
  vf a = load_n(m + j, k);
  a = fma_((vf)s->beta1_complement, g - a, a);
  vf b = fma_((vf)s->beta2_complement, g * g, load_n(v + j, k) * s->beta2);
  store_n(m + j, a, k);
  store_n(v + j, b, k);
  vf root = __builtin_elementwise_sqrt(b) / s->bias_correction2_root + s->epsilon;
  x = x - (lr / s->bias_correction1) * (a / root);
})

// Tieleman & Hinton 2012, lecture 6.5.
UPDATE(rmsprop, (float *square), {
  vf b = fma_((vf)s->alpha_complement, g * g, load_n(square + j, k) * s->alpha);
  store_n(square + j, b, k);
  x = x - lr * (g / (__builtin_elementwise_sqrt(b) + s->epsilon));
})

// Duchi et al. 2011.
UPDATE(adagrad, (float *total), {
  vf b = fma_(g, g, load_n(total + j, k));
  store_n(total + j, b, k);
  x = x - lr * (g / (__builtin_elementwise_sqrt(b) + s->epsilon));
})
