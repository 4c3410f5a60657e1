// y (+)= x W with W packed in panels of 64 columns, for registers of sixteen lanes.
//
// The limit of a recurrent product is not arithmetic but the stream of weights: a time step has few rows, and each
// reads all of W. So while a tile computes on one slice of a panel, it fetches the next slice into the second-level
// cache, at the pace at which it is needed. General libraries do not know what comes next.
//
// Each element is one chain of multiply-adds a slice, over the inner index in order, and slices are added in order,
// whatever the tile that holds it: a row's bits do not depend on the number of rows.
//
// Included once for f32 and once for bf16 operands with f32 sums (PRODUCT_BF16), after weight_gradient.inc.h, which
// defines a unit: what one multiply-add takes of a row of x, one value or a pair.

enum {
  TALL_ROWS = 12,    // rows of a tile of one or two vectors
  TILE_ROWS = 6,     // of three or four: 24 of the 32 registers hold sums
  BLOCK_ROWS = 96,   // rows whose slice of x stays in the second-level cache while all panels pass by
  SLICE_UNITS = 768, // of a panel: 192 KiB; shorter ones load and store sums more often
  AHEAD = 64         // units of x that are fetched ahead
};

// rows x (16 * vectors) of y from `count` units; `mask` selects the lanes of the last vector that exist.
#define PRODUCT_TILE(ROWS, VECTORS)                                                                                \
  static __attribute__((noinline)) void product_##ROWS##_##VECTORS(                                                \
      const unit *x, ptrdiff_t x_stride, const unit *w, int count, float *y, ptrdiff_t y_stride, int start,        \
      __mmask16 mask, const char *next, ptrdiff_t next_step) {                                                     \
    tf sum[ROWS][VECTORS];                                                                                         \
    for (int i = 0; i < ROWS; i++)                                                                                 \
      for (int v = 0; v < VECTORS; v++) sum[i][v] = (tf)0.0f;                                                      \
    for (int k = 0; k < count;) {                                                                                  \
      for (int i = 0; i < ROWS; i++) _mm_prefetch((const char *)(x + i * x_stride + k + AHEAD), _MM_HINT_T0);      \
      const int end = k + 16 < count ? k + 16 : count;                                                             \
      for (; k < end; k++, w += PANEL, next += next_step) {                                                        \
        _mm_prefetch(next, _MM_HINT_T1);                                                                           \
        tu b[VECTORS];                                                                                             \
        for (int v = 0; v < VECTORS; v++) b[v] = unit_load(w + v * 16);                                            \
        for (int i = 0; i < ROWS; i++)                                                                             \
          for (int v = 0; v < VECTORS; v++) sum[i][v] = tile_fma(x[i * x_stride + k], b[v], sum[i][v]);            \
      }                                                                                                            \
    }                                                                                                              \
    for (int i = 0; i < ROWS; i++)                                                                                 \
      for (int v = 0; v < VECTORS; v++) {                                                                          \
        float *to = y + i * y_stride + v * 16;                                                                     \
        const __mmask16 lanes = v == VECTORS - 1 ? mask : (__mmask16)0xffff;                                       \
        tf value = sum[i][v];                                                                                      \
        if (!start) value = (tf)_mm512_maskz_loadu_ps(lanes, to) + value;                                          \
        _mm512_mask_storeu_ps(to, lanes, (__m512)value);                                                           \
      }                                                                                                            \
  }
#define PRODUCT_TILES(ROWS) \
  PRODUCT_TILE(ROWS, 1) PRODUCT_TILE(ROWS, 2) PRODUCT_TILE(ROWS, 3) PRODUCT_TILE(ROWS, 4)
PRODUCT_TILES(1)
PRODUCT_TILES(2)
PRODUCT_TILES(3)
PRODUCT_TILES(4)
PRODUCT_TILES(5)
PRODUCT_TILES(6)
#define TALL_PRODUCT_TILES(ROWS) PRODUCT_TILE(ROWS, 1) PRODUCT_TILE(ROWS, 2)
TALL_PRODUCT_TILES(7)
TALL_PRODUCT_TILES(8)
TALL_PRODUCT_TILES(9)
TALL_PRODUCT_TILES(10)
TALL_PRODUCT_TILES(11)
TALL_PRODUCT_TILES(12)

typedef void product_tile(
    const unit *x, ptrdiff_t x_stride, const unit *w, int count, float *y, ptrdiff_t y_stride, int start,
    __mmask16 mask, const char *next, ptrdiff_t next_step);

#define TILES_OF(ROWS) {product_##ROWS##_1, product_##ROWS##_2, product_##ROWS##_3, product_##ROWS##_4}
#define TALL_TILES_OF(ROWS) {product_##ROWS##_1, product_##ROWS##_2}
static product_tile *const product_tiles[TALL_ROWS][PANEL / 16] = {
    TILES_OF(1),      TILES_OF(2),      TILES_OF(3),      TILES_OF(4),       TILES_OF(5),       TILES_OF(6),
    TALL_TILES_OF(7), TALL_TILES_OF(8), TALL_TILES_OF(9), TALL_TILES_OF(10), TALL_TILES_OF(11), TALL_TILES_OF(12),
};

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
  const int vectors = (width + 15) / 16;
  const __mmask16 mask = (__mmask16)((1u << (width - (vectors - 1) * 16)) - 1);
  const int most = vectors <= 2 ? TALL_ROWS : TILE_ROWS;
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
