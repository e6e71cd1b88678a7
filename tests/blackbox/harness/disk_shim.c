/* Preloaded into a company's process: decides what becomes of a flush of its database.
 *
 * The file named by BLACKBOX_DISK says what to do, read anew at every flush; no file means nothing special:
 *   kill-before N   SIGKILL instead of the Nth flush from now on
 *   kill-after N    SIGKILL right after the Nth flush from now on
 *   stall           wait until the file says something else
 *   eio             fail with EIO
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

static int is_database(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    return name && strcmp(name, "/recarga.redb") == 0;
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

static int flush(int fd, int (*real)(int)) {
    char order[64];
    if (!is_database(fd)) return real(fd);
    read_order(order, sizeof order);
    while (strncmp(order, "stall", 5) == 0) {
        usleep(2000);
        read_order(order, sizeof order);
    }
    if (strncmp(order, "eio", 3) == 0) {
        errno = EIO;
        return -1;
    }
    int before = strncmp(order, "kill-before", 11) == 0, after = strncmp(order, "kill-after", 10) == 0;
    if (!before && !after) return real(fd);
    pthread_mutex_lock(&lock);
    if (strcmp(order, last) != 0) {
        strcpy(last, order);
        seen = 0;
    }
    int due = ++seen == atoi(strchr(order, ' ') + 1);
    pthread_mutex_unlock(&lock);
    if (before && due) kill(getpid(), SIGKILL);
    int result = real(fd);
    if (after && due) kill(getpid(), SIGKILL);
    return result;
}

int fsync(int fd) {
    return flush(fd, (int (*)(int))dlsym(RTLD_NEXT, "fsync"));
}

int fdatasync(int fd) {
    return flush(fd, (int (*)(int))dlsym(RTLD_NEXT, "fdatasync"));
}
