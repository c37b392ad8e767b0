#include "gateway/api/token_keys.h"

#include "base/error.h"
#include "base/text.h"
#include "gateway/store/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD_FILE       "token-key.pem" /* in the data directory: of the time when there was one key */
#define OLD_TOKENS_MS  (INT64_C(30) * 24 * 3600 * 1000) /* the longest that a token of then may be good */
#define STATE_MAX      4096                             /* bytes of a KID.json */
#define TICK_MAX_MS    (INT64_C(3600) * 1000)
#define TICK_MIN_MS    1000
#define DIRECTORY_NAME "token-keys"

struct token_key {
    struct gw_jwk *jwk;
    int64_t made_ms, signs_from_ms;
    int64_t token_ms;         /* the longest that a token of its may be good */
    int64_t unnamed_until_ms; /* it checks tokens that name no key until then; 0: never */
};

struct gw_token_keys {
    struct sl_log log;
    char *directory;
    pthread_mutex_t change; /* who changes files and keys: held over disk writes, taken before lock */
    struct gw_token_key_settings settings;    /* under change */
    pthread_rwlock_t lock;                    /* guards what follows */
    struct token_key keys[GW_TOKEN_KEYS_MAX]; /* by signs_from_ms */
    size_t count;
};

/* --- What the keys are, at a time. The lock is held. --- */

/* The one that signs. Where the clock was set back before the first, it is the first. */
static size_t signing(const struct gw_token_keys *keys, int64_t now_ms)
{
    size_t at = 0;
    for (size_t i = 1; i < keys->count; i++)
        if (keys->keys[i].signs_from_ms <= now_ms)
            at = i;
    return at;
}

/* When the last token that it may have signed ends; INT64_MAX: no key follows yet. */
static int64_t ends_at(const struct gw_token_keys *keys, size_t at)
{
    return at + 1 < keys->count ? keys->keys[at + 1].signs_from_ms + keys->keys[at].token_ms : INT64_MAX;
}

static size_t find(const struct gw_token_keys *keys, const char *kid)
{
    size_t at = 0;
    while (at < keys->count && strcmp(gw_jwk_kid(keys->keys[at].jwk), kid) != 0)
        at++;
    return at;
}

/* --- Files --- */

static char *path_of(const struct gw_token_keys *keys, const char *kid, const char *suffix)
{
    return sl_printf("%s/%s%s", keys->directory, kid, suffix);
}

static sl_status file_error(const char *what, const char *file, sl_error *error)
{
    int reason = errno;
    if (gw_disk_is_full(reason))
        return sl_error_set_retriable(error, SL_IO, "cannot %s %s: %s", what, file, sl_errno_text(reason));
    return sl_error_set(error, SL_IO, "cannot %s %s: %s", what, file, sl_errno_text(reason));
}

static sl_status key_error(sl_error *error, const char *file)
{
    return sl_error_set(error, SL_IO,
                        "%s holds no P-256 private key in PEM: mend it, or remove it (after which what it "
                        "signed is good no more)",
                        file);
}

