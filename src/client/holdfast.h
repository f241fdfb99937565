/* SPDX-License-Identifier: Apache-2.0 */
/* libholdfast: what a worker of holdfast may link. It finds the worker's listeners, whichever way they come,
 * and tells holdfast how the worker is. C11, no other library, no threads, nothing at load time; it works
 * under systemd as well.
 *
 *     holdfast_listeners *listeners;
 *     if (holdfast_inherit(&listeners, 1) < 0) ...
 *     int http = holdfast_take(listeners, "http");
 *     holdfast_free(listeners);
 *     ... holdfast_ready(); ... accept(http, ...)
 *
 * Every function returns a negative errno value when it fails, as sd_listen_fds(3) and sd_notify(3) do; errno
 * itself is left alone. Functions that read or change the environment are not for use while other threads do;
 * a set of listeners belongs to one thread at a time. Descriptors are close-on-exec. */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HOLDFAST_API __attribute__((visibility("default")))
#else
#define HOLDFAST_API
#endif

/* The version of the library, "0.1.0". */
HOLDFAST_API const char* holdfast_version(void);

/* ---- Listeners ---- */

/* An owned set of named descriptors. What is not taken out of it is closed by holdfast_free(). A name is
 * there once per address that the socket listens on; the order is that of the unit file. */
typedef struct holdfast_listeners holdfast_listeners;

/* All listeners of this worker: the descriptors of LISTEN_FDS when LISTEN_PID (and LISTEN_PIDFDID, where it
 * is set and the kernel has such numbers) names this process, else those behind the socket of
 * HOLDFAST_HANDOFF. Returns how many there are and sets *set, also when there are none (0: this process was
 * not started with listeners). With unset_environment these variables are removed whatever happens, so that
 * children do not take them for theirs; later calls of holdfast_inherit() then find none that came by
 * LISTEN_FDS. Waits for holdfast for at most 30 seconds. -EINVAL     a variable is malformed, or the number
 * of names is not the number of descriptors -EBADF      a descriptor that a variable promises is not open
 *   -ENOTSOCK   HOLDFAST_HANDOFF is not a hand-off socket
 *   -EPROTO     what came by the hand-off socket is no answer
 *   -ENOTCONN   holdfast is gone;  -ETIMEDOUT  it does not answer
 *   -EREMOTEIO  it answered with an error: see holdfast_error()
 *   -EMFILE     this process may not have that many descriptors */
HOLDFAST_API int holdfast_inherit(holdfast_listeners** set, int unset_environment);

/* Listeners of `unit` for a program that holdfast did not start and that the unit's [share] names: from the
 * socket at `path` (NULL: /run/holdfast/handoff.sock), those of the `count` given names, or all of the unit
 * when count is 0. Names in the set are without the unit. Errors as above; also those of connect(2), and
 * -EINVAL for a name that cannot be one. What the unit does not have or share is -EREMOTEIO. */
HOLDFAST_API int holdfast_fetch(holdfast_listeners** set, const char* path, const char* unit,
                                const char* const* names, size_t count);

/* The text of the last -EREMOTEIO in this thread ("there is no listener ftp"); never NULL. */
HOLDFAST_API const char* holdfast_error(void);

HOLDFAST_API size_t holdfast_count(const holdfast_listeners* set);
/* The descriptor at `index`, which stays in the set; -EINVAL past the end, -EBADF when it was taken. */
HOLDFAST_API int holdfast_fd(const holdfast_listeners* set, size_t index);
/* The name at `index`; NULL past the end. Under systemd a descriptor without a name is "unknown". */
HOLDFAST_API const char* holdfast_name(const holdfast_listeners* set, size_t index);
/* The first descriptor of that name that was not taken yet; it is the caller's now. -ENOENT when there is
 * none. */
HOLDFAST_API int holdfast_take(holdfast_listeners* set, const char* name);
/* Closes what was not taken. NULL is fine. */
HOLDFAST_API void holdfast_free(holdfast_listeners* set);

/* The socket on which listeners come that appear while this worker lives: poll it for reading and then call
 * holdfast_receive(). -ENXIO without a hand-off socket. The library owns it. Listeners come by it once
 * holdfast_inherit() has asked on it, so not to a worker that got its listeners by LISTEN_FDS. */
HOLDFAST_API int holdfast_handoff_fd(void);
/* The listeners that have just come, without waiting: how many, 0 when there are none at the moment; *set as
 * above. -ENOTCONN: holdfast is gone; go on serving, and stop polling. */
HOLDFAST_API int holdfast_receive(holdfast_listeners** set);

/* ---- Telling holdfast (or systemd): 1 when it was sent, 0 when nobody listens (no NOTIFY_SOCKET) ---- */

/* "I am ready": for services of type notify. */
HOLDFAST_API int holdfast_ready(void);
/* "I am going": what may still take a while then counts as draining. */
HOLDFAST_API int holdfast_stopping(void);
/* One line for people, at most 1000 bytes of it; a line break becomes a space. */
HOLDFAST_API int holdfast_status(const char* text);
/* "Give me this much more time from now" to start or to stop; in microseconds, at least 1. */
HOLDFAST_API int holdfast_extend_timeout(uint64_t usec);
/* Any lines of sd_notify(3), as they are. -EMSGSIZE past 4096 bytes. */
HOLDFAST_API int holdfast_notify(const char* state);

#ifdef __cplusplus
}
#endif

#endif
