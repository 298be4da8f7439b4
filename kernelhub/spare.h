/* spare.h - the memory of large blocks: kept while they come one after the other, given back to the system when it is quiet.
 *
 * A page that is fresh from the system costs about as much as copying what is put on it: with malloc's own bounds that was a third of
 * the hub's time for an output of 20 MB (docs/decisions/0067). */
#ifndef KERNELHUB_SPARE_H
#define KERNELHUB_SPARE_H

#include "kernelhub/hub.h"

/* Before the first large block, once in a process. */
void spare_set_bounds(void);

/* A block of SPARE_LARGE_BYTES or more was freed: a second after the last of these what is free goes back. */
#define SPARE_LARGE_BYTES (1u << 20)
void spare_note(struct hub *h);

#endif
