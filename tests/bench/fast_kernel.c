/* A Jupyter kernel that publishes as fast as ZeroMQ takes it, so that what stands behind it is measured and not Python. It knows
 * three lines of code:
 *
 *     pass             nothing
 *     burst N BYTES    N display_data, the text/plain of each BYTES long
 *     large BYTES      one of them
 *
 * HMAC is OpenSSL's, as with Python's kernels: libsodium's takes five times as long for 20 MB, longer than all else on their way. The
 * text is made once, and goes to ZeroMQ without being copied. One thread; SIGINT ends a burst; what it publishes waits in memory without
 * bound (ZMQ_SNDHWM 0), so none of it is lost.
 * Protocol: jupyter-client.readthedocs.io, "Messaging in Jupyter", 5.3. */
#include <errno.h>
#include <fcntl.h>
#define OPENSSL_SUPPRESS_DEPRECATED /* HMAC_Update: the new API takes a page for the same */
#include <openssl/hmac.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <zmq.h>

#include "base/json.h"
#include "base/small_file.h"
#include "base/uuid.h"
#include "protocol/jupyter_message.h"
#include "tests/bench/sample.h"

#define MAX_FRAMES  64
#define MAX_CODE    (1u << 20)
#define MAX_DISPLAY (128u << 20)
#define MAX_BURST   100000000

enum { SHELL, IOPUB, STDIN, CONTROL, HEARTBEAT, N_SOCKETS };

static const struct {
    const char *port;
    int type;
} SOCKETS[N_SOCKETS] = { [SHELL] = { "shell_port", ZMQ_ROUTER },
                         [IOPUB] = { "iopub_port", ZMQ_PUB },
                         [STDIN] = { "stdin_port", ZMQ_ROUTER },
                         [CONTROL] = { "control_port", ZMQ_ROUTER },
                         [HEARTBEAT] = { "hb_port", ZMQ_REP } };

struct kernel {
    void *context, *sockets[N_SOCKETS];
    HMAC_CTX *hmac;
    struct uuid session;
    unsigned long n_said;
    int64_t n_executed;
    struct buf header;
    char *display; /* the latest content; never freed while a message may hold it */
    size_t display_bytes, display_len;
};

struct request {
    zmq_msg_t frames[MAX_FRAMES];
    struct slice slices[MAX_FRAMES];
    size_t n;
    struct jupyter_message m;
    struct jupyter_header names;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    interrupted = 1;
}

/* ---- saying ---- */

static void send_frame(void *socket, struct slice frame, int more)
{
    while (zmq_send(socket, frame.data, frame.len, more) < 0)
        if (zmq_errno() != EINTR)
            sample_fail("send: %s", zmq_strerror(zmq_errno()));
}

/* Nobody frees it: it stays as it is for as long as the process lives. */
static void keep_it(void *data, void *hint)
{
}

static void send_lasting(void *socket, struct slice frame)
{
    zmq_msg_t m;
    (void)zmq_msg_init_data(&m, (char *)frame.data, frame.len, keep_it, NULL); /* always 0 */
    while (zmq_msg_send(&m, socket, 0) < 0)
        if (zmq_errno() != EINTR)
            sample_fail("send: %s", zmq_strerror(zmq_errno()));
}

static void sign(const struct kernel *k, const struct jupyter_message *m,
                 char ret[JUPYTER_SIGNATURE_CHARS + 1])
{
    const struct slice *parts[] = { &m->header, &m->parent, &m->metadata, &m->content };
    unsigned char mac[JUPYTER_SIGNATURE_CHARS / 2];
    bool ok = HMAC_Init_ex(k->hmac, NULL, 0, NULL, NULL) == 1; /* the same key again */
    for (size_t i = 0; i < 4; i++)
        ok &= HMAC_Update(k->hmac, (const unsigned char *)parts[i]->data, parts[i]->len) == 1;
    if (!ok || HMAC_Final(k->hmac, mac, NULL) != 1)
        sample_fail("no HMAC");
    sodium_bin2hex(ret, JUPYTER_SIGNATURE_CHARS + 1, mac, sizeof mac);
}

