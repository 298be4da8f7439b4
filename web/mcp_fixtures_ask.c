#include "web/mcp_fixtures_ask.h"

#include "base/json.h"
#include "web/mcp.h"

#define MAX_TEXT 65536

#define ASK(METHOD, PARAMS) "{\"method\":\"" METHOD "\",\"params\":" PARAMS "}"
#define FORM(MESSAGE, PROPERTIES)                                                                  \
    "{\"message\":\"" MESSAGE                                                                      \
    "\",\"requestedSchema\":{\"type\":\"object\",\"properties\":" PROPERTIES "}}"
#define NEED(MESSAGE, NAME, TYPE)                                                                  \
    "{\"message\":\"" MESSAGE                                                                      \
    "\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"" NAME "\":{\"type\":\"" TYPE   \
    "\"}},\"required\":[\"" NAME "\"]}}"
#define SAMPLE(TEXT, TOKENS)                                                                       \
    "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"" TEXT            \
    "\"}}],\"maxTokens\":" TOKENS "}"

#define ASK_NAME    ASK("elicitation/create", NEED("What is your name?", "name", "string"))
#define ASK_CAPITAL ASK("sampling/createMessage", SAMPLE("What is the capital of France?", "100"))
#define ASK_ROOTS   ASK("roots/list", "{}")

/* ---- legacy: a request of ours ---- */

static void refuse(struct mcp_call *c, const char *text)
{
    struct err e = ERR_INIT;
    (void)err_set(&e, ERR_INVALID, "%s", text);
    mcp_call_tool_error(c, &e, NULL);
}

/* False: the call is answered. */
static bool can(struct mcp_call *c, const char *capability)
{
    struct slice value;
    if (json_member(c->capabilities, capability, &value))
        return true;
    refuse(c, "the client did not say that it can be asked that");
    return false;
}

static void answer_elicited(struct mcp_call *c, const char *before, struct slice result)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT);
    struct slice action = SLICE_LITERAL("none"), content = SLICE_LITERAL("{}");
    (void)json_member_string(result, "action", &action);
    (void)json_member(result, "content", &content); /* only when accepted */
    buf_addf(&text, "%s: action=%.*s, content=", before, (int)action.len, action.data);
    buf_add_slice(&text, content);
    mcp_fixtures_answer_text(c, buf_slice(&text));
}

static void on_sampled(struct mcp_call *c, struct slice result)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT);
    struct slice content, said;
    buf_add_str(&text, "LLM response: ");
    if (json_member(result, "content", &content) && json_member_string(content, "text", &said))
        json_unescape(&text, said);
    mcp_fixtures_answer_text(c, buf_slice(&text));
}

