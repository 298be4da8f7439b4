#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ask.h"
#include "cmd/commands.h"

static int list(const struct ask *a)
{
    static const struct table_column COLUMNS[] = {
        { "NAME", "name" },
        { "LANGUAGE", "language" },
        { "TEMPLATE", "template" },
        { "STATUS", "status" },
        { "QUEUED", "queued" },
        { "EXECUTIONS", "execution_count" },
        { "LAST USED", "last_used_at" },
    };
    return ask_list(a, "/api/v1/sessions", COLUMNS, ARRAY_LEN(COLUMNS));
}

static int on_session(const struct ask *a, const char *method, const char *name, const char *after,
                      const char *done)
{
    char *path = client_path("/api/v1/sessions/", name, after);
    int code = ask_do(a, method, path, done, name);

    free(path);
    return code;
}

int command_sessions(int argc, char **argv)
{
    struct ask a = { .command = "sessions" };
    const struct option_spec specs[] = { ASK_OPTIONS(&a), { 0 } };
    const struct options options = {
        .command = "sessions",
        .arguments = "[ls | rm NAME]",
        .max_arguments = 2,
        .specs = specs,
        .about = "Lists your sessions, or removes one with its kernel; its history stays.",
        .examples = "  kernelhub sessions\n  kernelhub sessions rm analysis\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    if (args.n == 0 || (args.n == 1 && strcmp(args.items[0], "ls") == 0))
        return list(&a);
    if (args.n == 2 && strcmp(args.items[0], "rm") == 0)
        return on_session(&a, "DELETE", args.items[1], "", "is removed");
    fprintf(stderr,
            "kernelhub sessions: it is 'ls' or 'rm NAME' (see kernelhub sessions --help)\n");
    return 2;
}

int command_interrupt(int argc, char **argv)
{
    struct ask a = { .command = "interrupt" };
    const char *session = NULL;
    const struct option_spec specs[] = {
        { "session", 's', OPTION_TEXT, "NAME", "whatever runs in this session", &session },
        ASK_OPTIONS(&a),
        { 0 },
    };
    const struct options options = {
        .command = "interrupt",
        .arguments = "[EXECUTION_ID]",
        .max_arguments = 1,
        .specs = specs,
        .about = "Interrupts running code, as Ctrl-C would; a queued execution is cancelled.",
        .examples = "  kernelhub interrupt --session python\n  kernelhub interrupt 3f6c…\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    if ((args.n == 1) == (session != NULL)) {
        fprintf(stderr,
                "kernelhub interrupt: name an execution or --session NAME, one of the two\n");
        return 2;
    }
    if (session)
        return on_session(&a, "POST", session, "/interrupt", "is interrupted");
    char *path = client_path("/api/v1/executions/", args.items[0], "/interrupt");
    code = ask_do(&a, "POST", path, "is interrupted", args.items[0]);
    free(path);
    return code;
}

int command_restart(int argc, char **argv)
{
    struct ask a = { .command = "restart" };
    const struct option_spec specs[] = { ASK_OPTIONS(&a), { 0 } };
    const struct options options = {
        .command = "restart",
        .arguments = "SESSION",
        .min_arguments = 1,
        .max_arguments = 1,
        .specs = specs,
        .about = "A fresh kernel under a session's name: variables are gone, files stay. What runs "
                 "is interrupted,\n"
                 "what waits is cancelled.",
        .examples = "  kernelhub restart python\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    return on_session(&a, "POST", args.items[0], "/restart", "has a fresh kernel");
}