/* So that what was renamed or removed there stays so. */
static sl_status sync_directory(const struct gw_token_keys *keys, sl_error *error)
{
    int fd = open(keys->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && !fsync(fd);
    sl_status status = good ? SL_OK : file_error("write", keys->directory, error);
    if (fd >= 0)
        close(fd);
    return status;
}

typedef bool (*writer)(const void *what, FILE *out);

static bool write_pem(const void *what, FILE *out)
{
    return PEM_write_PrivateKey(out, what, NULL, NULL, 0, NULL, NULL) == 1;
}

static bool write_json(const void *what, FILE *out)
{
    return !json_dumpf(what, out, JSON_INDENT(2)) && fputc('\n', out) != EOF;
}

/* Beside, then renamed, so that a crash leaves no half of a file. */
static sl_status write_file(const char *file, writer write, const void *what, sl_error *error)
{
    char *draft = sl_printf("%s.new", file);
    if (!draft)
        return sl_error_oom(error);
    unlink(draft);
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    bool good = out && write(what, out) && !fflush(out) && !fsync(fd);
    if (out)
        good = !fclose(out) && good;
    else if (fd >= 0)
        close(fd);
    good = good && !rename(draft, file);
    sl_status status = good ? SL_OK : file_error("write", file, error);
    if (!good)
        unlink(draft);
    free(draft);
    return status;
}

static sl_status write_state(const struct gw_token_keys *keys, const struct token_key *key, sl_error *error)
{
    char *file = path_of(keys, gw_jwk_kid(key->jwk), ".json");
    json_t *state = json_pack("{s:I, s:I, s:I, s:I}", "made", (json_int_t)key->made_ms, "signsFrom",
                              (json_int_t)key->signs_from_ms, "tokenLifetime", (json_int_t)key->token_ms,
                              "unnamedUntil", (json_int_t)key->unnamed_until_ms);
    sl_status status = file && state ? write_file(file, write_json, state, error) : sl_error_oom(error);
    json_decref(state);
    free(file);
    return status;
}

static bool read_ms(const json_t *state, const char *name, int64_t *ms)
{
    const json_t *value = json_object_get(state, name);
    *ms = json_integer_value(value);
    return json_is_integer(value) && *ms >= 0;
}

/* *there: whether there is such a file. */
static sl_status read_state(const struct gw_token_keys *keys, struct token_key *key, bool *there,
                            sl_error *error)
{
    char *file = path_of(keys, gw_jwk_kid(key->jwk), ".json");
    FILE *in = file ? fopen(file, "re") : NULL;
    sl_status status = SL_OK;
    *there = in != NULL;
    if (!file) {
        status = sl_error_oom(error);
    } else if (in) {
        json_t *state = json_loadf(in, JSON_REJECT_DUPLICATES, NULL);
        if (!read_ms(state, "made", &key->made_ms) || !read_ms(state, "signsFrom", &key->signs_from_ms) ||
            !read_ms(state, "tokenLifetime", &key->token_ms) ||
            !read_ms(state, "unnamedUntil", &key->unnamed_until_ms))
            status = sl_error_set(error, SL_IO,
                                  "%s does not say made, signsFrom, tokenLifetime and unnamedUntil in "
                                  "milliseconds: mend it, or remove it, so that its key signs after a while",
                                  file);
        json_decref(state);
    } else if (errno != ENOENT) {
        status = file_error("read", file, error);
    }
    if (in)
        fclose(in);
    free(file);
    return status;
}

/* A key's file, whose mode is mended. *made_ms: its time of change. */
static sl_status read_key(const char *file, struct gw_jwk **jwk, int64_t *made_ms, sl_error *error)
{
    struct stat info;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
    *jwk = NULL;
    if (!in || fstat(fd, &info)) {
        sl_status status = file_error("read", file, error);
        if (in)
            fclose(in);
        else if (fd >= 0)
            close(fd);
        return status;
    }
    EVP_PKEY *key = NULL;
    if (S_ISREG(info.st_mode)) {
        (void)fchmod(fd, 0600);
        key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
    }
    fclose(in);
    *jwk = key ? gw_jwk_of_private(key) : NULL;
    EVP_PKEY_free(key);
    *made_ms = (int64_t)info.st_mtim.tv_sec * 1000;
    return *jwk ? SL_OK : key_error(error, file);
}

/* --- Adding and removing. change is held. --- */

static sl_status full(sl_error *error)
{
    return sl_error_set_retriable(
        error, SL_QUEUE_FULL,
        "there are %d keys already, whose tokens have not all ended: wait, or revoke one", GW_TOKEN_KEYS_MAX);
}

/* Takes key->jwk, whatever comes of it. */
static sl_status put(struct gw_token_keys *keys, const struct token_key *key, sl_error *error)
{
    pthread_rwlock_wrlock(&keys->lock);
    bool room = keys->count < GW_TOKEN_KEYS_MAX;
    if (room) {
        size_t at = keys->count++;
        for (; at && keys->keys[at - 1].signs_from_ms > key->signs_from_ms; at--)
            keys->keys[at] = keys->keys[at - 1];
        keys->keys[at] = *key;
    }
    pthread_rwlock_unlock(&keys->lock);
    if (room)
        return SL_OK;
    gw_jwk_unlink(key->jwk);
    return full(error);
}

/* One whose name does not begin with a "-": to command lines, which name keys to revoke them, it would be an
 * option. NULL: none could be made. */
static EVP_PKEY *generate(struct gw_jwk **jwk)
{
    for (;;) {
        EVP_PKEY *pkey = EVP_EC_gen("P-256");
        *jwk = pkey ? gw_jwk_of_private(pkey) : NULL;
        if (!*jwk || *gw_jwk_kid(*jwk) != '-')
            return pkey;
        gw_jwk_unlink(*jwk);
        EVP_PKEY_free(pkey);
    }
}

/* The state is written first: the PEM file is what makes a key one. */
static sl_status make(struct gw_token_keys *keys, int64_t now_ms, int64_t signs_from_ms, sl_error *error)
{
    struct gw_jwk *jwk;
    EVP_PKEY *pkey = generate(&jwk);
    struct token_key key = {
        .jwk = jwk, .made_ms = now_ms, .signs_from_ms = signs_from_ms, .token_ms = keys->settings.token_ms};
    sl_status status = key.jwk ? SL_OK : sl_error_set(error, SL_INTERNAL, "no key could be made");
    char *file = key.jwk ? path_of(keys, gw_jwk_kid(key.jwk), ".pem") : NULL;
    if (!status && !file)
        status = sl_error_oom(error);
    if (!status && keys->count == GW_TOKEN_KEYS_MAX)
        status = full(error);
    if (!status)
        status = write_state(keys, &key, error);
    if (!status)
        status = write_file(file, write_pem, pkey, error);
    if (!status)
        status = sync_directory(keys, error);
    EVP_PKEY_free(pkey);
    free(file);
    if (status)
        gw_jwk_unlink(key.jwk);
    else
        status = put(keys, &key, error);
    return status;
}

/* The files first: whatever comes, a key that was to go does not come back. */
static sl_status drop(struct gw_token_keys *keys, size_t at, sl_error *error)
{
    const char *kid = gw_jwk_kid(keys->keys[at].jwk);
    char *pem = path_of(keys, kid, ".pem"), *state = path_of(keys, kid, ".json");
    sl_status status = pem && state ? SL_OK : sl_error_oom(error);
    if (!status && unlink(pem) && errno != ENOENT)
        status = file_error("remove", pem, error);
    if (!status && unlink(state) && errno != ENOENT)
        status = file_error("remove", state, error);
    if (!status)
        status = sync_directory(keys, error);
    free(pem);
    free(state);
    if (status)
        return status;
    pthread_rwlock_wrlock(&keys->lock);
    gw_jwk_unlink(keys->keys[at].jwk);
    memmove(&keys->keys[at], &keys->keys[at + 1], (keys->count - at - 1) * sizeof *keys->keys);
    keys->count--;
    pthread_rwlock_unlock(&keys->lock);
    return SL_OK;
}

/* --- Opening --- */

/* A file named name: a key that is known, or is taken up. */
static sl_status take_file(struct gw_token_keys *keys, const char *name, int64_t now_ms, sl_error *error)
{
    struct token_key key = {.token_ms = keys->settings.token_ms};
    int64_t made_ms;
    char *file = path_of(keys, name, ""), *proper = NULL;
    sl_status status = file ? read_key(file, &key.jwk, &made_ms, error) : sl_error_oom(error);
    if (status || find(keys, gw_jwk_kid(key.jwk)) < keys->count) {
        gw_jwk_unlink(key.jwk);
        free(file);
        return status;
    }
    bool stated = false;
    status = read_state(keys, &key, &stated, error);
    if (!status && (!stated || key.token_ms < keys->settings.token_ms)) {
        if (!stated) {
            key.made_ms = made_ms;
            key.signs_from_ms = now_ms + keys->settings.lead_ms;
        }
        key.token_ms = keys->settings.token_ms;
        status = write_state(keys, &key, error);
    }
    if (!status && !(proper = path_of(keys, gw_jwk_kid(key.jwk), ".pem")))
        status = sl_error_oom(error);
    if (!status && strcmp(file, proper) != 0 && rename(file, proper))
        status = file_error("rename", file, error);
    if (!status && !stated)
        SL_INFO(&keys->log, "token keys: %s is taken up", proper);
    free(file);
    free(proper);
    if (!status)
        return put(keys, &key, error);
    gw_jwk_unlink(key.jwk);
    return status;
}

static sl_status read_directory(struct gw_token_keys *keys, int64_t now_ms, sl_error *error)
{
    DIR *directory = opendir(keys->directory);
    if (!directory)
        return file_error("read", keys->directory, error);
    sl_status status = SL_OK;
    for (const struct dirent *entry;
         !status && (entry = readdir(directory));) { /* NOLINT: a stream of our own */
        size_t size = strlen(entry->d_name);
        if (*entry->d_name != '.' && size > 4 && !strcmp(entry->d_name + size - 4, ".pem"))
            status = take_file(keys, entry->d_name, now_ms, error);
    }
    closedir(directory);
    return status;
}

/* The one key of before: its state is written first, then it is moved, so that a crash between leaves it
 * where it is found again. */
static sl_status move_old(struct gw_token_keys *keys, const char *data_directory, int64_t now_ms,
                          sl_error *error)
{
    char *old = sl_printf("%s/" OLD_FILE, data_directory), *file = NULL;
    struct stat info;
    if (!old)
        return sl_error_oom(error);
    if (lstat(old, &info) && errno == ENOENT) {
        free(old);
        return SL_OK;
    }
    struct token_key key = {.token_ms = OLD_TOKENS_MS, .unnamed_until_ms = now_ms + OLD_TOKENS_MS};
    sl_status status = read_key(old, &key.jwk, &key.made_ms, error);
    if (!status && !(file = path_of(keys, gw_jwk_kid(key.jwk), ".pem")))
        status = sl_error_oom(error);
    /* It has signed since it was made, and goes on until its lifetime from now is over. */
    key.signs_from_ms = now_ms;
    if (!status)
        status = write_state(keys, &key, error);
    if (!status && rename(old, file))
        status = file_error("move", old, error);
    if (!status)
        status = sync_directory(keys, error);
    if (!status)
        SL_INFO(&keys->log, "token keys: %s is now %s", old, file);
    gw_jwk_unlink(key.jwk);
    free(old);
    free(file);
    return status;
}

static sl_status open_keys(struct gw_token_keys *keys, const char *data_directory, int64_t now_ms,
                           sl_error *error)
{
    const char *name = keys->settings.directory;
    if (!(keys->directory = sl_printf("%s/%s", data_directory, name ? name : DIRECTORY_NAME)))
        return sl_error_oom(error);
    if (mkdir(keys->directory, 0700) && errno != EEXIST)
        return file_error("make", keys->directory, error);
    if (chmod(keys->directory, 0700))
        return file_error("protect", keys->directory, error);
    sl_status status = name ? SL_OK : move_old(keys, data_directory, now_ms, error);
    if (!status)
        status = read_directory(keys, now_ms, error);
    if (!status && !keys->count)
        return make(keys, now_ms, now_ms, error);
    int64_t next_ms;
    return status ? status : gw_token_keys_tick(keys, now_ms, &next_ms, error);
}

sl_status gw_token_keys_open(const char *data_directory, const struct gw_token_key_settings *settings,
                             int64_t now_ms, const struct sl_log *log, struct gw_token_keys **out,
                             sl_error *error)
{
    struct gw_token_keys *keys = calloc(1, sizeof *keys);
    *out = keys;
    if (!keys)
        return sl_error_oom(error);
    keys->settings = *settings;
    if (log)
        keys->log = *log;
    pthread_mutex_init(&keys->change, NULL);
    pthread_rwlock_init(&keys->lock, NULL);
    sl_status status = open_keys(keys, data_directory, now_ms, error);
    if (status)
        gw_token_keys_close(out);
    return status;
}

void gw_token_keys_close(struct gw_token_keys **out)
{
    struct gw_token_keys *keys = *out;
    if (!keys)
        return;
    *out = NULL;
    for (size_t i = 0; i < keys->count; i++)
        gw_jwk_unlink(keys->keys[i].jwk);
    pthread_rwlock_destroy(&keys->lock);
    pthread_mutex_destroy(&keys->change);
    free(keys->directory);
    free(keys);
}

/* --- Changes --- */

/* Whether a key waits to sign. */
static bool next_waits(const struct gw_token_keys *keys, int64_t now_ms)
{
    return keys->keys[keys->count - 1].signs_from_ms > now_ms;
}

/* When the youngest key's successor is to be made; INT64_MAX: never by itself. */
static int64_t next_due(const struct gw_token_keys *keys)
{
    int64_t since_ms = keys->keys[keys->count - 1].signs_from_ms;
    int64_t early_ms = keys->settings.lifetime_ms - keys->settings.lead_ms;
    return keys->settings.lifetime_ms ? since_ms + (early_ms > 0 ? early_ms : 0) : INT64_MAX;
}

sl_status gw_token_keys_tick(struct gw_token_keys *keys, int64_t now_ms, int64_t *next_ms, sl_error *error)
{
    sl_status status = SL_OK;
    pthread_mutex_lock(&keys->change);
    for (size_t i = 0; i + 1 < keys->count && !status;)
        if (ends_at(keys, i) <= now_ms)
            status = drop(keys, i, error);
        else
            i++;
    if (!status && next_due(keys) <= now_ms && keys->count < GW_TOKEN_KEYS_MAX) {
        status = make(keys, now_ms, now_ms + keys->settings.lead_ms, error);
        if (!status)
            SL_INFO(&keys->log, "token keys: %s signs in %lld s", gw_jwk_kid(keys->keys[keys->count - 1].jwk),
                    (long long)(keys->settings.lead_ms / 1000));
    }
    int64_t due_ms = next_due(keys);
    for (size_t i = 0; i + 1 < keys->count; i++)
        if (ends_at(keys, i) < due_ms)
            due_ms = ends_at(keys, i);
    pthread_mutex_unlock(&keys->change);
    int64_t wait_ms = due_ms - now_ms;
    *next_ms = now_ms + (wait_ms < TICK_MIN_MS ? TICK_MIN_MS : wait_ms > TICK_MAX_MS ? TICK_MAX_MS : wait_ms);
    return status;
}

sl_status gw_token_keys_set(struct gw_token_keys *keys, const struct gw_token_key_settings *settings,
                            sl_error *error)
{
    sl_status status = SL_OK;
    pthread_mutex_lock(&keys->change);
    for (size_t i = 0; i < keys->count && !status; i++) {
        struct token_key key = keys->keys[i];
        if (key.token_ms >= settings->token_ms)
            continue;
        key.token_ms = settings->token_ms;
        status = write_state(keys, &key, error);
        pthread_rwlock_wrlock(&keys->lock);
        if (!status)
            keys->keys[i] = key;
        pthread_rwlock_unlock(&keys->lock);
    }
    if (!status)
        keys->settings = *settings;
    pthread_mutex_unlock(&keys->change);
    return status;
}

sl_status gw_token_keys_reread(struct gw_token_keys *keys, int64_t now_ms, sl_error *error)
{
    pthread_mutex_lock(&keys->change);
    sl_status status = read_directory(keys, now_ms, error);
    pthread_mutex_unlock(&keys->change);
    return status;
}

static json_t *key_json(const struct gw_token_keys *keys, size_t at, int64_t now_ms)
{
    size_t signs = signing(keys, now_ms);
    const char *state = at == signs ? "signing" : at < signs ? "checking" : "next";
    int64_t ends_ms = ends_at(keys, at);
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "kid", gw_jwk_kid(keys->keys[at].jwk), "state", state,
                     "made", (json_int_t)keys->keys[at].made_ms, "signsFrom",
                     (json_int_t)keys->keys[at].signs_from_ms, "endsAt",
                     ends_ms == INT64_MAX ? json_null() : json_integer(ends_ms));
}

