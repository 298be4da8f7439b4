/* Property: whatever events a cell has, what is written of them is one JSON object, and each output has what the format wants. A line
 * of the input is the members of an event behind its type: stdout{"text":"…"}. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/notebook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct execution_row ROW = { .id = { "11111111-1111-4111-8111-111111111111" },
                                          .status = STATUS_OK,
                                          .execution_count = -1 };

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* Valid, and with room for the levels that a notebook puts around it. */
static bool is_shallow(struct slice json)
{
    CLEANUP_BUF struct buf b = BUF_INIT(1 << 24);
    buf_add_str(&b, "[[[[[[");
    buf_add_slice(&b, json);
    buf_add_str(&b, "]]]]]]");
    return json_valid(buf_slice(&b));
}

static bool value(void *arg, const struct uuid *execution_id, unsigned n, struct buf *text)
{
    struct slice all = *(const struct slice *)arg; /* the whole input: any bytes */
    buf_add_slice(text, all);
    return n % 2 == 0 && (is_shallow(all) || !json_valid(all));
}

static bool read_line(struct slice line, struct notebook_event *event)
{
    const char *brace = memchr(line.data, '{', line.len);
    size_t n = brace ? (size_t)(brace - line.data) : 0;
    event->members = slice_of(line.data + n, line.len - n);
    return event_type_parse(slice_of(line.data, n), &event->type) && is_shallow(event->members);
}

static void check_output(struct slice output)
{
    struct slice type, v;
    check(json_member_string(output, "output_type", &type));
    if (slice_is(type, "stream"))
        check(json_member_string(output, "name", &v) && json_member_string(output, "text", &v));
    else if (slice_is(type, "error"))
        check(json_member_string(output, "ename", &v) && json_member_string(output, "evalue", &v) &&
              json_member(output, "traceback", &v) && json_type(v) == JSON_ARRAY);
    else
        check(json_member(output, "data", &v) && json_type(v) == JSON_OBJECT &&
              json_member(output, "metadata", &v) && json_type(v) == JSON_OBJECT);
}

static void check_notebook(struct slice json, size_t n_outputs)
{
    struct slice cells, outputs;
    check(json_valid(json) && json_member(json, "cells", &cells));
    struct json_iter cell = json_iter(cells);
    check(json_next(&cell) && json_member(cell.value, "outputs", &outputs));
    struct json_iter it = json_iter(outputs);
    size_t n = 0;
    for (; json_next(&it); n++)
        check_output(it.value);
    check(n == n_outputs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 26);
    struct notebook n = { 0 };
    struct notebook_kernel kernel = { 0 };
    struct slice all = slice_of(data, size), rest = all;
    notebook_begin_cell(&n, &ROW, &out);
    while (rest.len) {
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.data) : rest.len;
        struct notebook_event event = { .execution_id = &ROW.id, .value = value, .arg = &all };
        if (read_line(slice_of(rest.data, len), &event)) {
            notebook_add(&n, &event, &out);
            kernel.language_info = event.members;
        }
        len += end != NULL;
        rest = slice_of(rest.data + len, rest.len - len);
    }
    size_t n_outputs = n.n_outputs;
    notebook_end_cell(&n, &out);
    notebook_end(&n, &kernel, &out);
    if (!out.failed)
        check_notebook(buf_slice(&out), n_outputs);
    return 0;
}
