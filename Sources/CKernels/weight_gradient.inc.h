// out = a^T b with the rows summed shard by shard along the fixed binary tree.
//
// No library adds along a given tree, and adding after the product would read and write the whole gradient once per
// shard. Here a tile of the result stays in registers through a shard and meets its sibling in the tree while it is in
// cache. Each element is one chain of multiply-adds over the shard's rows in order, so neither tiling nor chunking
// nor the number of workers can change a bit.
//
// Included once for f32 and, where the processor has the instruction, once for bf16 operands with f32 sums
// (PRODUCT_BF16). A unit is what one multiply-add takes of a column: one row, or a pair of rows.
//
// Blocks: 64 columns of a are packed (k-major, in tiles of TILE_M) and stay in L2; b is packed once in panels of
// TILE_N columns. For each shard, the tiles of a block pass over the shard's slice of a panel.

enum {
  BLOCK_M = 64,
  MAX_LEVELS = 33,
#if ISA_AVX512
  ROWS_AHEAD = 1024  // of the next block of a, 256 KiB, for which an L2 of 1 MiB has room beside the packed block
#else
  ROWS_AHEAD = 0
#endif
};

typedef float tf __attribute__((ext_vector_type(TILE_LANES)));
enum { TILE_N = TILE_VECTORS * TILE_LANES };  // at most 48 columns

INLINE tf tile_load(const float *p) {
  tf v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void tile_store(float *p, tf v) { memcpy(p, &v, sizeof v); }

#if PRODUCT_BF16
typedef uint32_t unit;
enum { ROWS_PER_UNIT = 2 };
#else
typedef float unit;
enum { ROWS_PER_UNIT = 1 };
#endif
typedef unit tu __attribute__((ext_vector_type(TILE_LANES)));
typedef unit u16 __attribute__((ext_vector_type(16)));

INLINE tu unit_load(const unit *p) {
  tu v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE tf tile_fma(unit a, tu b, tf c) {
#if PRODUCT_BF16
  return (tf)_mm512_dpbf16_ps((__m512)c, (__m512bh)_mm512_set1_epi32((int)a), (__m512bh)b);
#elif ISA_HAS_FMA
  return __builtin_elementwise_fma((tf)a, b, c);
#else
  return a * b + c;
#endif
}

// Units of up to 16 columns. `second` is the other row of a pair, or null at the end of an odd shard.
INLINE u16 units(const float *first, const float *second, int n) {
#if PRODUCT_BF16
  __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)load_n(first, n)));
  if (!second) return (u16)low;
  __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)load_n(second, n)));
  return (u16)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
#else
  (void)second;
  return load_n(first, n);
#endif
}

INLINE int units_of(int rows) { return (rows + ROWS_PER_UNIT - 1) / ROWS_PER_UNIT; }

// One tile through `count` units: starts from `from` (or zero), then adds the `merges` siblings below it in the stack of
// partial sums (left sibling + right sibling), and stores at `to`. Tiles are TILE_M x TILE_N, dense.
#define TILE(vectors)                                                                                              \
  INLINE void tile_##vectors(                                                                                      \
      const unit *a, const unit *b, int count, const float *from, float *const *siblings, int merges, float *to) {  \
    tf acc[TILE_M][vectors];                                                                                       \
    for (int i = 0; i < TILE_M; i++)                                                                               \
      for (int v = 0; v < vectors; v++)                                                                            \
        acc[i][v] = from ? tile_load(from + i * TILE_N + v * TILE_LANES) : (tf)0.0f;                                \
    for (int k = 0; k < count; k++) {                                                                              \
      tu x[vectors];                                                                                               \
      for (int v = 0; v < vectors; v++) x[v] = unit_load(b + v * TILE_LANES);                                       \
      for (int i = 0; i < TILE_M; i++)                                                                             \
        for (int v = 0; v < vectors; v++) acc[i][v] = tile_fma(a[i], x[v], acc[i][v]);                              \
      a += TILE_M;                                                                                                 \
      b += TILE_N;                                                                                                 \
    }                                                                                                              \
    for (int m = 0; m < merges; m++)                                                                               \
      for (int i = 0; i < TILE_M; i++)                                                                             \
        for (int v = 0; v < vectors; v++)                                                                          \
          acc[i][v] = tile_load(siblings[m] + i * TILE_N + v * TILE_LANES) + acc[i][v];                             \
    for (int i = 0; i < TILE_M; i++)                                                                               \
      for (int v = 0; v < vectors; v++) tile_store(to + i * TILE_N + v * TILE_LANES, acc[i][v]);                    \
  }
TILE(1)
TILE(2)
TILE(3)

