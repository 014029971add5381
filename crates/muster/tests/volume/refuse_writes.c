/* Makes a folder read-only beneath a program that runs, and writable again: writes below MUSTER_VOLUME are refused with
   EROFS for as long as the file MUSTER_VOLUME_IS_READ_ONLY is there. A mount cannot do that to files that are open: only a
   file system does it by itself, when it or its server finds a fault. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_below(const char *path) {
    const char *volume = getenv("MUSTER_VOLUME"), *sign = getenv("MUSTER_VOLUME_IS_READ_ONLY");
    return volume && sign && strncmp(path, volume, strlen(volume)) == 0 && access(sign, F_OK) == 0;
}

static int refuses(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!is_below(path)) return 0;
    errno = EROFS;
    return 1;
}

ssize_t write(int fd, const void *from, size_t count) {
    return refuses(fd) ? -1 : syscall(SYS_write, fd, from, count);
}

ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
    return refuses(fd) ? -1 : syscall(SYS_pwrite64, fd, from, count, at);
}

ssize_t pwrite(int fd, const void *from, size_t count, off_t at) { return pwrite64(fd, from, count, at); }

int ftruncate64(int fd, off64_t length) { return refuses(fd) ? -1 : syscall(SYS_ftruncate, fd, length); }

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && is_below(path)) {
        errno = EROFS;
        return -1;
    }
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
