/* init_relay.h - one channel's bytes between the warden's socket and the kernel's endpoint, or a pseudo-terminal. Dials
 * the kernel until it answers, then moves bytes both ways; looks at none of them. */
#ifndef SANDBOX_INIT_RELAY_H
#define SANDBOX_INIT_RELAY_H

#include <sys/un.h>

#include "sandbox/init_folders.h"
#include "sandbox/init_loop.h"

/* What all relays share. The spare is the buffer reads go to; a flow that cannot pass on at once
 * what it has read keeps that buffer, so nothing is copied twice and an idle relay holds none. */
struct init_relays {
    struct init_loop *loop;
    struct init_folders *folders;
    char *spare;
};

/* One direction. Bound: one buffer; while it holds bytes its source is not read. */
struct init_flow {
    char *buffer;
    size_t at, len;
    bool eof;    /* the source has ended */
    bool broken; /* the sink takes no more; what was for it is dropped */
};

enum init_relay_state {
    INIT_RELAY_IDLE,
    INIT_RELAY_DIALLING,
    INIT_RELAY_CONNECTING,
    INIT_RELAY_OPEN
};

struct init_relay {
    struct init_relays *shared;
    void *owner;
    unsigned channel; /* the owner's number for it */
    enum init_relay_state state;
    struct init_watch warden, kernel;
    struct init_flow up, down; /* up: kernel to warden */
    struct init_timer retry;
    struct init_waiter folder;
    unsigned tries;
    int error;      /* the first one seen */
    uint64_t moved; /* bytes passed on, both ways */
    uint16_t port;  /* 0: ipc */
    bool is_tty;    /* the kernel's end is a pseudo-terminal's master */
    bool is_last;   /* nobody writes there any more: it ends with what is there now */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    void (*on_connected)(struct init_relay *r);
    void (*on_closed)(struct init_relay *r, int error); /* not called by init_relay_drop */
};

void init_relay_init(struct init_relay *r, struct init_relays *shared, void *owner,
                     unsigned channel);

/* Takes warden_fd in any case. `where` is "tcp:PORT" or "ipc:/path", `len` bytes. Drops what the
 * relay did before. Returns 0 or an errno; then nothing is called back. Both calls may come before
 * it returns. */
int init_relay_open(struct init_relay *r, int warden_fd, const char *where, size_t len);
/* Both ends are there already: the warden's and a pseudo-terminal's master, which does not block. Takes both in any case. on_connected is
 * not called. A terminal that was hung up (EIO) has ended well: 0. */
int init_relay_join(struct init_relay *r, int warden_fd, int tty_fd);
/* Nobody writes to the terminal any more: it ends when what it holds now is passed on, however long that takes. May call back. */
void init_relay_finish(struct init_relay *r);
/* The kernel is dead. A connection it has already answered is still opened, for what it sent. */
void init_relay_settle(struct init_relay *r);
void init_relay_drop(struct init_relay *r); /* at once, without flushing; fine when idle */

#endif
