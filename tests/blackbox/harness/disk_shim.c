/* Preloaded into a company's process: decides what becomes of a write or a flush of its database.
 *
 * The file named by BLACKBOX_DISK says what to do, read anew every time; no file means nothing special:
 *   kill-before N   SIGKILL instead of the Nth flush from now on
 *   kill-after N    SIGKILL right after the Nth flush from now on
 *   stall           wait until the file says something else
 *   eio             fail with EIO
 *   enospc N        the Nth write from now on, and every later one, fails with ENOSPC; a marker gets its name and no text
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char last[64];
static int seen;

static int is_one_of(int fd, const char *const *names, int count) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    for (int i = 0; name && i < count; i++)
        if (strcmp(name, names[i]) == 0) return 1;
    return 0;
}

static int is_database(int fd) {
    const char *databases[] = {"/recarga.redb", "/recarga.journal", "/recarga.redb.restoring"};
    return is_one_of(fd, databases, 3);
}

static int is_marker(int fd) {
    const char *markers[] = {"/recarga.poisoned"};
    return is_one_of(fd, markers, 1);
}

static void read_order(char *order, size_t size) {
    order[0] = 0;
    const char *path = getenv("BLACKBOX_DISK");
    if (!path) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t length = read(fd, order, size - 1);
    order[length > 0 ? length : 0] = 0;
    close(fd);
}

/* How many times this order has been met. */
static int count(const char *order) {
    pthread_mutex_lock(&lock);
    if (strcmp(order, last) != 0) {
        strcpy(last, order);
        seen = 0;
    }
    int result = ++seen;
    pthread_mutex_unlock(&lock);
    return result;
}

static int is_full(int fd) {
    char order[64];
    if (!is_database(fd)) return 0;
    read_order(order, sizeof order);
    return strncmp(order, "enospc", 6) == 0 && count(order) >= atoi(strchr(order, ' ') + 1);
}

enum fate { GO, FAIL, GO_AND_DIE };

/* What becomes of something that makes a database durable; it may not return. */
static enum fate fate(int fd) {
    char order[64];
    if (!is_database(fd)) return GO;
    read_order(order, sizeof order);
    while (strncmp(order, "stall", 5) == 0) {
        usleep(2000);
        read_order(order, sizeof order);
    }
    if (strncmp(order, "eio", 3) == 0) return FAIL;
    int before = strncmp(order, "kill-before", 11) == 0, after = strncmp(order, "kill-after", 10) == 0;
    if (!before && !after) return GO;
    int due = count(order) == atoi(strchr(order, ' ') + 1);
    if (before && due) kill(getpid(), SIGKILL);
    return after && due ? GO_AND_DIE : GO;
}

static int flush(int fd, int (*real)(int)) {
    enum fate its = fate(fd);
    if (its == FAIL) {
        errno = EIO;
        return -1;
    }
    int result = real(fd);
    if (its == GO_AND_DIE) kill(getpid(), SIGKILL);
    return result;
}

int fsync(int fd) {
    return flush(fd, (int (*)(int))dlsym(RTLD_NEXT, "fsync"));
}

int fdatasync(int fd) {
    return flush(fd, (int (*)(int))dlsym(RTLD_NEXT, "fdatasync"));
}

/* A write to a file that was opened with O_DSYNC is a flush, too. */
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    if (is_full(fd)) {
        errno = ENOSPC;
        return -1;
    }
    enum fate its = fcntl(fd, F_GETFL) & O_DSYNC ? fate(fd) : GO;
    if (its == FAIL) {
        errno = EIO;
        return -1;
    }
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t result = real(fd, data, size, offset);
    if (its == GO_AND_DIE) kill(getpid(), SIGKILL);
    return result;
}

/* A full disk has room for a name and none for a text. */
ssize_t write(int fd, const void *data, size_t size) {
    char order[64] = "";
    if (fd > 2 && is_marker(fd)) read_order(order, sizeof order);
    if (strncmp(order, "enospc", 6) == 0) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return real(fd, data, size);
}
