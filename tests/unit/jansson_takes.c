#include "jansson_takes.h"

#include <jansson.h>

bool jansson_takes(const char *text, size_t len)
{
    json_error_t error;
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY, &error);
    bool taken = value != NULL;
    json_decref(value);
    return taken;
}
