/* The Jupyter verbs of kernelhub/ that web/ uses (fake_hub.h): a kernel's id is its session's name, and its kernel sends back on
 * shell what comes, as it came. With {"flood":N,"bytes":B} as content it publishes N streams of B bytes instead. The one called "slow"
 * takes a minute to start. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "fake_hub.h"
#include "kernelhub/front.h"
#include "kernelhub/jupyter.h"
#include "kernelhub/session.h"

struct front {
    struct front_events events;
    void *arg;
};

struct front *front_open(struct session *s, struct user *u, const char *client,
                         const struct front_events *events, void *arg)
{
    struct front *f = calloc(1, sizeof *f);
    assert(f);
    *f = (struct front){ *events, arg };
    return f;
}

void front_close(struct front *f)
{
    free(f);
}

static void flood(struct front *f, int64_t n, int64_t bytes)
{
    CLEANUP_BUF struct buf content = BUF_INIT(1u << 26);
    buf_add_str(&content, "{\"name\":\"stdout\",\"text\":\"");
    char *room = buf_room(&content, (size_t)bytes);
    assert(room);
    memset(room, 'x', (size_t)bytes);
    content.len += (size_t)bytes;
    buf_add_str(&content, "\"}");
    const struct slice parts[] = { SLICE_LITERAL("{\"msg_id\":\"f\",\"msg_type\":\"stream\"}"),
                                   SLICE_LITERAL("{}"), SLICE_LITERAL("{}"), buf_slice(&content) };
    for (int64_t i = 0; i < n; i++)
        f->events.on_message(f->arg, LINK_IOPUB, parts, 4);
}

void front_has_room(struct front *f)
{
}

void front_send(struct front *f, const struct kernel_ws_message *m)
{
    struct slice parts[4 + JUPYTER_MAX_BUFFERS] = { m->m.header, m->m.parent, m->m.metadata,
                                                    m->m.content };
    int64_t n, bytes;
    if (json_member_int(m->m.content, "flood", &n) &&
        json_member_int(m->m.content, "bytes", &bytes))
        flood(f, n, bytes);
    for (size_t i = 0; i < m->m.n_buffers; i++)
        parts[4 + i] = m->m.buffers[i];
    f->events.on_message(f->arg, m->channel, parts, 4 + m->m.n_buffers);
}

const struct uuid *front_execution(const struct front *f, const char *msg_id)
{
    return NULL;
}

bool jupyter_write_spec(struct hub *h, const char *name, struct buf *out)
{
    if (strcmp(name, "python3") != 0)
        return false;
    buf_add_str(out, "{\"name\":\"python3\",\"spec\":{},\"resources\":{}}");
    return true;
}

bool jupyter_write_logo(struct hub *h, const char *name, const char *file, struct buf *bytes,
                        char ret_tag[JUPYTER_LOGO_TAG_CHARS + 1])
{
    bool is_svg = strcmp(file, "logo-svg.svg") == 0;
    if (strcmp(name, "python3") != 0 || (!is_svg && strcmp(file, "logo-64x64.png") != 0))
        return false;
    buf_add_str(bytes, is_svg ? "<svg xmlns='http://www.w3.org/2000/svg'/>" : "\x89PNG");
    (void)snprintf(ret_tag, JUPYTER_LOGO_TAG_CHARS + 1, "%032d", is_svg);
    return true;
}

void jupyter_write_specs(struct hub *h, struct buf *out)
{
    buf_add_str(out, "{\"default\":\"python3\",\"kernelspecs\":{\"python3\":");
    (void)jupyter_write_spec(h, "python3", out); /* there is one */
    buf_add_str(out, "}}");
}

void jupyter_write_status(struct hub *h, const struct user *u, struct buf *out)
{
    buf_add_str(out, "{\"kernels\":0}");
}

struct session *jupyter_find_kernel(struct hub *h, const struct user *u, const char *kernel_id)
{
    return session_find(h, u, kernel_id);
}

struct session *jupyter_find_session(struct hub *h, const struct user *u, const char *id)
{
    return session_find(h, u, id);
}

void jupyter_write_kernel(const struct session *s, struct buf *out)
{
    session_write(s, out);
}

void jupyter_write_kernels(struct hub *h, const struct user *u, struct buf *out)
{
    buf_add_str(out, "[]");
}

void jupyter_write_session(const struct session *s, const char *id, struct buf *out)
{
    session_write(s, out);
}

void jupyter_write_sessions(struct hub *h, const struct user *u, struct buf *out)
{
    buf_add_str(out, "[]");
}

struct wait *jupyter_start_kernel(struct hub *h, struct user *u, const struct jupyter_wish *w,
                                  reply_fn done, void *arg)
{
    const struct session_wish wish = { .name = w->kernel_name ? w->kernel_name : "python3" };
    return session_create(h, u, &wish, done, arg);
}

struct wait *jupyter_start_session(struct hub *h, struct user *u, const struct jupyter_wish *w,
                                   reply_fn done, void *arg)
{
    return jupyter_start_kernel(h, u, w, done, arg);
}

struct wait *jupyter_change_session(struct hub *h, struct user *u, const char *id,
                                    const struct jupyter_wish *w, reply_fn done, void *arg)
{
    return jupyter_start_kernel(h, u, w, done, arg);
}

void jupyter_delete_session(struct session *s, const char *id)
{
}

struct wait *jupyter_await(struct session *s, reply_fn done, void *arg)
{
    if (fake_hub_is_slow(s))
        return fake_hub_wait(s, done, arg);
    done(arg, NULL, SLICE_LITERAL("{}"));
    return NULL;
}
