#include "web/mcp_fixtures.h"

#include <stdlib.h>

#include "base/json.h"
#include "web/mcp_fixtures_ask.h"

#define STEP_MS     50
#define MAX_TEXT    8192
#define MAX_WAIT_MS 600000

/* One red dot. */
#define PNG                                                                                        \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
/* No sample at all. */
#define WAV "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="

#define IMAGE "{\"type\":\"image\",\"data\":\"" PNG "\",\"mimeType\":\"image/png\"}"

void mcp_fixtures_answer(struct mcp_call *c, const char *json)
{
    CLEANUP_BUF struct buf out = BUF_INIT(65536);
    buf_add_str(&out, json);
    mcp_call_result(c, &out);
}

void mcp_fixtures_answer_text(struct mcp_call *c, struct slice text)
{
    CLEANUP_BUF struct buf out = BUF_INIT(65536);
    buf_add_str(&out, "{\"content\":[{\"type\":\"text\",\"text\":");
    json_quote(&out, text);
    buf_add_str(&out, "}]}");
    mcp_call_result(c, &out);
}

/* ---- what is answered at once ---- */

static void simple_text(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer_text(c, SLICE_LITERAL("This is a simple text response for testing."));
}

static void image(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer(c, "{\"content\":[" IMAGE "]}");
}

static void audio(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer(c, "{\"content\":[{\"type\":\"audio\",\"data\":\"" WAV
                           "\",\"mimeType\":\"audio/wav\"}]}");
}

static void embedded(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer(
        c,
        "{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"test://embedded-resource\","
        "\"mimeType\":\"text/plain\",\"text\":\"This is an embedded resource content.\"}}]}");
}

static void mixed(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer(
        c, "{\"content\":[{\"type\":\"text\",\"text\":\"Multiple content types test:\"}," IMAGE
           ",{\"type\":\"resource\",\"resource\":{\"uri\":\"test://mixed-content-resource\","
           "\"mimeType\":\"application/json\",\"text\":\"{\\\"test\\\":\\\"data\\\","
           "\\\"value\\\":123}\"}}]}");
}

static void failing(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer(c, "{\"isError\":true,\"content\":[{\"type\":\"text\",\"text\":"
                           "\"This tool intentionally returns an error for testing\"}]}");
}

static void missing_capability(struct mcp_call *c, struct slice arguments)
{
    struct slice sampling;
    if (json_member(c->capabilities, "sampling", &sampling))
        mcp_fixtures_answer_text(c, SLICE_LITERAL("The client can sample."));
    else
        mcp_call_error(c, MCP_MISSING_CAPABILITY, "the client has to declare sampling",
                       SLICE_LITERAL("{\"requiredCapabilities\":{\"sampling\":{}}}"));
}

static void logging(struct mcp_call *c, struct slice arguments)
{
    mcp_call_log(c, "info", SLICE_LITERAL("\"test_logging_tool was called\""));
    mcp_fixtures_answer_text(c, SLICE_LITERAL("Logged, if that was wanted."));
}

static void schema(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer_text(c, SLICE_LITERAL("Its schema is what counts."));
}

/* ---- what takes some steps ---- */

struct steps {
    struct mcp_call *call;
    int timer;
    int n;
    void (*step)(struct mcp_call *c, int n); /* 0, 1, 2; after the last it answers */
};

static void steps_free(void *own)
{
    struct steps *s = own;
    loop_timer_end(hub_loop(s->call->site->hub), s->timer);
    free(s);
}

static int on_step(struct loop *loop, int timer, void *arg)
{
    struct steps *s = arg;
    s->timer = loop_timer(loop, STEP_MS, on_step, s);
    s->step(s->call, s->n++); /* may free s */
    return 0;
}

static void on_cancel(struct mcp_call *c, void *own)
{
    mcp_fixtures_answer(c, "{\"content\":[]}");
}

static void begin_steps(struct mcp_call *c, void (*step)(struct mcp_call *c, int n))
{
    struct steps *s = calloc(1, sizeof *s);
    assert(s);
    s->call = c;
    s->step = step;
    s->timer = loop_timer(hub_loop(c->site->hub), 0, on_step, s);
    mcp_call_own(c, s, on_cancel, steps_free);
}

