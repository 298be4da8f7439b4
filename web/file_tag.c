#include "web/file_tag.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <assert.h>

#include "web/head.h"

void file_tag_write(const struct files_stat *st, char ret[FILE_TAG_BYTES])
{
    (void)snprintf(ret, FILE_TAG_BYTES, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", st->node,
                   st->bytes, (uint64_t)st->changed_ns); /* fits; nobody sets that time */
}

bool file_tag_listed(const char *list, const char *tag, bool weak)
{
    size_t n = strlen(tag);
    for (const char *at = list; at && *at;) {
        at += strspn(at, " \t,");
        bool is_weak = strncmp(at, "W/", 2) == 0;
        if (is_weak)
            at += 2;
        if (*at == '*' || ((weak || !is_weak) && strncmp(at, tag, n) == 0 && strchr(" \t,", at[n])))
            return true;
        at += strcspn(at, ",");
    }
    return false;
}

static char *copy(const char *text)
{
    char *own = text ? strdup(text) : NULL;
    assert(own || !text);
    return own;
}

void file_condition_read(struct file_condition *c, const struct head *h)
{
    c->if_match = copy(h->if_match);
    c->if_none_match = copy(h->if_none_match);
}

void file_condition_done(struct file_condition *c)
{
    free(c->if_match);
    free(c->if_none_match);
    *c = (struct file_condition){ .if_match = NULL };
}

int file_condition_check(const void *condition, const struct files_stat *there, struct err *e)
{
    const struct file_condition *c = condition;
    char tag[FILE_TAG_BYTES];
    if (there)
        file_tag_write(there, tag);
    if (c->if_match && !there)
        return err_set(e, ERR_PRECONDITION, "If-Match: there is no such file");
    if (c->if_match && !file_tag_listed(c->if_match, tag, false))
        return err_set(e, ERR_PRECONDITION, "If-Match: it has changed, its ETag is %s now", tag);
    if (c->if_none_match && there && file_tag_listed(c->if_none_match, tag, true))
        return err_set(e, ERR_PRECONDITION, "If-None-Match: it is there, its ETag is %s", tag);
    return 0;
}
