#include "kernelhub/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/catalog.h"

#define GRACE_MS  2000
#define WORKSPACE "/workspace"

/* ---- what it looks like ---- */

static bool is_plain(struct slice word)
{
    static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "@%+=:,./-_";
    for (size_t i = 0; i < word.len; i++)
        if (!memchr(PLAIN, word.data[i], sizeof PLAIN - 1))
            return false;
    return word.len > 0;
}

static void write_word(struct slice word, struct buf *out)
{
    if (is_plain(word)) {
        buf_add_slice(out, word);
        return;
    }
    buf_add_char(out, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] == '\'')
            buf_add_str(out, "'\\''");
        else
            buf_add_char(out, word.data[i]);
    }
    buf_add_char(out, '\'');
}

static void unquote(struct slice value, struct buf *out)
{
    buf_reset(out);
    if (json_type(value) == JSON_STRING)
        json_unescape(out, slice_of(value.data + 1, value.len - 2));
}

void command_write_line(struct slice cmd, struct buf *out)
{
    CLEANUP_BUF struct buf word = BUF_INIT(cmd.len);
    struct json_iter it = json_iter(cmd);
    while (json_next(&it)) {
        unquote(it.value, &word);
        if (out->len)
            buf_add_char(out, ' ');
        write_word(buf_slice(&word), out);
    }
}

char *command_write_order(const struct execution_request *r)
{
    CLEANUP_BUF struct buf cwd = BUF_INIT(16384), out = BUF_INIT(8u << 20);
    if (!r->cwd || r->cwd[0] != '/')
        buf_add_str(&cwd, WORKSPACE);
    if (r->cwd && r->cwd[0] != '/')
        buf_add_char(&cwd, '/');
    buf_add_str(&cwd, r->cwd ? r->cwd : "");
    buf_add_str(&out, "{\"argv\":");
    buf_add_slice(&out, r->command);
    buf_add_str(&out, ",\"cwd\":");
    json_quote(&out, buf_slice(&cwd));
    buf_add_char(&out, '}');
    return buf_take(&out);
}

/* ---- where it runs ---- */

static size_t bytes_inside(struct slice object, struct buf *scratch)
{
    size_t n = 0;
    struct json_iter it = json_iter(object);
    while (json_next(&it)) {
        unquote(it.value, scratch);
        n += it.key.len + scratch->len + 2; /* "=" and the end */
    }
    return n;
}

static int check_size(const struct execution_request *r, const struct sandbox *in, struct err *e)
{
    struct slice own = slice_str(in ? in->env : NULL);
    CLEANUP_BUF struct buf scratch = BUF_INIT(r->command.len + r->env.len + own.len);
    size_t n = bytes_inside(r->command, &scratch) + (r->cwd ? strlen(r->cwd) : 0);
    if (r->env.len)
        n += bytes_inside(r->env, &scratch);
    if (own.len)
        n += bytes_inside(own, &scratch);
    if (n <= COMMAND_MAX_BYTES)
        return 0;
    return err_set(e, ERR_TOO_LARGE, "cmd, env and cwd have %zu bytes together; the limit is %u", n,
                   COMMAND_MAX_BYTES);
}

static int check_quota(struct hub *h, const struct user *u, const struct sandbox *in, struct err *e)
{
    unsigned n = 0;
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions))
        n += s->is_command && s->user == u && s->sandbox == in;
    if (n < LINK_MAX_COMMANDS)
        return 0;
    return err_set(e, ERR_QUOTA, "%d commands run in this sandbox, the limit: wait for one to end",
                   LINK_MAX_COMMANDS);
}

int command_open(struct hub *h, struct user *u, const struct execution_request *r,
                 struct sandbox *in, struct session **ret, struct err *e)
{
    char name[64];
    if (check_size(r, in, e) < 0 || check_quota(h, u, in, e) < 0)
        return -1;
    /* a name that nobody can ask for */
    (void)snprintf(name, sizeof name, "\x01%.36s", uuid_new().text);
    struct session *s = session_new(h, u, name, store_next_feed(h->store), 0);
    s->is_command = s->ephemeral = true;
    s->created_us = s->last_used_us = hub_unix_us();
    (void)snprintf(s->language, sizeof s->language, COMMAND_LANGUAGE);
    if (in) {
        (void)snprintf(s->template_name, sizeof s->template_name, "%s", in->template_name);
        if (!sandbox_is_default(in))
            s->home = in->id;
        session_enter_sandbox(s, in);
    }
    session_save(s, 0);
    if (in && in->state == SANDBOX_UP)
        s->kernel = KERNEL_READY; /* accepted and sent in one commit */
    *ret = s;
    return 0;
}

const char *command_template(const struct session *s)
{
    return s->template_name[0] ? s->template_name : catalog_default_template(s->hub->catalog);
}

struct session *command_find_holder(struct hub *h, int64_t feed)
{
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions))
        if (s->is_command && feed_number(s->feed) == feed)
            return s;
    return NULL;
}

/* ---- its way ---- */

/* An object's members without its braces. */
static struct slice inside(const char *object)
{
    struct slice s = slice_str(object);
    return s.len > 2 ? slice_of(s.data + 1, s.len - 2) : slice_of(NULL, 0);
}

/* The sandbox's variables first: of two of one name the later counts. */
static void write_order(const struct execution *x, struct buf *out)
{
    struct slice own = inside(x->session->sandbox->env), more = inside(x->env);
    buf_addf(out, "{\"timeout_ms\":%lld,\"grace_ms\":%d,\"env\":{", (long long)x->timeout_ms,
             GRACE_MS);
    buf_add_slice(out, own);
    buf_add_str(out, own.len && more.len ? "," : "");
    buf_add_slice(out, more);
    buf_add_str(out, "},");
    buf_add_str(out, x->command + 1); /* its members and the brace */
}

void command_transmit(struct execution *x)
{
    struct sandbox *sandbox = x->session->sandbox;
    if (!sandbox->can_exec) {
        struct err why;
        struct outcome outcome = { STATUS_CANCELLED, OUTCOME_NO_CODE,
                                   "its sandbox runs no commands" };
        (void)err_set(&why, ERR_UNAVAILABLE,
                      "sandbox '%s' was made by an older version, which runs no commands: end it, "
                      "the next one will",
                      sandbox->name);
        execution_finish(x, outcome, NULL, &why, (struct store_mark){ .number = 0 });
        return;
    }
    CLEANUP_BUF struct buf order = BUF_INIT(16u << 20);
    write_order(x, &order);
    struct link_frame f = { .type = LINK_EXEC,
                            .kernel_id = x->kernel_id,
                            .execution_id = x->id,
                            .n_parts = 1,
                            .parts = { buf_slice(&order) } };
    if (x->has_stdin)
        f.parts[f.n_parts++] = slice_of(x->input ? x->input : "", x->input_len);
    sandbox_send(sandbox, &f);
}

void command_sandbox_up(struct session *s, bool known_there)
{
    struct execution *x = s->running;
    s->kernel = KERNEL_READY;
    if (x && !known_there)
        execution_transmit(x); /* it was committed as sent, but never arrived */
    else if (x && x->interrupt_asked && !x->interrupt_sent)
        execution_send_interrupt(x);
    else
        session_pump(s);
}
