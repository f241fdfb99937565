/* SPDX-License-Identifier: Apache-2.0 */
/* A worker as its author would write it, from the header and pkg-config alone. Says what it got. */
#include <errno.h>
#include <holdfast.h>
#include <stdio.h>

int main(void) {
    holdfast_listeners* listeners;
    int count = holdfast_inherit(&listeners, 1);
    if (count < 0)
        return 1;
    int http = holdfast_take(listeners, "http");
    holdfast_free(listeners);
    printf("version %s, %d listeners, http at %d, ready %d\n", holdfast_version(), count, http,
           holdfast_ready());
    return holdfast_handoff_fd() == -ENXIO && holdfast_status("ok") == 0 ? 0 : 1;
}
