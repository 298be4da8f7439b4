/* allow_list.h - which packages users may install for a language: rules, as a setting says them ("numpy>=2,<3 types-*"). */
#ifndef KERNELHUB_ALLOW_LIST_H
#define KERNELHUB_ALLOW_LIST_H

#include "base/cleanup.h"
#include "base/err.h"
#include "protocol/requirement.h"

struct allow_list;

/* `setting` names it in errors and is borrowed, as long as the list lives. ERR_INVALID names the rule that is none. */
int allow_list_new(enum requirement_kind kind, const char *setting, const char *text, struct allow_list **ret, struct err *e);
void allow_list_free(struct allow_list *l);
DEFINE_CLEANUP(struct allow_list, allow_list_free)

/* Whether it may be installed; *ret_versions then holds too ("" mostly), as long as the list lives. ERR_POLICY names package and
 * rule. */
int allow_list_check(const struct allow_list *l, const struct requirement *wanted, const char **ret_versions, struct err *e);

/* Appends "NAMEVERSIONS" lines of those rules that name one package alone, and once: what an installer shall hold to when it comes
 * along with another. Only for python. */
void allow_list_write_constraints(const struct allow_list *l, struct buf *out);

/* Appends the rules as a JSON array of strings. */
void allow_list_write(const struct allow_list *l, struct buf *out);

#endif
