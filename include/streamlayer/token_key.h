/*
 * The keys that a platform's tokens are signed with: for its administrators. Needs our extensions on the
 * platform, and the right admin.
 *
 *   Errors of every call: SL_UNSUPPORTED (a platform without our extensions), SL_INVALID_ARGUMENT,
 *   SL_UNAUTHENTICATED, SL_FORBIDDEN, SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL, SL_OUT_OF_MEMORY.
 *   Threads: any; one returned object is used by one thread at a time.
 */
#ifndef STREAMLAYER_TOKEN_KEY_H
#define STREAMLAYER_TOKEN_KEY_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

typedef struct sl_token_key_list sl_token_key_list; /* keys, the oldest first */

/* All keys. Released with sl_token_key_list_destroy. */
SL_API SL_MUST_CHECK sl_status sl_token_key_list_get(sl_client *client, sl_token_key_list **list,
                                                     sl_error *error);
/* Has the platform make the next key, which signs after a while (token.key-lead), so that whoever checks
 * tokens knows it by then; no live token is refused. *list (may be NULL): that key alone, or the one that
 * waits already. */
SL_API sl_status sl_token_key_rotate(sl_client *client, sl_token_key_list **list, sl_error *error);
/*
 * Ends a key that is no secret any more: all tokens that it signed are refused from now on, the caller's own
 * perhaps, and another key signs at once.
 *   Errors: SL_NOT_FOUND.
 */
SL_API sl_status sl_token_key_revoke(sl_client *client, const char *kid, sl_error *error);

/* Releases, and sets the pointer to NULL; NULL is allowed. */
SL_API void sl_token_key_list_destroy(sl_token_key_list **list);
/* How many there are. */
SL_API size_t sl_token_key_list_count(const sl_token_key_list *list);

/* One of them; times in milliseconds since 1970-01-01 UTC. */
typedef struct sl_token_key {
    size_t struct_size;    /* sizeof(sl_token_key), set by the caller */
    const char *kid;       /* its name: the kid of the tokens that it signs */
    const char *state;     /* "next", "signing" or "checking" */
    int64_t made_ms;       /* when it was made */
    int64_t signs_from_ms; /* its first signature */
    int64_t ends_at_ms;    /* when it is forgotten; -1: not known before the next key is there */
} sl_token_key;
/* The one at index (from 0); false when there is none. What it points to is the list's. */
SL_API bool sl_token_key_list_at(const sl_token_key_list *list, size_t index, sl_token_key *key);

/* The platform's answer as JSON text, the list's own. */
SL_API const char *sl_token_key_list_json(const sl_token_key_list *list);

SL_END_DECLS

#endif