INLINE void tile_any(
    int vectors, const unit *a, const unit *b, int count, const float *from, float *const *siblings, int merges,
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

// Shards begin on whole units, so that a pair never mixes two shards.
static void pack_b(const ls_weight_gradient_job *job, unit *packed) {
  for (int j = 0; j < job->n; j += TILE_N) {
    const int width = job->n - j < TILE_N ? job->n - j : TILE_N;
    int k = 0;
    for (int shard = 0; shard < job->shards; shard++) {
      const int end = job->shard_ends[shard];
      while (k < end) {
        const float *first = job->b + (ptrdiff_t)job->b_rows[k] * job->b_stride + j;
        const float *second =
            ROWS_PER_UNIT == 2 && k + 1 < end ? job->b + (ptrdiff_t)job->b_rows[k + 1] * job->b_stride + j : NULL;
        for (int c = 0; c < TILE_N; c += 16) {
          u16 u = c < width ? units(first + c, second ? second + c : NULL, width - c) : (u16)0;
          // A tile may be narrower than a whole number of 16 columns.
          memcpy(packed + c, &u, sizeof(unit) * (size_t)(TILE_N - c < 16 ? TILE_N - c : 16));
        }
        packed += TILE_N;
        k += second ? 2 : 1;
      }
    }
  }
}

// Packs up to BLOCK_M columns of a, and adds up the bias gradient on the way (the values are at hand).
static void pack_a(const ls_weight_gradient_job *job, int column, int total, unit *packed) {
  const int width = job->m - column < BLOCK_M ? job->m - column : BLOCK_M;
  vf stack[MAX_LEVELS][BLOCK_M / LANES], sums[BLOCK_M / LANES];
  int k = 0, position = 0;
  for (int shard = 0; shard < job->shards; shard++) {
    for (int c = 0; c < BLOCK_M; c += LANES)
      sums[c / LANES] = shard == 0 && job->accumulate && job->bias && c < width
                            ? load_n(job->bias + column + c, width - c)
                            : (vf)0.0f;
    const int end = job->shard_ends[shard];
    for (; k < end; position++) {
      const float *first = job->a + (ptrdiff_t)job->rows[k] * job->a_stride + column;
      const float *second =
          ROWS_PER_UNIT == 2 && k + 1 < end ? job->a + (ptrdiff_t)job->rows[k + 1] * job->a_stride + column : NULL;
      for (int c = 0; c < width; c += LANES) {
        u16 u = units(first + c, second ? second + c : NULL, width - c);
        for (int i = 0; i < LANES; i += TILE_M)
          memcpy(
              packed + ((size_t)((c + i) / TILE_M) * total + position) * TILE_M, (unit *)&u + i, TILE_M * sizeof(unit));
        sums[c / LANES] += load_n(first + c, width - c);
        if (second) sums[c / LANES] += load_n(second + c, width - c);
      }
      k += second ? 2 : 1;
    }
    const int done = completed_levels(shard);
    for (int level = 0; level < done; level++)
      for (int c = 0; c < BLOCK_M / LANES; c++) sums[c] = stack[level][c] + sums[c];
    memcpy(stack[done], sums, sizeof sums);
  }
  if (!job->bias) return;
  int levels[MAX_LEVELS];
  const int left = levels_left(job->shards, levels);
  memcpy(sums, stack[levels[0]], sizeof sums);
  for (int l = 1; l < left; l++)
    for (int c = 0; c < BLOCK_M / LANES; c++) sums[c] = stack[levels[l]][c] + sums[c];
  for (int c = 0; c < width; c += LANES) store_n(job->bias + column + c, sums[c / LANES], width - c);
}

// Asks L2 for some rows of a block of a: packing it would wait for every line.
INLINE void fetch_a(const ls_weight_gradient_job *job, int column, int from, int to) {
  const int width = job->m - column < BLOCK_M ? job->m - column : BLOCK_M;
  for (int k = from; k < to; k++) {
    const float *row = job->a + (ptrdiff_t)job->rows[k] * job->a_stride + column;
    for (int c = 0; c < width; c += 16) __builtin_prefetch(row + c, 0, 2);
    __builtin_prefetch(row + width - 1, 0, 2);
  }
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

static void WEIGHT_GRADIENT(const ls_weight_gradient_job *job, float *scratch) {
  int total = 0;  // units
  for (int shard = 0; shard < job->shards; shard++)
    total += units_of(job->shard_ends[shard] - (shard > 0 ? job->shard_ends[shard - 1] : 0));
  // Scratch: packed b, packed block of a, then the stack of partial tiles [level][tile of the block].
  unit *packed_b = (unit *)scratch;
  unit *packed_a = packed_b + (size_t)total * ((job->n + TILE_N - 1) / TILE_N) * TILE_N;
  float *stack = (float *)(packed_a + (size_t)total * BLOCK_M);
  const int tile_floats = TILE_M * TILE_N;
  float start[TILE_M * TILE_N];
  int last_levels[MAX_LEVELS];
  const int last = levels_left(job->shards, last_levels);
  const int all_rows = job->shard_ends[job->shards - 1];

  pack_b(job, packed_b);
  for (int row = 0; row < job->m; row += BLOCK_M) {
    pack_a(job, row, total, packed_a);
    const int height = job->m - row < BLOCK_M ? job->m - row : BLOCK_M;
    const int tiles = (height + TILE_M - 1) / TILE_M;
    // Each tile fetches its share of the next block.
    const int rows_ahead = row + BLOCK_M < job->m && all_rows <= ROWS_AHEAD ? all_rows : 0;
    const int64_t steps = (int64_t)((job->n + TILE_N - 1) / TILE_N) * job->shards * tiles;
    int64_t step = 0;
    for (int column = 0; column < job->n; column += TILE_N) {
      const int width = job->n - column < TILE_N ? job->n - column : TILE_N;
      const int vectors = (width + TILE_LANES - 1) / TILE_LANES;
      const unit *panel = packed_b + (size_t)column * total;
      int begin = 0;
      for (int shard = 0; shard < job->shards; shard++) {
        const int end = begin + units_of(job->shard_ends[shard] - (shard > 0 ? job->shard_ends[shard - 1] : 0));
        const int done = completed_levels(shard);
        for (int t = 0; t < tiles; t++, step++) {
          fetch_a(job, row + BLOCK_M, (int)(rows_ahead * step / steps), (int)(rows_ahead * (step + 1) / steps));
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
              vectors, packed_a + ((size_t)t * total + begin) * TILE_M, panel + (size_t)begin * TILE_N, end - begin,
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

