#include "kernelhub/config.h"

#include <ctype.h>
#include <czmq.h>
#include <errno.h>

#include "base/cleanup.h"
#include "kernelhub/config_value.h"

#define MAX_FILE_BYTES (1024 * 1024)
#define MAX_TEXT_BYTES 1024 /* of a value */
#define MAX_LINES      8192
#define MAX_LIST_BYTES (64 * 1024)

static const struct setting SETTINGS[CONFIG_N_KEYS] = {
    [CONFIG_SERVER_ADDRESS] = { "server/address", "127.0.0.1", TEXT, 1, 253, NULL,
                                "address to listen on" },
    [CONFIG_SERVER_PORT] = { "server/port", "8080", NUMBER, 0, 65535, NULL,
                             "port to listen on, 0: any free one" },
    [CONFIG_SERVER_AUTH] = { "server/auth", "key", CHOICE, 0, 0, "key none",
                             "none only on loopback" },
    [CONFIG_SERVER_METRICS_TOKEN] = { "server/metrics_token", "loopback", CHOICE, 0, 0,
                                      "loopback always never",
                                      "when /metrics needs a token; loopback: not from there" },
    [CONFIG_SERVER_MAX_BODY] = { "server/max_body_bytes", "10M", BYTES, 64 * KI, GI, NULL,
                                 "largest request body" },
    [CONFIG_SERVER_MAX_CONNECTIONS] = { "server/max_connections", "1024", NUMBER, 8, 100000, NULL,
                                        "open at a time" },
    [CONFIG_SERVER_ALLOWED_ORIGINS] = { "server/allowed_origins", "", TEXT, 0, MAX_TEXT_BYTES, NULL,
                                        "other sites whose pages may open WebSockets and use MCP "
                                        "and the Jupyter Server API" },
    [CONFIG_SERVER_BASE_PATH] = { "server/base_path", "", TEXT, 0, 255, NULL,
                                  "where a reverse proxy shows the service; paths are taken with "
                                  "it and without" },
    [CONFIG_SERVER_PING] = { "server/websocket_ping_seconds", "20", NUMBER, 1, 3600, NULL,
                             "after so long a silence; three times that without an answer is "
                             "dead" },
    [CONFIG_PATHS_STATE] = { "paths/state", "/var/lib/kernelhub", TEXT, 1, MAX_TEXT_BYTES, NULL,
                             "database, workspaces" },
    [CONFIG_PATHS_RUN] = { "paths/run", "/run/kernelhub", TEXT, 1, 60, NULL,
                           "sockets (their names have 108 bytes)" },
    [CONFIG_PATHS_TOKEN_FILE] = { "paths/token_file", "", TEXT, 0, MAX_TEXT_BYTES, NULL,
                                  "where serve leaves its user's key; empty: "
                                  "~/.config/kernelhub/token" },
    [CONFIG_HUB_USER] = { "hub/user", "kernelhub", TEXT, 1, 32, NULL,
                          "who the hub runs as when root starts it" },
    [CONFIG_KEEPER_RUNTIME] = { "keeper/runtime", "", TEXT, 0, 255, NULL,
                                "OCI runtime; empty: probe" },
    [CONFIG_KEEPER_PODMAN_SOCKET] = { "keeper/podman_socket", "", TEXT, 0, 107, NULL,
                                      "empty: start a private one" },
    [CONFIG_KEEPER_ALLOW_WEAK] = { "keeper/allow_weak", "0", FLAG, 0, 1, NULL,
                                   "run where limits cannot be enforced" },
    [CONFIG_KEEPER_ID_BASE] = { "keeper/id_base", "1879048192", NUMBER, 65536, 4294901760, NULL,
                                "first host id of ours" },
    [CONFIG_KEEPER_ID_COUNT] = { "keeper/id_count", "4095", NUMBER, 1, 65535, NULL,
                                 "ranges of 65536 host ids" },
    [CONFIG_TEMPLATE_DEFAULT] = { "template/default", "slim", TEXT, 1, 63, NULL,
                                  "used when none is named" },
    [CONFIG_TEMPLATE_PREFERRED] = { "template/preferred", "python", TEXT, 0, 63, NULL,
                                    "used instead once its image exists" },
    [CONFIG_SANDBOX_IDLE] = { "sandbox/idle_seconds", "1800", NUMBER, 1, 31536000, NULL,
                              "unused for so long it is ended, unless it asked otherwise" },
    [CONFIG_LIMITS_MEMORY] = { "limits/memory_bytes", "2G", BYTES, 32 * MI, 64 * TI, NULL,
                               "of a sandbox" },
    [CONFIG_LIMITS_CPUS] = { "limits/cpus", "2", MILLI, 10, 4096000, NULL, "of a sandbox" },
    [CONFIG_LIMITS_PIDS] = { "limits/pids", "256", NUMBER, 16, 4194304, NULL,
                             "processes and threads of a sandbox" },
    [CONFIG_LIMITS_WORKSPACE] = { "limits/workspace_bytes", "10G", BYTES, MI, 1024 * TI, NULL,
                                  "of a user" },
    [CONFIG_LIMITS_WORKSPACE_FILES] = { "limits/workspace_files", "1000000", NUMBER, 16, 1000000000,
                                        NULL, "files and folders of a user" },
    [CONFIG_LIMITS_MIN_FREE] = { "limits/min_free_bytes", "256M", BYTES, 0, 1024 * TI, NULL,
                                 "of the workspaces' disk; with less, sandboxes that write are "
                                 "reset" },
    [CONFIG_LIMITS_OUTPUT] = { "limits/max_output_bytes", "32M", BYTES, 4 * KI, 16 * GI, NULL,
                               "default and ceiling of an execution's output" },
    [CONFIG_LIMITS_CODE] = { "limits/max_code_bytes", "1M", BYTES, KI, 64 * MI, NULL,
                             "of one execution" },
    [CONFIG_LIMITS_TIMEOUT] = { "limits/max_timeout_seconds", "86400", NUMBER, 1, 31536000, NULL,
                                "ceiling of timeouts" },
    [CONFIG_LIMITS_SESSIONS] = { "limits/max_sessions", "16", NUMBER, 1, 10000, NULL, "of a user" },
    [CONFIG_LIMITS_QUEUE] = { "limits/max_queue", "256", NUMBER, 1, 100000, NULL,
                              "executions waiting in a session" },
    [CONFIG_LIMITS_SOCKETS] = { "limits/max_sockets", "64", NUMBER, 1, 100000, NULL,
                                "WebSockets of a user" },
    [CONFIG_LIMITS_SANDBOXES] = { "limits/max_sandboxes", "64", NUMBER, 1, 4095, NULL, "in all" },
    [CONFIG_LIMITS_SPOOL] = { "limits/spool_bytes", "256M", BYTES, 0, GI, NULL,
                              "of disk for a sandbox's output while the hub is away" },
    [CONFIG_LIMITS_USER_SANDBOXES] = { "limits/max_user_sandboxes", "16", NUMBER, 1, 4095, NULL,
                                       "of a user" },
    [CONFIG_LIMITS_IDLE] = { "limits/max_idle_seconds", "604800", NUMBER, 1, 31536000, NULL,
                             "ceiling of a sandbox's idle_seconds" },
    [CONFIG_LIMITS_TTL] = { "limits/max_ttl_seconds", "0", NUMBER, 0, 31536000, NULL,
                            "ceiling of a sandbox's whole life, 0: none" },
    [CONFIG_PACKAGES_PYTHON] = { "packages/python", "", LIST, 0, MAX_LIST_BYTES, NULL,
                                 "packages that users may install: numpy>=2,<3 types-*" },
    [CONFIG_PACKAGES_JAVASCRIPT] = { "packages/javascript", "", LIST, 0, MAX_LIST_BYTES, NULL,
                                     "the same from npm: lodash@^4 @types/x" },
    [CONFIG_PACKAGES_NETWORK] = { "packages/network", "none", CHOICE, 0, 0, "none host",
                                  "what a builder of packages reaches" },
    [CONFIG_PACKAGES_WHEELS] = { "packages/wheels", "", TEXT, 0, 255, NULL,
                                 "folder of this host that builders take packages from" },
    [CONFIG_PACKAGES_HOST_SETTINGS] = { "packages/host_settings", "1", FLAG, 0, 1, NULL,
                                        "builders read this host's certificates, pip's and npm's "
                                        "settings" },
    [CONFIG_PACKAGES_MAX_BYTES] = { "packages/max_bytes", "4G", BYTES, MI, TI, NULL,
                                    "installed, of a user and language" },
    [CONFIG_PACKAGES_MEMORY] = { "packages/memory_bytes", "2G", BYTES, 64 * MI, 64 * TI, NULL,
                                 "of a builder" },
    [CONFIG_PACKAGES_TIMEOUT] = { "packages/timeout_seconds", "600", NUMBER, 1, 86400, NULL,
                                  "for a build" },
    [CONFIG_LIMITS_FOLDERS] = { "limits/watched_folders", "8192", NUMBER, 0, 1000000, NULL,
                                "of a workspace, for files_changed; 0: none" },
    [CONFIG_HISTORY_MAX_EXECUTIONS] = { "history/max_executions", "100000", NUMBER, 1, 1000000000,
                                        NULL, "kept" },
    [CONFIG_HISTORY_MAX_DAYS] = { "history/max_days", "90", NUMBER, 1, 36500, NULL, "kept" },
    [CONFIG_HISTORY_MAX_BYTES] = { "history/max_bytes", "10G", BYTES, MI, 1024 * TI, NULL,
                                   "kept, outputs included" },
    [CONFIG_COURIER_ALLOW] = { "courier/allow", "", TEXT, 0, MAX_TEXT_BYTES, NULL,
                               "private networks that callbacks may reach: 10.1.0.0/16,::1/128" },
    [CONFIG_COURIER_ALLOW_PRIVATE] = { "courier/allow_private", "0", FLAG, 0, 1, NULL,
                                       "callbacks may reach any address" },
    [CONFIG_COURIER_CA_FILE] = { "courier/ca_file", "", TEXT, 0, MAX_TEXT_BYTES, NULL,
                                 "certificates to trust instead of the system's" },
    [CONFIG_COURIER_TIMEOUT] = { "courier/timeout_seconds", "15", NUMBER, 1, 120, NULL,
                                 "for one callback" },
    [CONFIG_COURIER_FIRST_RETRY] = { "courier/first_retry_seconds", "5", MILLI, 50, 3600000, NULL,
                                     "until a failed callback is tried again; each next time four "
                                     "times as long, at most an hour" },
    [CONFIG_COURIER_MAX_ATTEMPTS] = { "courier/max_attempts", "24", NUMBER, 1, 100, NULL,
                                      "of a callback, within 24 hours" },
    [CONFIG_MCP_SSE] = { "mcp/sse", "1", FLAG, 0, 1, NULL,
                         "MCP over /sse, for clients of before 2025-03-26" },
    [CONFIG_MCP_STRUCTURED] = { "mcp/structured_content", "1", FLAG, 0, 1, NULL,
                                "tools answer with structuredContent beside their text" },
    [CONFIG_MCP_EXCEPTIONS] = { "mcp/exceptions_are_errors", "0", FLAG, 0, 1, NULL,
                                "1: what user code raises is a failed tool call" },
    [CONFIG_MCP_FIXTURES] = { "mcp/fixtures", "0", FLAG, 0, 1, NULL,
                              "tools that only the conformance suite calls; only on loopback" },
    [CONFIG_MCP_RESOURCE] = { "mcp/resource", "", TEXT, 0, MAX_TEXT_BYTES, NULL,
                              "the address of /mcp as clients see it: "
                              "https://hub.example/mcp" },
    [CONFIG_MCP_AUTHORIZATION] = { "mcp/authorization_servers", "", TEXT, 0, MAX_TEXT_BYTES, NULL,
                                   "addresses of those who give out keys, separated by blanks; "
                                   "empty: clients are told of none" },
    [CONFIG_LOG_LEVEL] = { "log/level", "info", CHOICE, 0, 0, "error warning info debug",
                           "what is logged" },
};

