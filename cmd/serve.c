#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/folders.h"
#include "cmd/service_log.h"
#include "cmd/settings.h"
#include "cmd/supervisor.h"
#include "cmd/token_file.h"

struct serve {
    struct settings settings;
    bool detach, print_config;
    struct config *config;
    bool announced;
    struct paths_owner owner;
    char token_path[PATH_SIZE];
    char log_path[PATH_SIZE];
    int terminal_fd, error_fd; /* the starter's stdout and stderr */
    int done_fd; /* detached: the starter waits for one byte here, our exit code so far */
};

/* The roles read a copy of the file: what an editor leaves half done cannot keep a hub from coming
 * back. */
static int take_snapshot(void *arg, int *ret_fd, struct err *e)
{
    struct serve *s = arg;
    CLEANUP(config_free) struct config *checked = NULL;

    return settings_read(&s->settings, &checked, e) < 0
               ? -1
               : settings_copy(settings_file(&s->settings), ret_fd, e);
}

static bool asks_for_keys(const struct serve *s)
{
    return strcmp(config_text(s->config, CONFIG_SERVER_AUTH), "none") != 0;
}

/* The file's key is of use when it is this service's. */
static bool has_key(const struct serve *s)
{
    struct token_file t;
    return token_file_read(s->token_path, &t, NULL) == 0 && strncmp(t.token, "kh_", 3) == 0 &&
           strcmp(t.state, config_text(s->config, CONFIG_PATHS_STATE)) == 0;
}

static int leave_token(struct serve *s, const struct role_report *report, struct err *e)
{
    struct token_file t;

    if (token_file_read(s->token_path, &t, e) < 0)
        return -1;
    (void)snprintf(t.url, sizeof t.url, "%s", report->url);
    (void)snprintf(t.state, sizeof t.state, "%s", config_text(s->config, CONFIG_PATHS_STATE));
    if (!asks_for_keys(s))
        (void)snprintf(t.token, sizeof t.token, "none");
    else if (report->admin_key[0])
        (void)snprintf(t.token, sizeof t.token, "%s", report->admin_key);
    return token_file_write(s->token_path, &t, &s->owner, e);
}

static void announce(const struct serve *s, const struct role_report *report)
{
    dprintf(s->terminal_fd, "\nKernelhub answers at %s\n", report->url);
    if (!asks_for_keys(s))
        dprintf(s->terminal_fd, "  no key is asked for: whoever reaches that address is admin\n");
    else if (report->admin_key[0])
        dprintf(s->terminal_fd, "  admin key   %s\n              shown this once, and left in %s\n",
                report->admin_key, s->token_path);
    else
        dprintf(s->terminal_fd, "  admin key   in %s\n", s->token_path);
    dprintf(s->terminal_fd, "  try         kernelhub run 'x = 6 * 7'; kernelhub run 'print(x)'\n");
    dprintf(s->terminal_fd,
            "  or          curl -s %s/api/v1/execute -d '{\"code\":\"print(6 * 7)\"}'",
            report->url);
    if (asks_for_keys(s))
        dprintf(s->terminal_fd,
                " \\\n                -H \"Authorization: Bearer $(sed -n s/^token=//p %s)\"",
                s->token_path);
    dprintf(s->terminal_fd, "\n  end         %s\n\n",
            s->detach ? "kernelhub stop"
                      : "Ctrl-C, which ends every sandbox too; or 'kernelhub stop' elsewhere");
}

static void on_ready(void *arg, const struct role_report *report)
{
    struct serve *s = arg;
    struct err e = ERR_INIT;

    if (leave_token(s, report, &e) < 0)
        log_error("event=no_token_file reason=%s", log_quote(slice_str(e.text)));
    if (s->announced) {
        log_info("event=hub_is_back url=%s", report->url);
        return;
    }
    s->announced = true;
    log_info("event=ready url=%s", report->url);
    announce(s, report);
    if (s->detach) {
        (void)!write(s->done_fd, "", 1); /* a starter that has gone does not wait */
        (void)close(s->done_fd);
        (void)close(s->terminal_fd);
        (void)close(s->error_fd);
        s->done_fd = s->terminal_fd = s->error_fd = -1;
    }
}

static void on_tick(void *arg)
{
    struct serve *s = arg;
    if (s->detach)
        service_log_bound(s->log_path);
}

static int supervise(struct serve *s, const struct folders_user *hub, struct err *e)
{
    const char *arguments[ROLE_MAX_ARGUMENTS];
    struct settings roles = s->settings;
    size_t n = 0;

    roles.config_file = ROLE_CONFIG_PATH;
    if (settings_arguments(&roles, arguments, ARRAY_LEN(arguments), &n, e) < 0)
        return 1;
    const struct supervisor_options o = {
        .program = "/proc/self/exe",
        .run_dir = config_text(s->config, CONFIG_PATHS_RUN),
        .hub_uid = hub->uid,
        .hub_gid = hub->gid,
        .arguments = arguments,
        .new_admin_key = asks_for_keys(s) && folders_have_store(s->config) && !has_key(s),
        .in_terminal = !s->detach && isatty(STDIN_FILENO),
        .keep_port = config_number(s->config, CONFIG_SERVER_PORT) == 0,
        .snapshot = take_snapshot,
        .on_ready = on_ready,
        .on_tick = on_tick,
        .arg = s,
    };
    return supervisor_run(&o, e);
}