static void write_header(struct kernel *k, const char *type)
{
    char date[28];
    struct timeval now;
    (void)gettimeofday(&now, NULL); /* fails only for a bad pointer */
    jupyter_format_time((int64_t)now.tv_sec * 1000000 + now.tv_usec, date);
    buf_reset(&k->header);
    buf_addf(&k->header,
             "{\"msg_id\":\"%s_%lu\",\"msg_type\":\"%s\",\"username\":\"bench\",\"session\":\"%s\","
             "\"date\":\"%s\",\"version\":\"5.3\"}",
             k->session.text, ++k->n_said, type, k->session.text, date);
}

/* Behind the identities of whom it answers, or the topic. */
static void say(struct kernel *k, int which, const char *type, struct slice parent,
                struct slice content)
{
    char signature[JUPYTER_SIGNATURE_CHARS + 1];
    void *socket = k->sockets[which];
    write_header(k, type);
    const struct jupyter_message m = { .header = buf_slice(&k->header),
                                       .parent = parent,
                                       .metadata = SLICE_LITERAL("{}"),
                                       .content = content };
    sign(k, &m, signature);
    send_frame(socket, SLICE_LITERAL(JUPYTER_DELIMITER), ZMQ_SNDMORE);
    send_frame(socket, slice_str(signature), ZMQ_SNDMORE);
    send_frame(socket, m.header, ZMQ_SNDMORE);
    send_frame(socket, m.parent, ZMQ_SNDMORE);
    send_frame(socket, m.metadata, ZMQ_SNDMORE);
    if (m.content.data == k->display)
        send_lasting(socket, m.content);
    else
        send_frame(socket, m.content, 0);
}

static void publish(struct kernel *k, const char *type, struct slice parent, struct slice content)
{
    send_frame(k->sockets[IOPUB], slice_str(type), ZMQ_SNDMORE);
    say(k, IOPUB, type, parent, content);
}

static void publish_state(struct kernel *k, const char *state, struct slice parent)
{
    CLEANUP_BUF struct buf content = BUF_INIT(256);
    buf_addf(&content, "{\"execution_state\":\"%s\"}", state);
    publish(k, "status", parent, buf_slice(&content));
}

static void reply(struct kernel *k, int which, const struct request *r, const char *type,
                  struct slice content)
{
    for (size_t i = 0; i < r->n && !slice_is(r->slices[i], JUPYTER_DELIMITER); i++)
        send_frame(k->sockets[which], r->slices[i], ZMQ_SNDMORE);
    say(k, which, type, r->m.header, content);
}

/* ---- code ---- */

/* The same as before when its size is: else it is made anew, and the former is left to the messages that may still wait. */
static struct slice display_of(struct kernel *k, size_t bytes)
{
    static const char BEGIN[] = "{\"data\":{\"text/plain\":\"",
                      END[] = "\"},\"metadata\":{},\"transient\":{}}";
    size_t n = sizeof BEGIN - 1, len = n + bytes + sizeof END - 1;
    if (k->display && k->display_bytes == bytes)
        return slice_of(k->display, k->display_len);
    k->display = malloc(len + 1);
    if (!k->display)
        sample_fail("no memory for %zu bytes", bytes);
    memcpy(k->display, BEGIN, n);
    for (size_t i = 0; i < bytes; i++)
        k->display[n + i] = (char)('a' + i % 26);
    memcpy(k->display + n + bytes, END, sizeof END);
    k->display_bytes = bytes;
    k->display_len = len;
    return slice_of(k->display, len);
}

