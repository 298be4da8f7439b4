#include "sandbox/keep.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "protocol/frame.h"

/* What an entry costs beyond its bytes: so that many tiny frames reach the ceiling too. */
#define ENTRY_BYTES (sizeof(struct entry) + 16)

#define BATCH_BYTES     (1u << 20) /* so much is worth a write to the spool */
#define BATCH_MAX_BYTES (4u << 20)
#define BURST           4 /* so many times memory_bytes wait for a disk that is only slow */
#define BATCH_ENTRIES   1024
#define CHUNK_BYTES     (512u << 10) /* read back at once, or one frame that is bigger */
#define TRY_AGAIN_AFTER 256          /* frames, when the disk took nothing */

struct gap {
    struct uuid kernel_id, execution_id;
    uint64_t bytes;
    uint64_t messages;
    const char *reason;
};

struct entry {
    struct entry *next;
    uint64_t number;
    struct gap *gap; /* a GAP that still counts: it has no bytes before it leaves */
    size_t len;
    char *data;
};

struct chain {
    struct entry *first, *last;
    size_t bytes; /* with what the entries cost */
};

struct keep {
    size_t memory_bytes, window_bytes, head_bytes;
    struct chain head, tail;
    struct entry *next; /* of head, to be sent, from `offset` on */
    size_t offset;
    struct entry *open[64]; /* GAPs that still count; a full table opens one for no execution */
    size_t n_open;
    size_t in_flight_bytes;     /* of the frames before `next` */
    size_t large_bytes;         /* of these, what is bigger than the window: one frame, or none */
    bool large_beside;          /* ... and that does not count in it */
    uint64_t last, acked, sent; /* numbers; sent: completely written at least once */
    bool dropping;
    uint64_t calm_from, calm_to; /* numbers of frames without a gap that may wait; 0: none */

    struct spool *spool;
    uint64_t written, read_to; /* positions in the spool: what lies between is there */
    struct spool_job job;
    bool busy;                      /* the job is the spool's */
    struct chain leaving;           /* WRITE: what it writes */
    char *chunk;                    /* READ: what it reads into */
    size_t chunk_bytes, need_bytes; /* need: of the next frame, when it is longer */
    bool wrote_last;
    bool refused;   /* the last write was */
    unsigned pause; /* so many frames until a write is tried again */
    struct iovec iov[BATCH_ENTRIES];
};

struct keep *keep_new(size_t memory_bytes, size_t window_bytes, struct spool *spool)
{
    struct keep *k = calloc(1, sizeof *k);
    assert(k);
    k->memory_bytes = memory_bytes;
    k->window_bytes = window_bytes;
    k->head_bytes = spool ? window_bytes + window_bytes / 4 : SIZE_MAX;
    k->spool = spool;
    return k;
}

static void entry_free(struct entry *e)
{
    free(e->gap);
    free(e->data);
    free(e);
}

static void chain_add(struct chain *c, struct entry *e)
{
    e->next = NULL;
    if (c->last)
        c->last->next = e;
    else
        c->first = e;
    c->last = e;
    c->bytes += e->len + ENTRY_BYTES;
}

static struct entry *chain_take(struct chain *c)
{
    struct entry *e = c->first;
    c->first = e->next;
    if (!c->first)
        c->last = NULL;
    c->bytes -= e->len + ENTRY_BYTES;
    return e;
}

static void chain_free(struct chain *c)
{
    while (c->first)
        entry_free(chain_take(c));
}

void keep_free(struct keep *k)
{
    if (!k)
        return;
    if (k->busy)
        spool_wait(k->spool);
    chain_free(&k->head);
    chain_free(&k->tail);
    chain_free(&k->leaving);
    free(k->chunk);
    free(k);
}

size_t keep_bytes(const struct keep *k)
{
    return k->head.bytes + k->tail.bytes + k->leaving.bytes + k->chunk_bytes;
}

uint64_t keep_spooled_bytes(const struct keep *k)
{
    return k->written - k->read_to;
}

static struct entry *entry_new(uint64_t number)
{
    struct entry *e = calloc(1, sizeof *e);
    assert(e);
    e->number = number;
    return e;
}

static void add_to_head(struct keep *k, struct entry *e)
{
    chain_add(&k->head, e);
    if (!k->next)
        k->next = e;
}

