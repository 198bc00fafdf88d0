/*
 * A disk that fails. Loaded before the C library (LD_PRELOAD), this stands between a process and the files in the folder
 * that SWITCHBOARD_DISK names, except those that end in "-shm" (shared memory, which no crash survives).
 *
 * It counts the calls that change these files or sync them, and apart from them the calls that read. It makes some of
 * them fail as a plan says, and logs the others, so that a test can work out what a disk may hold after a crash. Nothing
 * is really synced.
 *
 * The plan is the file that SWITCHBOARD_PLAN names. It is read, the counts start again and the log is emptied when the
 * process closes the plan after writing it. Its fields:
 *
 *     mode       a letter:
 *                  o  off: nothing is counted or logged
 *                  f  calls fail, and do nothing
 *                  p  writes do a part of their work before they fail
 *                  a  calls fail, but have done all their work
 *                  s  writes do a part, then fail, because there is no space; other calls work
 *                  r  calls that read fail
 *                  x  the process has crashed: calls that change or sync files fail, and are not logged
 *     first      the number of the first call that fails, from 1
 *     last       the number of the last call that fails
 *
 * The log is the file of the plan's name with ".log". A record is a line `kind name offset length`, followed by
 * `length` bytes of data. The kinds: w write, t truncate to `offset`, s sync, e failed sync, c create, u unlink, D sync of
 * the folder, E failed sync of the folder; n the number of calls that have changed or read files, when the plan changes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* A definition with the 64-bit name too: on 64-bit systems the two are the same. */
#define ALSO_AS(name64, name, result, arguments) result name64 arguments __attribute__((alias(#name)))

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum { MAX_FILES = 4096, MAX_NAME = 64 };

/* The name of each open file in the folder; "." is the folder itself. */
static char names[MAX_FILES][MAX_NAME];
static int plan_file = -1, log_file = -1;
static char mode = 'o';
static long first, last, changes, reads;

static const char *name_of(int file) {
    return file >= 0 && file < MAX_FILES && names[file][0] ? names[file] : NULL;
}

/* Returns the name of a path in the folder, or NULL. */
static const char *name_in_folder(const char *path) {
    const char *folder = getenv("SWITCHBOARD_DISK");
    size_t length = folder ? strlen(folder) : 0;
    if (!length || strncmp(path, folder, length) != 0) return NULL;
    if (!path[length]) return ".";
    size_t rest = strlen(path);
    if (path[length] != '/' || rest - length >= MAX_NAME) return NULL;
    if (rest > 4 && strcmp(path + rest - 4, "-shm") == 0) return NULL;
    return path + length + 1;
}

static void record(char kind, const char *name, long offset, const void *data, size_t length) {
    char line[MAX_NAME + 64];
    if (mode == 'o' || mode == 'x') return;
    int size = snprintf(line, sizeof line, "%c %s %ld %zu\n", kind, name, offset, length);
    if (NEXT(write)(log_file, line, size) != size) abort();
    if (length && NEXT(write)(log_file, data, length) != (ssize_t)length) abort();
}

/* Counts a call that changes or syncs a file. Returns how it fails, or 0. */
static char fault(int is_write) {
    if (mode == 'o') return 0;
    if (mode == 'x') return 'f';
    changes += 1;
    int is_hit = changes >= first && changes <= last && mode != 'r' && (mode != 's' || is_write);
    return is_hit ? mode : 0;
}

static int fails_to_read(void) {
    if (mode == 'o' || mode == 'x') return 0;
    reads += 1;
    if (mode != 'r' || reads < first || reads > last) return 0;
    errno = EIO;
    return 1;
}

