// Linux's anonymous files (glibc 2.27), which the C library declares for GNU sources only: Swift does not see them.
#ifndef LOCKSTEP_MEMORY_SHIM_H
#define LOCKSTEP_MEMORY_SHIM_H

int memfd_create(const char *name, unsigned int flags);

enum { LS_MFD_CLOEXEC = 1 };

#endif
