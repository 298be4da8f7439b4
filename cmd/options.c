#include "cmd/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/suggest.h"

static void print_help(const struct options *o)
{
    printf("Usage: kernelhub %s [OPTION]…%s%s\n\n%s\n\n", o->command, *o->arguments ? " " : "",
           o->arguments, o->about);
    for (const struct option_spec *s = o->specs; s->name; s++) {
        char left[64];
        if (!s->help)
            continue;
        (void)snprintf(left, sizeof left, "%c%c%s--%s%s%s", s->letter ? '-' : ' ',
                       s->letter ? s->letter : ' ', s->letter ? ", " : "  ", s->name,
                       s->value ? " " : "", s->value ? s->value : "");
        printf("  %-28s %s\n", left, s->help);
    }
    printf("  %-28s %s\n", "-h, --help", "this text");
    if (o->examples)
        printf("\nExamples:\n%s", o->examples);
}

static const struct option_spec *find_name(const struct options *o, const char *name, size_t len)
{
    for (const struct option_spec *s = o->specs; s->name; s++)
        if (strlen(s->name) == len && memcmp(s->name, name, len) == 0)
            return s;
    return NULL;
}

static const struct option_spec *find_letter(const struct options *o, char letter)
{
    for (const struct option_spec *s = o->specs; s->name; s++)
        if (s->letter && s->letter == letter)
            return s;
    return NULL;
}

static int unknown(const struct options *o, const char *arg, struct err *e)
{
    const char *names[OPTION_MAX_VALUES];
    char name[64];
    size_t n = 0;

    for (const struct option_spec *s = o->specs; s->name && n < ARRAY_LEN(names); s++)
        names[n++] = s->name;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(arg, "="),
                   arg); /* cut is fine: a guess */
    const char *nearest = suggest_nearest(name + strspn(name, "-"), names, n);
    if (nearest)
        return err_set(e, ERR_INVALID, "unknown option %s: did you mean --%s?", name, nearest);
    return err_set(e, ERR_INVALID, "unknown option %s", name);
}

static int set_number(const struct option_spec *s, const char *value, struct err *e)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < 0)
        return err_set(e, ERR_INVALID, "--%s takes a number, not '%s'", s->name, value);
    *(int64_t *)s->target = number;
    return 0;
}

static int set_value(const struct option_spec *s, const char *value, struct err *e)
{
    struct option_list *list = s->target;

    switch (s->kind) {
    case OPTION_FLAG:
        *(bool *)s->target = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)s->target = value;
        return 0;
    case OPTION_NUMBER:
        return set_number(s, value, e);
    case OPTION_LIST:
        if (list->n == ARRAY_LEN(list->items))
            return err_set(e, ERR_INVALID, "--%s comes more than %d times", s->name,
                           OPTION_MAX_VALUES);
        list->items[list->n++] = value;
        return 0;
    }
    return -1;
}

/* The option at argv[*i], with its value, which may be the next argument. */
static int read_option(const struct options *o, int argc, char **argv, int *i, struct err *e)
{
    const char *arg = argv[*i], *value = NULL;
    bool is_long = arg[1] == '-';
    const struct option_spec *s =
        is_long ? find_name(o, arg + 2, strcspn(arg + 2, "=")) : find_letter(o, arg[1]);

    if (!s)
        return unknown(o, arg, e);
    if (is_long && strchr(arg, '='))
        value = strchr(arg, '=') + 1;
    else if (!is_long && arg[2])
        value = arg + 2;
    if (s->kind == OPTION_FLAG && value)
        return err_set(e, ERR_INVALID, "--%s takes no value", s->name);
    if (s->kind != OPTION_FLAG && !value) {
        if (*i + 1 >= argc)
            return err_set(e, ERR_INVALID, "--%s needs a value: --%s %s", s->name, s->name,
                           s->value);
        value = argv[++*i];
    }
    return set_value(s, value, e);
}

static int check_count(const struct options *o, size_t n, struct err *e)
{
    if (n < o->min_arguments || o->command_follows)
        return err_set(e, ERR_INVALID, "an argument is missing: kernelhub %s %s", o->command,
                       o->arguments);
    if (n > o->max_arguments)
        return err_set(e, ERR_INVALID, "too many arguments: kernelhub %s %s", o->command,
                       o->arguments);
    return 0;
}

enum options_result options_parse(const struct options *o, int argc, char **argv,
                                  struct option_list *ret_arguments, struct err *e)
{
    bool ended = false;

    ret_arguments->n = 0;
    ret_arguments->rest = NULL;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (o->command_follows && (ended || arg[0] != '-' || !arg[1])) {
            ret_arguments->rest = argv + i;
            return OPTIONS_OK;
        }
        if (!ended && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            print_help(o);
            return OPTIONS_HELP;
        }
        if (!ended && strcmp(arg, "--") == 0) {
            ended = true;
        } else if (!ended && arg[0] == '-' && arg[1]) {
            if (read_option(o, argc, argv, &i, e) < 0)
                return OPTIONS_BAD;
        } else {
            if (ret_arguments->n == OPTION_MAX_VALUES) {
                (void)err_set(e, ERR_INVALID, "too many arguments");
                return OPTIONS_BAD;
            }
            ret_arguments->items[ret_arguments->n++] = arg;
        }
    }
    return check_count(o, ret_arguments->n, e) < 0 ? OPTIONS_BAD : OPTIONS_OK;
}

bool options_read(const struct options *o, int argc, char **argv, struct option_list *ret_arguments,
                  int *ret_exit)
{
    struct err e = ERR_INIT;

    switch (options_parse(o, argc, argv, ret_arguments, &e)) {
    case OPTIONS_OK:
        return true;
    case OPTIONS_HELP:
        *ret_exit = 0;
        return false;
    case OPTIONS_BAD:
        break;
    }
    fprintf(stderr, "kernelhub %s: %s (see kernelhub %s --help)\n", o->command, e.text, o->command);
    *ret_exit = 2;
    return false;
}
