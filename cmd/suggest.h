/* suggest.h - the word that somebody most likely meant. */
#ifndef CMD_SUGGEST_H
#define CMD_SUGGEST_H

#include <stddef.h>

/* How many letters must be put in, taken out, changed or swapped. Words longer than 63 count as 63.
 */
unsigned suggest_distance(const char *a, const char *b);

/* The nearest of `words`, or NULL when none is near enough to be worth saying. */
const char *suggest_nearest(const char *word, const char *const *words, size_t n);

#endif
