#include "tests/bench/raw_zmq.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "base/json.h"
#include "base/uuid.h"
#include "protocol/jupyter_message.h"

#define MAX_FRAMES   64
#define MAX_REQUEST  (16u << 20)
#define WAIT_MS      120000
#define ASK_AGAIN_MS 20

struct raw_zmq {
    void *context, *shell, *iopub;
    const char *key;
    struct uuid session;
    char msg_id[40]; /* of the latest request */
};

struct message {
    zmq_msg_t frames[MAX_FRAMES];
    size_t n;
    size_t bytes;
    struct jupyter_message cut;
    struct jupyter_header header, parent;
};

static void *open_socket(struct raw_zmq *z, int type, const char *address)
{
    int none = 0, retry_ms = 1;
    void *s = zmq_socket(z->context, type);
    if (!s || zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none) < 0 ||
        zmq_setsockopt(s, ZMQ_RCVHWM, &none, sizeof none) < 0 ||
        zmq_setsockopt(s, ZMQ_RECONNECT_IVL, &retry_ms, sizeof retry_ms) < 0 ||
        (type == ZMQ_SUB && zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0) < 0) ||
        zmq_connect(s, address) < 0)
        sample_fail("%s: %s", address, zmq_strerror(zmq_errno()));
    return s;
}

struct raw_zmq *raw_zmq_open(const char *endpoint, const char *key)
{
    char shell[256], iopub[256];
    (void)snprintf(shell, sizeof shell, "ipc://%s-1", endpoint);
    (void)snprintf(iopub, sizeof iopub, "ipc://%s-2", endpoint);
    return raw_zmq_open_at(shell, iopub, key);
}

struct raw_zmq *raw_zmq_open_at(const char *shell, const char *iopub, const char *key)
{
    struct raw_zmq *z = calloc(1, sizeof *z);
    if (!z || sodium_init() < 0)
        sample_fail("no memory");
    z->context = zmq_ctx_new();
    z->key = key;
    z->session = uuid_new();
    z->shell = open_socket(z, ZMQ_DEALER, shell);
    z->iopub = open_socket(z, ZMQ_SUB, iopub);
    return z;
}

void raw_zmq_close(struct raw_zmq *z)
{
    if (!z)
        return;
    (void)zmq_close(z->shell); /* fails only for what is no socket */
    (void)zmq_close(z->iopub);
    (void)zmq_ctx_term(z->context);
    free(z);
}

static void send_frame(struct raw_zmq *z, struct slice frame, int more)
{
    if (zmq_send(z->shell, frame.data, frame.len, more) < 0)
        sample_fail("send: %s", zmq_strerror(zmq_errno()));
}

static void ask(struct raw_zmq *z, const char *type, struct slice content)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024);
    char signature[JUPYTER_SIGNATURE_CHARS + 1];
    struct uuid id = uuid_new();
    memcpy(z->msg_id, id.text, sizeof id.text);
    jupyter_write_header(&header, z->msg_id, type, z->session.text, sample_now_us());
    struct jupyter_message m = { .header = buf_slice(&header),
                                 .parent = SLICE_LITERAL("{}"),
                                 .metadata = SLICE_LITERAL("{}"),
                                 .content = content };
    jupyter_sign(slice_str(z->key), &m, signature);
    send_frame(z, SLICE_LITERAL(JUPYTER_DELIMITER), ZMQ_SNDMORE);
    send_frame(z, slice_str(signature), ZMQ_SNDMORE);
    send_frame(z, m.header, ZMQ_SNDMORE);
    send_frame(z, m.parent, ZMQ_SNDMORE);
    send_frame(z, m.metadata, ZMQ_SNDMORE);
    send_frame(z, m.content, 0);
}

static void done(struct message *m)
{
    for (size_t i = 0; i < m->n; i++)
        (void)zmq_msg_close(&m->frames[i]); /* fails only for what is no message */
}