struct value {
    char *text, *source;
    int64_t number;
};

struct config {
    struct value values[CONFIG_N_KEYS];
};

static void set_value(struct value *v, const char *text, const char *source, int64_t number)
{
    free(v->text);
    free(v->source);
    v->text = strdup(text);
    v->source = strdup(source);
    assert(v->text && v->source);
    v->number = number;
}

struct config *config_new(void)
{
    struct config *c = zmalloc(sizeof *c);
    for (int i = 0; i < CONFIG_N_KEYS; i++) {
        int64_t number;
        bool ok = setting_parse(&SETTINGS[i], SETTINGS[i].initial, &number);
        assert(ok); /* the table is ours */
        set_value(&c->values[i], SETTINGS[i].initial, "default", number);
    }
    return c;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (int i = 0; i < CONFIG_N_KEYS; i++) {
        free(c->values[i].text);
        free(c->values[i].source);
    }
    free(c);
}

static int find_key(const char *name)
{
    for (int i = 0; i < CONFIG_N_KEYS; i++)
        if (strcmp(SETTINGS[i].name, name) == 0)
            return i;
    return -1;
}

/* The names the unknown one may have been meant to be: the section's, or the sections. */
static int unknown(const char *name, struct err *e)
{
    CLEANUP_BUF struct buf names = BUF_INIT(400);
    size_t n = strcspn(name, "/") + (strchr(name, '/') != NULL);
    for (int i = 0; i < CONFIG_N_KEYS; i++)
        if (strchr(name, '/') && strncmp(SETTINGS[i].name, name, n) == 0)
            buf_addf(&names, "%s%s", names.len ? ", " : "", SETTINGS[i].name + n);
    if (names.len)
        return err_set(e, ERR_INVALID, "unknown setting '%.60s'; %.*s has: %s", name, (int)n - 1,
                       name, names.data);
    for (int i = 0; i < CONFIG_N_KEYS; i++) {
        size_t m = strcspn(SETTINGS[i].name, "/") + 1;
        if (i == 0 || strncmp(SETTINGS[i].name, SETTINGS[i - 1].name, m) != 0)
            buf_addf(&names, "%s%.*s", names.len ? ", " : "", (int)m - 1, SETTINGS[i].name);
    }
    return err_set(e, ERR_INVALID, "unknown setting '%.60s'; the sections are: %s", name,
                   names.data);
}