sl_status gw_token_keys_rotate(struct gw_token_keys *keys, int64_t now_ms, bool *made, json_t **key,
                               sl_error *error)
{
    sl_status status = SL_OK;
    pthread_mutex_lock(&keys->change);
    *made = !next_waits(keys, now_ms);
    if (*made)
        status = make(keys, now_ms, now_ms + keys->settings.lead_ms, error);
    *key = status ? NULL : key_json(keys, keys->count - 1, now_ms);
    pthread_mutex_unlock(&keys->change);
    return status || *key ? status : sl_error_oom(error);
}

/* The key at `at` is to go and signs: the next one signs from now on. */
static sl_status succeed(struct gw_token_keys *keys, size_t at, int64_t now_ms, sl_error *error)
{
    if (at + 1 == keys->count)
        return make(keys, now_ms, now_ms, error);
    struct token_key next = keys->keys[at + 1];
    next.signs_from_ms = now_ms;
    sl_status status = write_state(keys, &next, error);
    pthread_rwlock_wrlock(&keys->lock);
    if (!status)
        keys->keys[at + 1] = next;
    pthread_rwlock_unlock(&keys->lock);
    return status;
}

sl_status gw_token_keys_revoke(struct gw_token_keys *keys, const char *kid, int64_t now_ms, sl_error *error)
{
    pthread_mutex_lock(&keys->change);
    size_t at = find(keys, kid);
    sl_status status = SL_OK;
    if (at == keys->count)
        status = sl_error_set(error, SL_NOT_FOUND, "there is no token key %.64s", kid);
    else if (at == signing(keys, now_ms))
        status = succeed(keys, at, now_ms, error);
    if (!status)
        status = drop(keys, find(keys, kid), error);
    pthread_mutex_unlock(&keys->change);
    return status;
}

