/* The four channels of a kernel: dialled, dialled again, read, written, and asked whether anybody is there. */
#include <assert.h>
#include <stdlib.h>
#include <sys/time.h>

#include "base/json.h"
#include "base/log.h"
#include "sandbox/warden_kernel_inside.h"

#define PER_WAKE       64
#define LAST_MESSAGES  4096 /* read at once when the process is gone */
#define REDIAL_MS      50   /* doubled up to */
#define REDIAL_MAX_MS  2000
#define DEAF_MS        10000 /* a line that is cut is dialled some seven times */
#define OWN_ID_CHARS   36
#define MAX_INFO_BYTES (1u << 20) /* a bigger kernel_info_reply goes up as {} */
#define PROMPT_MS      250 /* a prompt waits at most so long for what was printed before it */

static void on_readable(void *owner, enum link_channel which);
static void on_attach(void *owner, enum link_channel which);

int wk_open_lines(struct warden_kernel *k, struct err *e)
{
    const struct channel_events events = { on_readable, on_attach, k };
    for (size_t i = 0; i < LINK_N_CHANNELS; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%u-%s", k->env->channels_dir, k->number,
                       link_channel_name((enum link_channel)i));
        k->lines[i] = (struct line){ 0 };
        k->lines[i].channel =
            channel_open(k->env->loop, (enum link_channel)i, path, k->session.text, &events, e);
        if (!k->lines[i].channel)
            return -1;
    }
    return 0;
}

void wk_close_lines(struct warden_kernel *k)
{
    for (size_t i = 0; i < LINK_N_CHANNELS; i++) {
        channel_close(k->lines[i].channel);
        k->lines[i] = (struct line){ 0 };
    }
    if (k->n_nonsense > 1)
        log_warning("event=nonsense_in_all kernel=%s messages=%llu bytes=%llu", k->id.text,
                    (unsigned long long)k->n_nonsense, (unsigned long long)k->nonsense_bytes);
    k->n_nonsense = k->nonsense_bytes = 0;
    k->prompt_ms = 0;
    k->prompt_question = 0;
}

int wk_dial(struct warden_kernel *k, enum link_channel which, struct err *e)
{
    char where[128];
    int fd = channel_dial(k->lines[which].channel, e);
    if (fd < 0)
        return -1;
    warden_order_endpoint(&k->order, k->folder, k->number, which, where);
    struct init_packet p = { .type = INIT_CHANNEL,
                             .channel = (uint8_t)which,
                             .kernel = k->number,
                             .payload = where,
                             .payload_len = strlen(where) };
    warden_init_send(k->env->init, &p, fd);
    return 0;
}

/* A kernel that is about to exit closes its sockets first: only when it lives on was something cut. */
void wk_on_line_closed(struct warden_kernel *k, enum link_channel which)
{
    struct line *l = &k->lines[which];
    l->cut |= l->connected;
    l->connected = false;
    int64_t delay = REDIAL_MS << (l->tries < 6 ? l->tries : 6);
    l->tries++;
    l->redial_ms = warden_now_ms() + (delay < REDIAL_MAX_MS ? delay : REDIAL_MAX_MS);
}

void wk_redial_due(struct warden_kernel *k, int64_t now_ms)
{
    for (size_t i = 0; i < LINK_N_CHANNELS; i++) {
        struct line *l = &k->lines[i];
        struct err e = ERR_INIT;
        if (!l->redial_ms || l->redial_ms > now_ms)
            continue;
        l->redial_ms = 0;
        if (k->state > WK_READY) /* it is leaving */
            continue;
        if (l->cut) {
            log_warning("event=channel_cut kernel=%s channel=%s", k->id.text,
                        link_channel_name((enum link_channel)i));
            wk_note_cut(k, (enum link_channel)i);
        }
        l->cut = false;
        if (wk_dial(k, (enum link_channel)i, &e) < 0)
            wk_on_line_closed(k, (enum link_channel)i);
    }
}

