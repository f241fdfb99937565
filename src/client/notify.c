/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker says of itself, by the protocol of sd_notify(3): one datagram of lines to the socket of
 * NOTIFY_SOCKET. */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST_STATE = 4096, LONGEST_STATUS = 1000 };

static int send_state(const char* state, size_t length) {
    const char* path = getenv("NOTIFY_SOCKET");
    if (!path)
        return 0;
    struct sockaddr_un address;
    unsigned address_length;
    int result = holdfast_unix_address(path, &address, &address_length);
    if (result < 0)
        return result;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    ssize_t sent;
    do
        sent = sendto(fd, state, length, MSG_NOSIGNAL, (struct sockaddr*)&address, address_length);
    while (sent < 0 && errno == EINTR);
    result = sent < 0 ? -errno : 1;
    close(fd);
    return result;
}

int holdfast_notify(const char* state) {
    if (!state || !*state)
        return -EINVAL;
    size_t length = strlen(state);
    if (length > LONGEST_STATE)
        return -EMSGSIZE;
    int saved = errno;
    int result = send_state(state, length);
    errno = saved;
    return result;
}

int holdfast_ready(void) {
    return holdfast_notify("READY=1");
}

int holdfast_stopping(void) {
    return holdfast_notify("STOPPING=1");
}

int holdfast_status(const char* text) {
    if (!text)
        return -EINVAL;
    char state[sizeof "STATUS=" + LONGEST_STATUS];
    char* end = stpcpy(state, "STATUS=");
    size_t length = strnlen(text, LONGEST_STATUS);
    /* Not in the middle of a UTF-8 character: 10xxxxxx goes on what came before. */
    while (text[length] != '\0' && length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        --length;
    for (size_t i = 0; i < length; ++i)
        *end++ = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
    *end = '\0';
    return holdfast_notify(state);
}

int holdfast_extend_timeout(uint64_t usec) {
    if (usec == 0)
        return -EINVAL;
    char state[64];
    snprintf(state, sizeof state, "EXTEND_TIMEOUT_USEC=%" PRIu64, usec);
    return holdfast_notify(state);
}
