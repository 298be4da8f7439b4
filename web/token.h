/* token.h - the token a request carries, in any of the forms of API.md ("Authentication"). */
#ifndef WEB_TOKEN_H
#define WEB_TOKEN_H

#include "base/slice.h"

#define TOKEN_MAX_BYTES 4096

enum token_source { TOKEN_NONE, TOKEN_HEADER, TOKEN_QUERY, TOKEN_PATH, TOKEN_COOKIE };

struct token {
    enum token_source source;
    struct slice
        text; /* points into what it was found in; of a cookie what is sealed in there (user_authenticate_login) */
};

/* "Bearer T", "token T", "ApiKey T"; the scheme in any case. Empty when it is none of them. */
struct slice token_of_authorization(struct slice header);

/* "/t/T/rest": takes "/t/T" off the path and returns T as it stands there. Empty when the path has
 * no such prefix. */
struct slice token_of_path(struct slice *path);

/* What somebody typed: without the space around it; empty when it can be no token. */
struct slice token_of_text(struct slice text);

/* A header wins over the query, the query over the path, the path over the cookie. NULL: not there. */
struct token token_find(const char *authorization, const char *api_key, const char *query,
                        struct slice of_path, struct slice of_cookie);

#endif
