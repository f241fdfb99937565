/* SPDX-License-Identifier: Apache-2.0 */
/* Questions and answers on a hand-off socket; src/handoff/frames.h documents the text. A peer that holdfast's
 * own user controls is still not trusted with our memory or our descriptors: what does not fit is closed. */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_SIZE CMSG_SPACE(HOLDFAST_FRAME_FDS * sizeof(int))

struct frame {
    size_t length;
    size_t fd_count;
    int fds[HOLDFAST_FRAME_FDS];
    char text[HOLDFAST_FRAME_SIZE + 1]; /* always ends with a NUL */
};

static _Thread_local char last_error[1024];

const char* holdfast_error(void) {
    return last_error;
}

void holdfast_set_error(const char* text, size_t length) {
    if (length >= sizeof last_error)
        length = sizeof last_error - 1;
    memcpy(last_error, text, length);
    last_error[length] = '\0';
}

static void close_from(struct frame* frame, size_t first) {
    for (size_t i = first; i < frame->fd_count; ++i)
        close(frame->fds[i]);
    frame->fd_count = first;
}

static void take_fds(struct msghdr* message, struct frame* frame) {
    for (struct cmsghdr* part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
            if (frame->fd_count < HOLDFAST_FRAME_FDS)
                frame->fds[frame->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

static int receive(int socket, struct frame* frame) {
    _Alignas(struct cmsghdr) char control[CONTROL_SIZE];
    struct iovec part = {frame->text, HOLDFAST_FRAME_SIZE};
    struct msghdr message = {0};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    frame->fd_count = 0;
    ssize_t length;
    do
        length = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return errno == ECONNRESET ? -ENOTCONN : -errno;
    take_fds(&message, frame);
    frame->length = (size_t)length;
    frame->text[length] = '\0';
    if (length == 0) {
        close_from(frame, 0);
        return -ENOTCONN;
    }
    /* The control buffer has room for all that the kernel lets through, so it is our descriptor limit that
     * cut it. */
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        close_from(frame, 0);
        return message.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
    }
    return 0;
}

static int64_t milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0 when the socket has something to say; it may be non-blocking or not. */
static int wait_for(int socket, short events, int64_t deadline) {
    for (;;) {
        int64_t left = deadline - milliseconds_now();
        if (left < 0)
            return -ETIMEDOUT;
        struct pollfd watched = {socket, events, 0};
        int ready = poll(&watched, 1, (int)left);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return -errno;
    }
}

static int send_question(int socket, const char* question, size_t length, int64_t deadline) {
    for (;;) {
        if (send(socket, question, length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno == EPIPE || errno == ECONNRESET)
            return -ENOTCONN;
        if (errno != EAGAIN)
            return -errno;
        int waited = wait_for(socket, POLLOUT, deadline);
        if (waited < 0)
            return waited;
    }
}

/* "WORD COUNT REMAINING" of the first line into the two numbers. */
static int parse_head(const char* head, size_t length, uint64_t* count, uint64_t* remaining) {
    const char* first = memchr(head, ' ', length);
    if (!first)
        return -EPROTO;
    ++first;
    const char* second = memchr(first, ' ', length - (size_t)(first - head));
    if (!second)
        return -EPROTO;
    if (holdfast_parse_decimal(first, (size_t)(second - first), count) < 0 ||
        holdfast_parse_decimal(second + 1, length - (size_t)(second + 1 - head), remaining) < 0)
        return -EPROTO;
    return 0;
}

/* Moves the descriptors of an `fds` or `push` frame into the set; the frame has none afterwards. */
static int take_frame(struct frame* frame, size_t prefix, holdfast_listeners* set, uint64_t* remaining) {
    char* end = frame->text + frame->length;
    if (end[-1] == '\n')
        --end;
    uint64_t count;
    char* line = memchr(frame->text, '\n', (size_t)(end - frame->text));
    int result = parse_head(frame->text, (size_t)((line ? line : end) - frame->text), &count, remaining);
    if (result == 0 && count != frame->fd_count)
        result = -EPROTO;
    size_t taken = 0;
    while (result == 0 && taken < count) {
        char* name = line ? line + 1 : end;
        line = memchr(name, '\n', (size_t)(end - name));
        size_t length = (size_t)((line ? line : end) - name);
        if (length <= prefix || memchr(name, '\0', length)) {
            result = -EPROTO;
            break;
        }
        result = holdfast_add(set, frame->fds[taken++], name + prefix, length - prefix);
    }
    if (result == 0 && line) /* more names than descriptors */
        result = -EPROTO;
    for (size_t i = taken; i < frame->fd_count; ++i)
        close(frame->fds[i]);
    frame->fd_count = 0;
    return result;
}

static int begins_with(const struct frame* frame, const char* word) {
    size_t length = strlen(word);
    return frame->length > length && memcmp(frame->text, word, length) == 0 && frame->text[length] == ' ';
}

static int take_error(const struct frame* frame) {
    size_t const word = strlen("error ");
    size_t length = frame->length - word;
    if (length > 0 && frame->text[frame->length - 1] == '\n')
        --length;
    holdfast_set_error(frame->text + word, length);
    return -EREMOTEIO;
}

int holdfast_ask(int socket, const char* question, size_t length, size_t prefix, holdfast_listeners* set) {
    int64_t const deadline = milliseconds_now() + INT64_C(1000) * HOLDFAST_ANSWER_SECONDS;
    struct frame* frame = malloc(sizeof *frame);
    if (!frame)
        return -ENOMEM;
    int result = send_question(socket, question, length, deadline);
    uint64_t remaining = 1;
    while (result == 0 && remaining > 0) {
        result = receive(socket, frame);
        if (result == -EAGAIN) {
            result = wait_for(socket, POLLIN, deadline);
            continue;
        }
        if (result < 0)
            break;
        if (begins_with(frame, "fds"))
            result = take_frame(frame, prefix, set, &remaining);
        else if (begins_with(frame, "error"))
            result = take_error(frame);
        /* Else it is a push, which was sent before our question was read, so the answer brings it as well; or
         * a word of a later version. */
        close_from(frame, 0);
    }
    free(frame);
    return result;
}

int holdfast_take_push(int socket, holdfast_listeners* set) {
    struct frame* frame = malloc(sizeof *frame);
    if (!frame)
        return -ENOMEM;
    uint64_t remaining;
    int result = receive(socket, frame);
    if (result == -EAGAIN) {
        free(frame);
        return 0;
    }
    if (result == 0) {
        if (begins_with(frame, "push"))
            result = take_frame(frame, 0, set, &remaining);
        else if (begins_with(frame, "error"))
            result = take_error(frame);
        close_from(frame, 0);
    }
    free(frame);
    return result < 0 ? result : 1;
}
