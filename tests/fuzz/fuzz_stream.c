/* What a client sends over a WebSocket. The first byte says which reader: 'w' the frames and the messages in them (the second
 * byte is how they are cut), 'a' the same where text and binary are one, 'o' one message, 'h' a header of the handshake.
 *
 * Properties: any cut of the bytes gives the same messages (but wslay looks at a close frame's reason piece by piece, so a broken
 * one ends the socket now or at its end); every message is valid UTF-8 within its limit; what is read of one has
 * what its op needs, and what is refused says why; nothing comes out for good once a close is on its way. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "web/body.h"
#include "web/percent.h"
#include "web/stream_op.h"
#include "web/ws_handshake.h"
#include "web/ws_wire.h"

#define MAX_MESSAGE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static struct config *config;

static void fuzz_op(struct slice text)
{
    CLEANUP_STREAM_OP struct stream_op op;
    struct err e = ERR_INIT;
    int rc = stream_op_read(&op, text, config, &e);
    check(json_valid(op.id) && op.id.len <= STREAM_OP_ID_BYTES);
    if (rc < 0) {
        check(e.code != ERR_NONE && e.text[0]);
        return;
    }
    check(body_is_json(text) && !slice_is(op.id, "null") && op.after >= 0);
    check(op.kind != OP_EXECUTE || op.execute.wanted.code.data);
    check(op.kind != OP_INPUT || op.value.data);
    if (op.kind != OP_EXECUTE && op.kind != OP_PING)
        check(uuid_is_set(&op.execution_id) != (op.session != NULL));
}

struct heard {
    struct ws_wire *wire;
    struct buf texts;
    size_t n_pongs;
};

static void on_text(void *arg, struct slice text)
{
    struct heard *h = arg;
    check(!ws_wire_is_closing(h->wire) && text.len <= MAX_MESSAGE && utf8_valid(text));
    buf_addf(&h->texts, "%zu:", text.len);
    buf_add_slice(&h->texts, text);
    fuzz_op(text);
    ws_wire_text(h->wire, text);
    if (slice_is(text, "bye"))
        ws_wire_close(h->wire, WS_CLOSE_NORMAL, "");
}

/* Binary messages count as texts do: in the same order, whole. */
static void on_binary(void *arg, struct slice bytes)
{
    struct heard *h = arg;
    check(bytes.len <= MAX_MESSAGE);
    buf_add_str(&h->texts, "|");
    buf_add_slice(&h->texts, bytes);
}

static void on_pong(void *arg, struct slice payload)
{
    struct heard *h = arg;
    check(payload.len <= 125);
    h->n_pongs++;
}

static void drain(struct ws_wire *w)
{
    for (struct slice out; (out = ws_wire_out(w)).len;)
        ws_wire_sent(w, out.len > 3 ? out.len - 1 : out.len);
}

static void hear(struct heard *h, struct slice bytes, size_t step, bool any_kind)
{
    const struct ws_wire_events events = { any_kind ? NULL : on_text, on_binary, on_pong,
                                           any_kind };
    *h = (struct heard){ .texts = BUF_INIT(64u << 20) };
    h->wire = ws_wire_new(MAX_MESSAGE, &events, h);
    for (size_t at = 0; at < bytes.len; at += step) {
        size_t n = bytes.len - at < step ? bytes.len - at : step;
        ws_wire_take(h->wire, slice_of(bytes.data + at, n));
        drain(h->wire);
    }
    ws_wire_free(h->wire);
}

static void fuzz_wire(struct slice s, bool any_kind)
{
    struct heard whole, cut;
    if (s.len < 2)
        return;
    struct slice bytes = slice_of(s.data + 1, s.len - 1);
    hear(&whole, bytes, bytes.len, any_kind);
    hear(&cut, bytes, (uint8_t)s.data[0] % 17 + 1, any_kind);
    check(slice_equal(buf_slice(&whole.texts), buf_slice(&cut.texts)));
    check(whole.n_pongs == cut.n_pongs);
    buf_done(&whole.texts);
    buf_done(&cut.texts);
}

static void fuzz_handshake(const char *text)
{
    struct err e = ERR_INIT;
    const struct ws_handshake h = {
        .upgrade = text, .connection = text, .version = "13", .key = text, .is_http_1_1 = true
    };
    const struct ws_handshake keyed = { "websocket", "Upgrade", "13", text, true };
    (void)!ws_handshake_check(&h, &e);
    if (ws_handshake_check(&keyed, &e) == WS_HANDSHAKE_OK) {
        char accept[WS_ACCEPT_CHARS + 1];
        ws_handshake_accept(text, accept);
        check(strlen(accept) == WS_ACCEPT_CHARS);
    }
    (void)ws_handshake_origin_allowed(text, "localhost", "https://a.example, http://b.example");
    (void)ws_handshake_origin_allowed("https://a.example", "localhost", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (!config)
        config = config_new();
    char *text = malloc(size); /* exact, so that a sanitizer sees a read behind it */
    check(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    struct slice s = slice_of(text, size - 1);
    if (data[0] == 'w' || data[0] == 'a')
        fuzz_wire(s, data[0] == 'a');
    else if (data[0] == 'o')
        fuzz_op(s);
    else if (data[0] == 'h')
        fuzz_handshake(text);
    free(text);
    return 0;
}
