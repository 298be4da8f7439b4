/* Executions that were accepted: their records, their history, and how to stop them. */
#include <stddef.h>

#include "base/cleanup.h"
#include "kernelhub/execution.h"
#include "web/fields.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/stop.h"

void rest_execution(struct request *r)
{
    struct uuid id;
    if (request_execution(r, &id))
        request_wait(r, execution_record(r->site->hub, r->user, &id, false, request_answer, r));
}

static void on_interrupted(void *arg, const struct err *e, struct slice json)
{
    struct request *r = arg;
    r->is_stored = !stop_is_end(json);
    request_answer(r, e, json);
}

void rest_execution_interrupt(struct request *r)
{
    struct uuid id;
    if (request_execution(r, &id) && request_has_empty_body(r))
        request_wait(r, execution_interrupt(r->site->hub, r->user, &id, on_interrupted, r));
}

void rest_execution_cancel(struct request *r)
{
    struct uuid id;
    if (request_execution(r, &id) && request_has_empty_body(r))
        request_wait(r, execution_cancel(r->site->hub, r->user, &id, request_answer, r));
}

struct answer {
    struct slice value;
};

static const struct field ANSWER[] = {
    { "value", FIELD_TEXT, offsetof(struct answer, value), true, EXECUTION_MAX_INPUT_BYTES,
      FIELD_NO_CONFIG, NULL },
};

void rest_execution_input(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct answer answer = { .value = { 0 } };
    struct uuid id;
    struct err e = ERR_INIT;
    if (!request_execution(r, &id))
        return;
    if (fields_read(&fields, buf_slice(&r->body), ANSWER, ARRAY_LEN(ANSWER), r->site->config,
                    &answer, &e) < 0)
        reply_error(r, &e);
    else
        request_wait(r,
                     execution_input(r->site->hub, r->user, &id, answer.value, request_answer, r));
}

static int read_filter(struct request *r, struct execution_filter *f, struct err *e)
{
    int64_t limit;
    const struct query *q = &r->query;
    *f = (struct execution_filter){
        .session = query_get(q, "session"),
        .language = query_get(q, "language"),
        .status = query_get(q, "status"),
        .label = query_get(q, "label"),
        .since = query_get(q, "since"),
        .until = query_get(q, "until"),
        .q = query_get(q, "q"),
        .user = query_get(q, "user"),
        .cursor = query_get(q, "cursor"),
    };
    if (f->user && !r->user->admin && strcmp(f->user, r->user->name) != 0)
        return err_set(e, ERR_FORBIDDEN, "query parameter 'user' is for admins");
    if (!r->user->admin)
        f->user = NULL;
    if (query_number(q, "limit", 1, 500, 0, &limit, e) < 0)
        return -1;
    f->limit = (int)limit;
    return 0;
}

void rest_executions(struct request *r)
{
    struct execution_filter filter;
    struct err e = ERR_INIT;
    if (read_filter(r, &filter, &e) < 0)
        reply_error(r, &e);
    else
        request_wait(r, execution_list(r->site->hub, r->user, &filter, request_answer, r));
}
