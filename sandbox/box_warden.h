/* box_warden.h - starts a warden and speaks with it over fd 3 (SOCK_SEQPACKET, one packet one message):
 * it says "listening", is told {"pid","cgroup"}, says "ready". */
#ifndef SANDBOX_BOX_WARDEN_H
#define SANDBOX_BOX_WARDEN_H

#include "sandbox/box.h"

/* Fills warden_pid, warden_pidfd, warden_start, warden_fd and epoch. */
int box_warden_spawn(struct box *b, const struct place *place, struct err *e);
/* Waits for a packet that is exactly `word`. Fails at once when the container ends meanwhile. */
int box_warden_expect(struct box *b, const char *word, unsigned timeout_ms, struct err *e);
int box_warden_tell(struct box *b, struct err *e);
/* Kills it and removes its control group. */
void box_warden_end(struct box *b, const struct place *place);

#endif