static void progress_step(struct mcp_call *c, int n)
{
    CLEANUP_BUF struct buf params = BUF_INIT(MAX_TEXT);
    if (n == 3) {
        mcp_fixtures_answer_text(c, SLICE_LITERAL("Progress was made."));
        return;
    }
    if (!mcp_call_wants_progress(c))
        return;
    buf_add_str(&params, "{\"progressToken\":");
    buf_add_slice(&params, c->progress_token);
    buf_addf(&params, ",\"progress\":%d,\"total\":100,\"message\":\"Completed step %d of 100\"}",
             50 * n, 50 * n);
    mcp_call_notify(c, "notifications/progress", buf_slice(&params));
}

static void with_progress(struct mcp_call *c, struct slice arguments)
{
    begin_steps(c, progress_step);
}

static void logging_step(struct mcp_call *c, int n)
{
    static const char *const TEXTS[] = { "\"Tool execution started\"", "\"Tool processing data\"",
                                         "\"Tool execution completed\"" };
    if (n < 3) {
        mcp_call_log(c, "info", slice_str(TEXTS[n]));
        return;
    }
    mcp_fixtures_answer_text(c, SLICE_LITERAL("Logged three times."));
}

static void with_logging(struct mcp_call *c, struct slice arguments)
{
    begin_steps(c, logging_step);
}

static void reconnection_step(struct mcp_call *c, int n)
{
    if (n == 0)
        mcp_call_hang_up(c);
    if (n < 3)
        return;
    mcp_fixtures_answer_text(c, SLICE_LITERAL("Reconnection test completed successfully"));
}

static void reconnection(struct mcp_call *c, struct slice arguments)
{
    begin_steps(c, reconnection_step);
}

/* ---- our own tests: a call that waits until it is cancelled, or for so long ---- */

static int on_waited(struct loop *loop, int timer, void *arg)
{
    struct steps *s = arg;
    mcp_fixtures_answer_text(s->call, SLICE_LITERAL("waited"));
    return 0;
}

static void on_wait_cancelled(struct mcp_call *c, void *own)
{
    mcp_part_resource_updated(c->site, c->user, "test://cancelled");
    on_cancel(c, own);
}

static void wait_for(struct mcp_call *c, struct slice arguments)
{
    struct slice said;
    int64_t ms = 0;
    struct steps *s = calloc(1, sizeof *s);
    assert(s);
    if (!json_member_int(arguments, "ms", &ms) || ms < 0 || ms > MAX_WAIT_MS)
        ms = MAX_WAIT_MS;
    s->call = c;
    s->timer = loop_timer(hub_loop(c->site->hub), (size_t)ms, on_waited, s);
    mcp_call_own(c, s, on_wait_cancelled, steps_free);
    if (!json_member(arguments, "says", &said))
        return;
    for (struct json_iter it = json_iter(said); json_next(&it);) {
        CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT);
        json_unescape(&text, slice_of(it.value.data + 1, it.value.len - 2));
        mcp_call_progress(c, buf_slice(&text));
    }
}

static void touch(struct mcp_call *c, struct slice arguments)
{
    mcp_part_resource_updated(c->site, c->user, "test://watched-resource");
    mcp_part_resources_changed(c->site, c->user);
    mcp_fixtures_answer_text(c, SLICE_LITERAL("touched"));
}

#define SCHEMA_2020                                                                                \
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\","           \
    "\"$defs\":{\"address\":{\"$anchor\":\"addressDef\",\"type\":\"object\",\"properties\":{"      \
    "\"street\":{\"type\":\"string\"},\"city\":{\"type\":\"string\"}}}},\"properties\":{"          \
    "\"name\":{\"type\":\"string\"},\"address\":{\"$ref\":\"#/$defs/address\"},"                   \
    "\"contactMethod\":{\"type\":\"string\",\"enum\":[\"phone\",\"email\"]},"                      \
    "\"phone\":{\"type\":\"string\"},\"email\":{\"type\":\"string\"}},"                            \
    "\"allOf\":[{\"anyOf\":[{\"required\":[\"phone\"]},{\"required\":[\"email\"]}]}],"             \
    "\"if\":{\"properties\":{\"contactMethod\":{\"const\":\"phone\"}},"                            \
    "\"required\":[\"contactMethod\"]},\"then\":{\"required\":[\"phone\"]},"                       \
    "\"else\":{\"required\":[\"email\"]},\"additionalProperties\":false}"

#define TOOL(NAME, DESCRIPTION, FUNCTION)                                                          \
    {                                                                                              \
        .name = (NAME), .description = (DESCRIPTION),                                              \
        .input_schema = "{\"type\":\"object\",\"properties\":{}}", .call = (FUNCTION)              \
    }

