/* Preloaded into a process, it takes down every change to the files of one folder, in order, for a replay that is cut anywhere.
 *
 * POWER_CUT_FOLDER  the folder; POWER_CUT_LOG  where to write. A record is: kind (1), length of the path (2), offset (8), length of the
 * data (4), path, data; numbers in the machine's order. Kinds: W write, T truncate (offset is the new size), S sync, U unlink.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int log_fd = -1;

static void put(const void *data, size_t size) {
    while (size > 0) {
        long done = syscall(SYS_write, log_fd, data, size);
        if (done <= 0) abort();
        data = (const char *)data + done;
        size -= (size_t)done;
    }
}

static int is_ours(const char *path) {
    const char *folder = getenv("POWER_CUT_FOLDER");
    size_t length = folder ? strlen(folder) : 0;
    size_t whole = strlen(path);
    return length && strncmp(path, folder, length) == 0 && !(whole > 4 && strcmp(path + whole - 4, "-shm") == 0);
}

static void record_path(char kind, const char *path, int64_t offset, const void *data, uint32_t size) {
    if (!is_ours(path)) return;
    if (log_fd < 0) log_fd = (int)syscall(SYS_openat, AT_FDCWD, getenv("POWER_CUT_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    uint16_t length = (uint16_t)strlen(path);
    put(&kind, 1);
    put(&length, 2);
    put(&offset, 8);
    put(&size, 4);
    put(path, length);
    put(data, size);
}

static void record(char kind, int fd, int64_t offset, const void *data, uint32_t size) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = 0;
    record_path(kind, path, offset, data, size);
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_write, fd, data, size);
    if (done > 0 && at >= 0) record('W', fd, at, data, (uint32_t)done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    ssize_t done = REAL(ssize_t, pwrite, int, const void *, size_t, off_t)(fd, data, size, at);
    if (done > 0) record('W', fd, at, data, (uint32_t)done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    ssize_t done = REAL(ssize_t, pwrite64, int, const void *, size_t, off_t)(fd, data, size, at);
    if (done > 0) record('W', fd, at, data, (uint32_t)done);
    return done;
}

int ftruncate(int fd, off_t size) {
    int failed = REAL(int, ftruncate, int, off_t)(fd, size);
    if (!failed) record('T', fd, size, "", 0);
    return failed;
}

int ftruncate64(int fd, off_t size) {
    int failed = REAL(int, ftruncate64, int, off_t)(fd, size);
    if (!failed) record('T', fd, size, "", 0);
    return failed;
}

int fsync(int fd) {
    int failed = REAL(int, fsync, int)(fd);
    if (!failed) record('S', fd, 0, "", 0);
    return failed;
}

int fdatasync(int fd) {
    int failed = REAL(int, fdatasync, int)(fd);
    if (!failed) record('S', fd, 0, "", 0);
    return failed;
}

int unlink(const char *path) {
    int failed = REAL(int, unlink, const char *)(path);
    if (!failed) record_path('U', path, 0, "", 0);
    return failed;
}
