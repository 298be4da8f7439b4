/* execute_code, run_code, get_execution. */
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "web/fields.h"
#include "web/mcp_answer.h"
#include "web/mcp_output.h"
#include "web/mcp_run.h"
#include "web/mcp_tools.h"

#define DEFAULT_TIMEOUT_SECONDS    60
#define BACKGROUND_TIMEOUT_SECONDS 3600
#define MAX_WAIT_SECONDS           50
#define QUEUE_SECONDS              50 /* clients give up after a minute */
#define MAX_GREP                   1024
#define MAX_LINES                  1000000

int mcp_check_chars(int64_t max_chars, struct err *e)
{
    if (max_chars && max_chars < MCP_VIEW_MIN_CHARS)
        return err_set(e, ERR_INVALID, "field 'max_output_chars' is %lld; it has to be at least %d",
                       (long long)max_chars, MCP_VIEW_MIN_CHARS);
    return 0;
}

static struct mcp_view_options view_of(const struct mcp_call *c, int64_t max_chars)
{
    return (struct mcp_view_options){
        .max_chars = max_chars ? (size_t)max_chars : MCP_VIEW_DEFAULT_CHARS,
        .has_links = mcp_version_has_structured(c->version),
        .is_text_only = !mcp_call_wants_structured(c),
        .exceptions_are_errors = config_flag(c->site->config, CONFIG_MCP_EXCEPTIONS),
    };
}

/* ---- to run ---- */

struct code {
    struct execution_request wanted;
    bool persistent, background;
    int64_t max_chars;
};

#define AT(member) offsetof(struct code, member)
static const struct field EXECUTE[] = {
    { "code", FIELD_TEXT, AT(wanted.code), true, 0, CONFIG_LIMITS_CODE, NULL },
    { "sandbox_id", FIELD_NAME, AT(wanted.sandbox), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "language", FIELD_NAME, AT(wanted.language), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "session", FIELD_NAME, AT(wanted.session), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "timeout_seconds", FIELD_NUMBER, AT(wanted.timeout_seconds), false, 0, CONFIG_LIMITS_TIMEOUT,
      NULL },
    { "background", FIELD_FLAG, AT(background), false, 0, FIELD_NO_CONFIG, NULL },
    { "persistent", FIELD_FLAG, AT(persistent), false, 0, FIELD_NO_CONFIG, NULL },
    MCP_FIELD_CHARS(struct code, max_chars),
};

static const struct field RUN[] = {
    { "sandbox_name", FIELD_NAME, AT(wanted.sandbox), true, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "code", FIELD_TEXT, AT(wanted.code), true, 0, CONFIG_LIMITS_CODE, NULL },
    { "language", FIELD_NAME, AT(wanted.language), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "timeout_seconds", FIELD_NUMBER, AT(wanted.timeout_seconds), false, 0, CONFIG_LIMITS_TIMEOUT,
      NULL },
    MCP_FIELD_CHARS(struct code, max_chars),
};
#undef AT

/* Nobody has asked for these: where they are above the user's limit, that is meant. */
static double at_most(const struct mcp_call *c, double seconds)
{
    double most = (double)config_number(c->site->config, CONFIG_LIMITS_TIMEOUT);
    return seconds < most ? seconds : most;
}

/* One that waits for its turn longer than its client waits for the answer is given up, and says so. */
static void run(struct mcp_call *c, struct slice arguments, const struct field *table, size_t n,
                bool is_run_code)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct code code = { .persistent = true };
    struct err e = ERR_INIT;
    if (fields_read(&fields, arguments, table, n, c->site->config, &code, &e) < 0 ||
        mcp_check_chars(code.max_chars, &e) < 0) {
        mcp_answer_error(c, &e);
        return;
    }
    struct mcp_view_options options = view_of(c, code.max_chars);
    options.is_run_code = is_run_code;
    code.wanted.client = c->client;
    if (code.wanted.timeout_seconds == 0) /* not given */
        code.wanted.timeout_seconds =
            at_most(c, code.background ? BACKGROUND_TIMEOUT_SECONDS : DEFAULT_TIMEOUT_SECONDS);
    code.wanted.not_persistent = !code.persistent;
    code.wanted.queue_timeout_seconds = code.background ? 0 : at_most(c, QUEUE_SECONDS);
    mcp_run_start(c, &code.wanted, &options, code.background);
}