static const struct mcp_tool TOOLS[] = {
    TOOL("test_simple_text", "Answers with a text.", simple_text),
    TOOL("test_image_content", "Answers with an image.", image),
    TOOL("test_audio_content", "Answers with a sound.", audio),
    TOOL("test_embedded_resource", "Answers with a resource.", embedded),
    TOOL("test_multiple_content_types", "Answers with a text, an image and a resource.", mixed),
    TOOL("test_error_handling", "Fails.", failing),
    TOOL("test_tool_with_progress", "Tells its progress.", with_progress),
    TOOL("test_tool_with_logging", "Logs three lines.", with_logging),
    TOOL("test_reconnection", "Hangs up before it answers.", reconnection),
    TOOL("test_missing_capability", "Needs a client that can sample.", missing_capability),
    TOOL("test_logging_tool", "Logs when the request wants it.", logging),
    TOOL("test_wait", "Waits for some milliseconds, or to be cancelled.", wait_for),
    { .name = "test_param_header",
      .description = "Its argument stands in the head, too.",
      .input_schema = "{\"type\":\"object\",\"properties\":{\"region\":{\"type\":\"string\","
                      "\"x-mcp-header\":\"Region\"}}}",
      .call = simple_text },
    { .name = "test_stored",
      .description = "Answers when all is committed.",
      .input_schema = "{\"type\":\"object\",\"properties\":{}}",
      .flags = MCP_TOOL_STORED,
      .call = simple_text },
    TOOL("test_touch", "Says that test://watched-resource has changed.", touch),
    { .name = "json_schema_2020_12_tool",
      .description = "Tool with JSON Schema 2020-12 features",
      .input_schema = SCHEMA_2020,
      .call = schema },
    TOOL("test_sampling", "Asks the client's model.", mcp_fixtures_sampling),
    TOOL("test_elicitation", "Asks the client's user.", mcp_fixtures_elicitation),
    TOOL("test_elicitation_sep1034_defaults", "Asks with defaults.", mcp_fixtures_defaults),
    TOOL("test_elicitation_sep1330_enums", "Asks with choices.", mcp_fixtures_enums),
    TOOL("test_streaming_elicitation", "Asks in its result.", mcp_fixtures_streaming),
    TOOL("test_input_required_result_elicitation", "Asks for a name.", mcp_fixtures_name),
    TOOL("test_input_required_result_sampling", "Asks for a capital.", mcp_fixtures_capital),
    TOOL("test_input_required_result_list_roots", "Asks for roots.", mcp_fixtures_roots),
    TOOL("test_input_required_result_request_state", "Asks, with a state.", mcp_fixtures_state),
    TOOL("test_input_required_result_multiple_inputs", "Asks three things.", mcp_fixtures_several),
    TOOL("test_input_required_result_multi_round", "Asks twice.", mcp_fixtures_rounds),
    TOOL("test_input_required_result_tampered_state", "Asks, with a state.", mcp_fixtures_state),
    TOOL("test_input_required_result_capabilities", "Asks what the client can answer.",
         mcp_fixtures_capabilities),
};

/* ---- prompts ---- */

static void simple_prompt(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer(c, "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\","
                           "\"text\":\"This is a simple prompt for testing.\"}}]}");
}

static void prompt_with_arguments(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT);
    CLEANUP_BUF struct buf out = BUF_INIT(65536);
    struct slice a, b;
    if (!json_member_string(arguments, "arg1", &a) || !json_member_string(arguments, "arg2", &b))
        return; /* they have been checked */
    buf_add_str(&text, "Prompt with arguments: arg1='");
    json_unescape(&text, a);
    buf_add_str(&text, "', arg2='");
    json_unescape(&text, b);
    buf_add_str(&text, "'");
    buf_add_str(&out, "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":");
    json_quote(&out, buf_slice(&text));
    buf_add_str(&out, "}}]}");
    mcp_call_result(c, &out);
}

static void prompt_with_resource(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_BUF struct buf out = BUF_INIT(65536);
    struct slice uri;
    if (!json_member(arguments, "resourceUri", &uri))
        return; /* it has been checked */
    buf_add_str(&out, "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"resource\","
                      "\"resource\":{\"uri\":");
    buf_add_slice(&out, uri);
    buf_add_str(&out, ",\"mimeType\":\"text/plain\",\"text\":\"Embedded resource content for "
                      "testing.\"}}},{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
                      "\"Please process the embedded resource above.\"}}]}");
    mcp_call_result(c, &out);
}

