#include <hdf5.h>

// What Swift can't import from HDF5's headers, under the spelling that the C documentation uses. Written for HDF5 1.10 to
// 1.14: wherever those differ, the difference stays in this file.

#define LOCKSTEP_GETTER(type, name)                                                                                   \
  __attribute__((swift_name("getter:" #name "()"))) static inline type lockstep_##name(void) { return name; }

// Predefined datatypes: each is the macro `(H5OPEN H5T_..._g)`, a call that initialises the library, then a variable.
LOCKSTEP_GETTER(hid_t, H5T_NATIVE_FLOAT)
LOCKSTEP_GETTER(hid_t, H5T_NATIVE_DOUBLE)
LOCKSTEP_GETTER(hid_t, H5T_NATIVE_UINT8)
LOCKSTEP_GETTER(hid_t, H5T_NATIVE_UINT16)
LOCKSTEP_GETTER(hid_t, H5T_NATIVE_UINT32)
LOCKSTEP_GETTER(hid_t, H5T_NATIVE_UINT64)
LOCKSTEP_GETTER(hid_t, H5T_NATIVE_INT32)
LOCKSTEP_GETTER(hid_t, H5T_NATIVE_INT64)
LOCKSTEP_GETTER(hid_t, H5T_C_S1)

// Property list classes: the same comma expressions.
LOCKSTEP_GETTER(hid_t, H5P_FILE_CREATE)
LOCKSTEP_GETTER(hid_t, H5P_FILE_ACCESS)
LOCKSTEP_GETTER(hid_t, H5P_GROUP_CREATE)
LOCKSTEP_GETTER(hid_t, H5P_DATASET_CREATE)
LOCKSTEP_GETTER(hid_t, H5P_DATASET_ACCESS)
LOCKSTEP_GETTER(hid_t, H5P_LINK_CREATE)
LOCKSTEP_GETTER(hid_t, H5P_ATTRIBUTE_CREATE)

// File access flags: `(H5CHECK H5OPEN 0x0002u)`, comma expressions again.
LOCKSTEP_GETTER(unsigned, H5F_ACC_RDONLY)
LOCKSTEP_GETTER(unsigned, H5F_ACC_TRUNC)
LOCKSTEP_GETTER(unsigned, H5F_ACC_EXCL)

// Casts: `((size_t)(-1))` is not imported, and `0` or `(hid_t)0` is imported with whichever integer type this version's
// spelling suggests. The macros are undefined below, so that each name means the getter alone.
LOCKSTEP_GETTER(hid_t, H5P_DEFAULT)
LOCKSTEP_GETTER(hid_t, H5E_DEFAULT)
LOCKSTEP_GETTER(hid_t, H5S_ALL)
LOCKSTEP_GETTER(size_t, H5T_VARIABLE)
LOCKSTEP_GETTER(unsigned, H5P_CRT_ORDER_TRACKED)
LOCKSTEP_GETTER(unsigned, H5P_CRT_ORDER_INDEXED)

#undef LOCKSTEP_GETTER
#undef H5P_DEFAULT
#undef H5E_DEFAULT
#undef H5S_ALL
#undef H5T_VARIABLE
#undef H5P_CRT_ORDER_TRACKED
#undef H5P_CRT_ORDER_INDEXED

// A conversion that leaves a file's references to variable-length texts as they are stored: length, address and index of
// an object in the global heap.
static inline herr_t lockstep_keep_references(
  hid_t source, hid_t destination, H5T_cdata_t *data, size_t count, size_t stride, size_t background_stride, void *values,
  void *background, hid_t transfer) {
  (void)count, (void)stride, (void)background_stride, (void)values, (void)background, (void)transfer;
  if (data->command != H5T_CONV_INIT) return 0;
  data->need_bkg = H5T_BKG_NO;
  return H5Tis_variable_str(source) > 0 && H5Tget_size(destination) == H5Tget_size(source) ? 0 : -1;
}

// The memory type that is read with that conversion, for files whose addresses have eight bytes; negative if it can't be
// made. To be called once.
static inline hid_t lockstep_make_reference_type(void) {
  hid_t texts = H5Tcopy(H5T_C_S1), references = H5Tcreate(H5T_OPAQUE, 16);
  if (texts < 0 || references < 0 || H5Tset_size(texts, (size_t)-1) < 0 ||
      H5Tset_tag(references, "reference to the global heap") < 0 ||
      H5Tregister(H5T_PERS_SOFT, "references", texts, references, lockstep_keep_references) < 0)
    return -1;
  H5Tclose(texts);
  return references;
}

// H5Pset_file_locking came with 1.10.7 and 1.12.1; before, only the environment variable HDF5_USE_FILE_LOCKING decides.
static inline herr_t lockstep_H5Pdisable_file_locking(hid_t file_access) {
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
  return H5Pset_file_locking(file_access, 0, 1);
#else
  (void)file_access;
  return 0;
#endif
}

// The class of a link: H5L_TYPE_HARD and the like as a number, H5L_TYPE_ERROR where there is no such link. H5Lget_info
// got another structure in 1.12, and the old one may be configured away.
static inline int lockstep_link_class(hid_t group, const char *name) {
#if H5_VERSION_GE(1, 12, 0)
  H5L_info2_t info;
  return H5Lget_info2(group, name, &info, lockstep_H5P_DEFAULT()) < 0 ? (int)H5L_TYPE_ERROR : (int)info.type;
#else
  H5L_info_t info;
  return H5Lget_info(group, name, &info, lockstep_H5P_DEFAULT()) < 0 ? (int)H5L_TYPE_ERROR : (int)info.type;
#endif
}
