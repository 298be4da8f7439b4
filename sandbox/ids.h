/* ids.h - which ranges of 65,536 host ids are in use; each sandbox has one of its own.
 *
 *     base + index*65536 + 0 … 65534   the container's ids
 *                        + 1000        the user that kernels run as
 *                        + 65535       the warden, which the container does not map
 */
#ifndef SANDBOX_IDS_H
#define SANDBOX_IDS_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/err.h"

#define IDS_PER_RANGE  65536u
#define IDS_MAPPED     65535u
#define IDS_USER       1000u
#define IDS_WARDEN     65535u
#define IDS_MAX_RANGES 65535u

struct ids;

/* Fails when the ranges would pass the end of the 32-bit ids (the last two are not ids). The first range taken
 * is `seed` modulo count: two instances on one host, told nothing of each other, hardly ever meet. */
int ids_new(unsigned base, unsigned count, unsigned seed, struct ids **ret, struct err *e);
void ids_free(struct ids *ids);
DEFINE_CLEANUP(struct ids, ids_free)

/* The next free range after the one taken last, so that a range rests before it is used again. */
int ids_take(struct ids *ids, unsigned *ret_index, struct err *e);
bool ids_mark(struct ids *ids, unsigned index); /* taken by one that was adopted; false: out of range or in use */
void ids_give(struct ids *ids, unsigned index);

unsigned ids_count(const struct ids *ids);
unsigned ids_first(const struct ids *ids, unsigned index);                       /* host id of the range's 0 */
bool ids_find_warden(const struct ids *ids, unsigned uid, unsigned *ret_index); /* is it a warden's id? */

#endif
