/* Counts the calls that change files below a folder; at a given one it kills the process or lets the disk be full.
 *
 * FAULT_FOLDER the folder; FAULT_LOG a file that gets a line for each call: its number, '!' where it was disturbed,
 * the call and the paths. FAULT_MODE count, kill-before, kill-after, cut (the power, before it), stop (before it), full (from the call
 * on) or full-once; FAULT_AT the number of the call, from 1. In the modes of a full disk only calls that need space count.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
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

#include "cut.h"

enum mode { OFF, COUNT, KILL_BEFORE, KILL_AFTER, CUT, STOP, FULL, FULL_ONCE };

static enum mode mode = OFF;
static const char *folder;
static long fault_at;
static int log_fd = -1;
static atomic_long n_calls;

static ssize_t raw_write(int fd, const void *buffer, size_t bytes) { return syscall(SYS_write, fd, buffer, bytes); }

__attribute__((constructor)) static void begin(void) {
    static const char *const names[] = {"off", "count", "kill-before", "kill-after", "cut", "stop", "full", "full-once"};
    const char *wanted = getenv("FAULT_MODE"), *at = getenv("FAULT_AT"), *log = getenv("FAULT_LOG");
    folder = getenv("FAULT_FOLDER");
    if (!wanted || !folder || !log) return;
    fault_at = at ? atol(at) : 0;
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    for (int i = COUNT; i <= FULL_ONCE; i++)
        if (strcmp(wanted, names[i]) == 0) mode = i;
    if (mode == CUT) nftw(folder, note_old, 16, FTW_PHYS);
}

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return path && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_full_disk(void) { return mode == FULL || mode == FULL_ONCE; }

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static void note(long number, int disturbed, const char *call, const char *path, const char *more) {
    char line[3 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%ld%s\t%s\t%s%s%s\n", number, disturbed ? "!" : "", call, path,
                          more ? "\t" : "", more ? more : "");
    raw_write(log_fd, line, (size_t)length);
}

/* Returns the number of the call, 0 for one that does not count, -1 for one that fails. */
static long enter(const char *call, const char *path, const char *more, int needs_space) {
    if (mode == OFF || (is_full_disk() && !needs_space) || !(is_below(path) || is_below(more))) return 0;
    long number = atomic_fetch_add(&n_calls, 1) + 1;
    int disturbed = mode == FULL ? number >= fault_at : mode != COUNT && number == fault_at;
    note(number, disturbed, call, path, more);
    if (disturbed && mode == CUT) cut_power(folder);
    if (disturbed && (mode == KILL_BEFORE || mode == CUT)) die();
    if (disturbed && mode == STOP) syscall(SYS_kill, getpid(), SIGSTOP);
    if (!disturbed || !is_full_disk()) return number;
    errno = ENOSPC;
    return -1;
}

static void leave(long number) {
    if (mode == KILL_AFTER && number == fault_at) die();
}

/* The path of an open file; empty if it has none. */
static void path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

/* For a call that writes to an open file. */
static long enter_fd(const char *call, int fd) {
    char path[PATH_MAX];
    if (mode == OFF) return 0;
    path_of(fd, path);
    long number = enter(call, path, NULL, 1);
    if (mode == CUT && number > 0) note_changed(fd);
    return number;
}

/* The definition of a call that behaves as the system's but for counting and faults. */
#define INTERPOSE(type, name, parameters, arguments, entered)        \
    type name parameters {                                           \
        static type(*real) parameters;                               \
        if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
        long number = entered;                                       \
        if (number < 0) return -1;                                   \
        type result = real arguments;                                \
        int error = errno;                                           \
        leave(number);                                               \
        errno = error;                                               \
        return result;                                               \
    }

INTERPOSE(int, mkdir, (const char *path, mode_t bits), (path, bits), enter("mkdir", path, NULL, 1))
INTERPOSE(int, unlink, (const char *path), (path), enter("unlink", path, NULL, 0))
INTERPOSE(int, link, (const char *from, const char *to), (from, to), enter("link", from, to, 1))
INTERPOSE(int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags),
          enter("linkat", from, to, 1))
INTERPOSE(int, ftruncate64, (int fd, off64_t bytes), (fd, bytes), enter_fd("ftruncate", fd))
INTERPOSE(ssize_t, write, (int fd, const void *buffer, size_t bytes), (fd, buffer, bytes), enter_fd("write", fd))
INTERPOSE(ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n), enter_fd("writev", fd))
INTERPOSE(ssize_t, pwrite64, (int fd, const void *buffer, size_t bytes, off64_t at), (fd, buffer, bytes, at),
          enter_fd("pwrite", fd))
INTERPOSE(ssize_t, copy_file_range, (int in, off64_t *at_in, int out, off64_t *at_out, size_t bytes, unsigned flags),
          (in, at_in, out, at_out, bytes, flags), enter_fd("copy_file_range", out))
INTERPOSE(ssize_t, sendfile64, (int out, int in, off64_t *at, size_t bytes), (out, in, at, bytes),
          enter_fd("sendfile", out))

int rename(const char *from, const char *to) {
    long number = enter("rename", from, to, 1);
    if (number < 0) return -1;
    int result = (int)syscall(SYS_rename, from, to), error = errno;
    if (mode == CUT && number > 0 && result == 0) note_renamed(from, to);
    leave(number);
    errno = error;
    return result;
}

static int sync_fd(const char *call, int fd, long system_call) {
    char path[PATH_MAX];
    path_of(fd, path);
    long number = enter(call, path, NULL, 1);
    if (number < 0) return -1;
    int result = (int)syscall(system_call, fd), error = errno;
    if (mode == CUT && number > 0 && result == 0) note_synced(fd, path);
    leave(number);
    errno = error;
    return result;
}

int fsync(int fd) { return sync_fd("fsync", fd, SYS_fsync); }

int fdatasync(int fd) { return sync_fd("fdatasync", fd, SYS_fdatasync); }

/* Only an open that makes a new file counts. */
int open64(const char *path, int flags, ...) {
    mode_t bits = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        bits = va_arg(rest, mode_t);
        va_end(rest);
    }
    struct stat there;
    int makes = (flags & O_CREAT) && mode != OFF && stat(path, &there) != 0;
    long number = makes ? enter("open", path, NULL, 1) : 0;
    if (number < 0) return -1;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, bits);
    int error = errno;
    if (mode == CUT && number > 0 && fd >= 0) note_changed(fd);
    leave(number);
    errno = error;
    return fd;
}

/* Only the removal of a file by its whole path counts; the rest of a folder's removal is like it. */
int unlinkat(int at, const char *path, int flags) {
    long number = enter("unlinkat", path, NULL, 0);
    int result = (int)syscall(SYS_unlinkat, at, path, flags);
    int error = errno;
    leave(number);
    errno = error;
    return result;
}
