#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/commands.h"
#include "cmd/suggest.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: internal */
} COMMANDS[] = {
    { "serve", command_serve, "run the service" },
    { "stop", command_stop, "end the service and every sandbox" },
    { "doctor", command_doctor, "what is missing on this host, and how to mend it" },
    { "run", command_run, "run code and show its output as it comes" },
    { "attach", command_attach, "show an execution that runs or ran" },
    { "exec", command_exec, "run a command in a sandbox" },
    { "ls", command_ls, "list the files of the workspace" },
    { "put", command_put, "copy files into the workspace" },
    { "get", command_get, "copy a file, or a folder as an archive, from the workspace" },
    { "rm", command_rm, "remove files from the workspace" },
    { "history", command_history, "what was run" },
    { "sessions", command_sessions, "list or remove sessions" },
    { "sandboxes", command_sandboxes, "list sandboxes" },
    { "kill", command_kill, "end a sandbox" },
    { "interrupt", command_interrupt, "interrupt running code" },
    { "restart", command_restart, "a fresh kernel under a session's name" },
    { "packages", command_packages, "install packages, list them" },
    { "user", command_user, "create, list, remove users" },
    { "key", command_key, "create, list, revoke API keys" },
    { "image", command_image, "build, list, remove images" },
    { "mcp", command_mcp, "MCP over stdin and stdout" },
    { "health", command_health, "ask the service how it is" },
    { "version", command_version, "print the version" },
    { "hub", command_hub, NULL },
    { "keeper", command_keeper, NULL },
    { "courier", command_courier, NULL },
};

static void print_help(FILE *to)
{
    fprintf(to,
            "Usage: kernelhub COMMAND [OPTION]…\n\n"
            "Persistent interpreters in locked-down containers: Jupyter kernels over HTTP.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        if (COMMANDS[i].help)
            fprintf(to, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    fprintf(to, "\n'kernelhub COMMAND --help' says more, with examples.\n\n"
                "Examples:\n"
                "  kernelhub serve --detach\n"
                "  kernelhub run 'x = 6 * 7'; kernelhub run 'print(x)'\n");
}

static int unknown(const char *name)
{
    const char *names[ARRAY_LEN(COMMANDS)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        if (COMMANDS[i].help)
            names[n++] = COMMANDS[i].name;
    const char *nearest = suggest_nearest(name, names, n);
    fprintf(stderr, "kernelhub: unknown command '%s'", name);
    if (nearest)
        fprintf(stderr, ": did you mean '%s'?", nearest);
    fprintf(stderr, " (see kernelhub --help)\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0)
        return command_version(1, argv + 1);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        if (strcmp(name, COMMANDS[i].name) == 0)
            return COMMANDS[i].run(argc - 1, argv + 1);
    return unknown(name);
}
