// oneDNN's C API behind names that mean the same in oneDNN 2 and 3, and what Swift cannot import from it:
//   - DNNL_MEMORY_ALLOCATE and friends are casts in macros;
//   - memory descriptors are structs in 2.x and handles in 3.x, and operation descriptors are gone in 3.x.
// OpenMP's thread count is declared by hand: oneDNN is built on libgomp, and omp.h is not on every include path.
#ifndef LOCKSTEP_ONEDNN_SHIM_H
#define LOCKSTEP_ONEDNN_SHIM_H

#include <dnnl.h>

void omp_set_num_threads(int count);

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t ls_memory_desc;
typedef const_dnnl_memory_desc_t ls_const_memory_desc;
#else
typedef dnnl_memory_desc_t *ls_memory_desc;
typedef const dnnl_memory_desc_t *ls_const_memory_desc;
#include <stdlib.h>
#endif

// A descriptor of [rows x columns] values with the given strides; to be freed with ls_desc_destroy.
static inline dnnl_status_t ls_desc_plain(
    ls_memory_desc *desc, int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride,
    dnnl_data_type_t type) {
  dnnl_dims_t dims = {rows, columns}, strides = {row_stride, column_stride};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_strides(desc, 2, dims, type, strides);
#else
  *desc = (ls_memory_desc)malloc(sizeof(dnnl_memory_desc_t));
  if (!*desc) return dnnl_out_of_memory;
  return dnnl_memory_desc_init_by_strides(*desc, 2, dims, type, strides);
#endif
}

// A descriptor whose layout the library chooses.
static inline dnnl_status_t ls_desc_any(
    ls_memory_desc *desc, int64_t rows, int64_t columns, dnnl_data_type_t type) {
  dnnl_dims_t dims = {rows, columns};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_tag(desc, 2, dims, type, dnnl_format_tag_any);
#else
  *desc = (ls_memory_desc)malloc(sizeof(dnnl_memory_desc_t));
  if (!*desc) return dnnl_out_of_memory;
  return dnnl_memory_desc_init_by_tag(*desc, 2, dims, type, dnnl_format_tag_any);
#endif
}

static inline void ls_desc_destroy(ls_memory_desc desc) {
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_destroy(desc);
#else
  free(desc);
#endif
}

static inline size_t ls_desc_size(ls_const_memory_desc desc) { return dnnl_memory_desc_get_size(desc); }

// The layout that a matmul's primitive descriptor chose for its weights, as a descriptor of its own.
static inline dnnl_status_t ls_desc_of_weights(ls_memory_desc *desc, const_dnnl_primitive_desc_t primitive) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_clone(desc, dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0));
#else
  *desc = (ls_memory_desc)malloc(sizeof(dnnl_memory_desc_t));
  if (!*desc) return dnnl_out_of_memory;
  **desc = *dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0);
  return dnnl_success;
#endif
}

// Whether weights [rows x columns] are laid out in panels: 64 columns wide, row after row, padded to blocks of 16 rows,
// or for bf16 of 16 pairs of rows. Then they can be packed without the library's reorder.
static inline int ls_desc_is_panels(ls_const_memory_desc desc, int64_t rows, int pairs) {
  const int64_t block = pairs ? 32 : 16;
  const int64_t panel = (rows + block - 1) / block * block * 64;
  int blocks = 0;
  dnnl_dims_t sizes, axes, strides;
#if DNNL_VERSION_MAJOR >= 3
  const dnnl_dims_t *known = NULL;
  if (dnnl_memory_desc_query(desc, dnnl_query_inner_nblks_s32, &blocks) != dnnl_success) return 0;
  if (dnnl_memory_desc_query(desc, dnnl_query_inner_blks, &sizes) != dnnl_success) return 0;
  if (dnnl_memory_desc_query(desc, dnnl_query_inner_idxs, &axes) != dnnl_success) return 0;
  if (dnnl_memory_desc_query(desc, dnnl_query_strides, &known) != dnnl_success) return 0;
  for (int i = 0; i < 2; i++) strides[i] = (*known)[i];
#else
  const dnnl_blocking_desc_t *b = &desc->format_desc.blocking;
  if (desc->format_kind != dnnl_blocked) return 0;
  blocks = b->inner_nblks;
  for (int i = 0; i < 3; i++) sizes[i] = b->inner_blks[i], axes[i] = b->inner_idxs[i], strides[i] = b->strides[i];
#endif
  if (blocks != (pairs ? 3 : 2) || (pairs && (sizes[2] != 2 || axes[2] != 0))) return 0;
  return sizes[0] == 16 && sizes[1] == 64 && axes[0] == 0 && axes[1] == 1 && strides[0] == block * 64 &&
         strides[1] == panel;
}

// destination = source weights, or destination += source weights.
static inline dnnl_status_t ls_matmul_describe(
    dnnl_primitive_desc_t *primitive, dnnl_engine_t engine, ls_const_memory_desc source, ls_const_memory_desc weights,
    ls_const_memory_desc destination, int accumulate) {
  dnnl_primitive_attr_t attributes;
  dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
  if (status != dnnl_success) return status;
  dnnl_post_ops_t operations;
  status = dnnl_post_ops_create(&operations);
  if (status == dnnl_success) {
    if (accumulate) {
#if DNNL_VERSION_MAJOR >= 3
      status = dnnl_post_ops_append_sum(operations, 1.0f, 0, dnnl_data_type_undef);
#else
      status = dnnl_post_ops_append_sum(operations, 1.0f);
#endif
      if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attributes, operations);
    }
    if (status == dnnl_success) {
#if DNNL_VERSION_MAJOR >= 3
      status =
          dnnl_matmul_primitive_desc_create(primitive, engine, source, weights, NULL, destination, attributes);
#else
      dnnl_matmul_desc_t operation;
      status = dnnl_matmul_desc_init(&operation, source, weights, NULL, destination);
      if (status == dnnl_success)
        status = dnnl_primitive_desc_create(primitive, &operation, attributes, engine, NULL);
#endif
    }
    dnnl_post_ops_destroy(operations);
  }
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static inline dnnl_status_t ls_reorder_describe(
    dnnl_primitive_desc_t *primitive, dnnl_engine_t engine, ls_const_memory_desc from, ls_const_memory_desc to) {
  return dnnl_reorder_primitive_desc_create(primitive, from, engine, to, engine, NULL);
}

// Memory over a buffer that the caller owns and sets before each use.
static inline dnnl_status_t ls_memory_create_unbound(
    dnnl_memory_t *memory, ls_const_memory_desc desc, dnnl_engine_t engine) {
  return dnnl_memory_create(memory, desc, engine, DNNL_MEMORY_NONE);
}

static inline dnnl_status_t ls_memory_bind(dnnl_memory_t memory, const void *data) {
  return dnnl_memory_set_data_handle(memory, (void *)data);
}

static inline dnnl_status_t ls_matmul_execute(
    dnnl_primitive_t primitive, dnnl_stream_t stream, dnnl_memory_t source, dnnl_memory_t weights,
    dnnl_memory_t destination) {
  dnnl_exec_arg_t arguments[3] = {
      {DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, destination}};
  return dnnl_primitive_execute(primitive, stream, 3, arguments);
}

static inline dnnl_status_t ls_reorder_execute(
    dnnl_primitive_t primitive, dnnl_stream_t stream, dnnl_memory_t from, dnnl_memory_t to) {
  dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  return dnnl_primitive_execute(primitive, stream, 2, arguments);
}

#endif
