/* init_warden.h - the line to the warden: connects, connects again, says and hears packets. */
#ifndef SANDBOX_INIT_WARDEN_H
#define SANDBOX_INIT_WARDEN_H

#include "protocol/init_wire.h"
#include "sandbox/init_folders.h"
#include "sandbox/init_loop.h"

#define INIT_ALONE_MS 30000 /* without a warden for so long: everything ends */
#define INIT_MAX_NOTES                                                                             \
    1024 /* more than 64 kernels can owe at once: orders are not read meanwhile */

struct init_note {
    uint8_t type, channel;
    uint32_t kernel;
    int32_t value;
    const char *text; /* static, or NULL */
};

struct init_warden {
    struct init_loop *loop;
    struct init_folders *folders;
    const char *path;
    void *owner;
    struct init_watch watch;
    struct init_timer retry, alone;
    struct init_waiter folder;
    unsigned tries;
    bool proven; /* it has given an order: not somebody who hangs up at once */
    int64_t connected_ms, alone_since_ms;
    struct init_note notes[INIT_MAX_NOTES];
    unsigned first_note, n_notes;
    char packet[INIT_MAX_PACKET];
    void (*on_connected)(void *owner); /* has to say HELLO and the kernels that live */
    /* fds: what came along, else -1; those not taken are closed afterwards. */
    void (*on_order)(void *owner, const struct init_packet *p, int fds[INIT_MAX_FDS]);
    /* An EXITED that init_warden_say had taken will not be heard: say it again after the next
     * HELLO. */
    void (*on_unheard)(void *owner, uint32_t kernel);
    void (*on_alone)(void *owner);
};

/* path, a string of at most 107 bytes, must outlive w. Begins to connect; never fails. */
void init_warden_open(struct init_warden *w, struct init_loop *l, struct init_folders *f,
                      const char *path);
bool init_warden_connected(const struct init_warden *w);

/* Sent, or queued when the socket is full; false when there is no connection (any more). What must
 * be known after the next HELLO, on_connected says again. `text` must be static. */
bool init_warden_say(struct init_warden *w, enum init_type type, uint32_t kernel, unsigned channel,
                     int value, const char *text);
/* Sent now or dropped. */
void init_warden_output(struct init_warden *w, uint32_t kernel, unsigned channel, const char *bytes,
                        size_t len);

#endif
