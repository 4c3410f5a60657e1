// A disk that fails on demand: loaded with LD_PRELOAD, it answers chosen calls of the C library on paths below one
// directory in the kernel's stead. Tests set, in the environment:
//
//   LOCKSTEP_FAULT_UNDER   the directory, absolute and without symbolic links
//   LOCKSTEP_FAULT_CALLS   groups of calls, separated by commas (the names in `group_names`), or "all"
//   LOCKSTEP_FAULT_AT      the first call that is answered, from 1
//   LOCKSTEP_FAULT_TIMES   how many calls are answered; 0 for all from there on
//   LOCKSTEP_FAULT_ANSWER  the errno, a number; or "short" (a write of half the bytes), "stop" or "kill" (the process gets
//                          SIGSTOP or SIGKILL, and the call is made)
//   LOCKSTEP_FAULT_TRACE   a file that gets a line for each call that counts
//
// Without LOCKSTEP_FAULT_UNDER all calls pass.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum group { CREATE, OPEN, READ, WRITE, TRUNCATE, SYNC, SYNC_DIRECTORY, CLOSE, RENAME, LINK, SYMLINK, UNLINK, MKDIR, LOCK, GROUPS };

static const char *const group_names[GROUPS] = {
  "create", "open", "read", "write", "truncate", "sync", "sync-directory", "close", "rename", "link", "symlink", "unlink",
  "mkdir", "lock",
};

enum answer { PASS, FAIL, SHORT };

static char under[PATH_MAX];
static size_t under_length;
static int chosen[GROUPS];
static long first_call, answered_calls;
static int answer_errno;
static int answer_signal;
static int answers_short;
static int trace = -1;
static atomic_long calls;

__attribute__((constructor)) static void set_up(void) {
  const char *directory = getenv("LOCKSTEP_FAULT_UNDER");
  if (!directory || strlen(directory) >= sizeof under) return;
  const char *names = getenv("LOCKSTEP_FAULT_CALLS"), *at = getenv("LOCKSTEP_FAULT_AT");
  const char *times = getenv("LOCKSTEP_FAULT_TIMES"), *answer = getenv("LOCKSTEP_FAULT_ANSWER");
  const char *trace_path = getenv("LOCKSTEP_FAULT_TRACE");
  for (int group = 0; group < GROUPS; group++) {
    size_t length = strlen(group_names[group]);
    for (const char *name = names; name && *name; name += strcspn(name, ","), name += *name == ',')
      if (!strcmp(names, "all") || (strcspn(name, ",") == length && !strncmp(name, group_names[group], length)))
        chosen[group] = 1;
  }
  first_call = at ? atol(at) : 0;
  answered_calls = times ? atol(times) : 1;
  if (answer) {
    answers_short = !strcmp(answer, "short");
    answer_signal = !strcmp(answer, "stop") ? SIGSTOP : !strcmp(answer, "kill") ? SIGKILL : 0;
    answer_errno = atoi(answer);
  }
  if (trace_path) trace = (int)syscall(SYS_openat, AT_FDCWD, trace_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  strcpy(under, directory);
  under_length = strlen(directory); // last, since it switches the rest on
}

static int is_under(const char *path) {
  return !strncmp(path, under, under_length) && (path[under_length] == '/' || path[under_length] == 0);
}

/// What becomes of one call.
static enum answer decide(enum group group, const char *path) {
  if (!is_under(path)) return PASS;
  if (trace >= 0) {
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s %s\n", group_names[group], path);
    if (length > 0) syscall(SYS_write, trace, line, (size_t)length);
  }
  if (!chosen[group] || first_call == 0) return PASS;
  long call = atomic_fetch_add(&calls, 1) + 1;
  if (call < first_call || (answered_calls != 0 && call >= first_call + answered_calls)) return PASS;
  if (answer_signal) kill(getpid(), answer_signal);
  if (answers_short) return SHORT;
  return answer_errno ? FAIL : PASS;
}

static enum answer at_path(enum group group, int directory, const char *path) {
  if (under_length == 0 || !path) return PASS;
  int saved = errno;
  char whole[2 * PATH_MAX];
  if (path[0] == '/') {
    snprintf(whole, sizeof whole, "%s", path);
  } else {
    char base[PATH_MAX];
    if (directory == AT_FDCWD) {
      if (syscall(SYS_getcwd, base, sizeof base) < 0) base[0] = 0;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
      ssize_t length = readlink(link, base, sizeof base - 1);
      base[length > 0 ? length : 0] = 0;
    }
    snprintf(whole, sizeof whole, "%s/%s", base, !strncmp(path, "./", 2) ? path + 2 : path);
  }
  enum answer answer = decide(group, whole);
  errno = answer == FAIL ? answer_errno : saved;
  return answer;
}

static enum answer at_descriptor(enum group group, int descriptor) {
  if (under_length == 0) return PASS;
  int saved = errno;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  enum answer answer = PASS;
  if (length > 0) {
    path[length] = 0;
    struct stat status;
    if (group == SYNC && fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) group = SYNC_DIRECTORY;
    answer = decide(group, path);
  }
  errno = answer == FAIL ? answer_errno : saved;
  return answer;
}

// Finds the library's own function under the same name.
#define REAL(name)                                                                                                           \
  static __typeof__(&name) real;                                                                                             \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

// MARK: Opening

#define OPENING(flags) ((flags) & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC) ? CREATE : OPEN)
#define MODE_OF(flags)                                                                                                       \
  mode_t mode = 0;                                                                                                           \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                                     \
    va_list list;                                                                                                            \
    va_start(list, flags);                                                                                                   \
    mode = va_arg(list, mode_t);                                                                                             \
    va_end(list);                                                                                                            \
  }

