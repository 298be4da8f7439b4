/* mcp_task.h - a call as the core knows it (mcp_call.h is what handlers see of it). */
#ifndef WEB_MCP_TASK_H
#define WEB_MCP_TASK_H

#include "web/mcp_peer.h"

struct mcp_task {
    struct mcp_call call;        /* first */
    struct mcp_peer *peer;       /* NULL: cancelled */
    struct mcp_channel *channel; /* NULL: cancelled */
    enum mcp_keep keep;
    bool is_plain;     /* the peer's */
    bool is_quiet;     /* stays as long as the client likes: not counted, no heartbeat */
    bool is_stored;    /* its result is said when the store has all */
    struct buf answer; /* then, until that */
    char *text;        /* of what the call's slices point to */
    struct wait *wait;
    void *own;
    void (*on_cancel)(struct mcp_call *c, void *own);
    void (*own_done)(void *own);
    int timer;          /* for progress; -1: none */
    struct buf waiting; /* progress that was said too soon after the last */
    int64_t said_ms;    /* the last progress */
    uint64_t n_said;
    const char *doing;
    void *place, *peer_place;
};

/* For a request of this peer; the message is copied. */
struct mcp_task *mcp_task_new(struct mcp_peer *p, struct mcp_channel *channel,
                              const struct mcp_message *m);
/* The client does not want it any more, or has gone. */
void mcp_task_cancel(struct mcp_task *t);
void mcp_task_free(struct mcp_task *t); /* without an answer */
/* Its handler has begun and not answered: from now on there is a heartbeat. */
void mcp_task_watch(struct mcp_task *t);
/* The service stops: its client is told so. The handler goes on. */
void mcp_task_dismiss(struct mcp_task *t);

static inline struct mcp_task *mcp_task_of(struct mcp_call *c)
{
    return (struct mcp_task *)c;
}

#endif
