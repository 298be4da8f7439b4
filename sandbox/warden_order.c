#include "sandbox/warden_order.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "protocol/init_wire.h"

#define PORT_BASE        20000u
#define PORTS_PER_KERNEL 8u

#define DEFAULT_READY_TIMEOUT_MS 60000
#define MAX_READY_TIMEOUT_MS     (400LL * 86400 * 1000) /* what is longer is no limit */
#define MAX_SETTLE_MS            2000

/* The connection file's ports: in ipc the sockets' endings, in tcp offsets into the kernel's ports. */
static const struct {
    const char *name;
    unsigned port;
} PORTS[] = {
    [LINK_SHELL] = { "shell_port", 1 },   [LINK_CONTROL] = { "control_port", 4 },
    [LINK_STDIN] = { "stdin_port", 3 },   [LINK_IOPUB] = { "iopub_port", 2 },
    [LINK_N_CHANNELS] = { "hb_port", 5 },
};

static unsigned port_of(const struct warden_order *o, unsigned number, size_t channel)
{
    return o->tcp ? PORT_BASE + number * PORTS_PER_KERNEL + PORTS[channel].port
                  : PORTS[channel].port;
}

void warden_order_endpoint(const struct warden_order *o, const char *folder, unsigned number,
                           enum link_channel channel, char ret[128])
{
    if (o->tcp)
        (void)snprintf(ret, 128, "tcp:%u", port_of(o, number, channel));
    else
        (void)snprintf(ret, 128, "ipc:%s/ch-%u", folder, port_of(o, number, channel));
}

/* True when the member is absent (then *ret stays false) or one of the two words. */
static bool read_choice(struct slice json, const char *key, const char *no, const char *yes,
                        bool *ret)
{
    struct slice value;
    if (!json_member(json, key, &value))
        return true;
    if (!json_member_string(json, key, &value))
        return false;
    *ret = slice_is(value, yes);
    return *ret || slice_is(value, no);
}

int warden_order_read(struct slice json, struct warden_order *ret, struct err *e)
{
    struct slice value;
    if (json.len > WARDEN_ORDER_MAX_BYTES || !json_valid(json) || json_type(json) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "the start order is no JSON object of at most %u bytes",
                       WARDEN_ORDER_MAX_BYTES);
    *ret = (struct warden_order){ .ready_timeout_ms = DEFAULT_READY_TIMEOUT_MS };
    if (!read_choice(json, "transport", "ipc", "tcp", &ret->tcp))
        return err_set(e, ERR_INVALID, "transport is neither ipc nor tcp");
    if (!read_choice(json, "interrupt_mode", "signal", "message", &ret->message_interrupt))
        return err_set(e, ERR_INVALID, "interrupt_mode is neither signal nor message");
    (void)json_member_int(json, "ready_timeout_ms",
                          &ret->ready_timeout_ms);                      /* absent: the default */
    (void)json_member_int(json, "execution_grace_ms", &ret->settle_ms); /* absent: 0 */
    if (ret->ready_timeout_ms <= 0 || ret->settle_ms < 0 || ret->settle_ms > MAX_SETTLE_MS)
        return err_set(e, ERR_INVALID, "ready_timeout_ms or execution_grace_ms is out of range");
    if (ret->ready_timeout_ms > MAX_READY_TIMEOUT_MS)
        ret->ready_timeout_ms = MAX_READY_TIMEOUT_MS;
    if (!json_member(json, "argv", &value) || json_type(value) != JSON_ARRAY)
        return err_set(e, ERR_INVALID, "argv is no array");
    if (json_member(json, "env", &value) && json_type(value) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "env is no object");
    return 0;
}

/* Appends `text` and a NUL, with each placeholder replaced unless there is no connection file. */
static void add_argument(struct buf *out, struct slice text, const char *connection_file)
{
    static const struct slice FILE_MARK = { "{connection_file}", 17 },
                              RESOURCE_MARK = { "{resource_dir}", 14 };
    for (size_t i = 0; i < text.len;) {
        struct slice rest = slice_of(text.data + i, connection_file ? text.len - i : 0);
        if (rest.len >= FILE_MARK.len && memcmp(rest.data, FILE_MARK.data, FILE_MARK.len) == 0) {
            buf_add_str(out, connection_file);
            i += FILE_MARK.len;
        } else if (rest.len >= RESOURCE_MARK.len &&
                   memcmp(rest.data, RESOURCE_MARK.data, RESOURCE_MARK.len) == 0) {
            i += RESOURCE_MARK.len;
        } else {
            buf_add_char(out, text.data[i++]);
        }
    }
    buf_add_char(out, '\0');
}

/* The strings stand one after the other in a buffer; a pointer is taken when it has stopped growing. */
struct strings {
    struct buf bytes;
    size_t at[INIT_MAX_STRINGS + 1];
    size_t n;
};

static bool unquote(struct slice value, struct buf *out)
{
    buf_reset(out);
    if (json_type(value) != JSON_STRING || value.len < 2)
        return false;
    json_unescape(out, slice_of(value.data + 1, value.len - 2));
    return !out->failed && (out->len == 0 || !memchr(out->data, '\0', out->len));
}

