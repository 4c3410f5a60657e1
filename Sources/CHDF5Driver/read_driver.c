// How HDF5 reads files here: with pread, and with nothing in between.
//
// The library's own drivers let it gather metadata in an accumulator. In HDF5 1.10 that computes with the addresses of a
// damaged file before it checks them: one near 2^64 wraps around, and memory is copied that is not there. A driver of our
// own can refuse the accumulator, and addresses outside of the file. Files are written with the library's driver.
#include "read_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  H5FD_t shared; // the library's part, which comes first
  int descriptor;
  haddr_t end_of_addresses;
  haddr_t size;
  dev_t device;
  ino_t inode;
} reading_file;

// The reason stands between the same marks as in the library's own drivers.
static herr_t refuse(hid_t minor, const char *what) {
  H5Epush2(H5E_DEFAULT, __FILE__, "lockstep_read_driver", __LINE__, H5E_ERR_CLS, H5E_IO, minor, "%s, error message = '%s'", what,
           strerror(errno));
  return -1;
}

static H5FD_t *open_file(const char *name, unsigned flags, hid_t access, haddr_t largest) {
  (void)access, (void)largest;
  if (flags & (H5F_ACC_RDWR | H5F_ACC_CREAT | H5F_ACC_TRUNC)) return NULL;
  struct stat status;
  int descriptor = open(name, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || fstat(descriptor, &status) < 0) {
    refuse(H5E_CANTOPENFILE, "unable to open file");
    if (descriptor >= 0) close(descriptor);
    return NULL;
  }
  reading_file *file = calloc(1, sizeof *file);
  if (!file) {
    close(descriptor);
    return NULL;
  }
  file->descriptor = descriptor;
  file->size = (haddr_t)status.st_size;
  file->device = status.st_dev;
  file->inode = status.st_ino;
  return &file->shared;
}

static herr_t close_file(H5FD_t *shared) {
  reading_file *file = (reading_file *)shared;
  close(file->descriptor);
  free(file);
  return 0;
}

static int compare(const H5FD_t *one, const H5FD_t *other) {
  const reading_file *a = (const reading_file *)one, *b = (const reading_file *)other;
  if (a->device != b->device) return a->device < b->device ? -1 : 1;
  return a->inode == b->inode ? 0 : a->inode < b->inode ? -1 : 1;
}

static herr_t query(const H5FD_t *shared, unsigned long *features) {
  (void)shared;
  // Neither an accumulator of metadata nor a sieve buffer of data: both compute with addresses before they check them.
  *features = H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

static haddr_t end_of_addresses(const H5FD_t *shared, H5FD_mem_t type) {
  (void)type;
  return ((const reading_file *)shared)->end_of_addresses;
}

static herr_t set_end_of_addresses(H5FD_t *shared, H5FD_mem_t type, haddr_t address) {
  (void)type;
  ((reading_file *)shared)->end_of_addresses = address;
  return 0;
}

static haddr_t end_of_file(const H5FD_t *shared, H5FD_mem_t type) {
  (void)type;
  return ((const reading_file *)shared)->size;
}

static herr_t handle(H5FD_t *shared, hid_t access, void **place) {
  (void)access;
  *place = &((reading_file *)shared)->descriptor;
  return 0;
}

// What lies behind the end of the file is zero, as in the library's own drivers, but it must begin inside.
static herr_t read_bytes(H5FD_t *shared, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t count, void *bytes) {
  (void)type, (void)transfer;
  const reading_file *file = (const reading_file *)shared;
  if (address > file->size || count > (size_t)-1 / 2) {
    errno = EINVAL;
    return refuse(H5E_READERROR, "an address outside of the file");
  }
  char *next = bytes;
  while (count > 0) {
    ssize_t got = pread(file->descriptor, next, count, (off_t)address);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refuse(H5E_READERROR, "file read failed");
    if (got == 0) {
      memset(next, 0, count);
      break;
    }
    next += got;
    address += (haddr_t)got;
    count -= (size_t)got;
  }
  return 0;
}

static herr_t write_bytes(H5FD_t *shared, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t count, const void *bytes) {
  (void)shared, (void)type, (void)transfer, (void)address, (void)count, (void)bytes;
  errno = EBADF;
  return refuse(H5E_WRITEERROR, "open for reading");
}

static const H5FD_class_t driver = {
#ifdef H5FD_CLASS_VERSION
  .version = H5FD_CLASS_VERSION,
  .value = 613, // of the range for tests and own use
#endif
  .name = "lockstep_read",
  .maxaddr = ((haddr_t)1 << 62) - 1,
  .fc_degree = H5F_CLOSE_WEAK,
  .open = open_file,
  .close = close_file,
  .cmp = compare,
  .query = query,
  .get_eoa = end_of_addresses,
  .set_eoa = set_end_of_addresses,
  .get_eof = end_of_file,
  .get_handle = handle,
  .read = read_bytes,
  .write = write_bytes,
  .fl_map = H5FD_FLMAP_DICHOTOMY,
};

herr_t lockstep_use_read_driver(hid_t access) {
  static hid_t identifier = -1; // the caller holds the one lock of the library
  if (identifier < 0) identifier = H5FDregister(&driver);
  return identifier < 0 ? -1 : H5Pset_driver(access, identifier, NULL);
}
