#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cmd/ask.h"
#include "cmd/commands.h"

DEFINE_CLEANUP(char, free)

#define MAX_PATH (4u << 20) /* no argument has more than 128 KiB, three times that escaped */

static void add_parameter(struct buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    char *escaped = curl_easy_escape(NULL, value, 0);
    buf_addf(path, "%c%s=%s", memchr(path->data, '?', path->len) ? '&' : '?', name,
             escaped ? escaped : "");
    curl_free(escaped);
}

/* To standard output, as it comes: it may be larger than memory. */
static int write_notebook(const struct ask *a, const char *session)
{
    CLEANUP(client_free) struct client *client = NULL;
    CLEANUP(free) char *path = client_path("/api/v1/sessions/", session, "/notebook");
    struct err e = ERR_INIT;

    if (client_new(&a->where, &client, &e) < 0 || client_save(client, path, stdout, &e) < 0)
        return client_complain(a->command, client, &e);
    return 0;
}

int command_history(int argc, char **argv)
{
    static const struct table_column COLUMNS[] = {
        { "EXECUTION", "execution_id" }, { "SESSION", "session" },    { "STATUS", "status" },
        { "MS", "duration_ms" },         { "CREATED", "created_at" }, { "CODE", "code" },
    };
    struct ask a = { .command = "history" };
    const char *session = NULL, *language = NULL, *status = NULL, *text = NULL, *notebook = NULL;
    int64_t limit = 20;
    const struct option_spec specs[] = {
        { "limit", 'n', OPTION_NUMBER, "N", "how many, newest first (default 20)", &limit },
        { "session", 's', OPTION_TEXT, "NAME", "only of this session", &session },
        { "language", 'l', OPTION_TEXT, "L", "only of this language", &language },
        { "status", 0, OPTION_TEXT, "S", "only with this status: ok, error, timeout …", &status },
        { "grep", 'q', OPTION_TEXT, "TEXT", "only where the code contains this", &text },
        { "notebook", 0, OPTION_TEXT, "SESSION",
          "all that this session ran, with its outputs, as a notebook (.ipynb)", &notebook },
        ASK_OPTIONS(&a),
        { 0 },
    };
    const struct options options = {
        .command = "history",
        .arguments = "",
        .specs = specs,
        .about = "What was run, newest first.",
        .examples = "  kernelhub history --status error\n  kernelhub history -n 5 --session python "
                    "--json\n  kernelhub history --notebook python > python.ipynb\n",
    };
    CLEANUP_BUF struct buf path = BUF_INIT(MAX_PATH);
    struct option_list none;
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    if (notebook)
        return write_notebook(&a, notebook);
    buf_addf(&path, "/api/v1/executions?limit=%" PRId64, limit);
    add_parameter(&path, "session", session);
    add_parameter(&path, "language", language);
    add_parameter(&path, "status", status);
    add_parameter(&path, "q", text);
    return ask_list(&a, path.data, COLUMNS, ARRAY_LEN(COLUMNS));
}
