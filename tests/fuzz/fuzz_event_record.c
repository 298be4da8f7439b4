/* Property: whatever content a kernel sends, the fields that event_from_message makes of it give a record that is JSON and one
 * line, even where there is little room for it, and no MIME value in it passes for a reference of the hub; and the record becomes a
 * message of that type again, whose content gives the same fields. The input is the message's type, a newline, and its content. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "protocol/event_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_bundle(struct slice record)
{
    struct slice data;
    if (!json_member(record, "data", &data))
        return;
    check(json_type(data) == JSON_OBJECT);
    struct json_iter values = json_iter(data);
    while (json_next(&values)) {
        struct json_iter members = json_iter(values.value);
        while (json_next(&members)) {
            CLEANUP_BUF struct buf name = BUF_INIT(1 << 24);
            json_unescape(&name, members.key);
            check(!members.is_object || !slice_is(buf_slice(&name), "ref"));
        }
    }
}

static void check_message(const char *msg_type, const struct event_head *head, struct slice fields,
                          struct slice record)
{
    enum link_channel channel;
    enum event_type type;
    const char *name;
    CLEANUP_BUF struct buf content = BUF_INIT(1 << 25), again = BUF_INIT(1 << 25);
    check(event_to_message(record, slice_of(NULL, 0), &channel, &name, &content));
    check(json_valid(buf_slice(&content)));
    check(strcmp(name, head->type == EVENT_GAP ? "stream" : msg_type) == 0);
    if (head->type == EVENT_GAP)
        return;
    check(event_from_message(name, buf_slice(&content), &type, &again) && type == head->type);
    static const char NO_COUNT[] = ",\"execution_count\":null"; /* a client needs a number */
    if (!memmem(fields.data, fields.len, NO_COUNT, sizeof NO_COUNT - 1))
        check(slice_equal(buf_slice(&again), fields));
}

static void check_event(const char *msg_type, struct slice content, size_t max_bytes)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(max_bytes), out = BUF_INIT(1 << 24);
    struct event_head head = { .unix_us = 1, .session = msg_type, .type = EVENT_N_TYPES };
    if (!event_from_message(msg_type, content, &head.type, &fields)) {
        check(fields.len == 0);
        return;
    }
    check(head.type < EVENT_N_TYPES && !fields.failed);
    check(fields.len == 0 || fields.data[0] == ',');
    event_record_write(&out, content.len, &head, buf_slice(&fields));
    check(json_valid(buf_slice(&out)));
    check_bundle(buf_slice(&out));
    check_message(msg_type, &head, buf_slice(&fields), buf_slice(&out));
    check(!memchr(out.data, '\n', out.len) && !memchr(out.data, '\r', out.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char msg_type[64];
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    if (!end || (size_t)(end - data) >= sizeof msg_type)
        return 0;
    memcpy(msg_type, data, (size_t)(end - data));
    msg_type[end - data] = '\0';
    struct slice content = slice_of(end + 1, size - (size_t)(end + 1 - data));
    check_event(msg_type, content, 1 << 24);
    check_event(msg_type, content, 256);
    return 0;
}
