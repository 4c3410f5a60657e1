// Vector kernels that Swift cannot express: one source, compiled once per instruction set, chosen at run time.
//
// Every kernel exists in three builds (portable, AVX2 with FMA, AVX-512) behind one table of function pointers, so one
// binary runs at full speed on each machine. Rules that all of them keep:
//   - An element has the same bits wherever it stands in a vector and however many rows are processed together. The
//     number of workers changes how rows are grouped, and must change nothing else.
//   - Sums run in an order that depends on the column index or the shard tree alone.
//   - NaN goes in and comes out: no clamp or maximum swallows it.
// Matrices are row-major; a stride counts floats from one row to the next.
#ifndef LOCKSTEP_CKERNELS_H
#define LOCKSTEP_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

#define LS_NONNULL_BEGIN _Pragma("clang assume_nonnull begin")
#define LS_NONNULL_END _Pragma("clang assume_nonnull end")

LS_NONNULL_BEGIN

/// One weight gradient: out[m x n] = sum over rows r of a[r, :]^T b[r, :], row sums kept apart by gradient shard and
/// added along the fixed binary tree over the shards.
typedef struct {
  const float *a;                  // [*, m]: gradient of the product's output
  ptrdiff_t a_stride;
  const float *b;                  // [*, n]: the product's input
  ptrdiff_t b_stride;
  int32_t m;
  int32_t n;
  const int32_t *rows;             // the rows of a to add, shard after shard
  const int32_t *b_rows;           // the row of b that goes with each of them
  const int32_t *shard_ends;       // [shards]: where each shard ends in `rows`
  int32_t shards;                  // leaves of an aligned subtree of the shard tree
  int32_t accumulate;              // 1: the first shard goes on from what is in out and bias (a shard cut into chunks)
  float *out;                      // [m, n]
  ptrdiff_t out_stride;
  float *_Nullable bias;           // [m] or null: sum over rows of a, along the same tree
} ls_weight_gradient_job;

/// Rows of weights that are packed at a time: a whole number of panels in every build.
enum { LS_PACKED_ROWS = 64 };

/// Rows of a product that stand together in memory.
typedef struct {
  const void *x;                   // f32, or bf16 in pairs, the last one filled up with zero
  float *y;
  int32_t rows;
} ls_product_part;

/// One product with packed weights: y[rows x outer] (+)= x[rows x inner] w[inner x outer], of all parts.
typedef struct {
  const ls_product_part *parts;
  ptrdiff_t x_stride;              // in floats, or pairs
  const void *w;                   // panels, as pack_weights writes them
  ptrdiff_t y_stride;
  int32_t part_count;
  int32_t inner;
  int32_t outer;
  int32_t first_panel;             // only the columns of these panels
  int32_t end_panel;
  int32_t accumulate;
  /// Whether to begin with the last panel; updated, so that the next call on these weights begins where this one ended,
  /// with what is still in cache.
  int32_t reversed;
} ls_product_job;

/// Elementwise part of one LSTM time step; all buffers hold `rows` rows.
typedef struct {
  int32_t rows;
  int32_t hidden;
  float *gates;                    // [rows, 4H], order i f g o
  const float *_Nullable bias;     // [4H], both biases added up (forward only)
  const float *cell_before;        // [rows, H]
  float *cell;                     // [rows, H] written by forward, read by backward
  float *_Nullable hidden_out;     // [rows, H] forward
  const float *_Nullable d_output;   // [rows, H] backward: gradient from the layer above
  const float *_Nullable d_hidden;   // [rows, H] backward: gradient from the next time step
  float *_Nullable d_cell;         // [rows, H] backward: in and out
} ls_lstm_step;

/// Elementwise part of one GRU time step. `before` selects Cho et al. 2014 (reset gate before the product).
typedef struct {
  int32_t rows;
  int32_t hidden;
  float *input_gates;              // [rows, 3H], order r z n
  float *_Nullable hidden_gates;   // [rows, 3H], reset-after form only
  const float *_Nullable input_bias;   // [3H]
  const float *_Nullable hidden_bias;  // [3H]
  const float *hidden_before;      // [rows, H]
  float *_Nullable hidden_out;     // [rows, H]
  float *_Nullable reset_hidden;   // [rows, H] reset-before form: r * h
  const float *_Nullable d_output;
  const float *_Nullable d_hidden;
  float *_Nullable d_hidden_before;    // [rows, H] backward: the part of dh(t-1) that does not pass a product
  const float *_Nullable d_reset_hidden;  // [rows, H] backward, reset-before form: gradient of r * h
} ls_gru_step;

typedef enum { LS_TANH = 0, LS_RELU = 1, LS_SIGMOID = 2 } ls_activation;

typedef struct {
  float learning_rate;
  float gradient_scale;
  float weight_decay;
  float momentum;
  float beta2;
  float alpha;
  // 1 - beta and 1 - alpha are rounded from double: taken from the floats, 1 - 0.999 would be off by 1e-5 of itself.
  float beta1_complement;
  float beta2_complement;
  float alpha_complement;
  float epsilon;
  float bias_correction1;          // 1 - beta1^t
  float bias_correction2_root;     // sqrt(1 - beta2^t)
} ls_update_settings;

