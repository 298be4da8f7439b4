/* version.h - versions of packages as PEP 440 and Semantic Versioning order them, and whether one is in a range. */
#ifndef PROTOCOL_VERSION_H
#define PROTOCOL_VERSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define VERSION_MAX_PARTS 8

struct version {
    uint32_t epoch; /* python */
    uint32_t part[VERSION_MAX_PARTS];
    unsigned n_parts;
    int pre_kind; /* python: 'a', 'b', 'c' (rc); npm: '-'; 0: none */
    uint32_t pre;
    bool has_post, has_dev;
    uint32_t post, dev;
    struct slice local; /* python: the text after '+'; it takes no part in the order */
    struct slice rest;  /* npm: the text after '-', without the build metadata */
};

/* 1!2.3.4rc1.post2.dev3+local, in the normal spelling. False: it is none. */
bool version_parse_python(struct slice text, struct version *ret);
/* 1.2.3-beta.1+build; parts may be missing. */
bool version_parse_npm(struct slice text, struct version *ret);

/* -1, 0, 1. Missing parts are 0. */
int version_compare(const struct version *a, const struct version *b);
/* Whether the parts of v begin with those of `prefix`. */
bool version_begins(const struct version *v, const struct version *prefix);

/* `ranges`: ">=2,<3,!=2.1.*"; false also when one of them is none. "" holds always. */
bool version_ranges_valid(struct slice ranges);
bool version_in_ranges(const struct version *v, struct slice ranges);

/* npm: one of "1.2.3", "^1.2", "~1.2.3", ">=1", "<2", "1.x", "*", "latest". */
bool version_npm_range_valid(struct slice range);
bool version_in_npm_range(const struct version *v, struct slice range);
bool version_npm_range_is_exact(struct slice range, struct version *ret);

#endif
