/* GET /executions/{id}/output: a part of the text that an execution wrote; as JSON with where it stands in the whole. */
#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/execution.h"
#include "web/accept.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_GREP_BYTES 1024
#define MAX_LINES      1000000
#define MAX_JSON_BYTES (1 << 20) /* of text: it is quoted in the loop */

static const char *const STREAMS[] = {
    [OUTPUT_STDOUT] = "stdout", [OUTPUT_STDERR] = "stderr", [OUTPUT_RESULT] = "result"
};

struct output_request {
    struct request *request;
    struct uuid id;
    struct output_part part;
    bool is_json;
};

static void output_request_free(void *arg, bool completed)
{
    free(arg);
}

static int read_stream(const char *name, enum output_stream *ret, struct err *e)
{
    *ret = OUTPUT_STDOUT;
    for (size_t i = 0; name && i < ARRAY_LEN(STREAMS); i++) {
        if (strcmp(name, STREAMS[i]) == 0) {
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
    int ways = (p->head > 0) + (p->tail > 0) + (query_get(&r->query, "offset") != NULL);
    if (ways > 1)
        return err_set(e, ERR_INVALID,
                       "query parameters 'head', 'tail' and 'offset' exclude one another");
    if (p->ignore_case && !p->grep)
        return err_set(e, ERR_INVALID, "query parameter 'ignore_case' needs 'grep'");
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
        query_number(q, "tail", 1, MAX_LINES, 0, &p->tail, e) < 0 ||
        query_flag(q, "ignore_case", false, &p->ignore_case, e) < 0 ||
        query_flag(q, "total", false, &p->wants_total, e) < 0)
        return -1;
    return check_together(r, p, e);
}

static void number_header(struct request *r, const char *name, int64_t value)
{
    char number[24];
    if (value < 0)
        return;
    (void)snprintf(number, sizeof number, "%lld", (long long)value);
    reply_header(r, name, number);
}

static void reply_text(struct request *r, const struct output_found *found)
{
    reply_bytes(r, 200, "text/plain; charset=utf-8", found->text);
    number_header(r, "X-Next-Offset", found->next_offset);
    number_header(r, "X-Total-Bytes", found->bytes);
    if (found->cut)
        reply_header(r, "X-Truncated", "true");
}

/* -1: null. */
static void write_number(struct buf *out, const char *name, int64_t value)
{
    if (value < 0)
        buf_addf(out, ",\"%s\":null", name);
    else
        buf_addf(out, ",\"%s\":%lld", name, (long long)value);
}

static void reply_object(const struct output_request *o, const struct output_found *found)
{
    CLEANUP_BUF struct buf json = BUF_INIT(8 * MAX_JSON_BYTES);
    buf_addf(&json, "{\"execution_id\":\"%s\",\"stream\":\"%s\",\"text\":", o->id.text,
             STREAMS[o->part.stream]);
    json_quote(&json, found->text);
    write_number(&json, "offset", found->offset);
    write_number(&json, "next_offset", found->next_offset);
    write_number(&json, "total_bytes", found->bytes);
    write_number(&json, "total_lines", found->lines);
    buf_addf(&json, ",\"truncated\":%s,\"ended\":%s}", found->cut ? "true" : "false",
             found->ended ? "true" : "false");
    reply_buf(o->request, 200, &json);
}

static void on_output(void *arg, const struct err *e, const struct output_found *found)
{
    const struct output_request *o = arg;
    o->request->wait = NULL;
    if (e)
        reply_error(o->request, e);
    else if (o->is_json)
        reply_object(o, found);
    else
        reply_text(o->request, found);
}

void rest_execution_output(struct request *r)
{
    struct err e = ERR_INIT;
    struct output_request *o = calloc(1, sizeof *o);
    assert(o);
    o->request = r;
    o->is_json = accept_is_json(r->head.accept);
    request_work(r, o, output_request_free);
    if (!request_execution(r, &o->id))
        return;
    if (read_part(r, &o->part, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    if (o->is_json && o->part.limit > MAX_JSON_BYTES)
        o->part.limit = MAX_JSON_BYTES;
    request_wait(r, execution_output(r->site->hub, r->user, &o->id, &o->part, on_output, o));
}