/// Where one row of dropout stands; the random numbers are a function of this and nothing else.
typedef struct {
  uint64_t seed;
  uint64_t step;
  uint32_t stream;
  uint32_t layer;
  uint32_t time;
} ls_dropout_key;

typedef struct {
  const char *name;
  int32_t fma_per_iteration;       // vector FMAs times lanes times 2, of one iteration of fma_burn

  void (*weight_gradient)(const ls_weight_gradient_job *job, float *scratch);
  /// Columns of a panel of packed weights.
  int32_t panel_columns;
  void (*product)(ls_product_job *job);
  /// Packs blocks first..<end, of LS_PACKED_ROWS rows each, of w[n, k] for x w^T (forward) and, unless null, dy w
  /// (backward).
  void (*pack_weights)(
      const float *w, ptrdiff_t stride, int32_t n, int32_t k, float *forward, float *_Nullable backward,
      int32_t first_block, int32_t end_block);
  void (*lstm_forward)(const ls_lstm_step *step);
  void (*lstm_backward)(const ls_lstm_step *step);
  void (*gru_after_forward)(const ls_gru_step *step);
  void (*gru_after_backward)(const ls_gru_step *step);
  void (*gru_before_forward_gates)(const ls_gru_step *step);
  void (*gru_before_forward_output)(const ls_gru_step *step);
  void (*gru_before_backward_output)(const ls_gru_step *step);
  void (*gru_before_backward_gates)(const ls_gru_step *step);
  /// values[rows, n] = activation(values + bias)
  void (*elman_forward)(float *values, const float *bias, int32_t rows, int32_t n, ls_activation activation);
  /// d_values = (d_output + d_hidden) * activation'(outputs)
  void (*elman_backward)(
      float *d_values, const float *outputs, const float *d_output, const float *d_hidden, size_t n,
      ls_activation activation);
  /// One row: logits + bias -> gradient of the cross-entropy in place; returns the loss in nats. target < 0: zeros, 0.
  double (*softmax_gradient)(float *logits, const float *bias, int32_t n, int32_t target);
  /// One row: the loss alone; logits are left as scratch.
  double (*softmax_loss)(float *logits, const float *bias, int32_t n, int32_t target);

  /// destination += source
  void (*add)(float *destination, const float *source, size_t n);
  /// destination = a + b
  void (*sum)(float *destination, const float *a, const float *b, size_t n);
  /// Sum of squares in double, in an order that depends on n alone.
  double (*squared_norm)(const float *values, size_t n);
  /// destination = kept ? source * scale : 0, with probability `1 - threshold / 2^32` of keeping.
  void (*dropout)(
      float *destination, const float *source, int32_t n, uint32_t threshold, float scale, const ls_dropout_key *key);

  void (*sgd)(float *weights, const float *gradients, size_t n, const ls_update_settings *settings);
  void (*momentum)(float *weights, const float *gradients, float *velocity, size_t n, const ls_update_settings *s);
  void (*adam)(float *weights, const float *gradients, float *m, float *v, size_t n, const ls_update_settings *s);
  void (*rmsprop)(float *weights, const float *gradients, float *square, size_t n, const ls_update_settings *s);
  void (*adagrad)(float *weights, const float *gradients, float *sum, size_t n, const ls_update_settings *s);

  /// Runs `iterations` rounds of independent multiply-adds: the machine's ceiling, measured.
  float (*fma_burn)(int64_t iterations);
} ls_kernels;

/// Products of bf16 operands with f32 sums.
typedef struct {
  int32_t burn_operations;         // floating-point operations of one iteration of burn
  /// As in ls_kernels; operands are rounded to bf16 as they are packed, bias sums stay in f32.
  void (*weight_gradient)(const ls_weight_gradient_job *job, float *scratch);
  int32_t panel_columns;
  void (*product)(ls_product_job *job);
  /// Rounds to nearest even.
  void (*convert)(uint16_t *to, const float *from, size_t n);
  void (*pack_weights)(
      const float *w, ptrdiff_t stride, int32_t n, int32_t k, uint16_t *forward, uint16_t *_Nullable backward,
      int32_t first_block, int32_t end_block);
  float (*burn)(int64_t iterations);
} ls_bfloat16_kernels;

/// Null where the processor has no bf16 instructions.
const ls_bfloat16_kernels *_Nullable ls_bfloat16(void);

/// Lets the calling thread take denormal operands for zero, and write zero for denormal results.
void ls_flush_denormals(void);

/// Table by index (0 portable, 1 AVX2, 2 AVX-512), or null where this processor or build lacks it.
const ls_kernels *_Nullable ls_kernels_at(int32_t index);

/// Floats of scratch that weight_gradient wants for a job of `row_count` rows and n columns.
size_t ls_weight_gradient_scratch(size_t row_count, int32_t n);

LS_NONNULL_END

#endif
