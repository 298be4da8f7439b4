/* What comes when its execution has ended: it belongs to the session's feed, with the execution that caused it. */
#include "base/json.h"
#include "kernelhub/execution_internal.h"

#define LATE_MAX_BYTES (256u * 1024) /* and so each fits a row of the store */
#define LATE_OVERHEAD  256

static void say_late_gap(struct session *s, const struct link_frame *f, struct store_mark mark)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(512);
    buf_addf(
        &fields,
        ",\"of\":\"%s\",\"bytes\":null,\"messages\":null,\"reason\":\"late output over %u bytes is "
        "dropped until the session's next execution\"",
        f->execution_id.text, LATE_MAX_BYTES);
    session_add_event(s, EVENT_GAP, buf_slice(&fields), mark);
}

/* What comes when its execution has ended. Bounded between two executions, or a thread that prints for ever would fill the disk. */
void session_add_late(struct session *s, struct sandbox *sandbox, const struct link_frame *f,
                      const char *msg_type)
{
    enum event_type type;
    if (!uuid_is_set(&f->execution_id) || s->late_bytes > LATE_MAX_BYTES)
        return;
    CLEANUP_BUF struct buf fields = BUF_INIT(LINK_MAX_FRAME_BYTES),
                           late = BUF_INIT(LINK_MAX_FRAME_BYTES);
    if (!event_from_message(msg_type, f->parts[3], &type, &fields))
        return;
    s->late_bytes += fields.len + LATE_OVERHEAD;
    if (s->late_bytes > LATE_MAX_BYTES) {
        say_late_gap(s, f, sandbox_take_mark(sandbox));
        return;
    }
    buf_addf(&late, ",\"of\":\"%s\",\"output\":\"%s\"", f->execution_id.text,
             event_type_name(type));
    buf_add_slice(&late, buf_slice(&fields));
    session_add_event(s, EVENT_LATE, buf_slice(&late), sandbox_take_mark(sandbox));
}
