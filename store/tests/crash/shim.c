/* Records what a process asks the file system to do, for replaying a power cut at any point, and
 * fails chosen calls. Loaded with LD_PRELOAD by tests/crash/process.rs.
 *
 * STORE_SHIM_ROOT    only files below this directory are looked at
 * STORE_SHIM_RECORD  where the record goes; absent = record nothing
 * STORE_SHIM_FAULT   CLASS:NTH:ERRNO, CLASS = write | sync | short | hang; from the NTH call of the
 *                    class on, every one fails ("short": a write of half the bytes, then ENOSPC;
 *                    "hang": a sync that never comes back)
 * STORE_SHIM_JITTER_US  hold every call up at random, up to that long, so that threads overtake
 *                    each other as on a loaded machine
 *
 * A record is: op (1 byte), fd (i32), a (u64), b (u64), length of text (u32), text, length of data
 * (u32), data; numbers in host order. Calls are recorded after they succeeded, one at a time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 1024
#define REAL(name) ((__typeof__(&name))real(#name))

enum { OP_OPEN = 1, OP_WRITE, OP_TRUNCATE, OP_RENAME, OP_UNLINK, OP_MKDIR, OP_SYNC, OP_RANGE, OP_ACK };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char tracked[FDS_MAX];
static int record_fd = -1;
static char root[4096];
static int fault_errno, fault_class;
static long fault_nth, calls_write, calls_sync;
static int started;
static long jitter_us;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void start(void) {
    if (started) return;
    started = 1;
    const char *value = getenv("STORE_SHIM_ROOT");
    if (value) snprintf(root, sizeof root, "%s", value);
    value = getenv("STORE_SHIM_RECORD");
    if (value) record_fd = REAL(open)(value, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    value = getenv("STORE_SHIM_JITTER_US");
    if (value) jitter_us = atol(value);
    value = getenv("STORE_SHIM_FAULT");
    char class[16];
    if (value && sscanf(value, "%15[a-z]:%ld:%d", class, &fault_nth, &fault_errno) == 3)
        fault_class = class[1] == 'r' ? 'w' : class[1] == 'y' ? 's' : class[0] == 's' ? 'h' : 'n';
}

static int below_root(const char *path) {
    size_t length = strlen(root);
    return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static int is_tracked(int fd) { return fd >= 0 && fd < FDS_MAX && tracked[fd]; }

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t n = REAL(write)(record_fd, at, length);
        if (n <= 0) abort();
        at += n;
        length -= n;
    }
}

static void record(char op, int32_t fd, uint64_t a, uint64_t b, const char *text, const void *data,
                   uint32_t data_length) {
    if (record_fd < 0) return;
    int saved = errno;
    char head[1 + 4 + 8 + 8 + 4];
    uint32_t text_length = text ? strlen(text) : 0;
    head[0] = op;
    memcpy(head + 1, &fd, 4);
    memcpy(head + 5, &a, 8);
    memcpy(head + 13, &b, 8);
    memcpy(head + 21, &text_length, 4);
    put(head, sizeof head);
    put(text, text_length);
    put(&data_length, 4);
    put(data, data_length);
    errno = saved;
}

/* 1: fail now; 2: write half now; 3: never come back. */
static int fault(char class) {
    if (!fault_class) return 0;
    long *calls = class == 's' ? &calls_sync : &calls_write;
    ++*calls;
    if (fault_class == 's' || fault_class == 'n' ? class != 's' : class != 'w') return 0;
    if (*calls < fault_nth) return 0;
    if (fault_class == 'n') return 3;
    if (fault_class == 'h' && *calls == fault_nth) return 2;
    errno = fault_errno;
    return 1;
}

/* Half of the calls go straight on. */
static void jitter(void) {
    static __thread unsigned int seed;
    if (!jitter_us) return;
    if (!seed) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        seed = now.tv_nsec | 1;
    }
    if (rand_r(&seed) & 1) usleep(rand_r(&seed) % jitter_us);
}

#define LOCKED jitter(); pthread_mutex_lock(&lock); start()
#define UNLOCK pthread_mutex_unlock(&lock)

static int opened(int fd, const char *path, int flags) {
    if (fd >= 0 && fd < FDS_MAX) {
        tracked[fd] = below_root(path);
        if (tracked[fd]) record(OP_OPEN, fd, flags, 0, path, NULL, 0);
    }
    return fd;
}