static size_t large_bytes_of(const struct keep *k, const struct entry *e)
{
    return e->len > k->window_bytes ? e->len : 0;
}

/* What is large and under way takes no room from what comes behind it. */
static bool head_has_room(const struct keep *k)
{
    size_t beside = k->large_beside ? k->large_bytes : 0;
    return k->head.bytes - beside < k->head_bytes;
}

/* Nothing stands between head and tail: the spool holds nothing and gets nothing at this moment. */
static bool is_short(const struct keep *k)
{
    return k->written == k->read_to && !k->leaving.first;
}

static void append(struct keep *k, struct entry *e)
{
    if (is_short(k) && !k->tail.first && head_has_room(k))
        add_to_head(k, e);
    else
        chain_add(&k->tail, e);
}

static bool encode(struct entry *e, const struct link_frame *f)
{
    struct buf b = BUF_INIT(LINK_MAX_FRAME_BYTES + 4);
    /* exactly once, exactly as big: buf_room() takes what it is asked for when that is more than twice */
    if (!buf_room(&b, link_encoded_bytes(f)))
        return false;
    link_encode(&b, f);
    e->len = b.len;
    e->data = buf_take(&b);
    return e->data != NULL;
}

static void close_gap_at(struct keep *k, size_t i)
{
    k->open[i] = k->open[--k->n_open];
}

