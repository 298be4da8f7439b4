/* All fixed SQL of the store, one line of the table a statement. */
#include "kernelhub/sql.h"

#include "kernelhub/store_internal.h"

#define SANDBOX_COLUMNS                                                                            \
    "id, user_id, name, template_name, image, digest, epoch, last_number, created_us, ended_us,"   \
    " end_reason, options, workspace, used_us"

const char *const SQL_TEXT[SQL_N] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",

    [SQL_PUT_SETTING] = "INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)",
    [SQL_PUT_USER] = "INSERT OR REPLACE INTO users (id, name, admin, created_us, removed_us, "
                     "callback_generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_PUT_KEY] = "INSERT OR REPLACE INTO keys (id, user_id, name, prefix, hash, created_us, "
                    "last_used_us, expires_us,"
                    " revoked_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    /* a mark that was committed meanwhile must not be taken back; another epoch counts anew */
    [SQL_PUT_SANDBOX] =
        "INSERT INTO sandboxes (id, user_id, name, template_name, image, digest, epoch, "
        "last_number, created_us, ended_us,"
        " end_reason, options, workspace, used_us)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        " ON CONFLICT (id) DO UPDATE SET user_id=excluded.user_id, name=excluded.name,"
        " template_name=excluded.template_name, image=excluded.image, digest=excluded.digest, "
        "epoch=excluded.epoch,"
        " last_number=iif(excluded.epoch IS sandboxes.epoch, max(sandboxes.last_number, "
        "excluded.last_number),"
        " excluded.last_number), created_us=excluded.created_us, ended_us=excluded.ended_us, "
        "end_reason=excluded.end_reason, options=excluded.options, workspace=excluded.workspace, "
        "used_us=excluded.used_us",
    [SQL_SET_WORKSPACE] = "UPDATE sandboxes SET workspace=?2 WHERE id=?1",
    [SQL_PUT_SESSION] =
        "INSERT OR REPLACE INTO sessions (feed, user_id, kernel_id, sandbox_id, name, language, "
        "kernelspec, template_name,"
        " ephemeral, created_us, ended_us, home, jupyter) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
        "?10, ?11, ?12, ?13)",
    [SQL_INSERT_EXECUTION] =
        "INSERT INTO executions (" STORE_EXECUTION_COLUMNS
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
        " ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24) ON CONFLICT (id) DO NOTHING",
    /* NULL leaves what is there: none of these is ever unset */
    [SQL_UPDATE_EXECUTION] =
        "UPDATE executions SET status=?3, epoch=coalesce(?4, epoch), kernel_id=coalesce(?5, "
        "kernel_id),"
        " sandbox_id=coalesce(?6, sandbox_id), started_us=coalesce(?7, started_us), "
        "finished_us=coalesce(?8, finished_us),"
        " execution_count=coalesce(?9, execution_count), reply=coalesce(?10, reply), "
        "result=coalesce(?11, result),"
        " dropped_bytes=?12, dropped_messages=?13, input=coalesce(?14, input)"
        " WHERE feed = coalesce(nullif(?1, 0), (SELECT feed FROM executions WHERE id = ?2))",
    [SQL_SET_ERROR] = "UPDATE executions SET error=?2 WHERE feed=?1",
    [SQL_ADD_CALLBACK] =
        "INSERT INTO callbacks (feed, execution_id, user_id, message_id, url, status, attempts)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0 WHERE EXISTS (SELECT 1 FROM executions WHERE feed=?1)",
    [SQL_UPDATE_CALLBACK] = "UPDATE callbacks SET status=?2, attempts=?3, next_us=?4, first_us=?5, "
                            "done_us=?6, last_error=?7 WHERE feed=?1",
    [SQL_MARK] = "UPDATE sandboxes SET last_number=max(last_number, ?2) WHERE id=?1 AND "
                 "(?3='' OR epoch=?3)",
    [SQL_LAST_SEQ] = "SELECT max(seq) FROM events WHERE feed=?1",
    [SQL_LAST_HEAD] = "SELECT head, execution_id, session, kernel_id FROM heads WHERE feed=?1 "
                      "ORDER BY head DESC LIMIT 1",
    [SQL_ADD_HEAD] = "INSERT INTO heads (feed, head, execution_id, session, kernel_id) VALUES (?1, "
                     "?2, ?3, ?4, ?5)",
    [SQL_ADD_EVENT] =
        "INSERT INTO events (feed, seq, head, type, ts_us, body, blob_offset, blob_bytes)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_ADD_BLOB] = "INSERT INTO blobs (feed, n, media_type, blob_offset, blob_bytes)"
                     " VALUES (?1, ?2, ?3, ?4, ?5)",

    [SQL_GET_SETTING] = "SELECT value FROM settings WHERE name=?1",
    [SQL_MAX_FEED] = "SELECT max(coalesce((SELECT max(feed) FROM executions), 0),"
                     " coalesce((SELECT max(feed) FROM sessions), 0), coalesce((SELECT max(feed) "
                     "FROM events), 0))",
    [SQL_EVENTS] = "SELECT seq, head, type, ts_us, body, blob_offset, blob_bytes FROM events WHERE "
                   "feed=?1 AND seq>?2"
                   " ORDER BY seq",
    [SQL_HEAD] =
        "SELECT head, execution_id, session, kernel_id FROM heads WHERE feed=?1 AND head=?2",
    [SQL_LAST_TYPE] = "SELECT seq, type FROM events WHERE feed=?1 ORDER BY seq DESC LIMIT 1",
    [SQL_FIND_EXECUTION] = "SELECT feed, user_id, status, session FROM executions WHERE id=?1",
    [SQL_READ_CODE] = "SELECT code FROM executions WHERE id=?1",
    [SQL_READ_EXECUTION] =
        "SELECT " STORE_EXECUTION_COLUMNS ", (SELECT name FROM users u WHERE u.id = user_id)"
        " FROM executions WHERE id=?1 AND (?2 IS NULL OR user_id=?2)",
    [SQL_READ_SOURCE] = "SELECT code, language, labels, options, (SELECT template_name FROM "
                        "sessions s WHERE s.feed = session_feed)"
                        " FROM executions WHERE id=?1 AND user_id=?2",
    [SQL_READ_CALLBACK] =
        "SELECT url, status, attempts, next_us, done_us, last_error FROM callbacks WHERE feed=?1",
    [SQL_FEED_OF] = "SELECT feed, status FROM executions WHERE id=?1 AND user_id=?2",
    [SQL_OUTPUT] = "SELECT seq, body, blob_offset, blob_bytes FROM events WHERE feed=?1 AND "
                   "seq>?2 AND type=?3 ORDER BY seq",
    [SQL_BLOB] = "SELECT b.feed, b.media_type, b.blob_offset, b.blob_bytes FROM executions e JOIN "
                 "blobs b ON b.feed = e.feed"
                 " WHERE e.id=?1 AND (?2 IS NULL OR e.user_id=?2) AND b.n=?3",
    [SQL_FEED_RANGE] =
        "SELECT (SELECT min(feed) FROM executions), (SELECT max(feed) FROM executions)",
    /* store_notebook.c */
    [SQL_NOTEBOOK_NEXT] =
        "SELECT " STORE_EXECUTION_COLUMNS " FROM executions WHERE feed>?1 AND feed<=?2 AND "
        "user_id=?3 AND session=?4 ORDER BY feed LIMIT 1",
    [SQL_NOTEBOOK_STARTED] = "SELECT ts_us, body, blob_offset, blob_bytes FROM events WHERE "
                             "feed=?1 AND type='started' ORDER BY seq LIMIT 1",
    [SQL_NOTEBOOK_IDS] =
        "SELECT seq, body, blob_offset, blob_bytes FROM events WHERE feed=?1 AND seq>?2 AND "
        "type='display' AND (body IS NULL OR instr(body, ',\"display_id\":')) ORDER BY seq",
    /* of displays only how they end: UPDATE_END of store_notebook.c */
    [SQL_NOTEBOOK_LOOK] = "SELECT seq, type, CASE type WHEN 'clear_output' THEN body WHEN "
                          "'display' THEN substr(body, -14) END FROM events WHERE feed=?1 ORDER BY "
                          "seq",
    [SQL_NOTEBOOK_EVENTS] = "SELECT seq, type, body, blob_offset, blob_bytes FROM events WHERE "
                            "feed=?1 AND seq>?2 AND seq<=?3 AND type IN ('stdout', 'stderr', "
                            "'display', 'result', 'error', 'gap') ORDER BY seq",
    [SQL_NOTEBOOK_EVENT] =
        "SELECT body, blob_offset, blob_bytes FROM events WHERE feed=?1 AND seq=?2",
    [SQL_NOTEBOOK_SESSION] =
        "SELECT kernelspec, template_name, language FROM sessions WHERE feed=?1",
    [SQL_LOAD_USERS] =
        "SELECT id, name, admin, created_us, removed_us, callback_generation FROM users ORDER BY "
        "created_us, id",
    [SQL_LOAD_KEYS] = "SELECT id, user_id, name, prefix, hash, created_us, last_used_us, "
                      "expires_us, revoked_us FROM keys"
                      " WHERE revoked_us IS NULL ORDER BY created_us, id",
    [SQL_LOAD_SANDBOXES] =
        "SELECT " SANDBOX_COLUMNS " FROM sandboxes WHERE ended_us IS NULL ORDER BY created_us, id",
    [SQL_LOAD_ENDED_SANDBOXES] =
        "SELECT * FROM (SELECT " SANDBOX_COLUMNS
        " FROM sandboxes WHERE ended_us IS NOT NULL ORDER BY ended_us DESC LIMIT ?1)"
        " ORDER BY ended_us, id",
    [SQL_LOAD_UNREMOVED_SANDBOXES] =
        "SELECT " SANDBOX_COLUMNS
        " FROM sandboxes WHERE ended_us IS NOT NULL AND workspace = 'private' ORDER BY id",
    [SQL_LOAD_SESSIONS] =
        "SELECT feed, user_id, kernel_id, sandbox_id, name, language, kernelspec, template_name, "
        "ephemeral,"
        " created_us, ended_us, home, jupyter FROM sessions WHERE ended_us IS NULL ORDER BY feed",
    [SQL_LOAD_EXECUTIONS] =
        "SELECT " STORE_EXECUTION_COLUMNS
        ", (SELECT max(seq) FROM events v WHERE v.feed = executions.feed)"
        ", (SELECT ts_us FROM events v WHERE v.feed = executions.feed AND type = 'started' LIMIT 1)"
        " FROM executions WHERE status IN ('queued','running','waiting_input') ORDER BY feed",

    [SQL_LOAD_CALLBACKS] =
        "SELECT c.feed, c.execution_id, c.user_id, c.message_id, c.url, c.attempts, c.next_us, "
        "c.first_us,"
        " e.status NOT IN ('queued','running','waiting_input') FROM callbacks c JOIN executions e "
        "USING (feed)"
        " WHERE c.status = 'pending' ORDER BY c.feed",

    [SQL_USED_BYTES] = "SELECT (page_count - freelist_count) * page_size"
                       " FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    [SQL_COUNT_ENDED] =
        "SELECT (SELECT count(*) FROM executions)"
        " - (SELECT count(*) FROM executions WHERE status IN ('queued','running','waiting_input'))",
    [SQL_PICK_OLDEST] =
        "SELECT feed, coalesce(finished_us, created_us, 0) FROM executions"
        " WHERE status NOT IN ('queued','running','waiting_input') ORDER BY feed LIMIT ?1",
    [SQL_PICK_OLD_SESSION] = "SELECT feed FROM sessions WHERE ended_us < ?1 LIMIT ?2",
    [SQL_FEED_BYTES] = "SELECT sum(coalesce(length(body), blob_bytes)) FROM events WHERE feed=?1",
    [SQL_NEXT_BLOB] = "SELECT coalesce(max(n) + 1, 0) FROM blobs WHERE feed=?1",
    [SQL_PICK_LONG_SESSION] =
        "SELECT feed FROM sessions s WHERE ended_us IS NULL"
        " AND (SELECT min(seq) FROM events v WHERE v.feed = s.feed)"
        " <= (SELECT max(seq) FROM events v WHERE v.feed = s.feed) - ?1 LIMIT ?2",
    [SQL_TRIM_SESSION] = "DELETE FROM events WHERE feed=?1 AND seq <="
                         " (SELECT max(seq) FROM events WHERE feed=?1) - ?2",
    /* the ephemeral session that was made for this execution alone */
    [SQL_PICK_HOLDER] = "SELECT s.feed FROM executions e JOIN sessions s ON s.feed = e.session_feed"
                        " WHERE e.feed=?1 AND s.ephemeral AND s.ended_us IS NOT NULL",
    [SQL_DROP_EXECUTION] = "DELETE FROM executions WHERE feed=?1",
    [SQL_DROP_CALLBACK] = "DELETE FROM callbacks WHERE feed=?1",
    [SQL_DROP_SESSION] = "DELETE FROM sessions WHERE feed=?1",
    [SQL_DROP_SANDBOXES] =
        "DELETE FROM sandboxes WHERE ended_us < ?1 AND workspace IS NOT 'private'",
    [SQL_ADD_REMOVED] = "INSERT OR IGNORE INTO removed (feed) VALUES (?1)",
    [SQL_PICK_REMOVED] = "SELECT feed FROM removed LIMIT 1",
    [SQL_DROP_EVENTS] =
        "DELETE FROM events WHERE feed=?1 AND seq <="
        " (SELECT max(seq) FROM (SELECT seq FROM events WHERE feed=?1 ORDER BY seq LIMIT ?2))",
    [SQL_DROP_HEADS] = "DELETE FROM heads WHERE feed=?1",
    [SQL_DROP_BLOBS] = "DELETE FROM blobs WHERE feed=?1",
    [SQL_DROP_REMOVED] = "DELETE FROM removed WHERE feed=?1",
};