int config_set(struct config *c, const char *name, const char *value, const char *source,
               struct err *e)
{
    int key = find_key(name);
    if (key < 0)
        return unknown(name, e);
    int64_t number;
    if (!setting_parse(&SETTINGS[key], value, &number)) {
        CLEANUP_BUF struct buf allowed = BUF_INIT(400);
        setting_write_allowed(&SETTINGS[key], &allowed);
        return err_set(e, ERR_INVALID, "%s = '%.100s' is not allowed; allowed is %s", name, value,
                       allowed.data);
    }
    set_value(&c->values[key], value, source, number);
    return 0;
}

/* zconfig says no line numbers; but each line that is not empty makes one node of its tree, in the same order. */
struct file {
    struct config *config;
    const char *path;
    int lines[MAX_LINES]; /* of the nodes, in order */
    int n_lines, at;
    char section[64];
    int set_in[CONFIG_N_KEYS]; /* line, 0: not in this file */
    struct err *e;
};

static int at_line(const struct file *f, int line)
{
    char place[300];
    (void)snprintf(place, sizeof place, "%.200s, line %d", f->path,
                   line); /* cut is fine: it is for reading */
    return err_in(f->e, place);
}

static int check_line(struct file *f, const char *line, int number, int *depth)
{
    size_t indent = strspn(line, " ");
    const char *text = line + indent;
    if (*text == '\0' || *text == '#')
        return 0;
    int level = (int)indent / 4;
    if (*text == '\t' || indent % 4 || level > *depth + 1 || level > 1)
        (void)err_set(f->e, ERR_INVALID,
                      "sections stand at the line's start, settings below them, 4 spaces in");
    else if (!isalnum((unsigned char)*text))
        (void)err_set(f->e, ERR_INVALID, "this is no setting; one looks like: port = 8080");
    else if (level == 0 && strchr(text, '='))
        (void)err_set(f->e, ERR_INVALID, "a setting stands below its section, 4 spaces in");
    else if (level == 1 && !strchr(text, '='))
        (void)err_set(f->e, ERR_INVALID, "no value; a setting looks like: port = 8080");
    else if (f->n_lines == MAX_LINES)
        (void)err_set(f->e, ERR_INVALID, "more than %d settings", MAX_LINES);
    else {
        *depth = level;
        f->lines[f->n_lines++] = number;
        return 0;
    }
    return at_line(f, number);
}

