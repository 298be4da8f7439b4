/* terminal_socket.h - a WebSocket at a terminal: terminado's messages at a named one, or raw bytes at one of its own. */
#ifndef WEB_TERMINAL_SOCKET_H
#define WEB_TERMINAL_SOCKET_H

struct request;

/* GET /terminals/websocket/{name}: ["setup",{}], then ["stdout",s]; ["disconnect",1] at the terminal's end. 404 before the 101. */
void jupyter_api_terminal_socket(struct request *r);

/* GET /api/v1/terminals/{sandbox}?rows=&cols=: a terminal for this socket alone, which ends with it. Binary messages are its bytes, both
 * ways; a text message {"rows":R,"cols":C} is its new size. At its program's end: 1000, and the reason says its exit. */
void rest_terminal(struct request *r);

#endif
