/* What a user has and may have. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/session_internal.h"

#define MAX_LABEL_BYTES 70000

struct sum {
    char *label; /* "key=value"; NULL: all */
    int64_t sandboxes, memory_bytes, pids, running, queued;
    double cpus;
};

static void add_sandbox(struct sum *sum, const struct sandbox *s)
{
    sum->sandboxes++;
    sum->memory_bytes += s->limits.memory_bytes;
    sum->pids += s->limits.pids;
    sum->cpus += s->limits.cpus;
    for (struct session *x = zhashx_first(s->hub->sessions); x; x = zhashx_next(s->hub->sessions)) {
        if (x->sandbox != s)
            continue;
        sum->running += x->running != NULL;
        sum->queued += (int64_t)zlistx_size(x->queue);
    }
}

static void sum_free(void **p)
{
    struct sum *sum = *p;
    free(sum->label);
    free(sum);
    *p = NULL;
}

static struct sum *sum_of(zhashx_t *sums, const char *label)
{
    struct sum *sum = zhashx_lookup(sums, label);
    if (sum)
        return sum;
    sum = calloc(1, sizeof *sum);
    if (!sum || !(sum->label = strdup(label)))
        abort();
    zhashx_insert(sums, label, sum);
    return sum;
}

static void add_labels(zhashx_t *sums, const struct sandbox *s)
{
    struct json_iter it = json_iter(slice_str(s->labels));
    while (json_next(&it)) {
        CLEANUP_BUF struct buf label = BUF_INIT(MAX_LABEL_BYTES);
        json_unescape(&label, it.key);
        buf_add_char(&label, '=');
        json_unescape(&label, slice_of(it.value.data + 1,
                                       it.value.len - 2)); /* a string: checked on its way in */
        if (!label.failed)
            add_sandbox(sum_of(sums, label.data), s);
    }
}

static void write_groups(struct hub *h, const struct user *u, struct buf *out)
{
    const char *comma = "";
    zhashx_t *sums = zhashx_new();
    zhashx_set_destructor(sums, sum_free);
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        if (s->user == u)
            add_labels(sums, s);
    buf_add_str(out, ",\"groups\":[");
    for (const struct sum *sum = zhashx_first(sums); sum; sum = zhashx_next(sums)) {
        buf_addf(out, "%s{\"label\":", comma);
        json_quote_str(out, sum->label);
        buf_addf(out,
                 ",\"sandboxes\":%lld,\"memory_bytes\":%lld,\"cpus\":%g,\"pids\":%lld,"
                 "\"executions\":{\"running\":%lld,\"queued\":%lld}}",
                 (long long)sum->sandboxes, (long long)sum->memory_bytes, sum->cpus,
                 (long long)sum->pids, (long long)sum->running, (long long)sum->queued);
        comma = ",";
    }
    buf_add_char(out, ']');
    zhashx_destroy(&sums);
}

/* Also those that wait for a sandbox. */
static void count_sessions(struct hub *h, const struct user *u, int64_t *ret_n, struct sum *all)
{
    *ret_n = 0;
    for (struct session *x = zhashx_first(h->sessions); x; x = zhashx_next(h->sessions)) {
        if (x->user != u)
            continue;
        *ret_n += !x->is_command; /* as its limit counts them */
        if (!x->sandbox)
            all->queued += (int64_t)zlistx_size(x->queue);
    }
}

void sandbox_write_usage(struct hub *h, const struct user *u, bool by_label, struct buf *out)
{
    const struct config *c = h->config;
    struct sum all = { .label = NULL };
    int64_t sessions;
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        if (s->user == u)
            add_sandbox(&all, s);
    count_sessions(h, u, &sessions, &all);
    buf_add_str(out, "{\"user\":");
    json_quote_str(out, u->name);
    buf_addf(out,
             ",\"sandboxes\":{\"used\":%lld,\"limit\":%lld},\"sessions\":{\"used\":%lld,\"limit\":"
             "%lld},\"memory_bytes\":{\"reserved\":%lld,\"limit_per_sandbox\":%lld},\"cpus\":{"
             "\"reserved\":%g,\"limit_per_sandbox\":%g},\"pids\":{\"reserved\":%lld,"
             "\"limit_per_sandbox\":%lld}",
             (long long)all.sandboxes, (long long)config_number(c, CONFIG_LIMITS_USER_SANDBOXES),
             (long long)sessions, (long long)config_number(c, CONFIG_LIMITS_SESSIONS),
             (long long)all.memory_bytes, (long long)config_number(c, CONFIG_LIMITS_MEMORY),
             all.cpus, (double)config_number(c, CONFIG_LIMITS_CPUS) / 1000.0, (long long)all.pids,
             (long long)config_number(c, CONFIG_LIMITS_PIDS));
    buf_addf(out,
             ",\"executions\":{\"running\":%lld,\"queued\":%lld,\"limit_per_session\":%lld},"
             "\"held_bytes\":{\"used\":%zu,\"limit\":%u}",
             (long long)all.running, (long long)all.queued,
             (long long)config_number(c, CONFIG_LIMITS_QUEUE), u->held_bytes,
             EXECUTION_MAX_HELD_BYTES);
    if (by_label)
        write_groups(h, u, out);
    buf_add_char(out, '}');
}
