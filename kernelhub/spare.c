#include "kernelhub/spare.h"

#include <malloc.h>

#include "kernelhub/hub_internal.h"

#define QUIET_MS    1000
#define BLOCK_BYTES (32 << 20) /* a larger one is mapped for itself, and given back with its free */
#define SPARE_BYTES (128 << 20) /* more than that at the heap's end is given back at once */

void spare_set_bounds(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES); /* refused: malloc's own bounds hold */
    (void)mallopt(M_TRIM_THRESHOLD, SPARE_BYTES);
}

static int on_quiet(struct loop *loop, int timer, void *arg)
{
    struct hub *h = arg;
    h->spare_timer = -1;
    if (h->spare_again) {
        h->spare_again = false;
        h->spare_timer = loop_timer(loop, QUIET_MS, on_quiet, h);
        return 0;
    }
    (void)malloc_trim(0); /* no matter whether there was something */
    return 0;
}

void spare_note(struct hub *h)
{
    if (h->spare_timer >= 0)
        h->spare_again = true;
    else
        h->spare_timer = loop_timer(h->loop, QUIET_MS, on_quiet, h);
}