static int check_lines(struct file *f, const char *text)
{
    int depth = -1, number = 0;
    while (*text) {
        size_t n = strcspn(text, "\n");
        char line[MAX_TEXT_BYTES];
        number++;
        if (n >= sizeof line) {
            (void)err_set(f->e, ERR_INVALID, "longer than %zu bytes", sizeof line - 1);
            return at_line(f, number);
        }
        memcpy(line, text, n);
        line[n] = '\0';
        if (n && line[n - 1] == '\r')
            line[n - 1] = '\0';
        if (check_line(f, line, number, &depth) < 0)
            return -1;
        text += n + (text[n] == '\n');
    }
    return 0;
}

static int read_setting(struct file *f, const char *name, const char *value, int line)
{
    char full[160], source[300];
    (void)snprintf(full, sizeof full, "%s/%.64s", f->section, name); /* a longer one is unknown */
    (void)snprintf(source, sizeof source, "%.200s, line %d", f->path,
                   line); /* cut is fine: it is for reading */
    int key = find_key(full);
    CLEANUP_BUF struct buf both = BUF_INIT(MAX_LIST_BYTES + MAX_TEXT_BYTES);
    if (key >= 0 && f->set_in[key] && SETTINGS[key].type == LIST) {
        buf_addf(&both, "%s %s", f->config->values[key].text, value ? value : "");
        value = both.data;
    } else if (key >= 0 && f->set_in[key]) {
        (void)err_set(f->e, ERR_INVALID, "%s is set in line %d already", full, f->set_in[key]);
        return at_line(f, line);
    }
    if (config_set(f->config, full, value ? value : "", source, f->e) < 0)
        return at_line(f, line);
    f->set_in[key] = line;
    return 0;
}

