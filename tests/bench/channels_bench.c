/* Runs the same code over several ways to kernels in turns, so that what disturbs one disturbs all, and prints a line per
 * execution. What to do is read from stdin, for it holds secrets:
 *
 *     {"code":"pass","blocks":10,"repeat":20,"warmup":2,"settle_ms":0,"ways":[
 *        {"name":…,"shell":"ipc://…","iopub":"ipc://…","key":…},            libzmq, straight to a kernel
 *        {"name":…,"port":8888,"path":"/api/kernels/…","token":…,"v1":true}  a WebSocket
 *     ]}
 *
 * Of each way one connection is open at a time, and only for its turn: every other listener of a kernel's output would take part in
 * what is measured. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "tests/bench/channels_client.h"
#include "tests/bench/raw_zmq.h"

#define MAX_WAYS  16
#define MAX_ORDER 65536

struct way {
    char *name;
    char *shell, *iopub, *key; /* libzmq */
    char *path, *token;        /* a WebSocket */
    int64_t port;
    bool is_v1;
};

struct bench {
    struct way ways[MAX_WAYS];
    size_t n_ways;
    int64_t blocks, repeat, warmup, settle_ms;
    char *code;
};

static char *text_of(struct slice object, const char *name)
{
    char *text = json_member_dup(object, name, 4096);
    if (!text)
        sample_fail("\"%s\" is missing", name);
    return text;
}

static int64_t number_of(struct slice object, const char *name)
{
    int64_t n;
    if (!json_member_int(object, name, &n))
        sample_fail("\"%s\" is missing", name);
    return n;
}

static void read_way(struct slice json, struct way *w)
{
    w->name = text_of(json, "name");
    if ((w->shell = json_member_dup(json, "shell", 4096)) != NULL) {
        w->iopub = text_of(json, "iopub");
        w->key = text_of(json, "key");
        return;
    }
    w->path = text_of(json, "path");
    w->token = text_of(json, "token");
    w->port = number_of(json, "port");
    (void)json_member_bool(json, "v1", &w->is_v1); /* absent: false */
}

static void read_order(struct bench *b)
{
    CLEANUP_BUF struct buf in = BUF_INIT(MAX_ORDER);
    struct slice ways, order;
    ssize_t n;
    char *room;
    while ((room = buf_room(&in, 4096)) != NULL && (n = read(STDIN_FILENO, room, 4096)) > 0)
        in.len += (size_t)n;
    order = buf_slice(&in);
    if (!json_valid(order) || !json_member(order, "ways", &ways))
        sample_fail("what stands in stdin is no order");
    b->code = text_of(order, "code");
    b->blocks = number_of(order, "blocks");
    b->repeat = number_of(order, "repeat");
    b->warmup = number_of(order, "warmup");
    b->settle_ms = number_of(order, "settle_ms");
    struct json_iter it = json_iter(ways);
    while (json_next(&it) && b->n_ways < MAX_WAYS)
        read_way(it.value, &b->ways[b->n_ways++]);
}

static void print(const struct way *w, int64_t block, const struct sample *s)
{
    printf("{\"way\":\"%s\",\"block\":%lld,\"us\":%lld,\"first_us\":%lld,\"bytes\":%lld,"
           "\"messages\":%lld}\n",
           w->name, (long long)block, (long long)s->us, (long long)s->first_us, (long long)s->bytes,
           (long long)s->messages);
}

static void run_raw(const struct bench *b, const struct way *w, int64_t block)
{
    struct sample s;
    struct raw_zmq *raw = raw_zmq_open_at(w->shell, w->iopub, w->key);
    raw_zmq_greet(raw, false);
    for (int64_t i = 0; i < b->warmup; i++)
        raw_zmq_execute(raw, SLICE_LITERAL("pass"), &s);
    raw_zmq_drain(raw);
    for (int64_t i = 0; i < b->repeat; i++) {
        raw_zmq_execute(raw, slice_str(b->code), &s);
        print(w, block, &s);
    }
    raw_zmq_close(raw);
}

static void run_channels(const struct bench *b, const struct way *w, int64_t block)
{
    struct sample s;
    struct channels_client *c =
        channels_client_open((uint16_t)w->port, w->path, w->token, w->is_v1);
    channels_client_greet(c);
    for (int64_t i = 0; i < b->warmup; i++)
        channels_client_execute(c, SLICE_LITERAL("pass"), &s);
    for (int64_t i = 0; i < b->repeat; i++) {
        channels_client_execute(c, slice_str(b->code), &s);
        print(w, block, &s);
    }
    channels_client_close(c);
}

int main(void)
{
    struct bench b = { .n_ways = 0 };
    read_order(&b);
    for (int64_t block = 0; block < b.blocks; block++) {
        for (size_t i = 0; i < b.n_ways; i++) {
            const struct way *w = &b.ways[(i + (size_t)block) % b.n_ways];
            if (w->shell)
                run_raw(&b, w, block);
            else
                run_channels(&b, w, block);
            (void)usleep((useconds_t)(1000 * b.settle_ms)); /* interrupted: it settles less */
        }
    }
    return 0;
}
