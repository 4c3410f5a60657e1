// The arithmetic between the products of one time step.

// Hochreiter & Schmidhuber 1997 with forget gate (Gers et al. 2000); gate order as in PyTorch: i f g o.
static void lstm_forward(const ls_lstm_step *s) {
  const int H = s->hidden;
  const float *bias = s->bias;
  for (int r = 0; r < s->rows; r++) {
    float *g = s->gates + (size_t)r * 4 * H;
    const float *before = s->cell_before + (size_t)r * H;
    float *cell = s->cell + (size_t)r * H;
    float *out = s->hidden_out + (size_t)r * H;
    for (int j = 0; j < H; j += LANES) {
      const int n = H - j;
      vf i = sigmoid_(load_n(g + j, n) + load_n(bias + j, n));
      vf f = sigmoid_(load_n(g + H + j, n) + load_n(bias + H + j, n));
      vf c = tanh_(load_n(g + 2 * H + j, n) + load_n(bias + 2 * H + j, n));
      vf o = sigmoid_(load_n(g + 3 * H + j, n) + load_n(bias + 3 * H + j, n));
      vf next = fma_(f, load_n(before + j, n), i * c);
      store_n(g + j, i, n);
      store_n(g + H + j, f, n);
      store_n(g + 2 * H + j, c, n);
      store_n(g + 3 * H + j, o, n);
      store_n(cell + j, next, n);
      store_n(out + j, o * tanh_(next), n);
    }
  }
}

// tanh(c) is computed again rather than kept: H transcendental values a row are cheaper than H floats of tape.
static void lstm_backward(const ls_lstm_step *s) {
  const int H = s->hidden;
  for (int r = 0; r < s->rows; r++) {
    float *g = s->gates + (size_t)r * 4 * H;
    const size_t at = (size_t)r * H;
    for (int j = 0; j < H; j += LANES) {
      const int n = H - j;
      vf i = load_n(g + j, n), f = load_n(g + H + j, n), c = load_n(g + 2 * H + j, n), o = load_n(g + 3 * H + j, n);
      vf t = tanh_(load_n(s->cell + at + j, n));
      vf dh = load_n(s->d_output + at + j, n) + load_n(s->d_hidden + at + j, n);
      vf dc = fma_(dh * o, 1.0f - t * t, load_n(s->d_cell + at + j, n));
      store_n(g + j, dc * c * i * (1.0f - i), n);
      store_n(g + H + j, dc * load_n(s->cell_before + at + j, n) * f * (1.0f - f), n);
      store_n(g + 2 * H + j, dc * i * (1.0f - c * c), n);
      store_n(g + 3 * H + j, dh * t * o * (1.0f - o), n);
      store_n(s->d_cell + at + j, dc * f, n);
    }
  }
}

// Reset gate after the product (PyTorch, cuDNN): n = tanh(x_n + b_in + r * (h_n + b_hn)); gate order r z n.
// hidden_gates keeps h_n + b_hn, which the reset gate's gradient needs.
static void gru_after_forward(const ls_gru_step *s) {
  const int H = s->hidden;
  const float *bi = s->input_bias, *bh = s->hidden_bias;
  for (int row = 0; row < s->rows; row++) {
    float *x = s->input_gates + (size_t)row * 3 * H, *h = s->hidden_gates + (size_t)row * 3 * H;
    const size_t at = (size_t)row * H;
    for (int j = 0; j < H; j += LANES) {
      const int n = H - j;
      vf r = sigmoid_((load_n(x + j, n) + load_n(bi + j, n)) + (load_n(h + j, n) + load_n(bh + j, n)));
      vf z = sigmoid_(
          (load_n(x + H + j, n) + load_n(bi + H + j, n)) + (load_n(h + H + j, n) + load_n(bh + H + j, n)));
      vf hn = load_n(h + 2 * H + j, n) + load_n(bh + 2 * H + j, n);
      vf c = tanh_(fma_(r, hn, load_n(x + 2 * H + j, n) + load_n(bi + 2 * H + j, n)));
      store_n(x + j, r, n);
      store_n(x + H + j, z, n);
      store_n(x + 2 * H + j, c, n);
      store_n(h + 2 * H + j, hn, n);
      store_n(s->hidden_out + at + j, fma_(z, load_n(s->hidden_before + at + j, n) - c, c), n);
    }
  }
}

static void gru_after_backward(const ls_gru_step *s) {
  const int H = s->hidden;
  for (int row = 0; row < s->rows; row++) {
    float *x = s->input_gates + (size_t)row * 3 * H, *h = s->hidden_gates + (size_t)row * 3 * H;
    const size_t at = (size_t)row * H;
    for (int j = 0; j < H; j += LANES) {
      const int n = H - j;
      vf r = load_n(x + j, n), z = load_n(x + H + j, n), c = load_n(x + 2 * H + j, n);
      vf hn = load_n(h + 2 * H + j, n);
      vf dh = load_n(s->d_output + at + j, n) + load_n(s->d_hidden + at + j, n);
      vf dn = dh * (1.0f - z) * (1.0f - c * c);
      vf dz = dh * (load_n(s->hidden_before + at + j, n) - c) * z * (1.0f - z);
      vf dr = dn * hn * r * (1.0f - r);
      store_n(x + j, dr, n);
      store_n(x + H + j, dz, n);
      store_n(x + 2 * H + j, dn, n);
      store_n(h + j, dr, n);
      store_n(h + H + j, dz, n);
      store_n(h + 2 * H + j, dn * r, n);
      store_n(s->d_hidden_before + at + j, dh * z, n);
    }
  }
}

