/* Half a second of waiting for each shard, so that workers beside each other need no processor of their own: loaded with
 * LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, int) : 0;
    va_end(arguments);
    const char *name = strrchr(path, '/');
    if (name && !strcmp(name, "/shard") && flags & O_CREAT) {
        struct timespec half = {0, 500000000};
        nanosleep(&half, 0);
    }
    return real(path, flags, mode);
}