/* A kernel that lives and is not there behind its channels can neither be told nor tell anything: cells would wait for ever. */
void wk_watch_lines(struct warden_kernel *k)
{
    if (k->state != WK_READY || (channel_is_attached(k->lines[LINK_SHELL].channel) &&
                                 channel_is_attached(k->lines[LINK_IOPUB].channel)))
        k->deaf_ms = 0;
    else if (!k->deaf_ms)
        k->deaf_ms = warden_now_ms() + DEAF_MS;
}

static bool sign_and_send(struct warden_kernel *k, enum link_channel which,
                          const struct jupyter_message *m)
{
    struct slice frames[6 + JUPYTER_MAX_BUFFERS];
    char signature[JUPYTER_SIGNATURE_CHARS + 1];
    jupyter_sign(slice_str(k->key), m, signature);
    frames[0] = SLICE_LITERAL(JUPYTER_DELIMITER);
    frames[1] = slice_str(signature);
    frames[2] = m->header;
    frames[3] = m->parent;
    frames[4] = m->metadata;
    frames[5] = m->content;
    for (size_t i = 0; i < m->n_buffers; i++)
        frames[6 + i] = m->buffers[i];
    return channel_send(k->lines[which].channel, frames, 6 + m->n_buffers);
}

int wk_pass_on(struct warden_kernel *k, enum link_channel which, const struct slice *parts,
               size_t n, struct err *e)
{
    struct jupyter_message m;
    if (n < 4 || n - 4 > JUPYTER_MAX_BUFFERS)
        return err_set(e, ERR_INVALID, "a Jupyter message has four parts and at most %d buffers",
                       JUPYTER_MAX_BUFFERS);
    if (which == LINK_IOPUB)
        return err_set(e, ERR_INVALID, "nothing can be sent on iopub");
    if (!k->lines[which].channel || k->state > WK_STOPPING)
        return err_set(e, ERR_GONE, "the kernel is not there");
    m.header = parts[0];
    m.parent = parts[1];
    m.metadata = parts[2];
    m.content = parts[3];
    m.n_buffers = n - 4;
    for (size_t i = 0; i < m.n_buffers; i++)
        m.buffers[i] = parts[4 + i];
    if (!sign_and_send(k, which, &m))
        return err_set(e, ERR_BUSY, "%d messages wait for the kernel, the limit",
                       CHANNEL_MAX_WAITING);
    return 0;
}

bool wk_say(struct warden_kernel *k, enum link_channel which, const char *type, const char *content)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024);
    char msg_id[64];
    struct timeval now;
    gettimeofday(&now, NULL);
    (void)snprintf(msg_id, sizeof msg_id, "%s_%u", k->session.text, ++k->n_sent);
    jupyter_write_header(&header, msg_id, type, k->session.text,
                         (int64_t)now.tv_sec * 1000000 + now.tv_usec);
    struct jupyter_message m = { .header = buf_slice(&header),
                                 .parent = SLICE_LITERAL("{}"),
                                 .metadata = SLICE_LITERAL("{}"),
                                 .content = slice_str(content) };
    return sign_and_send(k, which, &m);
}

void wk_ask(struct warden_kernel *k)
{
    k->ask_ms = warden_now_ms() + 500;
    (void)wk_say(k, LINK_SHELL, "kernel_info_request", "{}"); /* refused: asked again later */
}

/* A kernel that awaits something sleeps in its event loop; ipykernel's handler of SIGINT only queues a callback there, which
 * nothing wakes (seen with 7.4: the interrupt came when the sleep was over). Any message on shell does. */
void wk_nudge(struct warden_kernel *k)
{
    (void)wk_say(k, LINK_SHELL, "kernel_info_request",
                 "{}"); /* refused: much waits there already, which wakes it as well */
}

/* A prompt must not overtake what was printed before it, which may still be anywhere between the kernel's ZeroMQ and ours. So the
 * kernel is asked something on control: what it says of that on iopub comes behind all it has printed. One that has no thread for
 * control answers when the code has ended; till then it is not waited for again. True: stdin is not to be read yet. */
