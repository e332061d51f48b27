/* A network file system, as one of the machines that mount it sees it: loaded with LD_PRELOAD.
 *
 * NETWORK_FOLDER what lies on it; NETWORK_DEVICE its device number (the minor part) on this machine; NETWORK_MOUNTS a
 * file that stands for /proc/self/mountinfo. NETWORK_LOG a file that gets the path of each file of it that is read.
 * NETWORK_FAULT stale or broken: reading a file whose path ends in NETWORK_AT fails NETWORK_TIMES times.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long n_faults;

static int is_of_folder(const char *path) {
    const char *folder = getenv("NETWORK_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_of_folder(path);
}

/* Whether reading this file fails now. */
static int fails(int fd) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return 0;
    const char *log = getenv("NETWORK_LOG"), *fault = getenv("NETWORK_FAULT"), *at = getenv("NETWORK_AT");
    if (log) {
        int to = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        dprintf(to, "%s\n", path);
        close(to);
    }
    if (!fault || !at || strlen(path) < strlen(at) || strcmp(path + strlen(path) - strlen(at), at) != 0) return 0;
    if (atomic_fetch_add(&n_faults, 1) >= atol(getenv("NETWORK_TIMES"))) return 0;
    errno = strcmp(fault, "stale") == 0 ? ESTALE : EIO;
    return 1;
}

ssize_t read(int fd, void *buffer, size_t bytes) {
    return fails(fd) ? -1 : syscall(SYS_read, fd, buffer, bytes);
}

ssize_t pread64(int fd, void *buffer, size_t bytes, off_t offset) {
    return fails(fd) ? -1 : syscall(SYS_pread64, fd, buffer, bytes, offset);
}

int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict found) {
    int result = (int)syscall(SYS_statx, folder, path, flags, mask, found);
    const char *device = getenv("NETWORK_DEVICE");
    char opened[PATH_MAX];
    /* Callers ask with neither path nor place whether the kernel has this call at all. */
    if (result != 0 || !device) return result;
    if (*path ? is_of_folder(path) : path_of(folder, opened)) {
        found->stx_dev_major = 0;
        found->stx_dev_minor = (unsigned)atoi(device);
    }
    return result;
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    const char *mounts = getenv("NETWORK_MOUNTS");
    if (mounts && strcmp(path, "/proc/self/mountinfo") == 0) path = mounts;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
