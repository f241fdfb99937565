/* SPDX-License-Identifier: Apache-2.0 */
/* Where a program's listeners come from: LISTEN_FDS (sd_listen_fds(3)), HOLDFAST_HANDOFF, or handoff.sock. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <unistd.h>

static const int first_fd = 3;          /* SD_LISTEN_FDS_START */
static const long pid_fs = 0x50494446;  /* PID_FS_MAGIC of linux/magic.h, Linux 6.9 */
static const size_t longest_name = 255; /* of a socket; a unit's has 200 */

/* Kept because the variable may be unset; of the process that found it, as a child's is not ours. */
static int handoff_socket = -1;
static pid_t handoff_owner;

/* The number that names this process for ever: the inode of its pidfd. 0 where pidfds have no number of their
 * own. */
static uint64_t own_pidfd_id(void) {
    uint64_t id = 0;
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd < 0)
        return 0;
    struct statfs fs;
    struct stat node;
    if (fstatfs(fd, &fs) == 0 && (long)fs.f_type == pid_fs && fstat(fd, &node) == 0)
        id = node.st_ino;
    close(fd);
    return id;
}

static int parse_variable(const char* text, uint64_t* value) {
    return holdfast_parse_decimal(text, strlen(text), value);
}

/* 1 if LISTEN_FDS is meant for this process, 0 if not. */
static int is_for_us(void) {
    uint64_t value;
    const char* pid = getenv("LISTEN_PID");
    const char* pidfd_id = getenv("LISTEN_PIDFDID");
    if (!pid)
        return 0;
    if (parse_variable(pid, &value) < 0 || value == 0 || value > INT_MAX)
        return -EINVAL;
    if ((pid_t)value != getpid())
        return 0;
    if (!pidfd_id)
        return 1;
    if (parse_variable(pidfd_id, &value) < 0)
        return -EINVAL;
    /* The pid may have been used again since; this number never is. */
    uint64_t const own = own_pidfd_id();
    return own == 0 || own == value;
}

