/* A notebook of a stranger, as a file and as a client's. Properties: both shapes are JSON; the file's shape is a fixed point and
 * says of no cell that it is to be trusted, the client's shape says it of none either. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "protocol/notebook_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_trust(struct slice notebook)
{
    struct slice cells, metadata, trusted;
    if (!json_member(notebook, "cells", &cells))
        return;
    struct json_iter it = json_iter(cells);
    while (json_next(&it))
        if (json_member(it.value, "metadata", &metadata) && json_type(metadata) == JSON_OBJECT &&
            json_member(metadata, "trusted", &trusted))
            check(slice_is(trusted, "false"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice json = slice_of(data, size);
    CLEANUP_BUF struct buf file = BUF_INIT(64 * size + 4096), again = BUF_INIT(64 * size + 4096),
                           shown = BUF_INIT(64 * size + 4096), why = BUF_INIT(512);
    if (!json_valid(json) || json_type(json) != JSON_OBJECT)
        return 0;
    check(notebook_file_check(json, &why) == (why.len == 0) && !why.failed);
    notebook_file_write(json, &file);
    notebook_file_read(json, &shown);
    check(!file.failed && !shown.failed);
    check(json_valid(buf_slice(&file)) && json_valid(buf_slice(&shown)));
    check_trust(buf_slice(&file));
    check_trust(buf_slice(&shown));
    check(!memchr(shown.data, '\n', shown.len) || memchr(json.data, '\n', json.len));
    notebook_file_write(buf_slice(&file), &again);
    check(slice_equal(buf_slice(&file), buf_slice(&again)));
    return 0;
}
