#ifndef LOCKSTEP_CPROGRAM_H
#define LOCKSTEP_CPROGRAM_H

#include <stddef.h>

/// Copies the linker's build id of the running executable to `bytes`. Returns its length, which may exceed `capacity`;
/// 0 where the linker left none.
size_t lockstep_build_id(unsigned char *bytes, size_t capacity);

/// The C library that the process runs with, such as "glibc 2.36".
const char *lockstep_libc_version(void);

/// The path that the executable was started by; NULL where the system does not tell.
const char *lockstep_executable_path(void);

#endif
