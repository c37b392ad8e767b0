/* Tokens that somebody else gets: a file that is kept fresh, or a callback of the application's. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/inside.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define MAX_TOKEN     ((size_t)32 * 1024)
#define SCHEME        "Bearer "
#define SCHEME_LENGTH (sizeof SCHEME - 1)

const char *sl_token_text(const char *token)
{
    if (token && strncasecmp(token, SCHEME, SCHEME_LENGTH) == 0)
        token += SCHEME_LENGTH;
    return token && sl_is_token_text(token, MAX_TOKEN) ? token : NULL;
}

sl_status sl_fetch_from_file(struct sl_auth *auth, const char *refused, struct token *token, sl_error *error)
{
    const char *file = auth->credentials.file;
    struct sl_file_state state;
    char *text, *bare = NULL;
    size_t size;
    int64_t expires_ms = 0;
    (void)refused;
    sl_status status = sl_credential_file_read(file, NULL, NULL, &state, &text, &size, error);
    if (status == SL_OK && auth->credentials.anybodys && !sl_owner_is_trusted(state.owner))
        status = sl_error_set(error, SL_IO, "%s: it is neither this user's nor root's any more", file);
    if (status == SL_OK)
        status = sl_token_file_parse(text, size, file, &bare, &expires_ms, error);
    if (status == SL_OK)
        status = sl_token_make(bare, token, error);
    else if (status != SL_OUT_OF_MEMORY) {
        /* Perhaps it is being written. */
        status = error->status = SL_UNAVAILABLE;
        error->retriable = true;
    }
    if (status == SL_OK)
        sl_token_set_expiry(token, expires_ms);
    sl_hidden_free(&bare);
    sl_hidden_free(&text);
    return status;
}

struct sl_token_answer {
    char *token; /* hidden */
    int64_t expires_ms;
};

sl_status sl_token_answer_set(sl_token_answer *answer, const char *token, int64_t expires_ms)
{
    const char *text = sl_token_text(token);
    if (!answer || !text || expires_ms < 0)
        return SL_INVALID_ARGUMENT;
    char *copy = sl_hidden_copy(text, strlen(text));
    if (!copy)
        return SL_OUT_OF_MEMORY;
    sl_hidden_free(&answer->token);
    answer->token = copy;
    answer->expires_ms = expires_ms;
    return SL_OK;
}

sl_status sl_fetch_from_callback(struct sl_auth *auth, const char *refused, struct token *token,
                                 sl_error *error)
{
    struct sl_token_answer answer = {0};
    if (refused && strncmp(refused, SCHEME, SCHEME_LENGTH) == 0)
        refused += SCHEME_LENGTH;
    sl_status status = auth->callback(auth->opaque, refused, &answer, error);
    if (status < SL_OK || status >= SL_STATUS_COUNT)
        status = SL_INTERNAL;
    error->text[sizeof error->text - 1] = '\0';
    if (status == SL_OK && !answer.token) {
        status = sl_error_set(error, SL_UNAUTHENTICATED,
                              "the application's token callback returned SL_OK without a token: "
                              "sl_token_answer_set gives one");
    } else if (status == SL_OK) {
        status = sl_token_make(answer.token, token, error);
        sl_token_set_expiry(token, answer.expires_ms);
    } else {
        bool retriable = error->retriable;
        sl_error told = *error;
        sl_error_set(error, status, "the application's token callback failed: %.900s",
                     told.text[0] ? told.text : sl_status_text(status));
        error->retriable = retriable;
        error->http_status = told.http_status;
    }
    sl_hidden_free(&answer.token);
    return status;
}
