// What the C library declares for GNU sources only, where Swift does not see it: anonymous files (glibc 2.27), the
// processors that a thread may run on, and descriptors of processes.
#ifndef LOCKSTEP_LINUX_SHIM_H
#define LOCKSTEP_LINUX_SHIM_H

#include <sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

int pipe2(int ends[2], int flags);

int memfd_create(const char *name, unsigned int flags);

enum { LS_MFD_CLOEXEC = 1 };

// glibc 2.28
int renameat2(int old_directory, const char *old_name, int new_directory, const char *new_name, unsigned int flags);

enum { LS_RENAME_NOREPLACE = 1, LS_RENAME_EXCHANGE = 2 };

int sched_getaffinity(pid_t thread, size_t size, cpu_set_t *set);
int sched_setaffinity(pid_t thread, size_t size, const cpu_set_t *set);

// A descriptor that can be read once the process has ended (Linux 5.3); -1 where there is none.
long syscall(long number, ...);
static inline int ls_pidfd_open(pid_t process) {
#ifdef SYS_pidfd_open
  return (int)syscall(SYS_pidfd_open, process, 0);
#else
  return (int)syscall(434, process, 0);
#endif
}

#endif