void mcp_fixtures_sampling(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_BUF struct buf params = BUF_INIT(MAX_TEXT);
    struct slice prompt;
    if (!can(c, "sampling"))
        return;
    if (!json_member(arguments, "prompt", &prompt)) {
        refuse(c, "field 'prompt' is missing");
        return;
    }
    buf_add_str(&params,
                "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":");
    buf_add_slice(&params, prompt);
    buf_add_str(&params, "}}],\"maxTokens\":100}");
    mcp_call_ask(c, "sampling/createMessage", buf_slice(&params), on_sampled);
}

static void on_elicited(struct mcp_call *c, struct slice result)
{
    answer_elicited(c, "User response", result);
}

void mcp_fixtures_elicitation(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_BUF struct buf params = BUF_INIT(MAX_TEXT);
    struct slice message;
    if (!can(c, "elicitation"))
        return;
    if (!json_member(arguments, "message", &message)) {
        refuse(c, "field 'message' is missing");
        return;
    }
    buf_add_str(&params, "{\"message\":");
    buf_add_slice(&params, message);
    buf_add_str(&params, ",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"username\":{"
                         "\"type\":\"string\",\"description\":\"User's response\"},\"email\":{"
                         "\"type\":\"string\",\"description\":\"User's email address\"}},"
                         "\"required\":[\"username\",\"email\"]}}");
    mcp_call_ask(c, "elicitation/create", buf_slice(&params), on_elicited);
}

static void on_completed(struct mcp_call *c, struct slice result)
{
    answer_elicited(c, "Elicitation completed", result);
}

void mcp_fixtures_defaults(struct mcp_call *c, struct slice arguments)
{
    static const char PARAMS[] =
        FORM("Please review the defaults",
             "{\"name\":{\"type\":\"string\",\"default\":\"John Doe\"},"
             "\"age\":{\"type\":\"integer\",\"default\":30},"
             "\"score\":{\"type\":\"number\",\"default\":95.5},"
             "\"status\":{\"type\":\"string\",\"enum\":[\"active\",\"inactive\",\"pending\"],"
             "\"default\":\"active\"},\"verified\":{\"type\":\"boolean\",\"default\":true}}");
    if (can(c, "elicitation"))
        mcp_call_ask(c, "elicitation/create", slice_str(PARAMS), on_completed);
}

void mcp_fixtures_enums(struct mcp_call *c, struct slice arguments)
{
    static const char PARAMS[] = FORM(
        "Please choose",
        "{\"untitledSingle\":{\"type\":\"string\",\"enum\":[\"option1\",\"option2\",\"option3\"]},"
        "\"titledSingle\":{\"type\":\"string\",\"oneOf\":["
        "{\"const\":\"value1\",\"title\":\"First Option\"},"
        "{\"const\":\"value2\",\"title\":\"Second Option\"},"
        "{\"const\":\"value3\",\"title\":\"Third Option\"}]},"
        "\"legacyEnum\":{\"type\":\"string\",\"enum\":[\"opt1\",\"opt2\",\"opt3\"],"
        "\"enumNames\":[\"Option One\",\"Option Two\",\"Option Three\"]},"
        "\"untitledMulti\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
        "\"enum\":[\"option1\",\"option2\",\"option3\"]}},"
        "\"titledMulti\":{\"type\":\"array\",\"items\":{\"anyOf\":["
        "{\"const\":\"value1\",\"title\":\"First Choice\"},"
        "{\"const\":\"value2\",\"title\":\"Second Choice\"},"
        "{\"const\":\"value3\",\"title\":\"Third Choice\"}]}}}");
    if (can(c, "elicitation"))
        mcp_call_ask(c, "elicitation/create", slice_str(PARAMS), on_completed);
}

/* ---- modern: a result that wants input ---- */

/* state: goes out, signed; NULL: none. */
static void want(struct mcp_call *c, const char *requests, const char *state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_TEXT);
    if (!mcp_version_is_modern(c->version)) {
        refuse(c, "this tool is for clients of 2026-07-28");
        return;
    }
    buf_addf(&out, "{\"inputRequests\":{%s}", requests);
    if (state) {
        char signature[MCP_SIGNATURE_CHARS + 1];
        mcp_sign(c->site->mcp, state, signature);
        buf_addf(&out, ",\"requestState\":\"%s.%s\"", state, signature);
    }
    buf_add_char(&out, '}');
    mcp_call_input_required(c, &out);
}

/* The client's answer to one of our questions: an object. */
static bool response(const struct mcp_call *c, const char *key, struct slice *ret)
{
    struct slice all;
    return json_member(c->params, "inputResponses", &all) && json_member(all, key, ret) &&
           json_type(*ret) == JSON_OBJECT;
}

static bool has_responses(const struct mcp_call *c)
{
    struct slice all;
    return json_member(c->params, "inputResponses", &all) && json_type(all) == JSON_OBJECT;
}

/* What we once signed. False: it is none of ours, and the call is answered. */
static bool read_state(struct mcp_call *c, char *ret, size_t size)
{
    char signature[MCP_SIGNATURE_CHARS + 1];
    struct slice raw;
    char *dot = NULL;
    if (json_member_string(c->params, "requestState", &raw) && json_copy_string(raw, ret, size))
        dot = strrchr(ret, '.');
    if (dot) {
        *dot = '\0';
        mcp_sign(c->site->mcp, ret, signature);
        if (strcmp(dot + 1, signature) == 0)
            return true;
    }
    mcp_call_error(c, MCP_INVALID_PARAMS, "params.requestState is none of ours", slice_of(NULL, 0));
    return false;
}

void mcp_fixtures_streaming(struct mcp_call *c, struct slice arguments)
{
    want(c, "\"user_name\":" ASK_NAME, NULL);
}

