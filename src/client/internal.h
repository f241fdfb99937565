/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of libholdfast (and its fuzz target) share, and no program sees: the set of listeners, and
 * questions on a hand-off socket (their text is documented in src/handoff/frames.h). All fail with a negative
 * errno value. */
#ifndef HOLDFAST_INTERNAL_H
#define HOLDFAST_INTERNAL_H

#include "holdfast.h"

#include <sys/un.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HOLDFAST_FRAME_SIZE = 64 * 1024, /* bytes of text of one frame */
    HOLDFAST_FRAME_FDS = 253,        /* SCM_MAX_FD */
    HOLDFAST_ANSWER_SECONDS = 30,
};

/* An empty set, or NULL. */
holdfast_listeners* holdfast_new_set(void);
/* Takes the descriptor, also when it fails; the name is copied. */
int holdfast_add(holdfast_listeners* set, int fd, const char* name, size_t length);

/* Sends the question and adds the whole answer to the set, without the first `prefix` bytes of each name. */
int holdfast_ask(int socket, const char* question, size_t length, size_t prefix, holdfast_listeners* set);
/* Adds what one pushed frame brings, if there is one: 1, or 0 when there is nothing to read. */
int holdfast_take_push(int socket, holdfast_listeners* set);

/* Digits only, nothing else around them: 0, or -EINVAL. */
int holdfast_parse_decimal(const char* text, size_t length, uint64_t* value);
/* "/path" or "@name" into an address and its length: 0, -EAFNOSUPPORT for anything else, -ENAMETOOLONG. */
int holdfast_unix_address(const char* text, struct sockaddr_un* address, unsigned* length);
void holdfast_set_error(const char* text, size_t length);

#ifdef __cplusplus
}
#endif

#endif
