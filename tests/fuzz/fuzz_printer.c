/* Properties: whatever the service sends, a person's terminal and the exit code get something of the right shape: no escape
 * is left of what was stripped, the code is one of a process, the status is a text. The first byte says how it is printed,
 * the rest are events, one a line. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>

#include "cmd/printer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(struct printer *p, struct slice lines)
{
    while (lines.len > 0) {
        const char *end = memchr(lines.data, '\n', lines.len);
        size_t n = end ? (size_t)(end - lines.data) : lines.len;
        printer_event(p, slice_of(lines.data, n));
        size_t used = end ? n + 1 : n;
        lines = slice_of(lines.data + used, lines.len - used);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct uuid id = { "11111111-1111-4111-8111-111111111111" };
    CLEANUP_BUF struct buf stripped = BUF_INIT(size + 1);
    FILE *out = stdout, *err = stderr, *nowhere = fopen("/dev/null", "we");
    struct printer p;

    if (size < 1 || !nowhere) /* what a sanitizer or libFuzzer says goes to the descriptor */
        return 0;
    stdout = stderr = nowhere;
    printer_init(&p, NULL, &id, NULL, data[0] & 1);
    p.colour = data[0] & 2;
    print(&p, slice_of(data + 1, size - 1));
    stdout = out;
    stderr = err;
    (void)fclose(nowhere);
    assert(p.exit_code >= 0 && p.exit_code <= 255);
    assert(memchr(p.status, '\0', sizeof p.status));
    printer_strip(&stripped, slice_of(data, size));
    assert(stripped.len == 0 || !memchr(stripped.data, '\033', stripped.len));
    return 0;
}
