/* attempts.h - how often an address has typed in a wrong key lately. Keys cannot be guessed; this is so that nobody keeps us busy,
 * or fills the log, with trying. */
#ifndef WEB_ATTEMPTS_H
#define WEB_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ATTEMPTS_MAX 10    /* wrong ones */
#define ATTEMPTS_MS  60000 /* within this time, from the first of them on */
#define ATTEMPTS_PLACES                                                                            \
    256 /* addresses that are remembered; another one takes the place of the oldest */

struct attempts;

struct attempts_address {
    uint8_t bytes[16]; /* IPv6, its first 64 bits; IPv4 as ::ffff:a.b.c.d */
};

struct attempts *attempts_new(void);
void attempts_free(struct attempts *a); /* NULL is fine */

/* Who asks. forwarded_for: an X-Forwarded-For header that is believed, for a proxy of ours is the peer: its last address. NULL,
 * or none at its end: the peer itself. */
struct attempts_address attempts_of(const struct sockaddr *peer, const char *forwarded_for);

/* Milliseconds until this address may try again; 0: now. */
int64_t attempts_wait_ms(const struct attempts *a, const struct attempts_address *who,
                         int64_t now_ms);

/* One more was wrong. True when that was the last it had. */
bool attempts_count(struct attempts *a, const struct attempts_address *who, int64_t now_ms);

#endif
