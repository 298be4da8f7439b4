/* courier_confine.h - what the courier may still do: speak to the network, and read what names and certificates need. */
#ifndef CMD_COURIER_CONFINE_H
#define CMD_COURIER_CONFINE_H

#include "kernelhub/config.h"

/* Started by root it becomes a user of its own: the first id above those of the sandboxes, which has no name and owns
 * nothing. Then landlock, seccomp, limits. To be called before the first thread. As hub_confine with weak kernels and sanitizers. */
int courier_confine(const struct config *c, struct err *e);

#endif
