/* Property: whatever lines a record folds, what it writes is JSON, with all the members of API.md. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* Valid, and with room for the levels that a record puts around it. */
static bool is_line(struct slice line)
{
    CLEANUP_BUF struct buf b = BUF_INIT(1 << 24);
    buf_add_str(&b, "[[[[");
    buf_add_slice(&b, line);
    buf_add_str(&b, "]]]]");
    return json_valid(buf_slice(&b));
}

static void check_record(const struct record *r, const struct execution_row *row, bool full)
{
    static const char *const MEMBERS[] = {
        "execution_id",    "session",        "kernel_id",   "sandbox_id", "language",
        "execution_count", "status",         "stdout",      "stderr",     "results",
        "error",           "exit_code",      "duration_ms", "timing",     "files_changed",
        "files_created",   "resource_usage", "truncated",   "labels",     "events_url"
    };
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 24);
    struct slice value;
    record_write(r, row, "u", full, &out);
    check(json_valid(buf_slice(&out)));
    for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++)
        check(json_member(buf_slice(&out), MEMBERS[i], &value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct execution_row row = { .id = { "11111111-1111-4111-8111-111111111111" },
                                 .session = "s",
                                 .status = STATUS_RUNNING,
                                 .code = slice_of(data, size),
                                 .execution_count = -1 };
    struct record *r = record_new(size ? data[0] * 16 : 0);
    struct slice rest = slice_of(data, size);
    while (rest.len) {
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t n = end ? (size_t)(end - rest.data) : rest.len;
        if (is_line(slice_of(rest.data, n)))
            record_add(r, slice_of(rest.data, n));
        n += end != NULL;
        rest = slice_of(rest.data + n, rest.len - n);
    }
    check_record(r, &row, false);
    check_record(r, &row, true);
    record_free(r);
    return 0;
}