static bool read_argv(struct strings *s, struct slice json, const char *connection_file)
{
    CLEANUP_BUF struct buf text = BUF_INIT(INIT_MAX_PACKET);
    struct slice argv;
    if (!json_member(json, "argv", &argv))
        return false;
    struct json_iter it = json_iter(argv);
    while (json_next(&it)) {
        if (s->n == INIT_MAX_STRINGS || !unquote(it.value, &text))
            return false;
        s->at[s->n++] = s->bytes.len;
        add_argument(&s->bytes, buf_slice(&text), connection_file);
    }
    return s->n > 0;
}

static bool read_env(struct strings *s, struct slice json)
{
    CLEANUP_BUF struct buf text = BUF_INIT(INIT_MAX_PACKET);
    struct slice env;
    if (!json_member(json, "env", &env))
        return true;
    struct json_iter it = json_iter(env);
    while (json_next(&it)) {
        if (s->n == INIT_MAX_STRINGS || !unquote(it.value, &text))
            return false;
        s->at[s->n++] = s->bytes.len;
        json_unescape(&s->bytes, it.key);
        buf_add_char(&s->bytes, '=');
        buf_add_slice(&s->bytes, buf_slice(&text));
        buf_add_char(&s->bytes, '\0');
    }
    return true;
}

static void write_connection_file(struct buf *out, const struct warden_order *o, const char *folder,
                                  unsigned number, const char *key)
{
    if (o->tcp)
        buf_add_str(out, "{\"transport\":\"tcp\",\"ip\":\"127.0.0.1\"");
    else
        buf_addf(out, "{\"transport\":\"ipc\",\"ip\":\"%s/ch\"", folder);
    for (size_t i = 0; i < ARRAY_LEN(PORTS); i++)
        buf_addf(out, ",\"%s\":%u", PORTS[i].name, port_of(o, number, i));
    buf_addf(out, ",\"key\":\"%s\",\"signature_scheme\":\"hmac-sha256\",\"kernel_name\":\"\"}",
             key);
}

static void strings_done(struct strings **s)
{
    buf_done(&(*s)->bytes);
    free(*s);
}

/* with_folder: "folder" beneath "cwd"; too long together: only that. */
static bool read_cwd(struct slice json, bool with_folder, char ret[PATH_MAX])
{
    struct slice raw;
    char folder[PATH_MAX];
    if (json_member_string(json, "cwd", &raw) &&
        (!json_copy_string(raw, ret, PATH_MAX) || ret[0] != '/'))
        return false;
    if (!with_folder || !json_member_string(json, "folder", &raw) ||
        !json_copy_string(raw, folder, sizeof folder) || !folder[0])
        return true;
    size_t n = strlen(ret), n_folder = strlen(folder);
    if (n + n_folder + 2 <= PATH_MAX) {
        ret[n] = '/';
        memcpy(ret + n + 1, folder, n_folder + 1);
    }
    return true;
}

/* connection_file NULL: a command's order. */
static int write_order(struct buf *out, struct slice json, const char *connection_file,
                       struct slice file, bool with_folder, struct err *e)
{
    char cwd[PATH_MAX] = "/";
    __attribute__((cleanup(strings_done))) struct strings *s = calloc(1, sizeof *s);
    buf_init(&s->bytes, INIT_MAX_PACKET);
    if (!read_cwd(json, with_folder, cwd))
        return err_set(e, ERR_INVALID, "cwd is no absolute path");
    if (!read_argv(s, json, connection_file))
        return err_set(e, ERR_INVALID,
                       "argv is empty, too long or holds something else than strings");
    size_t argc = s->n;
    if (!read_env(s, json) || s->bytes.failed)
        return err_set(e, ERR_INVALID, "env is too long or holds something else than strings");
    struct init_start start = { .cwd = cwd,
                                .file_path = connection_file ? connection_file : "",
                                .file = file.data,
                                .file_len = file.len };
    for (size_t i = 0; i < argc; i++)
        start.argv[i] = s->bytes.data + s->at[i];
    for (size_t i = argc; i < s->n; i++)
        start.env[i - argc] = s->bytes.data + s->at[i];
    char *room = buf_room(out, INIT_MAX_PACKET);
    size_t n = room ? init_encode_start(&start, room, INIT_MAX_PACKET - INIT_HEADER_BYTES) : 0;
    if (n == 0)
        return err_set(e, ERR_TOO_LARGE, "argv and env do not fit into a packet of %u bytes",
                       INIT_MAX_PACKET);
    out->len += n;
    return 0;
}

int warden_order_write(struct buf *out, struct slice json, const struct warden_order *o,
                       const char *folder, unsigned number, const char *key, struct err *e)
{
    char file_path[160];
    CLEANUP_BUF struct buf file = BUF_INIT(4096);
    (void)snprintf(file_path, sizeof file_path, "%s/connection.json", folder);
    write_connection_file(&file, o, folder, number, key);
    return write_order(out, json, file_path, buf_slice(&file), o->climbs, e);
}

int warden_order_write_exec(struct buf *out, struct slice json, struct err *e)
{
    struct slice value;
    if (json.len > WARDEN_ORDER_MAX_EXEC_BYTES || !json_valid(json) ||
        json_type(json) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "the exec order is no JSON object of at most %u bytes",
                       WARDEN_ORDER_MAX_EXEC_BYTES);
    if (!json_member(json, "argv", &value) || json_type(value) != JSON_ARRAY)
        return err_set(e, ERR_INVALID, "argv is no array");
    if (json_member(json, "env", &value) && json_type(value) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "env is no object");
    return write_order(out, json, NULL, slice_of(NULL, 0), false, e);
}