/* In the process that supervises. Errors go to the terminal, also when stderr is the log by now. */
static int serve(struct serve *s)
{
    struct err e = ERR_INIT;
    struct folders_user hub;
    CLEANUP_FD int lock = -1;
    int code = 1;

    if (folders_find_user(s->config, &hub, &e) == 0 && folders_make(s->config, &hub, &e) == 0 &&
        folders_lock(s->config, &lock, &e) == 0 &&
        (!s->detach || service_log_begin(s->log_path, &e) == 0)) {
        log_open("supervisor", LOG_LEVEL_INFO);
        code = supervise(s, &hub, &e);
    }
    if (e.text[0] && !s->announced)
        dprintf(s->error_fd, "kernelhub serve: %s\n", e.text);
    if (s->detach && !s->announced) {
        char byte = (char)(code ? code : 1);
        (void)!write(s->done_fd, &byte, 1);
    }
    return code;
}

/* The starter's side: waits until the service is ready or has failed. */
static int wait_started(int fd)
{
    unsigned char code = 1;
    ssize_t n;

    do
        n = read(fd, &code, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? code : 1;
}

static int serve_detached(struct serve *s)
{
    int ends[2];

    s->terminal_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    s->error_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    if (s->terminal_fd < 0 || s->error_fd < 0 || pipe2(ends, O_CLOEXEC) < 0) {
        perror("kernelhub serve");
        return 1;
    }
    pid_t pid = fork();
    if (pid < 0) {
        perror("kernelhub serve: fork");
        return 1;
    }
    if (pid > 0) {
        (void)close(ends[1]);
        return wait_started(ends[0]);
    }
    (void)close(ends[0]);
    (void)setsid();
    s->done_fd = ends[1];
    return serve(s);
}

static int check_privileges(const struct serve *s, struct err *e)
{
    if (geteuid() == 0 || config_flag(s->config, CONFIG_KEEPER_ALLOW_WEAK))
        return 0;
    return err_set(e, ERR_FORBIDDEN,
                   "must be started by root (sudo kernelhub serve): only then has each sandbox "
                   "user ids of its own "
                   "and limits that hold. --allow-weak starts without them");
}

/* A relative path would mean another place to a role or to `stop`. */
static int check_paths(struct serve *s, struct err *e)
{
    static const struct {
        enum config_key key;
        const char *name;
    } folders[] = { { CONFIG_PATHS_STATE, "paths/state" }, { CONFIG_PATHS_RUN, "paths/run" } };

    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (config_text(s->config, folders[i].key)[0] != '/')
            return err_set(e, ERR_INVALID, "%s must be an absolute path, not '%.100s'",
                           folders[i].name, config_text(s->config, folders[i].key));
    if (paths_find_owner(&s->owner, e) < 0)
        return -1;
    if (paths_token_file(config_text(s->config, CONFIG_PATHS_TOKEN_FILE), s->token_path, e) < 0)
        return -1;
    return paths_join(s->log_path, config_text(s->config, CONFIG_PATHS_STATE), "kernelhub.log", e);
}

static int print_config(const struct serve *s)
{
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);

    config_print(s->config, &text);
    (void)fwrite(text.data, 1, text.len, stdout);
    return 0;
}

int command_serve(int argc, char **argv)
{
    struct serve s = { .terminal_fd = STDOUT_FILENO, .error_fd = STDERR_FILENO, .done_fd = -1 };
    const struct option_spec specs[] = {
        SETTINGS_OPTIONS(&s.settings),
        { "detach", 'd', OPTION_FLAG, NULL, "go on in the background once the service answers",
          &s.detach },
        { "print-config", 0, OPTION_FLAG, NULL, "show every setting and where it came from",
          &s.print_config },
        { 0 },
    };
    const struct options options = {
        .command = "serve",
        .arguments = "",
        .specs = specs,
        .about = "Runs the service: a hub that answers HTTP and a keeper that holds the "
                 "containers. What dies is\n"
                 "started again. Ctrl-C ends everything, SIGTERM leaves the sandboxes, SIGHUP "
                 "reads the settings again.",
        .examples = "  kernelhub serve\n  kernelhub serve --detach --port 9000\n"
                    "  kernelhub serve --set limits/memory_bytes=4294967296\n",
    };
    struct option_list none;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    CLEANUP(config_free) struct config *config = NULL;
    if (settings_read(&s.settings, &config, &e) < 0) {
        fprintf(stderr, "kernelhub serve: %s\n", e.text);
        return 2;
    }
    s.config = config;
    if (s.print_config)
        return print_config(&s);
    if (check_privileges(&s, &e) < 0 || check_paths(&s, &e) < 0) {
        fprintf(stderr, "kernelhub serve: %s\n", e.text);
        return 2;
    }
    return s.detach ? serve_detached(&s) : serve(&s);
}
