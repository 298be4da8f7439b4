#include "sandbox/keep.h"

#include <assert.h>
#include <stdlib.h>

/* What an entry costs beyond its bytes: so that many tiny frames reach the ceiling too. */
#define ENTRY_BYTES (sizeof(struct entry) + 16)

struct gap {
    uint64_t bytes;
    uint64_t messages;
    const char *reason;
};

struct entry {
    struct entry *next;
    uint64_t number;
    struct gap *gap; /* a GAP that still counts: it has no bytes before it is sent */
    struct uuid kernel_id, execution_id;
    size_t len;
    char *data;
};

struct keep {
    size_t max_bytes, window_bytes;
    struct entry *oldest, *newest;
    struct entry *next; /* to be sent, from `offset` on */
    size_t offset;
    struct entry *open[64]; /* GAPs that still count; a full table opens one for no execution */
    size_t n_open;
    size_t bytes;
    size_t in_flight_bytes;     /* of the frames before `next` */
    uint64_t last, acked, sent; /* numbers; sent: completely written at least once */
    bool dropping;
};

struct keep *keep_new(size_t max_bytes, size_t window_bytes)
{
    struct keep *k = calloc(1, sizeof *k);
    assert(k);
    k->max_bytes = max_bytes;
    k->window_bytes = window_bytes;
    return k;
}

static void entry_free(struct entry *e)
{
    free(e->gap);
    free(e->data);
    free(e);
}

void keep_free(struct keep *k)
{
    if (!k)
        return;
    while (k->oldest) {
        struct entry *e = k->oldest;
        k->oldest = e->next;
        entry_free(e);
    }
    free(k);
}

static struct entry *append(struct keep *k, const struct link_frame *f)
{
    struct entry *e = calloc(1, sizeof *e);
    assert(e);
    e->number = f->number;
    e->kernel_id = f->kernel_id;
    e->execution_id = f->execution_id;
    if (k->newest)
        k->newest->next = e;
    else
        k->oldest = e;
    k->newest = e;
    if (!k->next)
        k->next = e;
    k->bytes += ENTRY_BYTES;
    return e;
}

static bool set_bytes(struct keep *k, struct entry *e, const struct link_frame *f)
{
    struct buf b = BUF_INIT(LINK_MAX_FRAME_BYTES + 4);
    /* exactly once, exactly as big: buf_room() takes what it is asked for when that is more than twice */
    if (!buf_room(&b, link_encoded_bytes(f)))
        return false;
    link_encode(&b, f);
    e->len = b.len;
    e->data = buf_take(&b);
    k->bytes += e->len;
    return e->data != NULL;
}

static void close_gap_at(struct keep *k, size_t i)
{
    k->open[i] = k->open[--k->n_open];
}

static struct entry *find_gap(struct keep *k, const struct uuid *execution_id, size_t *ret_at)
{
    for (size_t i = 0; i < k->n_open; i++) {
        if (uuid_equal(&k->open[i]->execution_id, execution_id)) {
            *ret_at = i;
            return k->open[i];
        }
    }
    return NULL;
}

void keep_gap(struct keep *k, const struct uuid *kernel_id, const struct uuid *execution_id,
              uint64_t bytes, uint64_t messages, const char *reason)
{
    static const struct uuid none;
    size_t at;
    struct entry *e = find_gap(k, execution_id, &at);
    if (!e && k->n_open >= ARRAY_LEN(k->open) - 1) {
        execution_id = &none;
        e = find_gap(k, execution_id, &at);
    }
    if (!e) {
        struct link_frame f = { .number = ++k->last,
                                .kernel_id = *kernel_id,
                                .execution_id = *execution_id };
        e = append(k, &f);
        e->gap = calloc(1, sizeof *e->gap);
        assert(e->gap);
        e->gap->reason = reason;
        if (k->n_open < ARRAY_LEN(k->open))
            k->open[k->n_open++] = e;
    }
    e->gap->bytes += bytes;
    e->gap->messages += messages;
}

