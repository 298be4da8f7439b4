#include "sandbox/run_table.h"

#include <assert.h>
#include <czmq.h>

struct ended {
    struct run *run;
    uint64_t end_number;
};

struct run_table {
    size_t remember, max;
    zhashx_t *by_id;      /* execution id → run, owned */
    zhashx_t *by_message; /* "generation/msg_id" → run */
    zlistx_t *ended;      /* of struct ended, oldest first */
};

static void run_destroy(void **item)
{
    struct run *r = *item;
    free(r->key);
    free(r);
    *item = NULL;
}

/* The keys live in the runs: nobody copies them. */
static zhashx_t *table_of_borrowed_keys(void)
{
    zhashx_t *h = zhashx_new();
    assert(h);
    zhashx_set_key_duplicator(h, NULL);
    zhashx_set_key_destructor(h, NULL);
    return h;
}

static void ended_destroy(void **item)
{
    free(*item);
    *item = NULL;
}

struct run_table *run_table_new(size_t remember, size_t max)
{
    struct run_table *t = calloc(1, sizeof *t);
    assert(t);
    t->remember = remember;
    t->max = max;
    t->by_id = table_of_borrowed_keys();
    t->by_message = table_of_borrowed_keys();
    t->ended = zlistx_new();
    zlistx_set_destructor(t->ended, ended_destroy);
    return t;
}

void run_table_free(struct run_table *t)
{
    if (!t)
        return;
    zlistx_destroy(&t->ended);
    zhashx_destroy(&t->by_message);
    zhashx_set_destructor(t->by_id, run_destroy);
    zhashx_destroy(&t->by_id);
    free(t);
}

#define KEY_BYTES 160 /* a number, a slash and the longest msg_id (jupyter_message.h) */

static void write_key(char ret[KEY_BYTES], uint64_t generation, const char *msg_id)
{
    (void)snprintf(ret, KEY_BYTES, "%llu/%s", (unsigned long long)generation, msg_id);
}

struct run *run_table_add(struct run_table *t, const struct uuid *execution_id, uint64_t generation,
                          const char *msg_id)
{
    if (zhashx_size(t->by_id) >= t->max)
        return NULL;
    char key[KEY_BYTES];
    write_key(key, generation, msg_id);
    struct run *r = calloc(1, sizeof *r);
    assert(r);
    r->execution_id = *execution_id;
    r->key = strdup(key);
    assert(r->key);
    int rc = zhashx_insert(t->by_id, r->execution_id.text, r);
    assert(rc == 0);
    rc = zhashx_insert(t->by_message, r->key, r);
    assert(rc == 0);
    return r;
}

struct run *run_table_find(struct run_table *t, const struct uuid *execution_id)
{
    return zhashx_lookup(t->by_id, execution_id->text);
}

struct run *run_table_find_message(struct run_table *t, uint64_t generation, const char *msg_id)
{
    char key[KEY_BYTES];
    write_key(key, generation, msg_id);
    return zhashx_lookup(t->by_message, key);
}

void run_table_remove(struct run_table *t, struct run *r)
{
    zhashx_delete(t->by_message, r->key);
    zhashx_delete(t->by_id, r->execution_id.text);
    run_destroy((void **)&(struct run *){ r });
}

void run_table_ended(struct run_table *t, struct run *r, uint64_t end_number, uint64_t acked)
{
    struct ended *e = malloc(sizeof *e);
    assert(e);
    *e = (struct ended){ .run = r, .end_number = end_number };
    zlistx_add_end(t->ended, e);
    while (zlistx_size(t->ended) > t->remember) {
        struct ended *oldest = zlistx_first(t->ended);
        if (oldest->end_number > acked)
            break;
        run_table_remove(t, oldest->run);
        zlistx_delete(t->ended, zlistx_cursor(t->ended));
    }
}

struct run *run_table_first(struct run_table *t)
{
    return zhashx_first(t->by_id);
}

struct run *run_table_next(struct run_table *t)
{
    return zhashx_next(t->by_id);
}