static bool holds_prompt(struct warden_kernel *k)
{
    if (k->state != WK_READY || k->n_runs == 0)
        return false;
    if (!k->prompt_question && wk_say(k, LINK_CONTROL, "kernel_info_request", "{}")) {
        k->prompt_question = k->n_sent;
        k->prompt_ms = warden_now_ms() + PROMPT_MS;
    }
    return k->prompt_ms != 0;
}

static void check_ready(struct warden_kernel *k)
{
    /* An iopub message shows that the kernel knows our subscription: nothing printed from now on is lost. */
    if (k->state == WK_ASKING && k->info && k->got_iopub)
        wk_on_ready(k);
}

/* The first thing ipykernel says, often heard only after it has answered. */
static bool is_starting(struct slice content)
{
    struct slice state;
    return json_member_string(content, "execution_state", &state) && slice_is(state, "starting");
}

/* The talk between warden and kernel does not go up, but for a process's first iopub_welcome: from that the hub knows that it sends
 * them. True: it was of that kind. */
static bool take_own(struct warden_kernel *k, enum link_channel which,
                     const struct jupyter_header *header, const struct jupyter_header *parent,
                     struct slice content)
{
    bool iopub = which == LINK_IOPUB;
    bool ours = strncmp(parent->msg_id, k->session.text, OWN_ID_CHARS) == 0;
    bool welcome = iopub && strcmp(header->msg_type, "iopub_welcome") == 0;
    bool first_welcome = welcome && !k->welcomed;
    bool starting = iopub && !parent->msg_id[0] && strcmp(header->msg_type, "status") == 0 &&
                    is_starting(content);
    k->welcomed |= welcome;
    k->got_iopub |= iopub;
    if (ours && iopub && parent->msg_id[OWN_ID_CHARS] == '_' &&
        strtoul(parent->msg_id + OWN_ID_CHARS + 1, NULL, 10) == k->prompt_question)
        k->prompt_question = 0;
    if (ours && which == LINK_SHELL && !k->info && k->state == WK_ASKING &&
        strcmp(header->msg_type, "kernel_info_reply") == 0) {
        struct slice info = content.len <= MAX_INFO_BYTES ? content : SLICE_LITERAL("{}");
        k->info = malloc(info.len + 1);
        assert(k->info);
        k->info_len = info.len;
        if (info.len)
            memcpy(k->info, info.data, info.len);
    }
    check_ready(k);
    return ours || starting || (welcome && !first_welcome);
}

/* That a run has begun is of interest as long as nothing else is known of it. */
static bool is_beginning(const struct jupyter_message *m, const char *msg_type)
{
    struct slice state;
    return strcmp(msg_type, "execute_input") == 0 ||
           (strcmp(msg_type, "status") == 0 &&
            json_member_string(m->content, "execution_state", &state) && slice_is(state, "busy"));
}

static void send_up(struct warden_kernel *k, enum link_channel which,
                    const struct jupyter_message *m, const struct run *r, const char *msg_type)
{
    struct link_frame f;
    f.type = LINK_MESSAGE;
    f.channel = which;
    f.number = 0;
    f.kernel_id = k->id;
    f.execution_id = r ? r->execution_id : (struct uuid){ "" };
    f.n_parts = 4 + m->n_buffers;
    f.parts[0] = m->header;
    f.parts[1] = m->parent;
    f.parts[2] = m->metadata;
    f.parts[3] = m->content;
    for (size_t i = 0; i < m->n_buffers; i++)
        f.parts[4 + i] = m->buffers[i];
    if (keep_add(k->env->keep, &f) != 0 && r && which == LINK_IOPUB && is_beginning(m, msg_type))
        keep_let_wait(k->env->keep); /* 0: dropped, it is counted in a gap */
}

