/* GET /executions/{id}/output: a part of the text that an execution wrote. */
#include "base/log.h"
#include "kernelhub/execution.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_GREP_BYTES 1024
#define MAX_LINES      1000000

static int read_stream(const char *name, enum output_stream *ret, struct err *e)
{
    static const char *const NAMES[] = {
        [OUTPUT_STDOUT] = "stdout", [OUTPUT_STDERR] = "stderr", [OUTPUT_RESULT] = "result"
    };
    *ret = OUTPUT_STDOUT;
    for (size_t i = 0; name && i < ARRAY_LEN(NAMES); i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            *ret = (enum output_stream)i;
            return 0;
        }
    }
    if (!name)
        return 0;
    return err_set(e, ERR_INVALID, "query parameter 'stream' is %s; allowed: stdout stderr result",
                   log_quote(slice_str(name)));
}

static int check_together(const struct request *r, const struct output_part *p, struct err *e)
{
    bool bytes = query_get(&r->query, "offset") || query_get(&r->query, "limit");
    if ((p->head && p->tail) || ((p->head || p->tail) && bytes))
        return err_set(e, ERR_INVALID,
                       "query parameters 'head', 'tail' and 'offset' with 'limit' exclude one "
                       "another");
    if (p->grep &&
        (p->grep[0] == '\0' || strlen(p->grep) > MAX_GREP_BYTES || strchr(p->grep, '\n')))
        return err_set(e, ERR_INVALID,
                       "query parameter 'grep' has to be 1 to %d bytes of plain text in one line",
                       MAX_GREP_BYTES);
    return 0;
}

static int read_part(const struct request *r, struct output_part *p, struct err *e)
{
    const struct query *q = &r->query;
    *p = (struct output_part){ .grep = query_get(q, "grep") };
    if (read_stream(query_get(q, "stream"), &p->stream, e) < 0 ||
        query_number(q, "offset", 0, INT64_MAX / 2, 0, &p->offset, e) < 0 ||
        query_number(q, "limit", 1, OUTPUT_PART_MAX_BYTES, OUTPUT_PART_MAX_BYTES, &p->limit, e) <
            0 ||
        query_number(q, "head", 1, MAX_LINES, 0, &p->head, e) < 0 ||
        query_number(q, "tail", 1, MAX_LINES, 0, &p->tail, e) < 0)
        return -1;
    return check_together(r, p, e);
}

static void on_output(void *arg, const struct err *e, struct slice text, int64_t next_offset,
                      bool cut)
{
    struct request *r = arg;
    char number[24];
    r->wait = NULL;
    if (e) {
        reply_error(r, e);
        return;
    }
    reply_bytes(r, 200, "text/plain; charset=utf-8", text);
    if (next_offset >= 0) {
        (void)snprintf(number, sizeof number, "%lld", (long long)next_offset);
        reply_header(r, "X-Next-Offset", number);
    }
    if (cut)
        reply_header(r, "X-Truncated", "true");
}

void rest_execution_output(struct request *r)
{
    struct uuid id;
    struct output_part part;
    struct err e = ERR_INIT;
    if (!request_execution(r, &id))
        return;
    if (read_part(r, &part, &e) < 0)
        reply_error(r, &e);
    else
        request_wait(r, execution_output(r->site->hub, r->user, &id, &part, on_output, r));
}