static int read_node(zconfig_t *node, void *arg, int level)
{
    struct file *f = arg;
    if (level == 0)
        return 0;
    int line = f->at < f->n_lines ? f->lines[f->at++] : 0;
    if (level == 2)
        return read_setting(f, zconfig_name(node), zconfig_value(node), line);
    (void)snprintf(f->section, sizeof f->section, "%s",
                   zconfig_name(node)); /* a longer one is unknown */
    for (int i = 0; i < CONFIG_N_KEYS; i++)
        if (strncmp(SETTINGS[i].name, f->section, strlen(f->section)) == 0 &&
            SETTINGS[i].name[strlen(f->section)] == '/')
            return 0;
    (void)unknown(f->section, f->e); /* -1 comes from at_line */
    return at_line(f, line);
}

/* The whole file, NUL-terminated; the caller frees. */
static char *read_text(const char *path, bool missing_ok, struct err *e)
{
    FILE *in = fopen(path, "re");
    if (!in) {
        if (missing_ok && errno == ENOENT)
            (void)err_set(e, ERR_NONE, "%s", ""); /* absent: told by the code */
        else
            (void)err_errno(e, ERR_INVALID, "read %s", path); /* told by NULL */
        return NULL;
    }
    char *text = zmalloc(MAX_FILE_BYTES + 1);
    size_t n = fread(text, 1, MAX_FILE_BYTES + 1, in);
    bool failed = ferror(in) != 0;
    (void)fclose(in); /* only read */
    if (!failed && n <= MAX_FILE_BYTES && !memchr(text, '\0', n))
        return text;
    free(text);
    (void)(failed ? err_errno(e, ERR_INVALID, "read %s", path)
                  : err_set(e, ERR_INVALID, "%s is no text of at most %d bytes", path,
                            MAX_FILE_BYTES));
    return NULL;
}

