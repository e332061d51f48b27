/* A file system without locks, such as some network file systems: loaded with LD_PRELOAD. */
#include <errno.h>

int flock(int fd, int operation) {
    (void)fd;
    (void)operation;
    errno = ENOLCK;
    return -1;
}