static void prompt_with_image(struct mcp_call *c, struct slice arguments)
{
    mcp_fixtures_answer(c, "{\"messages\":[{\"role\":\"user\",\"content\":" IMAGE
                           "},{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
                           "\"Please analyze the image above.\"}}]}");
}

static const struct mcp_argument TWO[] = { { "arg1", "First test argument", true },
                                           { "arg2", "Second test argument", true } };
static const struct mcp_argument URI[] = { { "resourceUri", "URI of the resource to embed",
                                             true } };

static const struct mcp_prompt PROMPTS[] = {
    { "test_simple_prompt", NULL, "A prompt.", NULL, 0, simple_prompt },
    { "test_prompt_with_arguments", NULL, "A prompt of two arguments.", TWO, 2,
      prompt_with_arguments },
    { "test_prompt_with_embedded_resource", NULL, "A prompt with a resource.", URI, 1,
      prompt_with_resource },
    { "test_prompt_with_image", NULL, "A prompt with an image.", NULL, 0, prompt_with_image },
    { "test_input_required_result_prompt", NULL, "A prompt that asks first.", NULL, 0,
      mcp_fixtures_prompt },
};

/* ---- resources ---- */

static const struct mcp_resource RESOURCES[] = {
    { "test://static-text", "static-text", NULL, "A text.", "text/plain" },
    { "test://static-binary", "static-binary", NULL, "An image.", "image/png" },
    { "test://watched-resource", "watched-resource", NULL, "What can be subscribed to.",
      "text/plain" },
};

static const struct mcp_template TEMPLATES[] = {
    { "test://template/{id}/data", "template", NULL, "What is made of an id.", "application/json" },
};

static void read_template(struct mcp_call *c, const char *uri, struct slice id)
{
    CLEANUP_BUF struct buf text = BUF_INIT(65536);
    CLEANUP_BUF struct buf data = BUF_INIT(MAX_TEXT);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    buf_add_str(&data, "Data for ID: ");
    buf_add_slice(&data, id);
    buf_add_str(&text, "{\"id\":");
    json_quote(&text, id);
    buf_add_str(&text, ",\"templateTest\":true,\"data\":");
    json_quote(&text, buf_slice(&data));
    buf_add_char(&text, '}');
    buf_add_str(&out, "{\"contents\":[{\"uri\":");
    json_quote_str(&out, uri);
    buf_add_str(&out, ",\"mimeType\":\"application/json\",\"text\":");
    json_quote(&out, buf_slice(&text));
    buf_add_str(&out, "}]}");
    mcp_call_result(c, &out);
}

static bool read_resource(struct mcp_call *c, const char *uri)
{
    static const char TEMPLATE[] = "test://template/", END[] = "/data";
    size_t n = strlen(uri), begin = sizeof TEMPLATE - 1, end = sizeof END - 1;
    if (strcmp(uri, "test://static-text") == 0 || strcmp(uri, "test://watched-resource") == 0) {
        CLEANUP_BUF struct buf out = BUF_INIT(MAX_TEXT);
        buf_addf(&out,
                 "{\"contents\":[{\"uri\":\"%s\",\"mimeType\":\"text/plain\",\"text\":"
                 "\"This is the content of the static text resource.\"}]}",
                 uri);
        mcp_call_result(c, &out);
    } else if (strcmp(uri, "test://static-binary") == 0) {
        mcp_fixtures_answer(c, "{\"contents\":[{\"uri\":\"test://static-binary\",\"mimeType\":"
                               "\"image/png\",\"blob\":\"" PNG "\"}]}");
    } else if (n > begin + end && memcmp(uri, TEMPLATE, begin) == 0 &&
               strcmp(uri + n - end, END) == 0) {
        read_template(c, uri, slice_of(uri + begin, n - begin - end));
    } else {
        return false;
    }
    return true;
}

const struct mcp_part MCP_FIXTURES = {
    .tools = TOOLS,
    .n_tools = ARRAY_LEN(TOOLS),
    .prompts = PROMPTS,
    .n_prompts = ARRAY_LEN(PROMPTS),
    .resources = RESOURCES,
    .n_resources = ARRAY_LEN(RESOURCES),
    .templates = TEMPLATES,
    .n_templates = ARRAY_LEN(TEMPLATES),
    .read = read_resource,
};
