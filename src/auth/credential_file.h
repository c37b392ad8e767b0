/*
 * Inside auth: the platform's credentials files, as Java properties and as INI with profiles. Both are read
 * line by line, and of them only the keys that credentials are made of.
 */
#ifndef SL_AUTH_CREDENTIAL_FILE_H
#define SL_AUTH_CREDENTIAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <streamlayer/error.h>
#include <sys/types.h>

/* A file as it was when it was read. */
struct sl_file_state {
    bool regular; /* else a pipe, which can be read once */
    dev_t dev;
    ino_t ino;
    off_t size;
    mode_t mode;
    uid_t owner;
    int64_t changed_ns; /* since 1970 */
};

bool sl_file_state_same(const struct sl_file_state *a, const struct sl_file_state *b);
/* Whether a file of this owner is this process's user's, or root's. */
bool sl_owner_is_trusted(uid_t owner);

/*
 * The bytes of a regular file or a pipe, at most 64 KiB, in memory kept out of core files (sl_hidden_free).
 *   known (may be NULL): a file that is still so is not read: SL_OK, and *data is NULL.
 *   *missing (may be NULL) is set where there is no file; SL_OK, and *data is NULL.
 *   *state is filled in as soon as the file is open, so after some errors too.
 *   Errors: SL_IO, SL_BAD_CONFIG (something else than a file, or too large), SL_OUT_OF_MEMORY.
 */
sl_status sl_credential_file_read(const char *file, const struct sl_file_state *known, bool *missing,
                                  struct sl_file_state *state, char **data, size_t *size, sl_error *error);

/* What was found; NULL: it was not, or is empty. */
struct sl_credential_keys {
    char *client_id, *key_id, *token_url, *scope;
    char *key_secret; /* hidden */
    bool ini;
    bool no_profile; /* an INI without the section asked for; or nothing at all, where it is optional */
};

/*
 * Reads size bytes of text; name stands for them in errors. An INI is what begins with a section. profile:
 * its section; NULL: "default". An INI without it is an error, unless optional: then no_profile is set. The
 * caller frees *keys, after errors too.
 *   Errors: SL_BAD_CONFIG ("NAME:LINE: what, expected …"), SL_OUT_OF_MEMORY.
 */
sl_status sl_credential_keys_parse(const char *text, size_t size, const char *name, const char *profile,
                                   bool optional, struct sl_credential_keys *keys, sl_error *error);
void sl_credential_keys_free(struct sl_credential_keys *keys);

/* A token file, {"access_token": "…", "exp": SECONDS}, as HERE's pipelines are given it. *token is hidden;
 * *expires_ms: since 1970, 0 where the file does not say. Errors: SL_BAD_CONFIG, SL_OUT_OF_MEMORY. */
sl_status sl_token_file_parse(const char *text, size_t size, const char *name, char **token,
                              int64_t *expires_ms, sl_error *error);

#endif
