/* event_message.h - an event record as the Jupyter message it came from: for a client that was away when the kernel said it.
 * Source: API.md "Event record"; "Messaging in Jupyter", Messages on the IOPub and stdin channels. */
#ifndef PROTOCOL_EVENT_MESSAGE_H
#define PROTOCOL_EVENT_MESSAGE_H

#include "base/buf.h"
#include "protocol/event_record.h"
#include "protocol/link.h"

/* Writes the content of the message into the empty buffer. A gap becomes a line on stderr that says it. False when the record is
 * no message (queued, finished, files_changed, …) or no record at all. `data` stands for the record's own, when it is not empty. */
bool event_to_message(struct slice record, struct slice data, enum link_channel *ret_channel, const char **ret_msg_type,
                      struct buf *content);

/* execute_reply's content for an execution that has ended. error: its last error record, or empty. */
void event_write_reply(struct slice finished, struct slice error, struct buf *content);

#endif
