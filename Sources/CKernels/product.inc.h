// y (+)= x W with W packed in panels of PANEL columns.
//
// The limit of a recurrent product is not arithmetic but the stream of weights: a time step has few rows, and each
// reads all of W. So while a tile computes on one slice of a panel, it fetches the next slice into the second-level
// cache, at the pace at which it is needed. General libraries do not know what comes next.
//
// Each element is one chain of multiply-adds a slice, over the inner index in order, and slices are added in order,
// whatever the tile that holds it: a row's bits do not depend on the number of rows.
//
// Included once for f32 in every build and once for bf16 operands with f32 sums (PRODUCT_BF16), after
// weight_gradient.inc.h, which defines a unit: what one multiply-add takes of a row of x, one value or a pair.

enum {
  BLOCK_ROWS = 96,   // rows whose slice of x stays in the second-level cache while all panels pass by
  SLICE_UNITS = 768, // of a panel, at most 192 KiB; shorter ones load and store sums more often
  AHEAD = 64         // units of x that are fetched ahead
};

// The lanes of a panel's last vector that exist.
#if ISA_AVX512
typedef __mmask16 lane_mask;
INLINE lane_mask first_lanes(int n) { return (lane_mask)((1u << n) - 1); }
INLINE tf load_lanes(const float *p, lane_mask lanes) { return (tf)_mm512_maskz_loadu_ps(lanes, p); }
INLINE void store_lanes(float *p, tf v, lane_mask lanes) { _mm512_mask_storeu_ps(p, lanes, (__m512)v); }
#else
typedef int lane_mask;
INLINE lane_mask first_lanes(int n) { return n; }
INLINE tf load_lanes(const float *p, lane_mask lanes) {
  if (lanes == TILE_LANES) return tile_load(p);
  float t[TILE_LANES] = {0};
  for (int i = 0; i < lanes; i++) t[i] = p[i];
  return tile_load(t);
}
INLINE void store_lanes(float *p, tf v, lane_mask lanes) {
  if (lanes == TILE_LANES) {
    tile_store(p, v);
    return;
  }
  float t[TILE_LANES];
  tile_store(t, v);
  for (int i = 0; i < lanes; i++) p[i] = t[i];
}
#endif

// ROWS x (TILE_LANES * VECTORS) of y from `count` units; `mask` selects the lanes of the last vector that exist.
#define PRODUCT_TILE(ROWS, VECTORS)                                                                                \
  static __attribute__((noinline)) void product_##ROWS##_##VECTORS(                                                \
      const unit *x, ptrdiff_t x_stride, const unit *w, int count, float *y, ptrdiff_t y_stride, int start,        \
      lane_mask mask, const char *next, ptrdiff_t next_step) {                                                     \
    tf sum[ROWS][VECTORS];                                                                                         \
    for (int i = 0; i < ROWS; i++)                                                                                 \
      for (int v = 0; v < VECTORS; v++) sum[i][v] = (tf)0.0f;                                                      \
    for (int k = 0; k < count;) {                                                                                  \
      for (int i = 0; i < ROWS; i++) __builtin_prefetch(x + i * x_stride + k + AHEAD, 0, 3);                       \
      const int end = k + 16 < count ? k + 16 : count;                                                             \
      for (; k < end; k++, w += PANEL, next += next_step) {                                                        \
        __builtin_prefetch(next, 0, 2);                                                                            \
        tu b[VECTORS];                                                                                             \
        for (int v = 0; v < VECTORS; v++) b[v] = unit_load(w + v * TILE_LANES);                                    \
        for (int i = 0; i < ROWS; i++)                                                                             \
          for (int v = 0; v < VECTORS; v++) sum[i][v] = tile_fma(x[i * x_stride + k], b[v], sum[i][v]);            \
      }                                                                                                            \
    }                                                                                                              \
    for (int i = 0; i < ROWS; i++)                                                                                 \
      for (int v = 0; v < VECTORS; v++) {                                                                          \
        float *to = y + i * y_stride + v * TILE_LANES;                                                             \
        const lane_mask lanes = v == VECTORS - 1 ? mask : first_lanes(TILE_LANES);                                 \
        tf value = sum[i][v];                                                                                      \
        if (!start) value = load_lanes(to, lanes) + value;                                                         \
        store_lanes(to, value, lanes);                                                                             \
      }                                                                                                            \
  }

typedef void product_tile(
    const unit *x, ptrdiff_t x_stride, const unit *w, int count, float *y, ptrdiff_t y_stride, int start,
    lane_mask mask, const char *next, ptrdiff_t next_step);

// A tile takes as many rows as leave registers for a row of the panel and a value of x.
#define UP_TO_2(OF, VECTORS) OF(1, VECTORS) OF(2, VECTORS)
#define UP_TO_4(OF, VECTORS) UP_TO_2(OF, VECTORS) OF(3, VECTORS) OF(4, VECTORS)
#define UP_TO_6(OF, VECTORS) UP_TO_4(OF, VECTORS) OF(5, VECTORS) OF(6, VECTORS)
#define UP_TO_12(OF, VECTORS) \
  UP_TO_6(OF, VECTORS) OF(7, VECTORS) OF(8, VECTORS) OF(9, VECTORS) OF(10, VECTORS) OF(11, VECTORS) OF(12, VECTORS)
