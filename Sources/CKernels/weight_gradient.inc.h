// out = a^T b with the rows summed shard by shard along the fixed binary tree.
//
// No library adds along a given tree, and adding after the product would read and write the whole gradient once per
// shard. Here a tile of the result stays in registers through a shard and meets its sibling in the tree while it is in
// cache. Each element is one chain of multiply-adds over the shard's rows in order, so neither tiling nor chunking
// nor the number of workers can change a bit.
//
// Blocks: 64 columns of a are packed (k-major, in tiles of TILE_M) and stay in L2; b is packed once in panels of
// TILE_N columns. For each shard, the tiles of a block pass over the shard's slice of a panel.

enum { BLOCK_M = 64, MAX_LEVELS = 33 };

typedef float tf __attribute__((ext_vector_type(TILE_LANES)));
enum { TILE_VECTORS = 3, TILE_N = TILE_VECTORS * TILE_LANES };

INLINE tf tile_load(const float *p) {
  tf v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void tile_store(float *p, tf v) { memcpy(p, &v, sizeof v); }
INLINE tf tile_fma(float a, tf b, tf c) {
#if ISA_HAS_FMA
  return __builtin_elementwise_fma((tf)a, b, c);
#else
  return a * b + c;
#endif
}

// One tile through `count` rows: starts from `from` (or zero), then adds the `merges` siblings below it in the stack of
// partial sums (left sibling + right sibling), and stores at `to`. Tiles are TILE_M x TILE_N, dense.
#define TILE(vectors)                                                                                              \
  INLINE void tile_##vectors(                                                                                      \
      const float *a, const float *b, int count, const float *from, float *const *siblings, int merges, float *to) { \
    tf acc[TILE_M][vectors];                                                                                       \
    for (int i = 0; i < TILE_M; i++)                                                                               \
      for (int v = 0; v < vectors; v++)                                                                            \
        acc[i][v] = from ? tile_load(from + i * TILE_N + v * TILE_LANES) : (tf)0.0f;                                \
    for (int k = 0; k < count; k++) {                                                                              \
      tf x[vectors];                                                                                               \
      for (int v = 0; v < vectors; v++) x[v] = tile_load(b + v * TILE_LANES);                                       \
      for (int i = 0; i < TILE_M; i++)                                                                             \
        for (int v = 0; v < vectors; v++) acc[i][v] = tile_fma(a[i], x[v], acc[i][v]);                              \
      a += TILE_M;                                                                                                 \
      b += TILE_N;                                                                                                 \
    }                                                                                                              \
    for (int m = 0; m < merges; m++)                                                                               \
      for (int i = 0; i < TILE_M; i++)                                                                             \
        for (int v = 0; v < vectors; v++) acc[i][v] = tile_load(siblings[m] + i * TILE_N + v * TILE_LANES) + acc[i][v]; \
    for (int i = 0; i < TILE_M; i++)                                                                               \
      for (int v = 0; v < vectors; v++) tile_store(to + i * TILE_N + v * TILE_LANES, acc[i][v]);                    \
  }
TILE(1)
TILE(2)
TILE(3)

INLINE void tile_any(
    int vectors, const float *a, const float *b, int count, const float *from, float *const *siblings, int merges,
    float *to) {
  if (vectors == 3) tile_3(a, b, count, from, siblings, merges, to);
  else if (vectors == 2) tile_2(a, b, count, from, siblings, merges, to);
  else tile_1(a, b, count, from, siblings, merges, to);
}

// Levels of the stack that the leaf with this index completes: the ones at the end of its binary number.
INLINE int completed_levels(int leaf) { return __builtin_ctz(~(unsigned)leaf); }

// The stack after the last leaf of an incomplete tree holds one partial sum per set bit of the leaf count; they join
// from the smallest subtree upwards, as in the recursive definition.
INLINE int levels_left(int shards, int levels[MAX_LEVELS]) {
  int n = 0;
  for (int level = 0; level < 31; level++)
    if (shards >> level & 1) levels[n++] = level;
  return n;
}

static void pack_b(const ls_weight_gradient_job *job, int rows, float *packed) {
  for (int j = 0; j < job->n; j += TILE_N) {
    const int width = job->n - j < TILE_N ? job->n - j : TILE_N;
    for (int k = 0; k < rows; k++) {
      const float *row = job->b + (ptrdiff_t)job->rows[k] * job->b_stride + j;
      if (width == TILE_N) {
        for (int v = 0; v < TILE_VECTORS; v++) tile_store(packed + v * TILE_LANES, tile_load(row + v * TILE_LANES));
      } else {
        for (int i = 0; i < width; i++) packed[i] = row[i];
        for (int i = width; i < TILE_N; i++) packed[i] = 0.0f;
      }
      packed += TILE_N;
    }
  }
}

