/* config_value.h - one setting's type and range, and whether a text is a value of it. For config.c. */
#ifndef KERNELHUB_CONFIG_VALUE_H
#define KERNELHUB_CONFIG_VALUE_H

#include <stdint.h>

#include "base/buf.h"

#define KI 1024ll
#define MI (1024 * KI)
#define GI (1024 * MI)
#define TI (1024 * GI)

enum type { TEXT, NUMBER, FLAG, BYTES, MILLI, CHOICE, LIST };

/* min and max of a TEXT or LIST are its length; a LIST goes on in each further line of a file that says it; MILLI: a number with up to
 * three decimals, kept in thousandths. */
struct setting {
    const char *name, *initial;
    enum type type;
    int64_t min, max;
    const char *choices; /* "a b c" */
    const char *help;
};

/* The value as a number: itself, a length, the place among the choices. False: the text is none. */
bool setting_parse(const struct setting *s, const char *text, int64_t *ret);

/* Appends what is allowed, for an error. */
void setting_write_allowed(const struct setting *s, struct buf *out);

#endif
