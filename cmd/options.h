/* options.h - a subcommand's options, as one table: parsing, --help and "did you mean" come from
 * it. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define OPTION_MAX_VALUES 4096

/* Every value given for an option that may come more than once. */
struct option_list {
    const char *items[OPTION_MAX_VALUES];
    size_t n;
    char **rest; /* of command_follows: the command's words, NULL at the end, argv's */
};

enum option_kind {
    OPTION_FLAG,   /* target: bool */
    OPTION_TEXT,   /* target: const char * */
    OPTION_NUMBER, /* target: int64_t, not negative */
    OPTION_LIST,   /* target: struct option_list */
};

struct option_spec {
    const char *name; /* without the dashes; NULL ends the table */
    char letter;      /* 0: none */
    enum option_kind kind;
    const char *value; /* "NAME", as --help shows it; NULL for flags */
    const char *help;  /* NULL: not shown */
    void *target;
};

struct options {
    const char *command;   /* "run" */
    const char *arguments; /* "CODE|@FILE|-"; "" when there are none */
    const char *about;     /* one sentence */
    const char *examples;  /* whole lines, each with its newline; may be NULL */
    size_t min_arguments, max_arguments;
    bool command_follows; /* the first argument ends the options: it and all behind it are a command's words */
    const struct option_spec *specs;
};

enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_BAD };

/* Reads argv[1…] (argv[0] is the command's own name) into the targets; options may stand anywhere,
 * `--` ends them. The strings stay argv's. OPTIONS_HELP: --help was printed to stdout. */
enum options_result options_parse(const struct options *o, int argc, char **argv,
                                  struct option_list *ret_arguments, struct err *e);

/* The same for a main function: says what is wrong to stderr. True: go on; else leave with
 * *ret_exit. */
bool options_read(const struct options *o, int argc, char **argv, struct option_list *ret_arguments,
                  int *ret_exit);

#endif