#if ISA_AVX512
#define ALL_TILES(OF) UP_TO_12(OF, 1) UP_TO_12(OF, 2) UP_TO_6(OF, 3) UP_TO_6(OF, 4)
static const int most_rows[PANEL / TILE_LANES] = {12, 12, 6, 6};
#elif TILE_LANES == 8
#define ALL_TILES(OF) UP_TO_12(OF, 1) UP_TO_6(OF, 2)
static const int most_rows[PANEL / TILE_LANES] = {12, 6};
#else
#define ALL_TILES(OF) UP_TO_6(OF, 1) UP_TO_4(OF, 2) UP_TO_2(OF, 3) UP_TO_2(OF, 4)
static const int most_rows[PANEL / TILE_LANES] = {6, 4, 2, 2};
#endif
ALL_TILES(PRODUCT_TILE)
#define TILE_ENTRY(ROWS, VECTORS) [ROWS - 1][VECTORS - 1] = product_##ROWS##_##VECTORS,
static product_tile *const product_tiles[12][PANEL / TILE_LANES] = {ALL_TILES(TILE_ENTRY)};

// A block of the rows of each part.
typedef struct {
  int index;
  int count;
} row_block;

INLINE int row_at(const ls_product_part *part, int block, int blocks) {
  return (int)((int64_t)part->rows * block / blocks);
}

INLINE int rows_in(const ls_product_part *part, row_block block) {
  return row_at(part, block.index + 1, block.count) - row_at(part, block.index, block.count);
}

// One block of rows of y, `width` columns of one panel, over one slice. `next` is the slice that comes after.
static void product_slice(
    const ls_product_job *job, row_block block, int begin_unit, int end_unit, const unit *slice, int column,
    const unit *next) {
  const int width = job->outer - column < PANEL ? job->outer - column : PANEL;
  const int vectors = (width + TILE_LANES - 1) / TILE_LANES;
  const lane_mask mask = first_lanes(width - (vectors - 1) * TILE_LANES);
  const int most = most_rows[vectors - 1];
  const int count = end_unit - begin_unit, bytes = PANEL * (int)sizeof(unit);
  const int start = begin_unit == 0 && !job->accumulate;
  int all = 0;
  for (int p = 0; p < job->part_count; p++) all += (rows_in(&job->parts[p], block) + most - 1) / most;
  // Each tile fetches its share of the next slice; with fewer tiles than lines in a row of it, what fits.
  const ptrdiff_t step = all < bytes / 64 ? 64 : bytes / all;
  for (int p = 0, fetched = 0; p < job->part_count; p++) {
    const ls_product_part *part = &job->parts[p];
    const int first = row_at(part, block.index, block.count), rows = rows_in(part, block);
    const int tiles = (rows + most - 1) / most;
    for (int t = 0; t < tiles; t++, fetched++) {
      const int from = first + rows * t / tiles, to = first + rows * (t + 1) / tiles;
      product_tiles[to - from - 1][vectors - 1](
          (const unit *)part->x + (ptrdiff_t)from * job->x_stride + begin_unit, job->x_stride, slice, count,
          part->y + (ptrdiff_t)from * job->y_stride + column, job->y_stride, start, mask,
          (const char *)next + (ptrdiff_t)count * bytes / all * fetched, step);
    }
  }
}

static void product(ls_product_job *job) {
  const int inner = (job->inner + ROWS_PER_UNIT - 1) / ROWS_PER_UNIT;
  const size_t panel_units = ((size_t)inner + 15) / 16 * 16 * PANEL;
  const int panels = job->end_panel - job->first_panel, slices = (inner + SLICE_UNITS - 1) / SLICE_UNITS;
  int64_t rows = 0;
  for (int p = 0; p < job->part_count; p++) rows += job->parts[p].rows;
  const int blocks = (int)((rows + BLOCK_ROWS - 1) / BLOCK_ROWS);
  const unit *const w = job->w;
  for (int block = 0; block < blocks; block++)
    for (int s = 0; s < slices; s++) {
      const int from = (int)((int64_t)inner * s / slices), to = (int)((int64_t)inner * (s + 1) / slices);
      for (int i = 0; i < panels; i++) {
        const int panel = job->reversed ? job->end_panel - 1 - i : job->first_panel + i, last = i == panels - 1;
        const unit *slice = w + (size_t)panel * panel_units + (size_t)from * PANEL;
        // After the last panel its next slice, or its first for the next block or the next time step.
        const unit *next = w + (size_t)(last ? panel : job->reversed ? panel - 1 : panel + 1) * panel_units +
                           (size_t)(!last ? from : s + 1 < slices ? to : 0) * PANEL;
        product_slice(job, (row_block){block, blocks}, from, to, slice, panel * PANEL, next);
      }
      job->reversed = !job->reversed;
    }
}