static int do_open(const char *name, int dir, const char *path, int flags, mode_t mode) {
    LOCKED;
    int (*call)(int, const char *, int, ...) = real(name);
    int fd = opened(call(dir, path, flags, mode), path, flags);
    UNLOCK;
    return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | __O_TMPFILE)) { \
    va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *path, int flags, ...) { MODE return do_open("openat", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return do_open("openat64", AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE return do_open("openat", dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE return do_open("openat64", dir, path, flags, mode); }

int close(int fd) {
    LOCKED;
    if (fd >= 0 && fd < FDS_MAX) tracked[fd] = 0;
    int result = REAL(close)(fd);
    UNLOCK;
    return result;
}

static ssize_t do_write(int fd, const void *bytes, size_t length, off64_t offset) {
    int kind = fault('w');
    if (kind == 1) return -1;
    if (kind == 2 && length > 1) length /= 2;
    ssize_t n = offset < 0 ? REAL(write)(fd, bytes, length) : REAL(pwrite64)(fd, bytes, length, offset);
    if (n > 0) {
        if (offset < 0) offset = lseek64(fd, 0, SEEK_CUR) - n;
        record(OP_WRITE, fd, offset, 0, NULL, bytes, n);
    }
    return n;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    LOCKED;
    ssize_t n;
    if (is_tracked(fd)) {
        n = do_write(fd, bytes, length, -1);
    } else {
        n = REAL(write)(fd, bytes, length);
        if (fd == 1 && n > 0) record(OP_ACK, fd, 0, 0, NULL, bytes, n);
    }
    UNLOCK;
    return n;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    LOCKED;
    ssize_t n = is_tracked(fd) ? do_write(fd, bytes, length, offset) : REAL(pwrite64)(fd, bytes, length, offset);
    UNLOCK;
    return n;
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

int ftruncate64(int fd, off64_t length) {
    LOCKED;
    int result = is_tracked(fd) && fault('w') ? -1 : REAL(ftruncate64)(fd, length);
    if (!result && is_tracked(fd)) record(OP_TRUNCATE, fd, length, 0, NULL, NULL, 0);
    UNLOCK;
    return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int posix_fallocate(int fd, off_t offset, off_t length) {
    LOCKED;
    int result = is_tracked(fd) && fault('w') ? fault_errno : REAL(posix_fallocate)(fd, offset, length);
    if (!result && is_tracked(fd)) record(OP_TRUNCATE, fd, offset + length, 0, NULL, NULL, 0);
    UNLOCK;
    return result;
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

static int do_sync(const char *name, int fd) {
    LOCKED;
    int (*call)(int) = real(name);
    int kind = is_tracked(fd) ? fault('s') : 0;
    if (kind == 3) {
        UNLOCK;
        for (;;) pause();
    }
    int result = kind ? -1 : call(fd);
    if (!result && is_tracked(fd)) record(OP_SYNC, fd, 0, 0, NULL, NULL, 0);
    UNLOCK;
    return result;
}
int fsync(int fd) { return do_sync("fsync", fd); }
int fdatasync(int fd) { return do_sync("fdatasync", fd); }

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) {
    LOCKED;
    int result = REAL(sync_file_range)(fd, offset, length, flags);
    if (!result && is_tracked(fd)) record(OP_RANGE, fd, offset, length, NULL, NULL, 0);
    UNLOCK;
    return result;
}

int rename(const char *from, const char *to) {
    LOCKED;
    int result = REAL(rename)(from, to);
    if (!result && below_root(to)) record(OP_RENAME, -1, 0, 0, from, to, strlen(to));
    UNLOCK;
    return result;
}

int unlink(const char *path) {
    LOCKED;
    int result = REAL(unlink)(path);
    if (!result && below_root(path)) record(OP_UNLINK, -1, 0, 0, path, NULL, 0);
    UNLOCK;
    return result;
}

int rmdir(const char *path) {
    LOCKED;
    int result = REAL(rmdir)(path);
    if (!result && below_root(path)) record(OP_UNLINK, -1, 0, 0, path, NULL, 0);
    UNLOCK;
    return result;
}

/* Used by remove_dir_all with directory descriptors: the name comes from /proc. */
int unlinkat(int dir, const char *name, int flags) {
    LOCKED;
    char link[64], path[8192];
    ssize_t length = 0;
    if (dir != AT_FDCWD && name[0] != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        length = readlink(link, path, 4096);
        if (length > 0) path[length++] = '/';
    }
    snprintf(path + (length > 0 ? length : 0), 4000, "%s", name);
    int result = REAL(unlinkat)(dir, name, flags);
    if (!result && below_root(path)) record(OP_UNLINK, -1, 0, 0, path, NULL, 0);
    UNLOCK;
    return result;
}

int mkdir(const char *path, mode_t mode) {
    LOCKED;
    int result = REAL(mkdir)(path, mode);
    if (!result && below_root(path)) record(OP_MKDIR, -1, 0, 0, path, NULL, 0);
    UNLOCK;
    return result;
}

/* Copies go through read and write, where they are seen. */
ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t length, unsigned flags) {
    (void)in, (void)in_at, (void)out, (void)out_at, (void)length, (void)flags;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t length) {
    (void)out, (void)in, (void)at, (void)length;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile(int out, int in, off_t *at, size_t length) { return sendfile64(out, in, at, length); }
