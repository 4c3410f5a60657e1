// What the C library declares for GNU sources only, where Swift does not see it: anonymous files (glibc 2.27), and the
// processors that a thread may run on.
#ifndef LOCKSTEP_LINUX_SHIM_H
#define LOCKSTEP_LINUX_SHIM_H

#include <sched.h>
#include <sys/types.h>

int memfd_create(const char *name, unsigned int flags);

enum { LS_MFD_CLOEXEC = 1 };

int sched_getaffinity(pid_t thread, size_t size, cpu_set_t *set);
int sched_setaffinity(pid_t thread, size_t size, const cpu_set_t *set);

#endif
