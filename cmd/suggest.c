#include "cmd/suggest.h"

#include <string.h>

#define MAX_LEN 63

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: three rows, so that a swap of neighbours counts once. */
unsigned suggest_distance(const char *a, const char *b)
{
    size_t n = strnlen(a, MAX_LEN), m = strnlen(b, MAX_LEN);
    unsigned rows[3][MAX_LEN + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= m; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned change = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least(change, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[m];
}

const char *suggest_nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    unsigned best_distance =
        (unsigned)(strnlen(word, MAX_LEN) / 3) + 2; /* "rn" may be run, "x" nothing */

    for (size_t i = 0; i < n; i++) {
        unsigned distance = suggest_distance(word, words[i]);
        if (distance < best_distance && distance < strlen(words[i])) {
            best = words[i];
            best_distance = distance;
        }
    }
    return best;
}
