/* What comes when its execution has ended: it belongs to the session's feed, with the execution that caused it. The warden
 * names that one; what it has forgotten (after a thousand others, or with an earlier kernel) the store still knows. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/execution_internal.h"
#include "protocol/jupyter_message.h"

#define LATE_MAX_BYTES (256u * 1024) /* and so each fits a row of the store */
#define LATE_OVERHEAD  256

static void say_late_gap(struct session *s, const struct uuid *of, struct store_mark mark)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(512);
    buf_add_str(&fields, ",\"of\":");
    json_quote_str(&fields, uuid_is_set(of) ? of->text : NULL);
    buf_addf(&fields,
             ",\"bytes\":null,\"messages\":null,\"reason\":\"late output over %u bytes is "
             "dropped until the session's next execution\"",
             LATE_MAX_BYTES);
    session_add_event(s, EVENT_GAP, buf_slice(&fields), mark);
}

static void add(struct session *s, const struct uuid *of, enum event_type type, struct slice fields,
                struct store_mark mark)
{
    CLEANUP_BUF struct buf late = BUF_INIT(2 * LATE_MAX_BYTES);
    buf_addf(&late, ",\"of\":\"%s\",\"output\":\"%s\"", of->text, event_type_name(type));
    buf_add_slice(&late, fields);
    session_add_event(s, EVENT_LATE, buf_slice(&late), mark);
}

struct lookup {
    struct hub *hub;
    struct user *user;
    struct uuid of;
    char session[128];
    int64_t feed;
    enum event_type type;
    struct store_mark mark;
    char *fields;
};

static void on_found(void *arg, const struct err *e, struct slice json)
{
    struct lookup *l = arg;
    struct slice user, name;
    char text[128] = "";
    bool ours = !e && json_member_string(json, "user_id", &user) &&
                slice_is(user, l->user->id.text) && json_member_string(json, "session", &name) &&
                json_copy_string(name, text, sizeof text) && strcmp(text, l->session) == 0;
    struct session *s = ours ? session_find(l->hub, l->user, l->session) : NULL;
    if (s && feed_number(s->feed) == l->feed)
        add(s, &l->of, l->type, slice_str(l->fields), l->mark);
    else
        sandbox_committed(l->hub, l->mark); /* it names nothing of this session */
    sandbox_resume(l->hub, l->mark);
    free(l->fields);
    free(l);
}

/* What the warden sends meanwhile waits: if that were committed before this, a hub that dies now would never see this again. */
static void look_up(struct session *s, const struct uuid *of, enum event_type type,
                    struct buf *fields, struct store_mark mark)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    *l = (struct lookup){ .hub = s->hub,
                          .user = s->user,
                          .of = *of,
                          .feed = feed_number(s->feed),
                          .type = type,
                          .mark = mark,
                          .fields = buf_take(fields) };
    (void)snprintf(l->session, sizeof l->session, "%s", s->name);
    sandbox_pause(s->hub, mark);
    (void)store_find_execution(s->hub->store, of, on_found, l); /* never cancelled */
}

/* Bounded between two executions, or a thread that prints for ever would fill the disk. */
void session_add_late(struct session *s, struct sandbox *sandbox, const struct link_frame *f,
                      const char *msg_type)
{
    enum event_type type;
    struct jupyter_header parent;
    struct uuid of = f->execution_id;
    bool is_named = uuid_is_set(&of);
    if (s->late_bytes > LATE_MAX_BYTES ||
        (!is_named && (!jupyter_read_header(f->parts[1], &parent) ||
                       !uuid_parse(slice_str(parent.msg_id), &of))))
        return;
    CLEANUP_BUF struct buf fields = BUF_INIT(LINK_MAX_FRAME_BYTES);
    if (!event_from_message(msg_type, f->parts[3], &type, &fields))
        return;
    s->late_bytes += (type == EVENT_GAP ? f->parts[3].len : fields.len) + LATE_OVERHEAD;
    struct store_mark mark = sandbox_take_mark(sandbox);
    if (s->late_bytes > LATE_MAX_BYTES)
        say_late_gap(s, &of, mark);
    else if (is_named)
        add(s, &of, type, buf_slice(&fields), mark);
    else
        look_up(s, &of, type, &fields, mark);
}
