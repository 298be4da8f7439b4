#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/ask.h"
#include "cmd/commands.h"
#include "cmd/folders.h"
#include "cmd/keeper_settings.h"
#include "cmd/settings.h"
#include "sandbox/host.h"

struct doctor {
    struct settings settings;
    struct ask ask;
    json_t *found; /* [{"name","level","text","mend"}] */
    bool missing;
};

static const struct {
    const char *name, *mark, *colour;
} LEVELS[] = {
    [HOST_OK] = { "ok", "✓", "\033[32m" },
    [HOST_WEAK] = { "weak", "!", "\033[33m" },
    [HOST_MISSING] = { "missing", "✗", "\033[31m" },
};

static void say(struct doctor *d, unsigned level, const char *name, const char *text,
                const char *mend)
{
    bool colour = isatty(STDOUT_FILENO);

    d->missing = d->missing || level == HOST_MISSING;
    (void)json_array_append_new(d->found, json_pack("{s:s,s:s,s:s,s:s}", "name", name, "level",
                                                    LEVELS[level].name, "text", text, "mend",
                                                    mend ? mend : ""));
    if (d->ask.json)
        return;
    printf("%s%s%s %-16s %s\n", colour ? LEVELS[level].colour : "", LEVELS[level].mark,
           colour ? "\033[0m" : "", name, text);
    if (mend && *mend && level != HOST_OK)
        printf("  %-16s → %s\n", "", mend);
}

static void check_file(struct doctor *d, const char *name, const char *path, int mode)
{
    if (access(path, mode) == 0)
        say(d, HOST_OK, name, path, NULL);
    else
        say(d, HOST_MISSING, name, path,
            "it is part of the installation: make install, or set KERNELHUB_LIBEXEC and "
            "KERNELHUB_DATA to where it is");
}

static void check_files(struct doctor *d, const struct keeper_options *o)
{
    check_file(d, "init", o->init_path, X_OK);
    check_file(d, "warden", o->warden_path, X_OK);
    check_file(d, "seccomp profile", o->seccomp_path, R_OK);
}

static void check_host(struct doctor *d, const struct config *c)
{
    struct host_finding findings[HOST_MAX_FINDINGS];
    struct keeper_settings keeper;
    struct err e = ERR_INIT;

    if (keeper_settings_read(c, &keeper, &e) < 0) {
        say(d, HOST_MISSING, "hub user", e.text, "scripts/up makes it");
        return;
    }
    size_t n = host_check(&keeper.options, findings, ARRAY_LEN(findings));
    for (size_t i = 0; i < n && i < ARRAY_LEN(findings); i++)
        say(d, findings[i].level, findings[i].name, findings[i].text, findings[i].mend);
    check_files(d, &keeper.options);
}

/* Podman's own store, not the service: the image is needed before there is one. */
static bool image_is_there(const char *name)
{
    char full[256];
    int status = 1;

    (void)snprintf(full, sizeof full, "localhost/kernelhub-%.200s:latest", name);
    pid_t pid = fork();
    if (pid == 0) {
        (void)execlp("podman", "podman", "image", "exists", full, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void check_image(struct doctor *d, const struct config *c)
{
    const char *name = config_text(c, CONFIG_TEMPLATE_DEFAULT),
               *preferred = config_text(c, CONFIG_TEMPLATE_PREFERRED);
    char mend[256], text[160];

    if (geteuid() != 0) {
        say(d, HOST_WEAK, "image", "only root can see which images there are",
            "sudo kernelhub doctor");
        return;
    }
    (void)snprintf(text, sizeof text, "%.100s", name);
    (void)snprintf(mend, sizeof mend, "kernelhub image build %.100s", name);
    say(d, image_is_there(name) ? HOST_OK : HOST_MISSING, "image", text, mend);
    if (!*preferred || strcmp(name, preferred) == 0)
        return;
    (void)snprintf(text, sizeof text, "%.100s", preferred);
    (void)snprintf(mend, sizeof mend, "kernelhub image build %.100s (until then %.40s is used)",
                   preferred, name);
    say(d, image_is_there(preferred) ? HOST_OK : HOST_WEAK, "image", text, mend);
}

static void check_service(struct doctor *d)
{
    CLEANUP(client_free) struct client *client = NULL;
    CLEANUP(json_decref) json_t *health = NULL;
    CLEANUP(json_decref) json_t *languages = NULL;
    struct err e = ERR_INIT;
    char text[400];

    if (client_new(&d->ask.where, &client, &e) < 0) {
        say(d, HOST_MISSING, "service", e.text, "");
        return;
    }
    if (client_call(client, "GET", "/api/v1/health", NULL, &health, &e) < 0) {
        say(d, HOST_MISSING, "service", e.text, "kernelhub serve, or scripts/up");
        return;
    }
    (void)snprintf(text, sizeof text, "answers at %s", client_url(client));
    say(d, HOST_OK, "service", text, NULL);
    if (client_call(client, "GET", "/api/v1/languages", NULL, &languages, &e) < 0)
        say(d, HOST_MISSING, "key", e.text,
            "set KERNELHUB_TOKEN, or make one: sudo kernelhub key create --local");
    else
        say(d, HOST_OK, "key", "is accepted", NULL);
}

int command_doctor(int argc, char **argv)
{
    struct doctor d = { .ask = { .command = "doctor" } };
    const struct option_spec specs[] = { SETTINGS_OPTIONS(&d.settings),
                                         ASK_OPTIONS(&d.ask),
                                         { 0 } };
    const struct options options = {
        .command = "doctor",
        .arguments = "",
        .specs = specs,
        .about = "Looks at this host and the service: what is there (✓), what is weaker than it "
                 "should be (!), what is\n"
                 "missing (✗), and how to mend it. Exits with 1 when something is missing.",
        .examples = "  sudo kernelhub doctor\n",
    };
    CLEANUP(config_free) struct config *config = NULL;
    struct option_list none;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    if (settings_read(&d.settings, &config, &e) < 0) {
        fprintf(stderr, "kernelhub doctor: %s\n", e.text);
        return 2;
    }
    d.found = json_array();
    check_host(&d, config);
    check_image(&d, config);
    check_service(&d);
    if (d.ask.json)
        table_print_json(d.found);
    json_decref(d.found);
    return d.missing;
}
