#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cmd/ask.h"
#include "cmd/commands.h"
#include "cmd/pidfile.h"
#include "cmd/settings.h"
#include "cmd/supervisor.h"
#include "cmd/token_file.h"

#define LOCAL_LIMIT_MS 20000
#define LOCAL_LOOK_MS  100

struct key {
    struct ask ask;
    struct settings settings;
    const char *user, *expires;
    bool local;
};

static int create(const struct key *k, const char *name)
{
    CLEANUP(json_decref)
    json_t *body =
        json_pack("{s:s,s:s*,s:s*}", "name", name, "user", k->user, "expires_at", k->expires);
    CLEANUP(json_decref) json_t *reply = NULL;
    int code = ask_call(&k->ask, "POST", "/api/v1/admin/keys", body, &reply);

    if (code != 0)
        return code;
    if (k->ask.json) {
        table_print_json(reply);
        return 0;
    }
    const char *key = json_string_value(json_object_get(reply, "key"));
    printf("%s\n", key ? key : "");
    fprintf(stderr, "this is the only time it is shown\n");
    return 0;
}

/* Without any key: root asks the supervisor, which starts the hub again with a new admin key and
 * leaves it in the token file. */
static int create_local(const struct key *k, struct err *e)
{
    const struct timespec pause = { .tv_nsec = LOCAL_LOOK_MS * 1000000L };
    char pid_path[PATH_SIZE], token_path[PATH_SIZE];
    struct token_file before, now;
    CLEANUP(config_free) struct config *config = NULL;

    if (settings_read(&k->settings, &config, e) < 0 ||
        paths_token_file(config_text(config, CONFIG_PATHS_TOKEN_FILE), token_path, e) < 0 ||
        paths_join(pid_path, config_text(config, CONFIG_PATHS_RUN), SUPERVISOR_PID_FILE, e) < 0 ||
        token_file_read(token_path, &before, e) < 0)
        return -1;
    CLEANUP_FD int pidfd = pidfile_open(pid_path, NULL);
    if (pidfd < 0)
        return err_set(e, ERR_NOT_FOUND,
                       "no service runs here; 'kernelhub serve' leaves a key in %s", token_path);
    if (syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0) < 0)
        return err_errno(e, ERR_FORBIDDEN, "ask the service (only who started it may, else root)");
    for (int waited = 0; waited < LOCAL_LIMIT_MS; waited += LOCAL_LOOK_MS) {
        (void)nanosleep(&pause, NULL);
        if (token_file_read(token_path, &now, NULL) == 0 && now.token[0] &&
            strcmp(now.token, before.token) != 0) {
            printf("a new admin key is in %s\n", token_path);
            return 0;
        }
    }
    return err_set(e, ERR_TIMEOUT,
                   "no new key in %s after %d s: was the service started by another user?",
                   token_path, LOCAL_LIMIT_MS / 1000);
}

static int list(const struct ask *a)
{
    static const struct table_column COLUMNS[] = {
        { "ID", "id" },
        { "NAME", "name" },
        { "USER", "user" },
        { "BEGINS", "prefix" },
        { "CREATED", "created_at" },
        { "LAST USED", "last_used_at" },
        { "EXPIRES", "expires_at" },
    };
    return ask_list(a, "/api/v1/admin/keys", COLUMNS, ARRAY_LEN(COLUMNS));
}

static int revoke_key(const struct ask *a, const char *id)
{
    char *path = client_path("/api/v1/admin/keys/", id, "");
    int code = ask_do(a, "DELETE", path, "works no more", id);

    free(path);
    return code;
}

static int dispatch(const struct key *k, const struct option_list *args, const char *arguments)
{
    struct err e = ERR_INIT;

    if (args->n == 1 && strcmp(args->items[0], "create") == 0 && k->local)
        return create_local(k, &e) == 0 ? 0 : client_complain("key", NULL, &e);
    if (args->n == 2 && strcmp(args->items[0], "create") == 0 && !k->local)
        return create(k, args->items[1]);
    if (args->n == 2 && strcmp(args->items[0], "revoke") == 0)
        return revoke_key(&k->ask, args->items[1]);
    if (args->n == 1 && strcmp(args->items[0], "ls") == 0)
        return list(&k->ask);
    fprintf(stderr, "kernelhub key: it is %s (see kernelhub key --help)\n", arguments);
    return 2;
}

int command_key(int argc, char **argv)
{
    struct key k = { .ask = { .command = "key" } };
    const struct option_spec specs[] = {
        { "user", 0, OPTION_TEXT, "NAME", "with create: whose key (default: yours)", &k.user },
        { "expires", 0, OPTION_TEXT, "TIME", "with create: until when, e.g. 2027-01-31T00:00:00Z",
          &k.expires },
        { "local", 0, OPTION_FLAG, NULL, "with create, as root: a new admin key for the token file",
          &k.local },
        { "config", 0, OPTION_TEXT, "FILE", "with --local: the service's settings file",
          &k.settings.config_file },
        { "run", 0, OPTION_TEXT, "DIR", "with --local: where the service's pid file is",
          &k.settings.run },
        ASK_OPTIONS(&k.ask),
        { 0 },
    };
    const struct options options = {
        .command = "key",
        .arguments = "create NAME | create --local | ls | revoke ID",
        .min_arguments = 1,
        .max_arguments = 2,
        .specs = specs,
        .about = "API keys. A key is shown once, when it is made.",
        .examples = "  kernelhub key create ci --user ada --expires 2027-01-31T00:00:00Z\n  "
                    "kernelhub key ls\n"
                    "  sudo kernelhub key create --local\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    return dispatch(&k, &args, options.arguments);
}
