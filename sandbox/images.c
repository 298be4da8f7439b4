#include "sandbox/images.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sandbox/image_discover.h"
#include "sandbox/jansson_owner.h"

#define IMAGE_BYTES                                                                                \
    4096 /* of one in the verb's reply, beside kernelspecs and logos: more than there can be */

void images_free(struct images *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->n; i++) {
        free(list->image[i].kernelspecs);
        free(list->image[i].logos);
    }
    free(list);
}

static bool copy(char *ret, size_t size, const char *from)
{
    if (!from || strlen(from) >= size)
        return false;
    memcpy(ret, from, strlen(from) + 1);
    return true;
}

/* The same letters as in a verb; an image with another template could never be asked for. */
static bool is_name(const char *s)
{
    if (*s == '\0' || *s == '.')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
            return false;
    return true;
}

static bool parse_one(const json_t *entry, struct image *ret)
{
    *ret = (struct image){ 0 };
    const char *label =
        json_string_value(json_object_get(json_object_get(entry, "Labels"), POLICY_LABEL_TEMPLATE));
    const char *name = json_string_value(json_array_get(json_object_get(entry, "Names"), 0));
    ret->created = json_integer_value(json_object_get(entry, "Created"));
    ret->size_bytes = json_integer_value(json_object_get(entry, "Size"));
    /* Without a name: what an earlier build left behind. */
    return name && copy(ret->name, sizeof ret->name, name) &&
           copy(ret->template_name, sizeof ret->template_name, label) &&
           is_name(ret->template_name) &&
           copy(ret->id, sizeof ret->id, json_string_value(json_object_get(entry, "Id"))) &&
           strspn(ret->id, "0123456789abcdef") == PODMAN_ID_SIZE - 1 &&
           copy(ret->digest, sizeof ret->digest,
                json_string_value(json_object_get(entry, "Digest"))) &&
           strncmp(ret->digest, "sha256:", 7) == 0 &&
           strspn(ret->digest + 7, "0123456789abcdef") == 64;
}

static int by_template(const void *a, const void *b)
{
    return strcmp(((const struct image *)a)->template_name,
                  ((const struct image *)b)->template_name);
}

struct images *images_parse(const json_t *list)
{
    struct images *images = calloc(1, sizeof *images);
    assert(images);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct image found;
        if (!parse_one(json_array_get(list, i), &found))
            continue;
        struct image *place = NULL;
        for (size_t k = 0; k < images->n && !place; k++)
            if (strcmp(images->image[k].template_name, found.template_name) == 0)
                place = &images->image[k];
        if (place ? found.created > place->created : images->n < IMAGES_MAX)
            *(place ? place : &images->image[images->n++]) = found;
    }
    qsort(images->image, images->n, sizeof images->image[0], by_template);
    return images;
}

const struct image *images_find(const struct images *list, const char *template_name)
{
    for (size_t i = 0; list && i < list->n; i++)
        if (strcmp(list->image[i].template_name, template_name) == 0)
            return &list->image[i];
    return NULL;
}

bool images_same(const struct images *a, const struct images *b)
{
    if (!a || !b || a->n != b->n)
        return a == b;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->image[i].template_name, b->image[i].template_name) != 0 ||
            strcmp(a->image[i].id, b->image[i].id) != 0 ||
            !a->image[i].kernelspecs != !b->image[i].kernelspecs)
            return false;
    return true;
}

/* Names and digests are checked to be plain, but a name of an image may hold what JSON escapes. */
static void add_string(struct buf *out, const char *key, const char *value)
{
    json_t *string = json_string(value);
    char *text = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    buf_addf(out, ",\"%s\":%s", key, text ? text : "null");
    free(text);
    json_decref(string);
}

/* How much of max_bytes is left when everything but the logos is said. */
static size_t room_for_logos(const struct images *list, size_t max_bytes)
{
    size_t n = 0;
    for (size_t i = 0; list && i < list->n; i++) {
        const struct image *image = &list->image[i];
        n += IMAGE_BYTES + (image->kernelspecs ? strlen(image->kernelspecs) : 0);
    }
    return n < max_bytes ? max_bytes - n : 0;
}

void images_encode(const struct images *list, size_t max_bytes, struct buf *out)
{
    size_t room = room_for_logos(list, max_bytes);
    buf_add_str(out, ",\"images\":[");
    for (size_t i = 0; list && i < list->n; i++) {
        const struct image *image = &list->image[i];
        char created[32] = "";
        struct tm tm;
        time_t seconds = (time_t)image->created;
        if (gmtime_r(&seconds, &tm))
            (void)strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm);
        buf_addf(out, "%s{\"size_bytes\":%lld", i ? "," : "", (long long)image->size_bytes);
        add_string(out, "template", image->template_name);
        add_string(out, "image", image->name);
        add_string(out, "digest", image->digest);
        add_string(out, "created", created);
        const char *specs = image->kernelspecs ? image->kernelspecs : "{}";
        buf_addf(out, ",\"kernelspecs\":%s", out->len + strlen(specs) < max_bytes ? specs : "{}");
        const char *logos = image->logos ? image->logos : "{}";
        bool fits = strlen(logos) <= room;
        buf_addf(out, ",\"logos\":%s}", fits ? logos : "{}");
        room -= fits ? strlen(logos) : 0;
    }
    buf_add_char(out, ']');
}

int images_refresh(const struct place *place, struct podman *podman, unsigned range,
                   unsigned first_id, struct images **ret, struct err *e)
{
    CLEANUP(json_decref) json_t *found = NULL;
    if (podman_list_images(podman, POLICY_LABEL_TEMPLATE, &found, e) < 0)
        return -1;
    CLEANUP(images_free) struct images *list = images_parse(found);
    for (size_t i = 0; i < list->n; i++)
        image_discover(place, podman, range, first_id, &list->image[i]);
    *ret = TAKE(list);
    return 0;
}
