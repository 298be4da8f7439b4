/* POST /execute and /execute/async. */
#include "web/accept.h"
#include "web/batch.h"
#include "web/execute_body.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/run.h"

static void execute(struct request *r, enum run_form form)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct execute_body body;
    struct err e = ERR_INIT;
    enum execute_fields which = form == RUN_ASYNC ? EXECUTE_ASYNC : EXECUTE_WHOLE;
    if (execute_body_read(&fields, buf_slice(&r->body), which, r->site->config, &body, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    execute_body_decide(&body, form == RUN_SSE || form == RUN_NDJSON);
    body.wanted.client = run_client(form);
    run_start(r, &body.wanted, form);
    buf_done(&r->body); /* a run may take long; its text is with the hub now */
}

void rest_execute(struct request *r)
{
    execute(r, run_form(r->head.accept));
}

void rest_execute_async(struct request *r)
{
    execute(r, RUN_ASYNC);
}

void rest_execute_batch(struct request *r)
{
    batch_start(r, accept_form(r->head.accept));
}
