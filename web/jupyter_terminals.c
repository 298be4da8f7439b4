/* /api/terminals: Jupyter Server's terminals (jupyter_server_terminals' api), as models over HTTP. Their WebSocket: terminal_socket.c. */
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/terminal.h"
#include "web/jupyter_api.h"
#include "web/reply.h"
#include "web/request.h"

#define MAX_LIST_BYTES (1u << 20)
#define MAX_CWD_BYTES  1000

void jupyter_api_terminals(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_LIST_BYTES);
    struct err e = ERR_INIT;
    if (terminal_write_all(r->site->hub, r->user, &json, &e) < 0)
        reply_error(r, &e);
    else
        reply_buf(r, 200, &json);
}

/* NULL: the reply is decided. */
static struct terminal *find(struct request *r)
{
    struct err e = ERR_INIT;
    struct terminal *t;
    if (terminal_find(r->site->hub, r->user, request_part(r, 0), &t, &e) == 0)
        return t;
    reply_error(r, &e);
    return NULL;
}

void jupyter_api_terminal(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_LIST_BYTES);
    const struct terminal *t = find(r);
    if (!t)
        return;
    terminal_write(t, &json);
    reply_buf(r, 200, &json);
}

void jupyter_api_terminal_start(struct request *r)
{
    struct err e = ERR_INIT;
    struct slice json;
    struct terminal *t;
    if (!jupyter_api_read_object(r, &json))
        return;
    char *name = json_member_dup(json, "name", TERMINAL_NAME_BYTES + 1),
         *cwd = json_member_dup(json, "cwd", MAX_CWD_BYTES);
    const struct terminal_wish wish = { .name = name && name[0] ? name : NULL, .cwd = cwd };
    int opened = terminal_open(r->site->hub, r->user, &wish, &t, &e);
    free(name);
    free(cwd);
    if (opened < 0)
        reply_error(r, &e);
    else
        request_wait(r, terminal_await(t, request_answer, r));
}

void jupyter_api_terminal_delete(struct request *r)
{
    struct err e = ERR_INIT;
    struct terminal *t = find(r);
    if (!t)
        return;
    if (terminal_close(t, &e) < 0)
        reply_error(r, &e);
    else
        reply_empty(r, 204);
}