/* --- Reading --- */

json_t *gw_token_keys_json(struct gw_token_keys *keys, int64_t now_ms)
{
    json_t *list = json_array();
    bool good = list;
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->count && good; i++)
        good = !json_array_append_new(list, key_json(keys, i, now_ms));
    pthread_rwlock_unlock(&keys->lock);
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

json_t *gw_token_keys_jwks(struct gw_token_keys *keys, int64_t now_ms)
{
    json_t *list = json_array();
    bool good = list;
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->count && good; i++)
        if (ends_at(keys, i) > now_ms)
            good = !json_array_append_new(list, gw_jwk_json(keys->keys[i].jwk));
    pthread_rwlock_unlock(&keys->lock);
    if (good)
        return json_pack("{s:o}", "keys", list);
    json_decref(list);
    return NULL;
}

sl_status gw_token_keys_sign(struct gw_token_keys *keys, int64_t now_ms, const char *payload, char **token,
                             sl_error *error)
{
    pthread_rwlock_rdlock(&keys->lock);
    struct gw_jwk *key = gw_jwk_link(keys->keys[signing(keys, now_ms)].jwk);
    pthread_rwlock_unlock(&keys->lock);
    *token = gw_jwk_sign(key, payload);
    gw_jwk_unlink(key);
    return *token ? SL_OK : sl_error_oom(error);
}

struct gw_jwk *gw_token_keys_find(struct gw_token_keys *keys, const char *kid, int64_t now_ms)
{
    struct gw_jwk *found = NULL;
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->count && !found; i++)
        if (ends_at(keys, i) > now_ms &&
            (kid ? !strcmp(gw_jwk_kid(keys->keys[i].jwk), kid) : keys->keys[i].unnamed_until_ms > now_ms))
            found = gw_jwk_link(keys->keys[i].jwk);
    pthread_rwlock_unlock(&keys->lock);
    return found;
}
