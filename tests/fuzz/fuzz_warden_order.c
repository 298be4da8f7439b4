/* Property: an order that is accepted has times within bounds and is written as what init reads: its strings, each variable with
 * a name, a connection file that is JSON. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "protocol/init_wire.h"
#include "sandbox/warden_order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_strings(const struct init_start *s)
{
    check(s->argv[0] != NULL && s->cwd[0] == '/');
    for (size_t i = 0; s->env[i]; i++)
        check(strchr(s->env[i], '=') != NULL);
}

static void check_start(struct slice json)
{
    struct warden_order o;
    struct init_start s;
    CLEANUP_BUF struct buf out = BUF_INIT(INIT_MAX_PACKET + 1);
    if (warden_order_read(json, &o, NULL) < 0)
        return;
    check(o.ready_timeout_ms > 0 && o.ready_timeout_ms <= 400LL * 86400 * 1000);
    check(o.settle_ms >= 0 && o.settle_ms <= 2000);
    if (warden_order_write(&out, json, &o, "/run/kernel/7", 7, "abc", NULL) < 0)
        return;
    check(init_decode_start(out.data, out.len, &s));
    check_strings(&s);
    check(strcmp(s.file_path, "/run/kernel/7/connection.json") == 0);
    check(json_valid(slice_of(s.file, s.file_len)));
}

static void check_exec(struct slice json)
{
    struct init_start s;
    CLEANUP_BUF struct buf out = BUF_INIT(INIT_MAX_PACKET + 1);
    if (warden_order_write_exec(&out, json, NULL) < 0)
        return;
    check(init_decode_exec(out.data, out.len, &s));
    check_strings(&s);
    check(s.file_path[0] == '\0' && s.file_len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_start(slice_of(data, size));
    check_exec(slice_of(data, size));
    return 0;
}
