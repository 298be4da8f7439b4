/* fields.h - reads the members of a request's body into a struct, by a table. */
#ifndef WEB_FIELDS_H
#define WEB_FIELDS_H

#include "base/err.h"
#include "kernelhub/config.h"

enum field_type {
    FIELD_NAME,    /* const char *: 1 to `max` bytes */
    FIELD_TEXT,    /* struct slice: up to `max` bytes, may be empty; data is NULL when not given */
    FIELD_FLAG,    /* bool */
    FIELD_CHOICE,  /* enum field_choice: true, false, or not given */
    FIELD_NUMBER,  /* double in (0, max] */
    FIELD_INTEGER, /* int64_t in [1, max] */
    FIELD_COUNT,   /* int64_t in [0, max] */
    FIELD_ENV,     /* struct slice, a JSON object of strings; names as POSIX wants them */
    FIELD_LABELS,  /* struct slice, a JSON object of strings */
    FIELD_OBJECTS, /* struct slice, a JSON array of 1 to `max` objects; what is in them is not looked at */
    FIELD_OBJECT,  /* struct slice, a JSON object: to be read by a table of its own */
    FIELD_STRINGS, /* struct slice, a JSON array of 1 to FIELD_MAX_STRINGS strings of `max` bytes together */
};

enum field_choice { FIELD_NOT_GIVEN, FIELD_IS_FALSE, FIELD_IS_TRUE };

#define FIELD_MAX_STRINGS 1024

#define FIELD_NO_CONFIG CONFIG_N_KEYS

/* Adding a field is adding a line. What is not given, or null, leaves its place untouched. */
struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* of its place in the struct */
    bool required;
    double max;              /* bytes, or the largest number */
    enum config_key setting; /* FIELD_NO_CONFIG, or the setting that holds the maximum instead */
    const char *choices;     /* FIELD_NAME: "continue interrupt" */
};

/* Keeps what the struct points to. */
struct fields {
    struct json_t *tree;
    char *objects[4]; /* env, labels and the like, as text */
    size_t n_objects;
};

/* ERR_INVALID for anything that is wrong, with the field's name; ERR_TOO_LARGE for a text above its
 * maximum. Call fields_done in any case. */
int fields_read(struct fields *f, struct slice body, const struct field *table, size_t n,
                const struct config *config, void *ret, struct err *e)
    __attribute__((warn_unused_result));
size_t fields_count(const struct fields *f); /* given by the body, null or not */
void fields_done(struct fields *f);

/* The same in two steps, for who has to look at a member before it knows which table is meant: the text, then its members less
 * those named in `apart` ("op id"). */
int fields_parse(struct fields *f, struct slice body, struct err *e) __attribute__((warn_unused_result));
int fields_take(struct fields *f, const char *apart, const struct field *table, size_t n,
                const struct config *config, void *ret, struct err *e)
    __attribute__((warn_unused_result));

#define CLEANUP_FIELDS __attribute__((cleanup(fields_done)))

#endif