/* False: it does not know that code, or was interrupted. */
static bool run(struct kernel *k, const char *code, struct slice parent, const char **ret_why)
{
    unsigned long n = 1, bytes = 0;
    if (strcmp(code, "pass") == 0)
        return true;
    if ((sscanf(code, "burst %lu %lu", &n, &bytes) != 2 &&
         sscanf(code, "large %lu", &bytes) != 1) ||
        n > MAX_BURST || bytes > MAX_DISPLAY) {
        *ret_why = "SyntaxError";
        return false;
    }
    struct slice content = display_of(k, bytes);
    for (unsigned long i = 0; i < n && !interrupted; i++)
        publish(k, "display_data", parent, content);
    *ret_why = "KeyboardInterrupt";
    return !interrupted;
}

static void execute(struct kernel *k, const struct request *r)
{
    CLEANUP_BUF struct buf input = BUF_INIT(MAX_CODE), content = BUF_INIT(1024);
    struct slice raw = SLICE_LITERAL("");
    const char *why = "";
    (void)json_member_string(r->m.content, "code", &raw); /* none: no code */
    char *code = json_member_dup(r->m.content, "code", 1000);
    long long count = (long long)++k->n_executed;
    interrupted = 0;
    buf_addf(&input, "{\"execution_count\":%lld,\"code\":\"", count);
    buf_add_slice(&input, raw);
    buf_add_str(&input, "\"}");
    publish(k, "execute_input", r->m.header, buf_slice(&input));
    if (run(k, code ? code : "", r->m.header, &why)) {
        buf_addf(
            &content,
            "{\"status\":\"ok\",\"execution_count\":%lld,\"user_expressions\":{},\"payload\":[]}",
            count);
    } else {
        CLEANUP_BUF struct buf error = BUF_INIT(1024);
        buf_addf(&error, "{\"ename\":\"%s\",\"evalue\":\"\",\"traceback\":[]}", why);
        publish(k, "error", r->m.header, buf_slice(&error));
        buf_addf(&content,
                 "{\"status\":\"error\",\"execution_count\":%lld,\"ename\":\"%s\",\"evalue\":\"\","
                 "\"traceback\":[]}",
                 count, why);
    }
    free(code);
    reply(k, SHELL, r, "execute_reply", buf_slice(&content));
}

/* ---- hearing ---- */

static const char INFO[] =
    "{\"status\":\"ok\",\"protocol_version\":\"5.3\",\"implementation\":\"fast\","
    "\"implementation_version\":\"1\",\"banner\":\"\",\"help_links\":[],\"language_info\":{"
    "\"name\":\"fast\",\"version\":\"1\",\"mimetype\":\"text/plain\",\"file_extension\":\".txt\"}}";

static void answer(struct kernel *k, int which, const struct request *r)
{
    const char *type = r->names.msg_type;
    bool is_shutdown = strcmp(type, "shutdown_request") == 0;
    publish_state(k, "busy", r->m.header);
    if (strcmp(type, "execute_request") == 0)
        execute(k, r);
    else if (strcmp(type, "kernel_info_request") == 0)
        reply(k, which, r, "kernel_info_reply", slice_str(INFO));
    else if (strcmp(type, "interrupt_request") == 0)
        reply(k, which, r, "interrupt_reply", SLICE_LITERAL("{\"status\":\"ok\"}"));
    else if (is_shutdown)
        reply(k, which, r, "shutdown_reply",
              SLICE_LITERAL("{\"status\":\"ok\",\"restart\":false}"));
    publish_state(k, "idle", r->m.header);
    if (is_shutdown) {
        for (int i = 0; i < N_SOCKETS; i++)
            (void)zmq_close(k->sockets[i]); /* fails only for what is no socket */
        (void)zmq_ctx_term(k->context);     /* sends what waits, for ZMQ_LINGER */
        exit(0);
    }
}

