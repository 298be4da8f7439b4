/* POST /executions/{id}/replay: the code of an execution once more. What the body does not say is as it was in the original. */
#include "base/json.h"
#include "web/execute_body.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/run.h"

#define MAX_TEXT_BYTES (16u << 20)

struct texts {
    struct buf code, input;
    char language[64], template_name[64], cwd[4096];
};

static void texts_done(struct texts *t)
{
    buf_done(&t->code);
    buf_done(&t->input);
}
#define CLEANUP_TEXTS __attribute__((cleanup(texts_done)))

static const char *copy_name(struct slice source, const char *name, char *ret, size_t size)
{
    struct slice raw;
    return json_member_string(source, name, &raw) && json_copy_string(raw, ret, size) ? ret : NULL;
}

static struct slice object_of(struct slice source, const char *name)
{
    struct slice value;
    return json_member(source, name, &value) && json_type(value) == JSON_OBJECT ? value
                                                                                : slice_of(NULL, 0);
}

/* input() and the environment as they were, unless the body has others. */
static void fill_input(struct execute_body *body, struct slice options, struct texts *texts)
{
    struct slice raw;
    struct execution_request *wanted = &body->wanted;
    if (!wanted->env.data)
        wanted->env = object_of(options, "env");
    if (wanted->has_stdin || body->interactive == FIELD_IS_TRUE)
        return;
    (void)json_member_bool(options, "has_stdin", &wanted->has_stdin); /* absent: false */
    if (wanted->has_stdin && json_member_string(options, "input", &raw)) {
        json_unescape(&texts->input, raw);
        wanted->stdin_text = buf_slice(&texts->input);
    }
}

static void fill(struct execute_body *body, struct slice source, struct texts *texts)
{
    struct execution_request *wanted = &body->wanted;
    struct slice raw, options = object_of(source, "options");
    int64_t timeout_ms;
    if (json_member_string(source, "code", &raw))
        json_unescape(&texts->code, raw);
    wanted->code = buf_slice(&texts->code);
    wanted->language = copy_name(source, "language", texts->language, sizeof texts->language);
    if (!wanted->template_name && !wanted->session && !wanted->sandbox) /* these have their own */
        wanted->template_name =
            copy_name(source, "template", texts->template_name, sizeof texts->template_name);
    if (!wanted->labels.data)
        wanted->labels = object_of(source, "labels");
    if (wanted->timeout_seconds == 0 && json_member_int(options, "timeout_ms", &timeout_ms))
        wanted->timeout_seconds = (double)timeout_ms / 1000;
    if (wanted->max_output_bytes == 0)
        (void)json_member_int(options, "max_output_bytes", &wanted->max_output_bytes); /* or 0 */
    fill_input(body, options, texts);
}

/* A command is run as a command again: it has no session and no kernel. */
static int fill_command(struct execution_request *wanted, struct slice source, struct texts *texts,
                        struct err *e)
{
    struct slice argv, command = object_of(object_of(source, "options"), "command");
    wanted->not_persistent = !wanted->session;
    if (!json_member(command, "argv", &argv))
        return 0;
    if (wanted->session)
        return err_set(e, ERR_INVALID, "a command runs in no session: leave 'session' out");
    wanted->not_persistent = false;
    wanted->command = argv;
    wanted->cwd = copy_name(command, "cwd", texts->cwd, sizeof texts->cwd);
    wanted->language = wanted->template_name = NULL;
    return 0;
}

static int read_request(const struct request *r, struct fields *fields, struct execute_body *ret,
                        enum run_form *ret_form, struct err *e)
{
    bool is_async;
    if (query_flag(&r->query, "async", false, &is_async, e) < 0)
        return -1;
    *ret_form = is_async ? RUN_ASYNC : run_form(r->head.accept);
    return execute_body_read(fields, buf_slice(&r->body), EXECUTE_REPLAY, r->site->config, ret, e);
}

static void on_source(void *arg, const struct err *failure, struct slice source)
{
    struct request *r = arg;
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    CLEANUP_TEXTS struct texts texts = { .code = BUF_INIT(MAX_TEXT_BYTES),
                                         .input = BUF_INIT(MAX_TEXT_BYTES) };
    struct execute_body body;
    enum run_form form;
    struct err e = ERR_INIT;
    r->wait = NULL;
    if (failure || read_request(r, &fields, &body, &form, &e) < 0) {
        reply_error(r, failure ? failure : &e);
        return;
    }
    fill(&body, source, &texts);
    if (fill_command(&body.wanted, source, &texts, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    if (!body.wanted.command.len)
        execute_body_decide(&body, form == RUN_SSE || form == RUN_NDJSON);
    body.wanted.client = "replay";
    (void)uuid_parse(slice_str(request_part(r, 0)), &body.wanted.replay_of); /* checked below */
    run_start(r, &body.wanted, form);
    buf_done(&r->body);
}

void rest_execution_replay(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct execute_body body;
    enum run_form form;
    struct uuid id;
    struct err e = ERR_INIT;
    if (!request_execution(r, &id))
        return;
    if (read_request(r, &fields, &body, &form, &e) < 0)
        reply_error(r, &e);
    else
        request_wait(r, execution_source(r->site->hub, r->user, &id, on_source, r));
}
