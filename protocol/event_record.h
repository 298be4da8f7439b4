/* event_record.h - the one record of everything that travels up (API.md "Event record"): SSE data, WS
 * text frame, NDJSON line, SQLite row. One record is one line, always. */
#ifndef PROTOCOL_EVENT_RECORD_H
#define PROTOCOL_EVENT_RECORD_H

#include "base/buf.h"
#include "base/uuid.h"

enum event_type {
    EVENT_QUEUED,
    EVENT_STARTED,
    EVENT_STDOUT,
    EVENT_STDERR,
    EVENT_DISPLAY,
    EVENT_RESULT,
    EVENT_CLEAR_OUTPUT,
    EVENT_INPUT_REQUEST,
    EVENT_ERROR,
    EVENT_FILES_CHANGED,
    EVENT_GAP,
    EVENT_FINISHED,
    /* of a session's feed */
    EVENT_KERNEL_STATUS,
    EVENT_RESTARTED,
    EVENT_LATE,
    EVENT_N_TYPES
};

const char *event_type_name(enum event_type type);
bool event_type_parse(struct slice name, enum event_type *ret);

/* Ways an execution can stand (API.md "Statuses"). */
enum status {
    STATUS_QUEUED,
    STATUS_RUNNING,
    STATUS_WAITING_INPUT,
    STATUS_OK, /* from here on: ended */
    STATUS_ERROR,
    STATUS_INTERRUPTED,
    STATUS_TIMEOUT,
    STATUS_OOM,
    STATUS_KERNEL_DIED,
    STATUS_CANCELLED,
    STATUS_LOST,
    STATUS_N
};

const char *status_name(enum status status);
bool status_parse(struct slice name, enum status *ret);
static inline bool status_is_end(enum status status)
{
    return status >= STATUS_OK;
}

/* What the store keeps of an event: everything but the seq, which the store gives in its commit. */
struct event_head {
    int64_t unix_us;
    struct uuid execution_id; /* none: an event of the session itself */
    const char *session;
    struct uuid kernel_id; /* none: null */
    enum event_type type;
};

/* Appends {"v":1,"seq":SEQ,"ts":…,"execution_id":…,"session":…,"kernel_id":…,"type":…FIELDS} without a
 * newline. `fields`: "" or JSON members that begin with a comma, already one line. */
void event_record_write(struct buf *out, uint64_t seq, const struct event_head *head, struct slice fields);

/* Renders a kernel's iopub (or stdin) message as an event: sets *ret_type and writes its FIELDS into the empty buffer. False
 * when the message is no event (status, comm_msg, …) or its content makes no sense. One whose FIELDS pass the buffer's limit
 * becomes a `gap`. No MIME value is an object with a member "ref": one that is becomes its text, for so the hub says that it
 * keeps a value (kernelhub/output.h). Source: "Messaging in Jupyter", Messages on the IOPub and stdin channels. */
bool event_from_message(const char *msg_type, struct slice content, enum event_type *ret_type, struct buf *fields);

#endif