static struct entry *find_gap(struct keep *k, const struct uuid *execution_id, size_t *ret_at)
{
    for (size_t i = 0; i < k->n_open; i++) {
        if (uuid_equal(&k->open[i]->gap->execution_id, execution_id)) {
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
        e = entry_new(++k->last);
        e->gap = calloc(1, sizeof *e->gap);
        assert(e->gap);
        e->gap->kernel_id = *kernel_id;
        e->gap->execution_id = *execution_id;
        e->gap->reason = reason;
        append(k, e);
        if (k->n_open < ARRAY_LEN(k->open))
            k->open[k->n_open++] = e;
    }
    e->gap->bytes += bytes;
    e->gap->messages += messages;
}

/* From here on the GAP has its bytes, which stay the same however often they are sent. The chain it stands in grows. */
static void freeze(struct keep *k, struct chain *c, struct entry *e)
{
    size_t at;
    CLEANUP_BUF struct buf text = BUF_INIT(512);
    buf_addf(&text, "{\"bytes\":%llu,\"messages\":%llu,\"reason\":\"%s\"}",
             (unsigned long long)e->gap->bytes, (unsigned long long)e->gap->messages,
             e->gap->reason);
    struct link_frame f = { .type = LINK_GAP,
                            .number = e->number,
                            .kernel_id = e->gap->kernel_id,
                            .execution_id = e->gap->execution_id,
                            .n_parts = 1 };
    f.parts[0] = buf_slice(&text);
    if (find_gap(k, &e->gap->execution_id, &at) == e)
        close_gap_at(k, at);
    bool ok = encode(e, &f);
    assert(ok);
    c->bytes += e->len;
    free(TAKE(e->gap));
}

/* The spool */

static void hand(struct keep *k, enum spool_what what, uint64_t at, size_t len)
{
    k->job.what = what;
    k->job.at = at;
    k->job.len = len;
    k->busy = true;
    k->wrote_last = what == SPOOL_WRITE;
    spool_hand(k->spool, &k->job);
}

static bool can_read(const struct keep *k)
{
    return k->written > k->read_to && head_has_room(k);
}

/* Is there a batch worth a write, and room for its first frame at least? */
static bool can_write(struct keep *k)
{
    if (k->tail.bytes < BATCH_BYTES && k->tail.bytes < k->memory_bytes / 4)
        return false;
    if (k->pause > 0 && k->pause-- > 1)
        return false;
    const struct entry *e = k->tail.first;
    /* a GAP that still counts stays: it would go on in a second one */
    return !(e->gap && k->dropping) && e->len <= spool_max_bytes(k->spool) - keep_spooled_bytes(k);
}

static void begin_write(struct keep *k)
{
    size_t room = spool_max_bytes(k->spool) - keep_spooled_bytes(k), len = 0, n = 0;
    if (room > BATCH_MAX_BYTES && k->tail.first->len < BATCH_MAX_BYTES)
        room = BATCH_MAX_BYTES;
    while (k->tail.first && n < BATCH_ENTRIES) {
        struct entry *e = k->tail.first;
        if (e->gap && k->dropping)
            break;
        if (e->gap)
            freeze(k, &k->tail, e);
        if (e->len > room - len)
            break;
        chain_add(&k->leaving, chain_take(&k->tail));
        k->iov[n++] = (struct iovec){ .iov_base = e->data, .iov_len = e->len };
        len += e->len;
    }
    k->job.iov = k->iov;
    k->job.n = n;
    if (n > 0) /* 0: a GAP that only now has its bytes, and no room for them */
        hand(k, SPOOL_WRITE, k->written, len);
}

static void begin_read(struct keep *k)
{
    uint64_t there = keep_spooled_bytes(k);
    size_t len = k->window_bytes / 4 < CHUNK_BYTES ? k->window_bytes / 4 : CHUNK_BYTES;
    if (len < k->need_bytes)
        len = k->need_bytes;
    if (len > there)
        len = (size_t)there;
    k->chunk = malloc(len);
    assert(k->chunk); /* it was in memory before, and more than that */
    k->chunk_bytes = len;
    k->job.data = k->chunk;
    hand(k, SPOOL_READ, k->read_to, len);
}

/* What can be done now is begun. One job at a time, reading and writing in turns. */
static void move_on(struct keep *k)
{
    if (!k->spool)
        return;
    while (is_short(k) && k->tail.first && head_has_room(k))
        add_to_head(k, chain_take(&k->tail));
    if (k->busy)
        return;
    if (can_read(k) && (k->wrote_last || !can_write(k)))
        begin_read(k);
    else if (can_write(k))
        begin_write(k);
    else if (k->written > 0 && k->written == k->read_to)
        hand(k, SPOOL_EMPTY, 0, 0);
}

static uint64_t get_be(const char *data, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | (unsigned char)data[i];
    return v;
}

/* Takes the whole frames out of the chunk. Only we write there; what does not add up was spoilt on its way. */
static bool take_chunk(struct keep *k)
{
    size_t used = 0, number_at = FRAME_HEADER_BYTES + 4;
    k->need_bytes = 0;
    while (k->chunk_bytes - used >= number_at + 8) {
        const char *at = k->chunk + used;
        size_t len = FRAME_HEADER_BYTES + (size_t)get_be(at, FRAME_HEADER_BYTES);
        if (len < number_at + 8 || len > LINK_MAX_FRAME_BYTES + FRAME_HEADER_BYTES)
            return false;
        if (len > k->chunk_bytes - used) {
            k->need_bytes = len;
            break;
        }
        struct entry *e = entry_new(get_be(at + number_at, 8));
        e->len = len;
        e->data = malloc(len);
        assert(e->data);
        memcpy(e->data, at, len);
        if (e->number != (k->head.last ? k->head.last->number : k->acked) + 1) {
            entry_free(e);
            return false;
        }
        add_to_head(k, e);
        used += len;
    }
    k->read_to += used;
    k->chunk_bytes = 0;
    free(TAKE(k->chunk));
    return used > 0 || k->need_bytes > 0;
}

/* The disk took nothing: it stays where it was, in front of the tail, and has its numbers. */
static void take_back(struct keep *k)
{
    struct chain rest = k->tail;
    k->tail = k->leaving;
    k->leaving = (struct chain){ 0 };
    if (rest.first) {
        k->tail.last->next = rest.first;
        k->tail.last = rest.last;
    }
    k->tail.bytes += rest.bytes;
    k->pause = TRY_AGAIN_AFTER;
}

bool keep_on_spool(struct keep *k, int *ret_error)
{
    bool good = true;
    *ret_error = 0;
    if (!spool_take(k->spool))
        return true;
    k->busy = false;
    switch (k->job.what) {
    case SPOOL_WRITE:
        *ret_error = k->job.error;
        k->refused = k->job.error != 0;
        if (k->job.error) {
            take_back(k);
            break;
        }
        k->written += k->job.len;
        chain_free(&k->leaving);
        break;
    case SPOOL_READ:
        *ret_error = k->job.error ? k->job.error : EIO;
        good = k->job.error == 0 && take_chunk(k);
        if (good)
            *ret_error = 0;
        break;
    case SPOOL_EMPTY:
        k->written = k->read_to = 0; /* an error only means that it is long */
        break;
    }
    if (good)
        move_on(k);
    return good;
}

static uint64_t drop(struct keep *k, const struct link_frame *f, size_t bytes)
{
    keep_gap(k, &f->kernel_id, &f->execution_id, bytes, 1,
             "the hub was away or slow and the warden full");
    return 0;
}

/* Where dropping begins. */
static size_t memory_now(const struct keep *k)
{
    bool fits = k->spool && !k->refused &&
                k->tail.bytes + keep_spooled_bytes(k) < spool_max_bytes(k->spool);
    return fits ? BURST * k->memory_bytes : k->memory_bytes;
}

uint64_t keep_add(struct keep *k, struct link_frame *f)
{
    size_t bytes = link_encoded_bytes(f), at;
    if (f->type == LINK_MESSAGE) {
        size_t now = keep_bytes(k);
        k->dropping = k->dropping ? now > k->memory_bytes / 4 * 3 : now >= memory_now(k);
        if (k->dropping)
            move_on(k); /* the disk may have room again */
        if (k->dropping || bytes > LINK_MAX_FRAME_BYTES)
            return drop(k, f, bytes);
    }
    f->number = ++k->last;
    struct entry *e = entry_new(f->number);
    bool encoded = encode(e, f);
    if (!encoded) {
        /* no memory for a message: its place becomes the gap */
        assert(f->type == LINK_MESSAGE);
        e->gap = calloc(1, sizeof *e->gap);
        assert(e->gap);
        *e->gap = (struct gap){ .kernel_id = f->kernel_id,
                                .execution_id = f->execution_id,
                                .bytes = bytes,
                                .messages = 1,
                                .reason = "the warden had no memory for it" };
    } else if (find_gap(k, &f->execution_id, &at)) {
        close_gap_at(k, at); /* what is dropped from now on stands behind this frame */
    }
    append(k, e);
    move_on(k);
    return encoded ? f->number : 0;
}

void keep_let_wait(struct keep *k)
{
    if (k->calm_to + 1 != k->last)
        k->calm_from = k->last;
    k->calm_to = k->last;
}

bool keep_may_wait(const struct keep *k)
{
    return k->calm_to == k->last && k->next && k->offset == 0 && k->next->number >= k->calm_from;
}

/* Frees what is acknowledged, but never the frame the present connection has half of. */
static void release(struct keep *k)
{
    while (k->head.first && k->head.first->number <= k->acked) {
        struct entry *e = k->head.first;
        if (e == k->next && k->offset > 0)
            break;
        if (e == k->next) {
            k->next = e->next; /* committed from an earlier connection: no need to send it again */
        } else {
            k->in_flight_bytes -= e->len;
            k->large_bytes -= large_bytes_of(k, e);
        }
        entry_free(chain_take(&k->head));
    }
    move_on(k);
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
    k->next = k->head.first;
    k->offset = 0;
    k->in_flight_bytes = k->large_bytes = 0;
    release(k);
}

void keep_set_large_beside(struct keep *k, bool large_beside)
{
    k->large_beside = large_beside;
}

/* Behind so much that is under way, of which `large` is bigger than the window. */
static bool may_go(const struct keep *k, const struct entry *e, size_t in_flight, size_t large)
{
    if (!k->large_beside)
        return in_flight == 0 || in_flight + e->len <= k->window_bytes; /* a large one goes alone */
    if (e->len > k->window_bytes)
        return large == 0;
    return in_flight - large + e->len <= k->window_bytes;
}

size_t keep_gather(struct keep *k, struct iovec *iov, size_t n)
{
    size_t in_flight = k->in_flight_bytes, large = k->large_bytes, count = 0, offset = k->offset;
    for (struct entry *e = k->next; e && count < n; e = e->next) {
        if (e->gap)
            freeze(k, &k->head, e);
        if (offset == 0 && !may_go(k, e, in_flight, large))
            break;
        iov[count++] = (struct iovec){ .iov_base = e->data + offset, .iov_len = e->len - offset };
        in_flight += e->len;
        large += large_bytes_of(k, e);
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
        k->large_bytes += large_bytes_of(k, e);
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
    return k->head.first ? k->head.first->number : k->acked + 1;
}

uint64_t keep_last(const struct keep *k)
{
    return k->last;
}

uint64_t keep_acked(const struct keep *k)
{
    return k->acked;
}
