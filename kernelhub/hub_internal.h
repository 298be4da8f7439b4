/* hub_internal.h - the tables that the hub's own modules share. Not for web/. */
#ifndef KERNELHUB_HUB_INTERNAL_H
#define KERNELHUB_HUB_INTERNAL_H

#include <czmq.h>

#include "base/loop.h"
#include "kernelhub/hub.h"
#include "kernelhub/metrics.h"
#include "kernelhub/store.h"

#define HUB_CATALOG_PATIENCE_MS 15000 /* for the first list of images after a start */

struct catalog;
struct ended;
struct keeper_client;
struct callbacks;
struct files;
struct packages;
struct changes;
struct quota;
struct execution;

struct hub {
    const struct config *config;
    struct loop *loop;
    struct store *store;
    struct keeper_client *keeper;
    struct catalog *catalog;
    bool catalog_is_recalled; /* from the store: the images may be others by now */
    struct callbacks *callbacks;
    struct files *files;
    struct packages *packages;
    struct quota *quota;
    struct changes *changes; /* NULL: nobody looks */
    zhashx_t *users;      /* id → struct user, owned */
    zhashx_t *keys;       /* hash in hex → struct key of user.c, owned */
    zhashx_t *sandboxes;  /* id → struct sandbox, owned */
    zhashx_t *sessions;   /* "USER_ID/NAME" → struct session, owned */
    zhashx_t *kernels;    /* kernel id → its struct session, not owned */
    zhashx_t *jupyter_kernels; /* the id that Jupyter clients know a session's kernel by → its struct session, not owned */
    zhashx_t *executions; /* id → struct execution not yet ended, owned */
    zhashx_t *submitted;  /* feed number → struct execution whose insert is not yet committed, owned */
    zhashx_t *terminals;  /* id → struct terminal, owned */
    zlistx_t *dead_terminals; /* those that are over and have a client yet, owned */
    void (*before_commit)(void *arg); /* NULL: nobody */
    void *before_commit_arg;
    files_changed_fn files_changed; /* NULL: nobody */
    void *files_changed_arg;
    int link_epoll;       /* all links' sockets; itself in the loop */
    uint8_t key_secret[32];
    char session_id[37]; /* the `session` of the Jupyter headers we write */
    int64_t started_us;
    int retain_timer, patience_timer;
    int spare_timer;       /* spare.c; -1: it is quiet */
    bool spare_again;
    int lease_timer;       /* -1: nothing is due */
    int64_t lease_due_us;  /* when it fires, unix time */
    struct ended *ended;

    struct metric_counter *executions_total; /* status, language */
    struct metric_counter *kernel_starts_total; /* result, language */
    struct metric_counter *sandboxes_ended_total; /* reason */
    struct metric_counter *installs_total; /* status, language */
    struct metric_histogram *execution_seconds;
    struct metric_histogram *overhead_seconds; /* total less the kernel's own time */
    struct metric_histogram *start_seconds;    /* kernel start, sandbox included when it had to be made */
};

static inline int64_t hub_unix_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t hub_mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