/* False when nothing is there. */
static bool receive(void *socket, struct message *m)
{
    struct slice slices[MAX_FRAMES];
    m->n = m->bytes = 0;
    do {
        if (m->n == MAX_FRAMES)
            sample_fail("a message of more than %d frames", MAX_FRAMES);
        (void)zmq_msg_init(&m->frames[m->n]); /* always 0 */
        if (zmq_msg_recv(&m->frames[m->n], socket, ZMQ_DONTWAIT) < 0) {
            if (m->n == 0 && zmq_errno() == EAGAIN)
                return false;
            sample_fail("receive: %s", zmq_strerror(zmq_errno()));
        }
        slices[m->n] = slice_of(zmq_msg_data(&m->frames[m->n]), zmq_msg_size(&m->frames[m->n]));
        m->bytes += slices[m->n].len;
    } while (zmq_msg_more(&m->frames[m->n++]));
    if (!jupyter_cut(slices, m->n, &m->cut) || !jupyter_read_header(m->cut.header, &m->header) ||
        !jupyter_read_header(m->cut.parent, &m->parent))
        sample_fail("what the kernel said is no Jupyter message");
    return true;
}

static bool wait_input(struct raw_zmq *z, long ms)
{
    zmq_pollitem_t items[] = { { .socket = z->shell, .events = ZMQ_POLLIN },
                               { .socket = z->iopub, .events = ZMQ_POLLIN } };
    return zmq_poll(items, 2, ms) > 0;
}

void raw_zmq_drain(struct raw_zmq *z)
{
    struct message m;
    while (receive(z->iopub, &m) || receive(z->shell, &m))
        done(&m);
}

void raw_zmq_greet(struct raw_zmq *z, bool once)
{
    struct message m;
    bool replied = false, heard = once; /* whoever starts a kernel asks but once */
    int64_t until_us = sample_now_us() + WAIT_MS * 1000ll;
    ask(z, "kernel_info_request", SLICE_LITERAL("{}"));
    while (!replied || !heard) {
        if (sample_now_us() > until_us)
            sample_fail("the kernel does not answer");
        if (!wait_input(z, once ? WAIT_MS : ASK_AGAIN_MS))
            ask(z, "kernel_info_request", SLICE_LITERAL("{}"));
        for (; receive(z->iopub, &m); done(&m))
            heard = true;
        for (; receive(z->shell, &m); done(&m))
            replied |= strcmp(m.header.msg_type, "kernel_info_reply") == 0;
    }
}

static void write_content(struct buf *out, struct slice code)
{
    buf_add_str(out, "{\"code\":");
    json_quote(out, code);
    buf_add_str(out, ",\"silent\":false,\"store_history\":true,\"user_expressions\":{},"
                     "\"allow_stdin\":false,\"stop_on_error\":false}");
}

void raw_zmq_execute(struct raw_zmq *z, struct slice code, struct sample *ret)
{
    CLEANUP_BUF struct buf content = BUF_INIT(MAX_REQUEST);
    struct message m;
    struct slice state;
    bool replied = false, idle = false;
    int64_t began_us = sample_now_us();
    *ret = (struct sample){ .queued_us = -1, .kernel_us = -1, .total_us = -1 };
    write_content(&content, code);
    ask(z, "execute_request", buf_slice(&content));
    while (!replied || !idle) {
        if (!wait_input(z, WAIT_MS))
            sample_fail("no end within %d ms", WAIT_MS);
        if (ret->first_us == 0)
            ret->first_us = sample_now_us() - began_us;
        for (; receive(z->iopub, &m); done(&m)) {
            if (strcmp(m.parent.msg_id, z->msg_id) != 0)
                continue;
            ret->messages++;
            ret->bytes += (int64_t)m.bytes;
            idle |= strcmp(m.header.msg_type, "status") == 0 &&
                    json_member_string(m.cut.content, "execution_state", &state) &&
                    slice_is(state, "idle");
        }
        for (; receive(z->shell, &m); done(&m))
            replied |= strcmp(m.parent.msg_id, z->msg_id) == 0 &&
                       strcmp(m.header.msg_type, "execute_reply") == 0;
    }
    ret->us = sample_now_us() - began_us;
}