// Packs up to BLOCK_M columns of a, and adds up the bias gradient on the way (the values are at hand).
static void pack_a(const ls_weight_gradient_job *job, int column, int rows, float *packed) {
  const int width = job->m - column < BLOCK_M ? job->m - column : BLOCK_M;
  float stack[MAX_LEVELS][BLOCK_M], sums[BLOCK_M];
  int k = 0;
  for (int shard = 0; shard < job->shards; shard++) {
    for (int i = 0; i < BLOCK_M; i++) sums[i] = 0.0f;
    if (shard == 0 && job->accumulate && job->bias)
      for (int i = 0; i < width; i++) sums[i] = job->bias[column + i];
    for (; k < job->shard_ends[shard]; k++) {
      const float *row = job->a + (ptrdiff_t)job->rows[k] * job->a_stride + column;
      float *to = packed + (size_t)k * TILE_M;
      if (width == BLOCK_M) {
        for (int t = 0; t < BLOCK_M / TILE_M; t++)
          for (int i = 0; i < TILE_M; i++) {
            to[(size_t)t * rows * TILE_M + i] = row[t * TILE_M + i];
            sums[t * TILE_M + i] += row[t * TILE_M + i];
          }
      } else {
        for (int i = 0; i < (width + TILE_M - 1) / TILE_M * TILE_M; i++) {
          const float value = i < width ? row[i] : 0.0f;
          to[(size_t)(i / TILE_M) * rows * TILE_M + i % TILE_M] = value;
          sums[i] += value;
        }
      }
    }
    const int done = completed_levels(shard);
    for (int level = 0; level < done; level++)
      for (int i = 0; i < BLOCK_M; i++) sums[i] = stack[level][i] + sums[i];
    memcpy(stack[done], sums, sizeof sums);
  }
  if (!job->bias) return;
  int levels[MAX_LEVELS];
  const int left = levels_left(job->shards, levels);
  memcpy(sums, stack[levels[0]], sizeof sums);
  for (int l = 1; l < left; l++)
    for (int i = 0; i < BLOCK_M; i++) sums[i] = stack[levels[l]][i] + sums[i];
  memcpy(job->bias + column, sums, (size_t)width * sizeof(float));
}

// The tile of the result so far, where a shard that comes in chunks goes on.
static const float *result_so_far(
    const ls_weight_gradient_job *job, int row, int height, int column, int width, float *tile) {
  memset(tile, 0, sizeof(float) * TILE_M * TILE_N);
  for (int i = 0; i < height; i++)
    memcpy(
        tile + i * TILE_N, job->out + (ptrdiff_t)(row + i) * job->out_stride + column, (size_t)width * sizeof(float));
  return tile;
}

static void weight_gradient(const ls_weight_gradient_job *job, float *scratch) {
  const int rows = job->shards > 0 ? job->shard_ends[job->shards - 1] : 0;
  int stack_levels = 1;
  while ((1 << stack_levels) <= job->shards) stack_levels++;
  // Scratch: packed b, packed block of a, then the stack of partial tiles [level][tile of the block].
  float *packed_b = scratch;
  float *packed_a = packed_b + (size_t)rows * ((job->n + TILE_N - 1) / TILE_N) * TILE_N;
  float *stack = packed_a + (size_t)rows * BLOCK_M;
  const int tile_floats = TILE_M * TILE_N;
  float start[TILE_M * TILE_N];
  int last_levels[MAX_LEVELS];
  const int last = levels_left(job->shards, last_levels);

  pack_b(job, rows, packed_b);
  for (int row = 0; row < job->m; row += BLOCK_M) {
    pack_a(job, row, rows, packed_a);
    const int height = job->m - row < BLOCK_M ? job->m - row : BLOCK_M;
    const int tiles = (height + TILE_M - 1) / TILE_M;
    for (int column = 0; column < job->n; column += TILE_N) {
      const int width = job->n - column < TILE_N ? job->n - column : TILE_N;
      const int vectors = (width + TILE_LANES - 1) / TILE_LANES;
      const float *panel = packed_b + (size_t)column * rows;
      int begin = 0;
      for (int shard = 0; shard < job->shards; shard++) {
        const int end = job->shard_ends[shard];
        const int done = completed_levels(shard);
        for (int t = 0; t < tiles; t++) {
          const int tile_row = row + t * TILE_M;
          const int tile_height = job->m - tile_row < TILE_M ? job->m - tile_row : TILE_M;
          float *siblings[MAX_LEVELS];
          for (int level = 0; level < done; level++)
            siblings[level] = stack + (size_t)(level * (BLOCK_M / TILE_M) + t) * tile_floats;
          float *to = stack + (size_t)(done * (BLOCK_M / TILE_M) + t) * tile_floats;
          const float *from = NULL;
          if (shard == 0 && job->accumulate)
            from = result_so_far(job, tile_row, tile_height, column, width, start);
          tile_any(
              vectors, packed_a + ((size_t)t * rows + begin) * TILE_M, panel + (size_t)begin * TILE_N, end - begin,
              from, siblings, done, to);
        }
        begin = end;
      }
      for (int t = 0; t < tiles; t++) {
        const int tile_row = row + t * TILE_M;
        const int tile_height = job->m - tile_row < TILE_M ? job->m - tile_row : TILE_M;
        float *total = stack + (size_t)(last_levels[0] * (BLOCK_M / TILE_M) + t) * tile_floats;
        for (int l = 1; l < last; l++) {
          const float *other = stack + (size_t)(last_levels[l] * (BLOCK_M / TILE_M) + t) * tile_floats;
          for (int i = 0; i < tile_floats; i++) total[i] = other[i] + total[i];
        }
        for (int i = 0; i < tile_height; i++) {
          float *to = job->out + (ptrdiff_t)(tile_row + i) * job->out_stride + column;
          const float *from = total + i * TILE_N;
          if (width == TILE_N)
            for (int v = 0; v < TILE_VECTORS; v++) tile_store(to + v * TILE_LANES, tile_load(from + v * TILE_LANES));
          else
            for (int j = 0; j < width; j++) to[j] = from[j];
        }
      }
    }
  }
}

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