static int set_close_on_exec(int fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

static size_t count_names(const char* names) {
    size_t count = names[0] != '\0';
    for (; *names; ++names)
        count += *names == ':';
    return count;
}

static int from_listen_fds(holdfast_listeners* set) {
    int ours = is_for_us();
    const char* text = getenv("LISTEN_FDS");
    if (ours <= 0 || !text)
        return ours < 0 ? ours : 0;
    uint64_t count;
    if (parse_variable(text, &count) < 0 || count > (uint64_t)(INT_MAX - first_fd))
        return -EINVAL;
    const char* names = getenv("LISTEN_FDNAMES");
    if (names && count_names(names) != count)
        return -EINVAL;
    /* Before anything is allocated: a count that is a lie ends at the first descriptor that is not open. All
     * of them before the first is put into the set, so that on an error all stay open, as they were. */
    for (int i = 0; i < (int)count; ++i) {
        int result = set_close_on_exec(first_fd + i);
        if (result < 0)
            return result;
    }
    for (int i = 0; i < (int)count; ++i) {
        const char* name = names ? names : "unknown";
        size_t length = strcspn(name, ":");
        int result = holdfast_add(set, first_fd + i, name, length);
        if (result < 0)
            return result;
        if (names)
            names += length + (names[length] == ':');
    }
    return 0;
}

/* The socket of HOLDFAST_HANDOFF; -ENXIO when there is none. */
static int find_handoff_socket(void) {
    if (handoff_socket >= 0 && handoff_owner == getpid())
        return handoff_socket;
    const char* text = getenv("HOLDFAST_HANDOFF");
    if (!text)
        return -ENXIO;
    uint64_t number;
    if (parse_variable(text, &number) < 0 || number > INT_MAX)
        return -EINVAL;
    int fd = (int)number;
    int type;
    socklen_t length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
        return -errno; /* EBADF or ENOTSOCK */
    if (type != SOCK_SEQPACKET)
        return -ENOTSOCK;
    int result = set_close_on_exec(fd);
    if (result < 0)
        return result;
    handoff_socket = fd;
    handoff_owner = getpid();
    return fd;
}

static int from_handoff(holdfast_listeners* set) {
    int socket = find_handoff_socket();
    if (socket == -ENXIO)
        return 0;
    return socket < 0 ? socket : holdfast_ask(socket, "get", strlen("get"), 0, set);
}

static void unset_variables(void) {
    static const char* const names[] = {"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES",
                                        "HOLDFAST_HANDOFF"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        unsetenv(names[i]);
}

/* Hands the set over: its count, or the error and no set. */
static int finish(holdfast_listeners* set, int result, holdfast_listeners** out) {
    if (result >= 0 && holdfast_count(set) > INT_MAX)
        result = -E2BIG;
    if (result < 0) {
        holdfast_free(set);
        return result;
    }
    *out = set;
    return (int)holdfast_count(set);
}

int holdfast_inherit(holdfast_listeners** out, int unset_environment) {
    if (!out)
        return -EINVAL;
    int saved = errno;
    *out = NULL;
    holdfast_listeners* set = holdfast_new_set();
    int result = set ? from_listen_fds(set) : -ENOMEM;
    if (result == 0 && holdfast_count(set) == 0)
        result = from_handoff(set);
    if (unset_environment) {
        (void)find_handoff_socket(); /* remembered, so that holdfast_handoff_fd() still works */
        unset_variables();
    }
    result = finish(set, result, out);
    errno = saved;
    return result;
}

int holdfast_handoff_fd(void) {
    int saved = errno;
    int fd = find_handoff_socket();
    errno = saved;
    return fd;
}

int holdfast_receive(holdfast_listeners** out) {
    if (!out)
        return -EINVAL;
    int saved = errno;
    *out = NULL;
    int socket = find_handoff_socket();
    holdfast_listeners* set = socket < 0 ? NULL : holdfast_new_set();
    int result = socket < 0 ? socket : set ? holdfast_take_push(socket, set) : -ENOMEM;
    result = finish(set, result, out);
    errno = saved;
    return result;
}

static int is_name(const char* name) {
    size_t length = name ? strlen(name) : 0;
    if (length == 0 || length > longest_name)
        return 0;
    for (size_t i = 0; i < length; ++i)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '/')
            return 0;
    return 1;
}

/* "get UNIT" or "get UNIT/NAME UNIT/NAME…"; NULL when there is no memory. */
static char* write_question(const char* unit, const char* const* names, size_t count, size_t* length) {
    size_t const unit_length = strlen(unit);
    size_t room = strlen("get ") + unit_length + 1;
    for (size_t i = 0; i < count; ++i)
        room += unit_length + 2 + strlen(names[i]);
    char* question = malloc(room);
    if (!question)
        return NULL;
    char* end = stpcpy(question, "get");
    for (size_t i = 0; i < count; ++i)
        end = stpcpy(stpcpy(stpcpy(stpcpy(end, " "), unit), "/"), names[i]);
    if (count == 0)
        end = stpcpy(stpcpy(end, " "), unit);
    *length = (size_t)(end - question);
    return question;
}

static int connect_to(const char* path) {
    struct sockaddr_un address;
    unsigned length;
    int result = holdfast_unix_address(path, &address, &length);
    if (result < 0)
        return result;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr*)&address, length) < 0) {
        result = -errno;
        close(fd);
        return result;
    }
    return fd;
}

int holdfast_fetch(holdfast_listeners** out, const char* path, const char* unit, const char* const* names,
                   size_t count) {
    if (!out)
        return -EINVAL;
    int saved = errno;
    *out = NULL;
    if (!is_name(unit) || (count > 0 && !names))
        return -EINVAL;
    for (size_t i = 0; i < count; ++i)
        if (!is_name(names[i]))
            return -EINVAL;
    size_t length = 0;
    holdfast_listeners* set = holdfast_new_set();
    char* question = write_question(unit, names, count, &length);
    int result = -ENOMEM;
    if (set && question && length > HOLDFAST_FRAME_SIZE) {
        result = -EMSGSIZE;
    } else if (set && question) {
        result = connect_to(path ? path : "/run/holdfast/handoff.sock");
        if (result >= 0) {
            int fd = result;
            result = holdfast_ask(fd, question, length, strlen(unit) + 1, set);
            close(fd);
        }
    }
    free(question);
    result = finish(set, result, out);
    errno = saved;
    return result;
}
