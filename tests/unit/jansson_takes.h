/* jansson_takes.h - what another parser says; apart, because jansson.h and base/json.h name things alike. */
#ifndef TESTS_JANSSON_TAKES_H
#define TESTS_JANSSON_TAKES_H

#include <stdbool.h>
#include <stddef.h>

bool jansson_takes(const char *text, size_t len);

#endif