void mcp_execute_code(struct mcp_call *c, struct slice arguments)
{
    run(c, arguments, EXECUTE, ARRAY_LEN(EXECUTE), false);
}

void mcp_run_code(struct mcp_call *c, struct slice arguments)
{
    run(c, arguments, RUN, ARRAY_LEN(RUN), true);
}

/* ---- to look at ---- */

struct look {
    const char *execution_id;
    int64_t wait_seconds, max_chars;
    struct mcp_output_wish part;
};

#define AT(member) offsetof(struct look, member)
static const struct field LOOK[] = {
    { "execution_id", FIELD_NAME, AT(execution_id), true, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "wait_seconds", FIELD_COUNT, AT(wait_seconds), false, MAX_WAIT_SECONDS, FIELD_NO_CONFIG,
      NULL },
    { "stream", FIELD_NAME, AT(part.stream), false, 64, FIELD_NO_CONFIG, NULL },
    { "offset", FIELD_COUNT, AT(part.offset), false, 1e15, FIELD_NO_CONFIG, NULL },
    { "limit", FIELD_INTEGER, AT(part.limit), false, 1e15, FIELD_NO_CONFIG, NULL },
    { "head", FIELD_INTEGER, AT(part.head), false, MAX_LINES, FIELD_NO_CONFIG, NULL },
    { "tail", FIELD_INTEGER, AT(part.tail), false, MAX_LINES, FIELD_NO_CONFIG, NULL },
    { "grep", FIELD_NAME, AT(part.grep), false, MAX_GREP, FIELD_NO_CONFIG, NULL },
    MCP_FIELD_CHARS(struct look, max_chars),
};
#undef AT

static int check_part(const struct mcp_output_wish *w, struct err *e)
{
    if ((w->head && w->tail) || ((w->head || w->tail) && w->offset > 0))
        return err_set(e, ERR_INVALID, "fields 'head', 'tail' and 'offset' exclude one another");
    if (w->grep && strchr(w->grep, '\n'))
        return err_set(e, ERR_INVALID, "field 'grep' has to be plain text in one line");
    return 0;
}

/* Who waits and says the default of all the rest wants to see the whole. */
static bool wants_part(const struct mcp_output_wish *w, int64_t wait_seconds)
{
    return w->stream || w->limit || w->head || w->tail || w->grep ||
           w->offset >= (wait_seconds ? 1 : 0);
}

void mcp_get_execution(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct look look = { .part = { .offset = -1 } }; /* 0 is a place, too */
    struct uuid id;
    struct err e = ERR_INIT;
    if (fields_read(&fields, arguments, LOOK, ARRAY_LEN(LOOK), c->site->config, &look, &e) < 0 ||
        mcp_check_chars(look.max_chars, &e) < 0 || check_part(&look.part, &e) < 0) {
        mcp_answer_error(c, &e);
        return;
    }
    if (!uuid_parse(slice_str(look.execution_id), &id)) { /* no id of ours */
        (void)err_set(&e, ERR_NOT_FOUND, "there is no such execution");
        mcp_answer_execution_error(c, &e);
        return;
    }
    struct mcp_view_options options = view_of(c, look.max_chars);
    const struct mcp_output_wish *p = &look.part;
    options.is_look = true;
    if (wants_part(p, look.wait_seconds))
        mcp_output_answer(c, &id, p, options.max_chars);
    else
        mcp_run_look(c, &id, &options, look.wait_seconds * 1000);
}
