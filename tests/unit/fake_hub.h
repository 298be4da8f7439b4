/* fake_hub.h - the verbs of kernelhub/ that web/ uses, with scripted answers, so that the server
 * can be tested alone.
 *
 * What happens is said by the code: "pass"; "print N BYTES"; "stream N MS" (one line every MS);
 * "big BYTES" (one event); "sleep MS"; "fail" (ends as error); "hang" (until interrupted); "wait"
 * (queued until cancelled); "stay" (runs on whatever is sent); "nosandbox"; "boom"; "die" (the feed
 * fails in the middle). With "later " before it the execution is accepted 20 ms later, not at
 * once. */
#ifndef TESTS_FAKE_HUB_H
#define TESTS_FAKE_HUB_H

#include "kernelhub/hub.h"

#define FAKE_KEY      "kh_admin"
#define FAKE_KEY_2    "kh_user"
#define FAKE_KEY_2_ID "6fd31de2-3f2b-4b4f-a5e3-9d5d27f3f4c2"

struct session;

struct hub *fake_hub_new(struct loop *loop);
void fake_hub_set(struct hub *h, enum config_key key, const char *text, int64_t number);
void fake_hub_stick(struct hub *h); /* its store can write nothing any more */
void fake_hub_set_secret(struct hub *h, const char *text); /* that its logins are sealed with */
void fake_hub_set_later(struct hub *h, int64_t seconds);   /* for its logins it is so much later */
unsigned fake_hub_interrupts(const struct hub *h);
unsigned fake_hub_followers(const struct hub *h); /* open now */
unsigned fake_hub_waits(const struct hub *h);     /* open now */
void fake_files_free(void); /* what was submitted and has not been done (fake_files.c) */
bool fake_hub_is_slow(const struct session *s);   /* called "slow" */
struct wait *fake_hub_wait(struct session *s, reply_fn done, void *arg); /* a minute */

#endif