void mcp_fixtures_name(struct mcp_call *c, struct slice arguments)
{
    struct slice answer, content, name;
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT);
    if (!response(c, "user_name", &answer) || !json_member(answer, "content", &content) ||
        !json_member_string(content, "name", &name)) {
        want(c, "\"user_name\":" ASK_NAME, NULL);
        return;
    }
    buf_add_str(&text, "Hello, ");
    json_unescape(&text, name);
    buf_add_char(&text, '!');
    mcp_fixtures_answer_text(c, buf_slice(&text));
}

void mcp_fixtures_capital(struct mcp_call *c, struct slice arguments)
{
    struct slice answer;
    if (response(c, "capital_question", &answer))
        on_sampled(c, answer);
    else
        want(c, "\"capital_question\":" ASK_CAPITAL, NULL);
}

void mcp_fixtures_roots(struct mcp_call *c, struct slice arguments)
{
    struct slice answer, roots;
    if (response(c, "client_roots", &answer) && json_member(answer, "roots", &roots))
        mcp_fixtures_answer_text(c, roots);
    else
        want(c, "\"client_roots\":" ASK_ROOTS, NULL);
}

void mcp_fixtures_state(struct mcp_call *c, struct slice arguments)
{
    char state[256];
    if (!has_responses(c))
        want(c, "\"confirm\":" ASK("elicitation/create", NEED("Please confirm", "ok", "boolean")),
             "confirming");
    else if (read_state(c, state, sizeof state))
        mcp_fixtures_answer_text(c, SLICE_LITERAL("state-ok"));
}

void mcp_fixtures_several(struct mcp_call *c, struct slice arguments)
{
    char state[256];
    struct slice answer;
    if (!response(c, "user_name", &answer) || !response(c, "greeting", &answer) ||
        !response(c, "client_roots", &answer))
        want(c,
             "\"user_name\":" ASK_NAME
             ",\"greeting\":" ASK("sampling/createMessage",
                                  SAMPLE("Generate a greeting", "50")) ",\"client_"
                                                                       "roots\":" ASK_ROOTS,
             "three");
    else if (read_state(c, state, sizeof state))
        mcp_fixtures_answer_text(c, SLICE_LITERAL("All three are there."));
}

void mcp_fixtures_rounds(struct mcp_call *c, struct slice arguments)
{
    char state[256];
    struct slice answer;
    if (!has_responses(c))
        want(c,
             "\"step1\":" ASK("elicitation/create",
                              NEED("Step 1: What is your name?", "name", "string")),
             "round-1");
    else if (!read_state(c, state, sizeof state))
        return;
    else if (strcmp(state, "round-1") == 0)
        want(c,
             "\"step2\":" ASK("elicitation/create",
                              NEED("Step 2: What is your favorite color?", "color", "string")),
             "round-2");
    else if (response(c, "step2", &answer))
        mcp_fixtures_answer_text(c, SLICE_LITERAL("Two rounds are over."));
    else
        mcp_call_error(c, MCP_INVALID_PARAMS, "step2 is not answered", slice_of(NULL, 0));
}

void mcp_fixtures_capabilities(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_BUF struct buf requests = BUF_INIT(MAX_TEXT);
    struct slice value;
    if (has_responses(c)) {
        mcp_fixtures_answer_text(c, SLICE_LITERAL("That is all."));
        return;
    }
    if (json_member(c->capabilities, "sampling", &value))
        buf_add_str(&requests, "\"capital_question\":" ASK_CAPITAL);
    if (json_member(c->capabilities, "elicitation", &value))
        buf_addf(&requests, "%s\"user_name\":" ASK_NAME, requests.len ? "," : "");
    if (requests.len)
        want(c, requests.data, NULL);
    else
        mcp_fixtures_answer_text(c, SLICE_LITERAL("There is nothing to ask."));
}

void mcp_fixtures_prompt(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_TEXT);
    struct slice answer, content, context;
    if (!response(c, "user_context", &answer) || !json_member(answer, "content", &content) ||
        !json_member(content, "context", &context)) {
        want(c,
             "\"user_context\":" ASK(
                 "elicitation/create",
                 NEED("What context should the prompt use?", "context", "string")),
             NULL);
        return;
    }
    buf_add_str(&out, "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":");
    buf_add_slice(&out, context);
    buf_add_str(&out, "}}]}");
    mcp_call_result(c, &out);
}