int open(const char *path, int flags, ...) {
  MODE_OF(flags)
  REAL(open);
  return at_path(OPENING(flags), AT_FDCWD, path) == FAIL ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE_OF(flags)
  REAL(open64);
  return at_path(OPENING(flags), AT_FDCWD, path) == FAIL ? -1 : real(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
  MODE_OF(flags)
  REAL(openat);
  return at_path(OPENING(flags), directory, path) == FAIL ? -1 : real(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
  MODE_OF(flags)
  REAL(openat64);
  return at_path(OPENING(flags), directory, path) == FAIL ? -1 : real(directory, path, flags, mode);
}

// MARK: Bytes

#define HALF(count) ((count) > 1 ? (count) / 2 : (count))

ssize_t read(int descriptor, void *bytes, size_t count) {
  REAL(read);
  return at_descriptor(READ, descriptor) == FAIL ? -1 : real(descriptor, bytes, count);
}

ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
  REAL(pread);
  return at_descriptor(READ, descriptor) == FAIL ? -1 : real(descriptor, bytes, count, offset);
}

ssize_t pread64(int descriptor, void *bytes, size_t count, off64_t offset) {
  REAL(pread64);
  return at_descriptor(READ, descriptor) == FAIL ? -1 : real(descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
  REAL(write);
  enum answer answer = at_descriptor(WRITE, descriptor);
  return answer == FAIL ? -1 : real(descriptor, bytes, answer == SHORT ? HALF(count) : count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  REAL(pwrite);
  enum answer answer = at_descriptor(WRITE, descriptor);
  return answer == FAIL ? -1 : real(descriptor, bytes, answer == SHORT ? HALF(count) : count, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
  REAL(pwrite64);
  enum answer answer = at_descriptor(WRITE, descriptor);
  return answer == FAIL ? -1 : real(descriptor, bytes, answer == SHORT ? HALF(count) : count, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  REAL(writev);
  return at_descriptor(WRITE, descriptor) == FAIL ? -1 : real(descriptor, parts, count);
}

int ftruncate(int descriptor, off_t length) {
  REAL(ftruncate);
  return at_descriptor(TRUNCATE, descriptor) == FAIL ? -1 : real(descriptor, length);
}

int ftruncate64(int descriptor, off64_t length) {
  REAL(ftruncate64);
  return at_descriptor(TRUNCATE, descriptor) == FAIL ? -1 : real(descriptor, length);
}

int fsync(int descriptor) {
  REAL(fsync);
  return at_descriptor(SYNC, descriptor) == FAIL ? -1 : real(descriptor);
}

int fdatasync(int descriptor) {
  REAL(fdatasync);
  return at_descriptor(SYNC, descriptor) == FAIL ? -1 : real(descriptor);
}

// A descriptor is gone after close, whatever it answers.
int close(int descriptor) {
  REAL(close);
  enum answer answer = at_descriptor(CLOSE, descriptor);
  int status = real(descriptor);
  if (answer != FAIL) return status;
  errno = answer_errno;
  return -1;
}

// MARK: Names

int rename(const char *from, const char *to) {
  REAL(rename);
  return at_path(RENAME, AT_FDCWD, to) == FAIL ? -1 : real(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  REAL(renameat);
  return at_path(RENAME, to_directory, to) == FAIL ? -1 : real(from_directory, from, to_directory, to);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned int flags) {
  REAL(renameat2);
  return at_path(RENAME, to_directory, to) == FAIL ? -1 : real(from_directory, from, to_directory, to, flags);
}

int link(const char *from, const char *to) {
  REAL(link);
  return at_path(LINK, AT_FDCWD, to) == FAIL ? -1 : real(from, to);
}

int symlink(const char *target, const char *path) {
  REAL(symlink);
  return at_path(SYMLINK, AT_FDCWD, path) == FAIL ? -1 : real(target, path);
}

int unlink(const char *path) {
  REAL(unlink);
  return at_path(UNLINK, AT_FDCWD, path) == FAIL ? -1 : real(path);
}

int unlinkat(int directory, const char *path, int flags) {
  REAL(unlinkat);
  return at_path(UNLINK, directory, path) == FAIL ? -1 : real(directory, path, flags);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  return at_path(MKDIR, AT_FDCWD, path) == FAIL ? -1 : real(path, mode);
}

int mkdirat(int directory, const char *path, mode_t mode) {
  REAL(mkdirat);
  return at_path(MKDIR, directory, path) == FAIL ? -1 : real(directory, path, mode);
}

int flock(int descriptor, int operation) {
  REAL(flock);
  return at_descriptor(LOCK, descriptor) == FAIL ? -1 : real(descriptor, operation);
}