// Reset gate before the product (Cho et al. 2014): n = tanh(x_n + W_hn (r * h) + b); r and z come first.
static void gru_before_forward_gates(const ls_gru_step *s) {
  const int H = s->hidden;
  const float *bi = s->input_bias, *bh = s->hidden_bias;
  for (int row = 0; row < s->rows; row++) {
    float *x = s->input_gates + (size_t)row * 3 * H;
    const size_t at = (size_t)row * H;
    for (int j = 0; j < H; j += LANES) {
      const int n = H - j;
      vf r = sigmoid_(load_n(x + j, n) + (load_n(bi + j, n) + load_n(bh + j, n)));
      vf z = sigmoid_(load_n(x + H + j, n) + (load_n(bi + H + j, n) + load_n(bh + H + j, n)));
      store_n(x + j, r, n);
      store_n(x + H + j, z, n);
      store_n(s->reset_hidden + at + j, r * load_n(s->hidden_before + at + j, n), n);
    }
  }
}

static void gru_before_forward_output(const ls_gru_step *s) {
  const int H = s->hidden;
  const float *bi = s->input_bias, *bh = s->hidden_bias;
  for (int row = 0; row < s->rows; row++) {
    float *x = s->input_gates + (size_t)row * 3 * H;
    const size_t at = (size_t)row * H;
    for (int j = 0; j < H; j += LANES) {
      const int n = H - j;
      vf z = load_n(x + H + j, n);
      vf c = tanh_(load_n(x + 2 * H + j, n) + (load_n(bi + 2 * H + j, n) + load_n(bh + 2 * H + j, n)));
      store_n(x + 2 * H + j, c, n);
      store_n(s->hidden_out + at + j, fma_(z, load_n(s->hidden_before + at + j, n) - c, c), n);
    }
  }
}

// Leaves r in place for the second half; dz and dn take the place of z and n.
static void gru_before_backward_output(const ls_gru_step *s) {
  const int H = s->hidden;
  for (int row = 0; row < s->rows; row++) {
    float *x = s->input_gates + (size_t)row * 3 * H;
    const size_t at = (size_t)row * H;
    for (int j = 0; j < H; j += LANES) {
      const int n = H - j;
      vf z = load_n(x + H + j, n), c = load_n(x + 2 * H + j, n);
      vf dh = load_n(s->d_output + at + j, n) + load_n(s->d_hidden + at + j, n);
      store_n(x + H + j, dh * (load_n(s->hidden_before + at + j, n) - c) * z * (1.0f - z), n);
      store_n(x + 2 * H + j, dh * (1.0f - z) * (1.0f - c * c), n);
      store_n(s->d_hidden_before + at + j, dh * z, n);
    }
  }
}

static void gru_before_backward_gates(const ls_gru_step *s) {
  const int H = s->hidden;
  for (int row = 0; row < s->rows; row++) {
    float *x = s->input_gates + (size_t)row * 3 * H;
    const size_t at = (size_t)row * H;
    for (int j = 0; j < H; j += LANES) {
      const int n = H - j;
      vf r = load_n(x + j, n), d = load_n(s->d_reset_hidden + at + j, n);
      store_n(x + j, d * load_n(s->hidden_before + at + j, n) * r * (1.0f - r), n);
      store_n(s->d_hidden_before + at + j, fma_(d, r, load_n(s->d_hidden_before + at + j, n)), n);
    }
  }
}

// Elman 1990: h = activation(x W_ih + b_ih + h W_hh + b_hh).
static void elman_forward(float *values, const float *bias, int32_t rows, int32_t n, ls_activation activation) {
  for (int r = 0; r < rows; r++) {
    float *v = values + (size_t)r * n;
    for (int j = 0; j < n; j += LANES) {
      const int k = n - j;
      vf x = load_n(v + j, k) + load_n(bias + j, k);
      if (activation == LS_TANH) x = tanh_(x);
      else if (activation == LS_SIGMOID) x = sigmoid_(x);
      else x = select_(x < 0.0f, (vf)0.0f, x);
      store_n(v + j, x, k);
    }
  }
}

// The derivative in terms of the output: 1 - h^2, h (1 - h), and 0 or 1 for the rectifier.
static void elman_backward(
    float *d_values, const float *outputs, const float *d_output, const float *d_hidden, size_t n,
    ls_activation activation) {
  for (size_t j = 0; j < n; j += LANES) {
    const int k = n - j < LANES ? (int)(n - j) : LANES;
    vf h = load_n(outputs + j, k);
    vf d = load_n(d_output + j, k) + load_n(d_hidden + j, k);
    if (activation == LS_TANH) d = d * (1.0f - h * h);
    else if (activation == LS_SIGMOID) d = d * h * (1.0f - h);
    else d = select_(h > 0.0f, d, (vf)0.0f);
    store_n(d_values + j, d, k);
  }
}
