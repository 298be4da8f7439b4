/* client.h - the REST API as the subcommands use it: where the service is, who we are, calls,
 * streams. */
#ifndef CMD_CLIENT_H
#define CMD_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "cmd/options.h"
#include "cmd/sse_reader.h"

/* From the command line; NULL: KERNELHUB_URL, KERNELHUB_TOKEN, else the token file. */
struct client_settings {
    const char *url, *token;
};
/* clang-format off */
#define CLIENT_OPTIONS(s)                                                                          \
    { "url", 0, OPTION_TEXT, "URL",                                                                \
      "the service (default: KERNELHUB_URL, or the token file)", &(s)->url },                      \
    { "token", 0, OPTION_TEXT, "T",                                                                \
      "key (default: KERNELHUB_TOKEN, or the token file)", &(s)->token }
/* clang-format on */

struct client;

/* A key from the token file is used only for the service that the file names. */
int client_new(const struct client_settings *s, struct client **ret, struct err *e);
void client_free(struct client *c);
DEFINE_CLEANUP(struct client, client_free)
DEFINE_CLEANUP(json_t, json_decref)

const char *client_url(const struct client *c);
/* Was the last failure one of the way there, so that asking again may help? (no answer, broken off,
 * 503) */
bool client_may_retry(const struct client *c);
/* A request of another's ended with that and no answer: noted, and -1 with what there is to say. text: curl's own words, or "". */
int client_broke_off(struct client *c, CURLcode code, const char *text, struct err *e);
/* How long a call waits for a silent service; without it three minutes, for some wait until a kernel has started. */
void client_set_patience(struct client *c, long seconds);
bool client_reached(const struct client *c); /* did the last request find anybody there? */

/* "/api/v1/sessions/NAME/restart" for ("/api/v1/sessions/", NAME, "/restart"), NAME escaped. Freed
 * by the caller. */
char *client_path(const char *before, const char *name, const char *after);

/* One call; `path` begins with a slash; body NULL: none. *ret (may be NULL) is the reply, NULL when it has no body; the
 * caller's to json_decref. An API error becomes e with its code, message and hint. */
int client_call(struct client *c, const char *method, const char *path, const json_t *body,
                json_t **ret, struct err *e);
int client_fetch(struct client *c, const char *path, struct buf *out,
                 struct err *e); /* the bytes as they are */
/* The same to a file, as they come, however many. When it fails, what was written before is half of it. */
int client_save(struct client *c, const char *path, FILE *out, struct err *e);

struct client_stream {
    const char *method, *path;
    const json_t *body; /* may be NULL */
    sse_event_fn on_event;
    void *arg;
    int wake_fd;                /* -1: none; when it is readable: */
    bool (*on_wake)(void *arg); /* false: leave the stream */
    const int *input_fd;        /* NULL or -1 there: none; may change meanwhile; when it is readable: */
    bool (*on_input)(void *arg);
};
/* Reads server-sent events until the stream ends (0), on_wake says so (0), or it fails. */
int client_stream(struct client *c, const struct client_stream *s, struct err *e);

/* For the main functions: prints "kernelhub COMMAND: …" and what to do next. Returns 1. */
int client_complain(const char *command, const struct client *c, const struct err *e);

#endif