static void receive(struct kernel *k, int which)
{
    static struct request r;
    bool more = true;
    for (r.n = 0; more; r.n++) {
        if (r.n == MAX_FRAMES)
            sample_fail("a request of more than %d frames", MAX_FRAMES);
        (void)zmq_msg_init(&r.frames[r.n]); /* always 0 */
        while (zmq_msg_recv(&r.frames[r.n], k->sockets[which], 0) < 0)
            if (zmq_errno() != EINTR)
                sample_fail("receive: %s", zmq_strerror(zmq_errno()));
        r.slices[r.n] = slice_of(zmq_msg_data(&r.frames[r.n]), zmq_msg_size(&r.frames[r.n]));
        more = zmq_msg_more(&r.frames[r.n]);
    }
    if (jupyter_cut(r.slices, r.n, &r.m) && jupyter_read_header(r.m.header, &r.names))
        answer(k, which, &r);
    for (size_t i = 0; i < r.n; i++)
        (void)zmq_msg_close(&r.frames[i]); /* fails only for what is no message */
}

static void echo(struct kernel *k)
{
    char bytes[256];
    int n = zmq_recv(k->sockets[HEARTBEAT], bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (n >= 0)
        send_frame(k->sockets[HEARTBEAT],
                   slice_of(bytes, (size_t)n < sizeof bytes ? (size_t)n : sizeof bytes), 0);
}

static void serve(struct kernel *k)
{
    for (;;) {
        zmq_pollitem_t items[] = { { .socket = k->sockets[CONTROL], .events = ZMQ_POLLIN },
                                   { .socket = k->sockets[SHELL], .events = ZMQ_POLLIN },
                                   { .socket = k->sockets[HEARTBEAT], .events = ZMQ_POLLIN } };
        if (zmq_poll(items, 3, -1) < 0)
            continue; /* a signal */
        if (items[0].revents)
            receive(k, CONTROL);
        else if (items[1].revents)
            receive(k, SHELL);
        if (items[2].revents)
            echo(k);
    }
}

/* ---- beginning ---- */

static void open_socket(struct kernel *k, int which, struct slice file)
{
    int64_t port = 0;
    int none = 0, linger_ms = 1000;
    char address[256];
    char *transport = json_member_dup(file, "transport", 10),
         *ip = json_member_dup(file, "ip", 200);
    if (!json_member_int(file, SOCKETS[which].port, &port) || !ip || !transport)
        sample_fail("the connection file has no %s", SOCKETS[which].port);
    (void)snprintf(address, sizeof address,
                   strcmp(transport, "ipc") == 0 ? "%s://%s-%lld" : "%s://%s:%lld", transport, ip,
                   (long long)port);
    void *s = k->sockets[which] = zmq_socket(k->context, SOCKETS[which].type);
    if (!s || zmq_setsockopt(s, ZMQ_SNDHWM, &none, sizeof none) < 0 ||
        zmq_setsockopt(s, ZMQ_LINGER, &linger_ms, sizeof linger_ms) < 0 || zmq_bind(s, address) < 0)
        sample_fail("%s: %s", address, zmq_strerror(zmq_errno()));
    free(transport);
    free(ip);
}

int main(int argc, char **argv)
{
    struct kernel k = { .session = uuid_new(), .header = BUF_INIT(4096) };
    struct sigaction action = { .sa_handler = on_interrupt };
    CLEANUP_BUF struct buf file = BUF_INIT(65536);
    struct err e = ERR_INIT;
    if (argc != 2 || small_file_read(AT_FDCWD, argv[1], &file, &e) < 0 ||
        !json_valid(buf_slice(&file)))
        sample_fail("%s: no connection file: %s", argc > 1 ? argv[1] : "", e.text);
    char *key = json_member_dup(buf_slice(&file), "key", 1000);
    k.context = zmq_ctx_new();
    k.hmac = HMAC_CTX_new();
    if (!key || !k.hmac || HMAC_Init_ex(k.hmac, key, (int)strlen(key), EVP_sha256(), NULL) != 1)
        sample_fail("the connection file has no key");
    free(key);
    if (!k.context || sigaction(SIGINT, &action, NULL) < 0)
        sample_fail("no context");
    for (int i = 0; i < N_SOCKETS; i++)
        open_socket(&k, i, buf_slice(&file));
    publish_state(&k, "starting", SLICE_LITERAL("{}"));
    serve(&k);
}
