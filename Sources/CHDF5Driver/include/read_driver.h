#ifndef LOCKSTEP_READ_DRIVER_H
#define LOCKSTEP_READ_DRIVER_H

#include <hdf5.h>

// Makes files that are opened with these access properties be read by the driver of read_driver.c; negative if the library
// refuses it. The caller holds the library's lock.
herr_t lockstep_use_read_driver(hid_t access);

#endif