static int read_tree(struct file *f, const char *text)
{
    zconfig_t *root = zconfig_str_load(text);
    if (!root)
        return err_set(f->e, ERR_INVALID, "%s is no ZPL (see the line above)", f->path);
    int failed = zconfig_execute(root, read_node, f);
    zconfig_destroy(&root);
    return failed ? -1 : 0;
}

int config_read_file(struct config *c, const char *path, bool missing_ok, struct err *e)
{
    struct err own = ERR_INIT;
    char *text = read_text(path, missing_ok, &own);
    if (!text)
        return own.code == ERR_NONE ? 0 : err_set(e, own.code, "%s", own.text);
    struct file *f = zmalloc(sizeof *f);
    f->config = c;
    f->path = path;
    f->e = &own;
    int failed = check_lines(f, text) < 0 || read_tree(f, text) < 0;
    free(f);
    free(text);
    return failed ? err_set(e, own.code, "%s", own.text) : 0;
}

int config_read_environment(struct config *c, char **environment, struct err *e)
{
    static const char PREFIX[] = "KERNELHUB__";
    for (; *environment; environment++) {
        char name[160], variable[200];
        const char *at = *environment, *value = strchr(at, '=');
        size_t n = 0;
        if (!value || strncmp(at, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        (void)snprintf(variable, sizeof variable, "%.*s", (int)(value - at),
                       at); /* a longer one is unknown */
        for (at += sizeof PREFIX - 1; at < value && n < sizeof name - 1; at++) {
            bool slash = at[0] == '_' && at[1] == '_';
            name[n++] = slash ? '/' : (char)tolower((unsigned char)*at);
            at += slash;
        }
        name[n] = '\0';
        if (config_set(c, name, value + 1, variable, e) < 0)
            return err_in(e, variable);
    }
    return 0;
}

int config_check(const struct config *c, struct err *e)
{
    if (config_check_packages(c, e) < 0)
        return -1;
    int64_t idle = config_number(c, CONFIG_SANDBOX_IDLE),
            max = config_number(c, CONFIG_LIMITS_IDLE);
    if (idle <= max)
        return 0;
    return err_set(e, ERR_INVALID, "%s is %lld (%s), above %s, which is %lld (%s)",
                   config_name(CONFIG_SANDBOX_IDLE), (long long)idle,
                   c->values[CONFIG_SANDBOX_IDLE].source, config_name(CONFIG_LIMITS_IDLE),
                   (long long)max, c->values[CONFIG_LIMITS_IDLE].source);
}

const char *config_name(enum config_key key)
{
    return SETTINGS[key].name;
}

const char *config_text(const struct config *c, enum config_key key)
{
    return c->values[key].text;
}

int64_t config_number(const struct config *c, enum config_key key)
{
    return c->values[key].number;
}

bool config_flag(const struct config *c, enum config_key key)
{
    return c->values[key].number != 0;
}

void config_print(const struct config *c, struct buf *out)
{
    for (int i = 0; i < CONFIG_N_KEYS; i++)
        buf_addf(out, "%-28s = %-24s # %s; %s\n", SETTINGS[i].name,
                 *c->values[i].text ? c->values[i].text : "\"\"", c->values[i].source,
                 SETTINGS[i].help);
}
