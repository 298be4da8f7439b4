/* verb.h - what the hub may ask of the keeper (keeper.sock): frames of frame.h, each one JSON object.
 * A request is {"id":N,"verb":V,…}; its reply {"id":N,"ok":true,…} or {"id":N,"ok":false,
 * "error":{"code","message"}}; the keeper's own news are {"event":E,…}. Verbs carry ids, never
 * paths, argv or mounts. All are idempotent: a create that is repeated with the same sandbox_id answers the same.
 *
 *   hello    {version}                          → {version, instance, keeper_epoch, boot_id, weak:[text…], runtime, cgroup:"v1"|"v2"}
 *   create   {sandbox_id, user_id, template, workspace:"shared"|"private", limits:{memory_bytes, cpus (decimal), pids,
 *             workspace_bytes?}}                 → {sandbox_id, template, image, digest, phases:{create_us,start_us,warden_us,total_us}}
 *   destroy  {sandbox_id}                       → {} also when there is no such sandbox (any more)
 *   list     {}                                 → {sandboxes:[{sandbox_id, user_id, template, state:"running"|"gone"}]}
 *   images   {}                                 → {images:[{template, image, digest, size_bytes, created, kernelspecs:{NAME:{kernel.json}},
 *                                                 logos:{NAME:{FILE:base64}}}]}; logos that do not fit into the frame are left out
 *   purge    {user_id, workspace, sandbox_id (private only)} → {}; since version 2. The workspace is gone with all that is in it (its bytes are
 *                                                 given back in the background); also when there is none. busy: a sandbox still uses it
 *   build    {build_id, user_id, template, language:"python"|"javascript"} → {status:"ok"|"error"|"timeout"|"oom"|"too_large"|"disk_full", exit_code, size_bytes,
 *                                                 words (of a builder that could not begin)};
 *                                                 since version 3. Installs what state_dir/workspaces/USER/building/BUILD_ID/work asks for, among the
 *                                                 user's packages; answers at its end. busy: another build of this user runs. The folder is gone then
 *   kill     {}                                 → {}; from a warden's own uid only: kills that warden's container
 *
 *   event exited {sandbox_id, reason:"destroyed"|"died"|"oom"|"killed", exit_code, message}  container or warden is gone; the keeper cleans up
 *   event images {}                             the list of images has changed
 */
#ifndef PROTOCOL_VERB_H
#define PROTOCOL_VERB_H

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "protocol/decode.h"

#define VERB_VERSION         3
#define VERB_MAX_FRAME_BYTES (1u << 20)

enum verb { VERB_HELLO, VERB_CREATE, VERB_DESTROY, VERB_LIST, VERB_IMAGES, VERB_KILL, VERB_PURGE, VERB_BUILD, VERB_N };

struct verb_limits {
    int64_t memory_bytes;
    double cpus;
    int64_t pids;
    int64_t workspace_bytes; /* 0: the keeper's default */
};

struct verb_request {
    uint64_t id;
    enum verb verb;
    struct uuid sandbox_id;
    struct uuid build_id;
    char user_id[37];
    char template_name[64];
    char language[16];
    bool private_workspace;
    struct verb_limits limits;
    int version;
};

/* The version that brought a verb: one that speaks less must not be asked. */
int verb_since(enum verb verb);

/* Decodes a frame's body (the JSON) strictly: unknown verbs, unknown or missing fields, wrong types
 * and names that are not [A-Za-z0-9._-]+ are BAD, and `e` says which. */
enum decode verb_decode_request(struct slice body, struct verb_request *ret, struct err *e);

/* Appends a whole frame, length first. */
void verb_encode_request(struct buf *out, const struct verb_request *r);

/* Appends {"id":id,"ok":true<fields>} as a frame; fields: "" or JSON members beginning with a comma. */
void verb_encode_ok(struct buf *out, uint64_t id, struct slice fields);
void verb_encode_error(struct buf *out, uint64_t id, const struct err *error);
/* Appends {"event":name<fields>}. */
void verb_encode_event(struct buf *out, const char *name, struct slice fields);

struct verb_reply {
    uint64_t id; /* 0: it is an event */
    bool ok;
    struct err error;    /* when not ok */
    char event[32];      /* when it is an event */
    struct slice body;   /* the whole object, for json_member */
};

enum decode verb_decode_reply(struct slice body, struct verb_reply *ret);

#endif
