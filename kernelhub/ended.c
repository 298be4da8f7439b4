#include "kernelhub/ended.h"

#include <czmq.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "protocol/jupyter_message.h"

struct entry {
    struct uuid id, user_id;
    char name[64], reason[256];
    int64_t ended_us;
};

struct ended {
    zlistx_t *entries; /* struct entry, owned, oldest first */
};

static void entry_free(void **p)
{
    free(*p);
    *p = NULL;
}

struct ended *ended_new(void)
{
    struct ended *ended = calloc(1, sizeof *ended);
    if (!ended)
        abort();
    ended->entries = zlistx_new();
    zlistx_set_destructor(ended->entries, entry_free);
    return ended;
}

void ended_free(struct ended *ended)
{
    if (!ended)
        return;
    zlistx_destroy(&ended->entries);
    free(ended);
}

/* Room for one more: the user's own oldest goes first, so that nobody pushes out another's. */
static void make_room(struct ended *ended, const struct uuid *user_id)
{
    size_t of_user = 0;
    void *oldest = NULL;
    for (struct entry *x = zlistx_first(ended->entries); x; x = zlistx_next(ended->entries)) {
        if (!uuid_equal(&x->user_id, user_id))
            continue;
        if (!of_user++)
            oldest = zlistx_cursor(ended->entries);
    }
    if (of_user >= ENDED_MAX_OF_USER)
        (void)zlistx_delete(ended->entries, oldest);
    else if (zlistx_size(ended->entries) >= ENDED_MAX)
        (void)zlistx_delete(ended->entries, NULL); /* the first */
}

void ended_add(struct ended *ended, const struct uuid *id, const struct uuid *user_id,
               const char *name, int64_t ended_us, const char *reason)
{
    make_room(ended, user_id);
    struct entry *x = calloc(1, sizeof *x);
    if (!x)
        abort();
    *x = (struct entry){ .id = *id, .user_id = *user_id, .ended_us = ended_us };
    (void)snprintf(x->name, sizeof x->name, "%s", name); /* cut, see above */
    (void)snprintf(x->reason, sizeof x->reason, "%s", reason);
    zlistx_add_end(ended->entries, x);
}

int ended_explain(const struct ended *ended, const struct uuid *user_id, const char *id_or_name,
                  struct err *e)
{
    for (const struct entry *x = zlistx_last(ended->entries); x; x = zlistx_prev(ended->entries)) {
        char at[28];
        if (!uuid_equal(&x->user_id, user_id) ||
            (strcmp(x->name, id_or_name) != 0 && strcmp(x->id.text, id_or_name) != 0))
            continue;
        jupyter_format_time(x->ended_us, at);
        return err_set(e, ERR_GONE, "sandbox '%s' is gone since %s: %s", x->name, at, x->reason);
    }
    return err_set(e, ERR_NOT_FOUND, "there is no sandbox %.80s", log_quote(slice_str(id_or_name)));
}