static void on_message(struct warden_kernel *k, enum link_channel which,
                       const struct jupyter_message *m)
{
    struct jupyter_header header, parent;
    if (!jupyter_read_header(m->header, &header))
        return;
    (void)jupyter_read_header(m->parent, &parent); /* no object: names nobody */
    k->lines[which].tries = 0;
    if (k->deaf_ms)
        k->deaf_ms = warden_now_ms() + DEAF_MS; /* who speaks is there */
    if (take_own(k, which, &header, &parent, m->content))
        return;
    struct run *r = wk_find_run(k, parent.msg_id);
    send_up(k, which, m, r, header.msg_type);
    if (r)
        wk_on_message(k, r, which, header.msg_type, m->content);
}

/* A kernel can say much of it: the first is logged, and at the end how much it was. */
static void on_nonsense(struct warden_kernel *k, enum link_channel which, size_t bytes)
{
    if (k->n_nonsense++ == 0)
        log_warning("event=nonsense kernel=%s channel=%s bytes=%zu", k->id.text,
                    link_channel_name(which), bytes);
    k->nonsense_bytes += bytes;
}

/* Reads at most `max` messages; true when there may be more. */
static bool read_messages(struct warden_kernel *k, enum link_channel which, size_t max)
{
    static const struct uuid none;
    struct channel_message m;
    for (size_t i = 0; i < max; i++) {
        switch (channel_receive(k->lines[which].channel, &m)) {
        case CHANNEL_EMPTY:
            return false;
        case CHANNEL_MESSAGE:
            on_message(k, which, &m.message);
            channel_message_done(&m);
            break;
        case CHANNEL_TOO_BIG: {
            bool running = k->n_runs > 0 && run_is_current(k->runs[0]);
            keep_gap(k->env->keep, &k->id, running ? &k->runs[0]->execution_id : &none, m.bytes, 1,
                     "a message was too big");
            break;
        }
        case CHANNEL_NONSENSE:
            on_nonsense(k, which, m.bytes);
            break;
        }
    }
    return true;
}

bool wk_is_drained(struct warden_kernel *k)
{
    for (size_t i = 0; i < LINK_N_CHANNELS; i++) {
        struct channel *c = k->lines[i].channel;
        if (c && (channel_has_input(c) ||
                  ((i == LINK_SHELL || i == LINK_IOPUB) && channel_is_attached(c))))
            return false;
    }
    return true;
}

void wk_drain(struct warden_kernel *k)
{
    for (size_t i = 0; i < LINK_N_CHANNELS; i++)
        if (k->lines[i].channel)
            (void)read_messages(k, (enum link_channel)i,
                                LAST_MESSAGES); /* more are lost with the process */
}

static void read_some(struct warden_kernel *k, enum link_channel which)
{
    if (read_messages(k, which, PER_WAKE))
        channel_look_again(k->lines[which].channel);
}

static void release_prompt(struct warden_kernel *k)
{
    k->prompt_ms = 0;
    read_some(k, LINK_STDIN);
}

void wk_prompt_due(struct warden_kernel *k, int64_t now_ms)
{
    if (k->prompt_ms && k->prompt_ms <= now_ms)
        release_prompt(k);
}

static void on_readable(void *owner, enum link_channel which)
{
    struct warden_kernel *k = owner;
    if (which == LINK_STDIN || (which == LINK_SHELL && k->prompt_ms))
        read_some(k, LINK_IOPUB);
    if (which == LINK_SHELL && k->prompt_ms)
        release_prompt(
            k); /* answered while its run ends: later, the next run would get the answer */
    if (which != LINK_STDIN || !holds_prompt(k))
        read_some(k, which);
    if (k->prompt_ms && !k->prompt_question)
        release_prompt(k);
    if (k->state == WK_DRAINING) {
        wk_on_drain_progress(k);
        if (wk_is_drained(k))
            wk_on_drained(k);
    }
    k->env->after(k->env->owner);
}

static void on_attach(void *owner, enum link_channel which)
{
    struct warden_kernel *k = owner;
    wk_watch_lines(k);
    if (k->state == WK_DRAINING && wk_is_drained(k))
        wk_on_drained(k);
    k->env->after(k->env->owner);
}

bool warden_kernel_welcomes(const struct warden_kernel *k)
{
    return k->welcomed;
}
