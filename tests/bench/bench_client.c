/* Runs the same code over raw ZeroMQ, REST, SSE and MCP in turns, so that what disturbs one disturbs
 * all:
 *
 *     block 0:  raw × N   rest × N   sse × N        block 1:  rest × N   sse × N   raw × N   …
 *
 * and prints a line per execution. Or starts a kernel and says when it first answered. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "tests/bench/http_client.h"
#include "tests/bench/raw_zmq.h"

#define MAX_WAYS 4

enum way { WAY_RAW, WAY_REST, WAY_SSE, WAY_MCP };
static const char *const WAYS[] = { "raw", "rest", "sse", "mcp" };

struct bench {
    enum way ways[MAX_WAYS];
    size_t n_ways;
    int blocks, repeat, warmup;
    struct slice code;
    struct raw_zmq *raw;
    struct http_client *http;
};

static void execute(struct bench *b, enum way way, struct sample *ret)
{
    static const enum http_form FORMS[] = {
        [WAY_REST] = HTTP_JSON, [WAY_SSE] = HTTP_EVENTS, [WAY_MCP] = HTTP_MCP
    };
    if (way == WAY_RAW)
        raw_zmq_execute(b->raw, b->code, ret);
    else
        http_client_execute(b->http, b->code, FORMS[way], ret);
}

static void print(enum way way, int block, const struct sample *s)
{
    printf("{\"way\":\"%s\",\"block\":%d,\"us\":%lld,\"first_us\":%lld,\"bytes\":%lld,\"messages\":"
           "%lld,"
           "\"queued_us\":%lld,\"kernel_us\":%lld,\"total_us\":%lld}\n",
           WAYS[way], block, (long long)s->us, (long long)s->first_us, (long long)s->bytes,
           (long long)s->messages, (long long)s->queued_us, (long long)s->kernel_us,
           (long long)s->total_us);
}

static void run_block(struct bench *b, enum way way, int block)
{
    struct sample s;
    if (b->raw)
        raw_zmq_drain(b->raw);
    for (int i = 0; i < b->repeat; i++) {
        execute(b, way, &s);
        print(way, block, &s);
    }
}

static void run(struct bench *b)
{
    struct sample s;
    for (int i = 0; i < b->warmup; i++)
        for (size_t w = 0; w < b->n_ways; w++)
            execute(b, b->ways[w], &s);
    for (int block = 0; block < b->blocks; block++)
        for (size_t w = 0; w < b->n_ways; w++)
            run_block(b, b->ways[(w + (size_t)block) % b->n_ways], block);
}

/* Writes a line to the FIFO that a waiting shell reads before it becomes the kernel. */
static void run_start(const char *fifo, const char *endpoint, const char *key)
{
    struct sample first;
    CLEANUP_FD int fd = open(fifo, O_WRONLY | O_CLOEXEC);
    int64_t began_us = sample_now_us();
    if (fd < 0 || write(fd, "go\n", 3) != 3)
        sample_fail("%s: %s", fifo, strerror(errno));
    struct raw_zmq *raw = raw_zmq_open(endpoint, key);
    raw_zmq_greet(raw, true);
    int64_t ready_us = sample_now_us() - began_us;
    raw_zmq_execute(raw, SLICE_LITERAL("1+1"), &first);
    printf("{\"ready_us\":%lld,\"first_result_us\":%lld}\n", (long long)ready_us,
           (long long)first.us);
    raw_zmq_close(raw);
}

static void add_way(struct bench *b, const char *name)
{
    for (size_t w = 0; w < ARRAY_LEN(WAYS); w++) {
        if (strcmp(name, WAYS[w]) == 0 && b->n_ways < MAX_WAYS) {
            b->ways[b->n_ways++] = (enum way)w;
            return;
        }
    }
    sample_fail("no way is called '%s': raw, rest, sse or mcp", name);
}

static bool uses(const struct bench *b, bool raw)
{
    for (size_t i = 0; i < b->n_ways; i++)
        if ((b->ways[i] == WAY_RAW) == raw)
            return true;
    return false;
}

static const char *need(const char *value, const char *what)
{
    if (!value)
        sample_fail("%s is missing", what);
    return value;
}

/* What is secret comes in the environment: BENCH_KEY the kernel's key, BENCH_TOKEN the service's.
 */
int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        { "way", required_argument, NULL, 'w' },
        { "code", required_argument, NULL, 'c' },
        { "blocks", required_argument, NULL, 'b' },
        { "repeat", required_argument, NULL, 'r' },
        { "endpoint", required_argument, NULL, 'e' },
        { "port", required_argument, NULL, 'p' },
        { "go", required_argument, NULL, 'g' },
        { "warmup", required_argument, NULL, 'u' },
        { NULL, 0, NULL, 0 },
    };
    struct bench b = { .blocks = 1, .repeat = 1, .code = SLICE_LITERAL("pass") };
    const char *endpoint = NULL, *port = NULL, *go = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'w':
            add_way(&b, optarg);
            break;
        case 'c':
            b.code = slice_str(optarg);
            break;
        case 'b':
            b.blocks = atoi(optarg);
            break;
        case 'r':
            b.repeat = atoi(optarg);
            break;
        case 'u':
            b.warmup = atoi(optarg);
            break;
        case 'e':
            endpoint = optarg;
            break;
        case 'p':
            port = optarg;
            break;
        case 'g':
            go = optarg;
            break;
        default:
            return 2;
        }
    }
    if (go) {
        run_start(go, need(endpoint, "--endpoint"), need(getenv("BENCH_KEY"), "BENCH_KEY"));
        return 0;
    }
    if (uses(&b, true)) {
        b.raw = raw_zmq_open(need(endpoint, "--endpoint"), need(getenv("BENCH_KEY"), "BENCH_KEY"));
        raw_zmq_greet(b.raw, false);
    }
    if (uses(&b, false))
        b.http = http_client_open((uint16_t)atoi(need(port, "--port")),
                                  need(getenv("BENCH_TOKEN"), "BENCH_TOKEN"));
    run(&b);
    raw_zmq_close(b.raw);
    http_client_close(b.http);
    return 0;
}
