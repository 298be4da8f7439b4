#include "protocol/event_message.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* A member of a record, and what it is called in the message's content. */
struct member {
    const char *of_record, *of_content,
        *absent; /* absent: JSON that stands for a missing one; NULL: it may be missing */
};

enum { MAX_MEMBERS = 4 };

static const struct {
    enum event_type type;
    const char *msg_type;
    enum link_channel channel;
    const char *begin; /* of the content, behind the brace */
    struct member members[MAX_MEMBERS];
} MESSAGES[] = {
    { EVENT_STARTED,
      "execute_input",
      LINK_IOPUB,
      "",
      { { "code", "code", "\"\"" }, { "execution_count", "execution_count", "0" } } },
    { EVENT_STDOUT, "stream", LINK_IOPUB, "\"name\":\"stdout\",", { { "text", "text", "\"\"" } } },
    { EVENT_STDERR, "stream", LINK_IOPUB, "\"name\":\"stderr\",", { { "text", "text", "\"\"" } } },
    { EVENT_DISPLAY,
      "display_data",
      LINK_IOPUB,
      "",
      { { "data", "data", "{}" }, { "metadata", "metadata", "{}" } } },
    { EVENT_RESULT,
      "execute_result",
      LINK_IOPUB,
      "",
      { { "data", "data", "{}" },
        { "metadata", "metadata", "{}" },
        { "execution_count", "execution_count", "0" } } },
    { EVENT_CLEAR_OUTPUT, "clear_output", LINK_IOPUB, "", { { "wait", "wait", "false" } } },
    { EVENT_ERROR,
      "error",
      LINK_IOPUB,
      "",
      { { "name", "ename", "\"Error\"" },
        { "value", "evalue", "\"\"" },
        { "traceback", "traceback", "[]" } } },
    { EVENT_INPUT_REQUEST,
      "input_request",
      LINK_STDIN,
      "",
      { { "prompt", "prompt", "\"\"" }, { "password", "password", "false" } } },
};

static bool read_type(struct slice record, enum event_type *ret)
{
    struct slice name;
    return json_valid(record) && json_member_string(record, "type", &name) &&
           event_type_parse(name, ret);
}

static void write_members(struct slice record, struct slice data, const struct member *members,
                          struct buf *out)
{
    const char *comma = "";
    for (size_t i = 0; i < MAX_MEMBERS && members[i].of_record; i++) {
        struct slice value = slice_str(members[i].absent);
        struct slice is;
        if (data.len && strcmp(members[i].of_record, "data") == 0)
            value = data;
        else if (json_member(record, members[i].of_record, &is) && json_type(is) != JSON_NULL)
            value = is;
        buf_addf(out, "%s\"%s\":", comma, members[i].of_content);
        buf_add_slice(out, value);
        comma = ",";
    }
}

static void write_display_id(struct slice record, struct buf *out)
{
    struct slice id;
    buf_add_str(out, ",\"transient\":{");
    if (json_member(record, "display_id", &id)) {
        buf_add_str(out, "\"display_id\":");
        buf_add_slice(out, id);
    }
    buf_add_char(out, '}');
}

static void write_gap(struct slice record, struct buf *out)
{
    int64_t bytes = 0;
    char *reason = json_member_dup(record, "reason", 1000);
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    (void)json_member_int(record, "bytes", &bytes); /* null: nobody knows */
    buf_addf(&text, "\n[kernelhub: %lld bytes are missing here: %s]\n", (long long)bytes,
             reason ? reason : "");
    free(reason);
    buf_add_str(out, "{\"name\":\"stderr\",\"text\":");
    json_quote(out, buf_slice(&text));
    buf_add_char(out, '}');
}

bool event_to_message(struct slice record, struct slice data, enum link_channel *ret_channel,
                      const char **ret_msg_type, struct buf *content)
{
    enum event_type type;
    bool update = false;
    if (!read_type(record, &type))
        return false;
    if (type == EVENT_GAP) {
        *ret_channel = LINK_IOPUB;
        *ret_msg_type = "stream";
        write_gap(record, content);
        return !content->failed;
    }
    for (size_t i = 0; i < ARRAY_LEN(MESSAGES); i++) {
        if (MESSAGES[i].type != type)
            continue;
        *ret_channel = MESSAGES[i].channel;
        *ret_msg_type = MESSAGES[i].msg_type;
        buf_addf(content, "{%s", MESSAGES[i].begin);
        write_members(record, data, MESSAGES[i].members, content);
        if (type == EVENT_DISPLAY) {
            write_display_id(record, content);
            (void)json_member_bool(record, "update", &update); /* absent: false */
            if (update)
                *ret_msg_type = "update_display_data";
        }
        buf_add_char(content, '}');
        return !content->failed;
    }
    return false;
}

void event_write_reply(struct slice finished, struct slice error, struct buf *content)
{
    static const struct member COUNT[MAX_MEMBERS] = { { "execution_count", "execution_count",
                                                        "null" } };
    static const struct member ERROR[MAX_MEMBERS] = { { "name", "ename", "\"Error\"" },
                                                      { "value", "evalue", "\"\"" },
                                                      { "traceback", "traceback", "[]" } };
    struct slice status = { 0 };
    (void)json_member_string(finished, "status", &status); /* every one has it */
    bool ok = slice_is(status, "ok");
    buf_addf(content, "{\"status\":\"%s\",", ok ? "ok" : "error");
    write_members(finished, slice_of(NULL, 0), COUNT, content);
    buf_add_char(content, ',');
    if (ok) {
        buf_add_str(content, "\"user_expressions\":{},\"payload\":[]}");
    } else if (error.len) {
        write_members(error, slice_of(NULL, 0), ERROR, content);
        buf_add_char(content, '}');
    } else {
        struct slice reason = status;
        (void)json_member_string(finished, "reason", &reason); /* absent: the status says all */
        buf_addf(content, "\"ename\":\"%.*s\",\"evalue\":\"", (int)status.len, status.data);
        buf_add_slice(content, reason);
        buf_add_str(content, "\",\"traceback\":[]}");
    }
}
