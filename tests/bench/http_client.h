/* http_client.h - a lean client of POST /execute, and of MCP's execute_code, over one kept connection: plain socket,
 * TCP_NODELAY. Any failure ends the program with a message: it is a measuring tool. */
#ifndef BENCH_HTTP_CLIENT_H
#define BENCH_HTTP_CLIENT_H

#include <stdint.h>

#include "base/slice.h"
#include "tests/bench/sample.h"

struct http_client;

struct http_client *http_client_open(uint16_t port, const char *token);
void http_client_close(struct http_client *c);

enum http_form {
    HTTP_JSON,   /* one body */
    HTTP_EVENTS, /* SSE */
    HTTP_MCP,    /* tools/call over POST /mcp, 2026-07-28 */
};

/* Runs code in the session "python" and reads the answer to its last byte. */
void http_client_execute(struct http_client *c, struct slice code, enum http_form form,
                         struct sample *ret);

#endif
