/* requirement.h - what may be asked of a package installer, in its strictest small form: a name, extras, versions. No URL, path,
 * option, marker or environment: whatever is not in this grammar is refused.
 *
 *   python   numpy   numpy[extra1,extra2]   numpy>=2,<3   numpy==2.1.*   (PEP 508 and 440 without the rest; blanks may stand between)
 *   npm      lodash   lodash@4.17.21   lodash@^4.17   @scope/name@>=1.2   (one range, no tag but "latest")
 *
 * A rule of an allow list is the same without extras, and '*' may stand in its name: numpy>=2,<3   types-*   @scope/x-*
 */
#ifndef PROTOCOL_REQUIREMENT_H
#define PROTOCOL_REQUIREMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define REQUIREMENT_MAX_BYTES 255 /* of the text */

enum requirement_kind { REQUIREMENT_PYTHON, REQUIREMENT_NPM };

struct requirement {
    enum requirement_kind kind;
    char name[128];     /* normal form: lower case; python: '-' for any run of ".-_" */
    char extras[128];   /* "a,b", normal form; "": none */
    char versions[128]; /* ">=2,<3", no blanks; npm: one range; "": any */
};

/* False: it is none. */
bool requirement_parse(enum requirement_kind kind, struct slice text, struct requirement *ret);
bool requirement_parse_rule(enum requirement_kind kind, struct slice text, struct requirement *ret);

/* Appends it as its installer reads it; `also`: versions that have to hold too ("": none), only for python. */
void requirement_write(const struct requirement *r, const char *also, struct buf *out);

enum requirement_match {
    REQUIREMENT_OTHER,      /* the rule is about another package */
    REQUIREMENT_DENIED,     /* it is about this one, and its version is not allowed */
    REQUIREMENT_ALLOWED,    /* as it stands */
    REQUIREMENT_RESTRICTED, /* when it is written with the rule's versions too */
};

/* A python package without an exact version is restricted to the rule's; so is an npm package without any version, while another
 * range than an exact version or the rule's own is denied. */
enum requirement_match requirement_match(const struct requirement *rule, const struct requirement *wanted);

/* Whether `name` (normal form) is one that the pattern names; '*' stands for anything. */
bool requirement_name_matches(const char *pattern, const char *name);

/* From an installed distribution's folder, "Some_Name-1.2.dist-info", its normal name and its version. False: it is none. */
bool requirement_parse_dist_info(struct slice folder, char ret_name[128], char ret_version[128]);

/* Puts the normal form of a python name over it. */
void requirement_normalize(char *name);

#endif
