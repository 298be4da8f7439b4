#include "sandbox/ids.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

struct ids {
    unsigned base;
    unsigned count;
    unsigned next;
    unsigned n_taken;
    bool taken[];
};

int ids_new(unsigned base, unsigned count, unsigned seed, struct ids **ret, struct err *e)
{
    uint64_t end = (uint64_t)base + (uint64_t)count * IDS_PER_RANGE;
    if (count == 0 || count > IDS_MAX_RANGES || base < IDS_PER_RANGE || end > UINT32_MAX - 1)
        return err_set(e, ERR_INVALID, "%u ranges of ids from %u do not fit", count, base);
    struct ids *ids = calloc(1, sizeof *ids + count * sizeof ids->taken[0]);
    assert(ids);
    ids->base = base;
    ids->count = count;
    ids->next = seed % count;
    *ret = ids;
    return 0;
}

void ids_free(struct ids *ids)
{
    free(ids);
}

int ids_take(struct ids *ids, unsigned *ret_index, struct err *e)
{
    if (ids->n_taken == ids->count)
        return err_set(e, ERR_QUOTA, "all %u ranges of host ids are in use", ids->count);
    while (ids->taken[ids->next])
        ids->next = (ids->next + 1) % ids->count;
    *ret_index = ids->next;
    ids->taken[ids->next] = true;
    ids->n_taken++;
    ids->next = (ids->next + 1) % ids->count;
    return 0;
}

bool ids_mark(struct ids *ids, unsigned index)
{
    if (index >= ids->count || ids->taken[index])
        return false;
    ids->taken[index] = true;
    ids->n_taken++;
    return true;
}

void ids_give(struct ids *ids, unsigned index)
{
    assert(index < ids->count && ids->taken[index]);
    ids->taken[index] = false;
    ids->n_taken--;
}

unsigned ids_count(const struct ids *ids)
{
    return ids->count;
}

unsigned ids_first(const struct ids *ids, unsigned index)
{
    assert(index < ids->count);
    return ids->base + index * IDS_PER_RANGE;
}

bool ids_find_warden(const struct ids *ids, unsigned uid, unsigned *ret_index)
{
    if (uid < ids->base)
        return false;
    unsigned index = (uid - ids->base) / IDS_PER_RANGE;
    if (index >= ids->count || (uid - ids->base) % IDS_PER_RANGE != IDS_WARDEN)
        return false;
    *ret_index = index;
    return true;
}
