/* terminal_ws.h - what is said over a terminal's WebSocket. Sources: terminado's protocol (JSON arrays, as JupyterLab and
 * jupyter_server_terminals speak it), and our own (raw bytes; a JSON object is a new size). */
#ifndef PROTOCOL_TERMINAL_WS_H
#define PROTOCOL_TERMINAL_WS_H

#include "base/buf.h"

#define TERMINAL_WS_MAX_SIDE 0x7fff /* rows, columns */

enum terminal_ws_kind {
    TERMINAL_WS_NONSENSE, /* passed over */
    TERMINAL_WS_STDIN,    /* text, raw between its quotes: json_unescape gives the bytes */
    TERMINAL_WS_SIZE,     /* rows, cols: 1 … TERMINAL_WS_MAX_SIDE */
};

struct terminal_ws_message {
    enum terminal_ws_kind kind;
    struct slice text; /* into what was read */
    unsigned rows, cols;
};

/* ["stdin","ls\r"], ["set_size",24,80,600,800] (what follows the columns is passed over). */
struct terminal_ws_message terminal_ws_read(struct slice text);
/* {"rows":24,"cols":80}: SIZE or NONSENSE. */
struct terminal_ws_message terminal_ws_read_size(struct slice text);

/* Appends ["stdout","…"]. Bytes that are no UTF-8 become U+FFFD, NUL (which pads) is left out. Returns how many bytes of `output` that is:
 * those of a character whose rest may still come are left over, unless these are the last; 0: nothing is appended. */
size_t terminal_ws_write_output(struct buf *out, struct slice output, bool is_last);

#endif
