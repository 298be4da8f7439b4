#include "sandbox/warden_notes.h"

#include <assert.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "protocol/init_wire.h"
#include "sandbox/warden_order.h"

#define HEAD_BYTES  4096
#define BUSY_AT     64
#define PLACE_BYTES (72u << 10)
#define HASH_BYTES  16
#define TEXT_AT     (4 + HASH_BYTES)

static const char MAGIC[] = "khnotes1";

struct warden_notes {
    int fd;
    char *head;
};

static off_t place_of(unsigned number)
{
    assert(number >= 1 && number <= INIT_MAX_KERNELS);
    return HEAD_BYTES + (off_t)(number - 1) * PLACE_BYTES;
}

int warden_notes_open(const char *path, unsigned uid, struct warden_notes **ret, struct err *e)
{
    CLEANUP(warden_notes_free) struct warden_notes *n = calloc(1, sizeof *n);
    assert(n);
    n->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* room that is there cannot be missing when the mapping is written to */
    if (n->fd < 0 || fchown(n->fd, uid, uid) < 0 || posix_fallocate(n->fd, 0, HEAD_BYTES) != 0)
        return err_errno(e, ERR_INTERNAL, "make the notes '%s'", path);
    void *head = mmap(NULL, HEAD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, n->fd, 0);
    if (head == MAP_FAILED)
        return err_errno(e, ERR_INTERNAL, "map the notes");
    n->head = head;
    if (memcmp(n->head, MAGIC, sizeof MAGIC) != 0) {
        if (ftruncate(n->fd, 0) < 0 || posix_fallocate(n->fd, 0, HEAD_BYTES) != 0)
            return err_errno(e, ERR_INTERNAL, "begin the notes");
        memcpy(n->head, MAGIC, sizeof MAGIC);
    }
    *ret = TAKE(n);
    return 0;
}

void warden_notes_free(struct warden_notes *n)
{
    if (!n)
        return;
    if (n->head)
        (void)munmap(n->head, HEAD_BYTES); /* ours: cannot fail */
    close_fd_at(&n->fd);
    free(n);
}

static bool write_place(struct warden_notes *n, unsigned number, const void *data, size_t len)
{
    return pwrite(n->fd, data, len, place_of(number)) == (ssize_t)len;
}

void warden_notes_put(struct warden_notes *n, unsigned number, const struct uuid *kernel_id,
                      const char *key, bool ready, struct slice order)
{
    unsigned char hash[HASH_BYTES];
    CLEANUP_BUF struct buf text = BUF_INIT(PLACE_BYTES);
    if (!n)
        return;
    buf_add_u32be(&text, 0);
    buf_add(&text, hash, sizeof hash); /* their place */
    buf_addf(&text, "{\"kernel_id\":\"%s\",\"key\":\"%s\",\"ready\":%s,\"order\":", kernel_id->text,
             key, ready ? "true" : "false");
    buf_add_slice(&text, order);
    buf_add_char(&text, '}');
    if (!text.failed) {
        size_t len = text.len - TEXT_AT;
        for (size_t i = 0; i < 4; i++)
            text.data[i] = (char)(len >> 8 * (3 - i));
        crypto_generichash((unsigned char *)text.data + 4, HASH_BYTES,
                           (const unsigned char *)text.data + TEXT_AT, len, NULL, 0);
    }
    if (text.failed || !write_place(n, number, text.data, text.len))
        warden_notes_remove(n, number);
    if (text.data)
        sodium_memzero(text.data, text.len);
}

void warden_notes_remove(struct warden_notes *n, unsigned number)
{
    static const char nothing[TEXT_AT];
    if (!n)
        return;
    warden_notes_set_busy(n, number, false);
    (void)write_place(n, number, nothing,
                      sizeof nothing); /* what is left is torn: no note either */
}

void warden_notes_set_busy(struct warden_notes *n, unsigned number, bool busy)
{
    if (n)
        n->head[BUSY_AT + number] = busy;
}

static bool read_place(struct warden_notes *n, unsigned number, struct buf *text)
{
    unsigned char head[TEXT_AT], hash[HASH_BYTES];
    off_t at = place_of(number);
    if (pread(n->fd, head, sizeof head, at) != sizeof head)
        return false;
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    char *room = len > 0 && len <= PLACE_BYTES - TEXT_AT ? buf_room(text, len) : NULL;
    if (!room || pread(n->fd, room, len, at + TEXT_AT) != (ssize_t)len)
        return false;
    text->len = len;
    crypto_generichash(hash, sizeof hash, (const unsigned char *)room, len, NULL, 0);
    return memcmp(hash, head + 4, sizeof hash) == 0;
}

bool warden_note_parse(struct slice json, struct warden_note *ret)
{
    struct slice id, key;
    struct warden_order order;
    if (!json_valid(json) || !json_member_string(json, "kernel_id", &id) ||
        !uuid_parse(id, &ret->kernel_id) || !json_member_string(json, "key", &key) ||
        !json_copy_string(key, ret->key, sizeof ret->key) ||
        !json_member_bool(json, "ready", &ret->ready) || !json_member(json, "order", &ret->order))
        return false;
    return strspn(ret->key, "0123456789abcdef") == sizeof ret->key - 1 &&
           warden_order_read(ret->order, &order, NULL) == 0;
}

bool warden_notes_read(struct warden_notes *n, unsigned number, struct buf *text,
                       struct warden_note *ret)
{
    buf_reset(text);
    if (!n || !read_place(n, number, text))
        return false;
    ret->busy = n->head[BUSY_AT + number] == 1;
    return warden_note_parse(buf_slice(text), ret);
}