static void read_plan(void) {
    char text[64] = "", path[4096];
    const char *plan = getenv("SWITCHBOARD_PLAN");
    if (mode != 'o' && log_file >= 0) {
        int size = snprintf(text, sizeof text, "n . %ld %ld\n", changes, reads);
        if (NEXT(write)(log_file, text, size) != size) abort();
    }
    memset(text, 0, sizeof text);
    int file = NEXT(open)(plan, O_RDONLY);
    if (NEXT(read)(file, text, sizeof text - 1) < 0) abort();
    NEXT(close)(file);
    if (sscanf(text, "%c %ld %ld", &mode, &first, &last) != 3) abort();
    if (mode == 'o' || mode == 'x') return;
    changes = reads = 0;
    if (log_file >= 0) NEXT(close)(log_file);
    snprintf(path, sizeof path, "%s.log", plan);
    log_file = NEXT(open)(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t permissions = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    const char *plan = getenv("SWITCHBOARD_PLAN");
    const char *name = name_in_folder(path);
    int is_new = name && (flags & O_CREAT) && access(path, F_OK) != 0;
    if (is_new && fault(0)) {
        errno = EIO;
        return -1;
    }
    int file = NEXT(open)(path, flags, permissions);
    if (file < 0) return file;
    if (plan && strcmp(path, plan) == 0 && (flags & O_ACCMODE) != O_RDONLY) plan_file = file;
    if (name && file >= MAX_FILES) abort();
    if (name) strcpy(names[file], name);
    if (is_new) record('c', name, 0, NULL, 0);
    return file;
}
ALSO_AS(open64, open, int, (const char *path, int flags, ...));

int close(int file) {
    int is_plan = file >= 0 && file == plan_file;
    if (name_of(file)) names[file][0] = 0;
    int result = NEXT(close)(file);
    if (is_plan) {
        plan_file = -1;
        read_plan();
    }
    return result;
}

/* Writes at an offset, or at the file's position if it is negative. */
static ssize_t write_at(int file, const void *data, size_t length, off_t offset) {
    const char *name = name_of(file);
    char how = name ? fault(1) : 0;
    off_t start = offset;
    if (name && offset < 0) start = lseek(file, 0, SEEK_CUR);
    if (how) {
        size_t part = how == 'a' ? length : how == 'f' ? 0 : length / 2;
        if (part && NEXT(pwrite)(file, data, part, start) != (ssize_t)part) abort();
        if (part) record('w', name, start, data, part);
        errno = how == 's' ? ENOSPC : EIO;
        return -1;
    }
    ssize_t written = offset < 0 ? NEXT(write)(file, data, length) : NEXT(pwrite)(file, data, length, offset);
    if (name && written > 0) record('w', name, start, data, written);
    return written;
}

ssize_t write(int file, const void *data, size_t length) {
    return write_at(file, data, length, -1);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    return write_at(file, data, length, offset);
}
ALSO_AS(pwrite64, pwrite, ssize_t, (int file, const void *data, size_t length, off_t offset));

ssize_t read(int file, void *data, size_t length) {
    return name_of(file) && fails_to_read() ? -1 : NEXT(read)(file, data, length);
}

ssize_t pread(int file, void *data, size_t length, off_t offset) {
    return name_of(file) && fails_to_read() ? -1 : NEXT(pread)(file, data, length, offset);
}
ALSO_AS(pread64, pread, ssize_t, (int file, void *data, size_t length, off_t offset));

int ftruncate(int file, off_t length) {
    const char *name = name_of(file);
    char how = name ? fault(0) : 0;
    if (!how || how == 'a') {
        if (NEXT(ftruncate)(file, length) != 0) return -1;
        if (name) record('t', name, length, NULL, 0);
    }
    if (how) errno = EIO;
    return how ? -1 : 0;
}
ALSO_AS(ftruncate64, ftruncate, int, (int file, off_t length));

int fdatasync(int file) {
    const char *name = name_of(file);
    if (!name) return NEXT(fdatasync)(file);
    char how = fault(0);
    int is_folder = strcmp(name, ".") == 0;
    if (how) record(is_folder ? 'E' : 'e', name, 0, NULL, 0);
    else record(is_folder ? 'D' : 's', name, 0, NULL, 0);
    if (how) errno = EIO;
    return how ? -1 : 0;
}
int fsync(int file) {
    return name_of(file) ? fdatasync(file) : NEXT(fsync)(file);
}

int unlink(const char *path) {
    const char *name = name_in_folder(path);
    char how = name ? fault(0) : 0;
    if (!how || how == 'a') {
        if (NEXT(unlink)(path) != 0) return -1;
        if (name) record('u', name, 0, NULL, 0);
    }
    if (how) errno = EIO;
    return how ? -1 : 0;
}