/* From here on the GAP has its bytes, which stay the same however often they are sent. */
static void freeze(struct keep *k, struct entry *e)
{
    size_t at;
    CLEANUP_BUF struct buf text = BUF_INIT(512);
    buf_addf(&text, "{\"bytes\":%llu,\"messages\":%llu,\"reason\":\"%s\"}",
             (unsigned long long)e->gap->bytes, (unsigned long long)e->gap->messages,
             e->gap->reason);
    struct link_frame f = { .type = LINK_GAP,
                            .number = e->number,
                            .kernel_id = e->kernel_id,
                            .execution_id = e->execution_id,
                            .n_parts = 1 };
    f.parts[0] = buf_slice(&text);
    bool ok = set_bytes(k, e, &f);
    assert(ok);
    if (find_gap(k, &e->execution_id, &at) == e)
        close_gap_at(k, at);
    free(TAKE(e->gap));
}

static uint64_t drop(struct keep *k, const struct link_frame *f, size_t bytes)
{
    keep_gap(k, &f->kernel_id, &f->execution_id, bytes, 1,
             "the hub was away or slow and the warden full");
    return 0;
}

uint64_t keep_add(struct keep *k, struct link_frame *f)
{
    size_t bytes = link_encoded_bytes(f), at;
    if (f->type == LINK_MESSAGE) {
        k->dropping = k->dropping ? k->bytes > k->max_bytes / 4 * 3 : k->bytes >= k->max_bytes;
        if (k->dropping || bytes > LINK_MAX_FRAME_BYTES)
            return drop(k, f, bytes);
    }
    f->number = k->last + 1;
    struct entry *e = append(k, f);
    if (!set_bytes(k, e, f)) {
        /* no memory for a message: its place becomes the gap */
        assert(f->type == LINK_MESSAGE);
        k->last++;
        e->gap = calloc(1, sizeof *e->gap);
        assert(e->gap);
        *e->gap = (struct gap){ .bytes = bytes,
                                .messages = 1,
                                .reason = "the warden had no memory for it" };
        return 0;
    }
    /* what is dropped from now on stands behind this frame */
    if (find_gap(k, &f->execution_id, &at))
        close_gap_at(k, at);
    return ++k->last;
}

/* Frees what is acknowledged, but never the frame the present connection has half of. */
static void release(struct keep *k)
{
    while (k->oldest && k->oldest->number <= k->acked) {
        struct entry *e = k->oldest;
        if (e == k->next && k->offset > 0)
            return;
        if (e == k->next)
            k->next = e->next; /* committed from an earlier connection: no need to send it again */
        else
            k->in_flight_bytes -= e->len;
        k->oldest = e->next;
        if (!k->oldest)
            k->newest = NULL;
        k->bytes -= e->len + ENTRY_BYTES;
        entry_free(e);
    }
}

bool keep_ack(struct keep *k, uint64_t number)
{
    if (number > k->sent)
        return false;
    if (number > k->acked) {
        k->acked = number;
        release(k);
    }
    return true;
}

void keep_rewind(struct keep *k)
{
    k->next = k->oldest;
    k->offset = 0;
    k->in_flight_bytes = 0;
    release(k);
}

size_t keep_gather(struct keep *k, struct iovec *iov, size_t n)
{
    size_t in_flight = k->in_flight_bytes, count = 0, offset = k->offset;
    for (struct entry *e = k->next; e && count < n; e = e->next) {
        if (e->gap)
            freeze(k, e);
        /* a frame bigger than the window goes alone */
        if (in_flight > 0 && in_flight + e->len > k->window_bytes && offset == 0)
            break;
        iov[count++] = (struct iovec){ .iov_base = e->data + offset, .iov_len = e->len - offset };
        in_flight += e->len;
        offset = 0;
    }
    return count;
}

void keep_sent(struct keep *k, size_t bytes)
{
    while (bytes > 0) {
        struct entry *e = k->next;
        assert(e);
        size_t left = e->len - k->offset;
        if (bytes < left) {
            k->offset += bytes;
            return;
        }
        bytes -= left;
        k->offset = 0;
        k->next = e->next;
        k->in_flight_bytes += e->len;
        if (e->number > k->sent)
            k->sent = e->number;
    }
    release(k);
}

bool keep_in_mid_frame(const struct keep *k)
{
    return k->offset > 0;
}

uint64_t keep_first(const struct keep *k)
{
    return k->oldest ? k->oldest->number : k->last + 1;
}

uint64_t keep_last(const struct keep *k)
{
    return k->last;
}

uint64_t keep_acked(const struct keep *k)
{
    return k->acked;
}

size_t keep_bytes(const struct keep *k)
{
    return k->bytes;
}
