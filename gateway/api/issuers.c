#include "gateway/api/issuers.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define JWKS_MAX           ((size_t)256 * 1024) /* bytes of a JWKS */
#define FETCH_TIMEOUT_MS   5000                 /* so that a token that waits is answered in time */
#define CONNECT_TIMEOUT_MS 3000
#define ASK_AGAIN_MS       30000 /* for a key that is not known, at most so often */
#define ASK_FIRST_MS       5000  /* the same while there never was any */
#define SECTION            SL_GATEWAY_ROOT "token.issuers."
#define CA_FILE            SECTION "NAME.ca-file"

struct gw_issuer {
    struct gw_issuers *all;
    char *name, *issuer, *audience, *file, *url, *claim;
    struct sl_http *http; /* of one with a URL */

    pthread_mutex_t lock; /* guards what follows */
    struct gw_jwk *keys[GW_JWKS_KEYS_MAX];
    size_t count;
    bool had;         /* keys were got once */
    bool asking;      /* a request is under way */
    int64_t asked_ms; /* sl_mono_ms() of the last time; 0: never */
    struct stat seen; /* the file as it was read */
    struct gw_key_wait *waiting;
    size_t waiting_count;
};

struct gw_issuers {
    struct sl_log log;
    _Atomic int64_t refresh_ms;
    atomic_uint *epoch;
    size_t count;
    struct gw_issuer list[];
};

/* --- A JWKS --- */

static bool contains(struct gw_jwk *const *keys, size_t count, const struct gw_jwk *key)
{
    for (size_t i = 0; i < count; i++)
        if (gw_jwk_equal(keys[i], key))
            return true;
    return false;
}

/* The lock is held. What is there stays when the document is none. */
static sl_status take_jwks(struct gw_issuer *issuer, const char *text, size_t size, sl_error *error)
{
    struct gw_jwk *keys[GW_JWKS_KEYS_MAX];
    size_t count;
    sl_status status = gw_jwks_parse(text, size, keys, &count, error);
    if (status)
        return status;
    bool lost = false;
    for (size_t i = 0; i < issuer->count; i++) {
        lost = lost || !contains(keys, count, issuer->keys[i]);
        gw_jwk_unlink(issuer->keys[i]);
    }
    memcpy(issuer->keys, keys, count * sizeof *keys);
    issuer->count = count;
    issuer->had = true;
    if (lost)
        atomic_fetch_add(issuer->all->epoch, 1);
    if (!count)
        SL_WARNING(
            &issuer->all->log,
            "token issuer %s: its JWKS has no key that is of use here (EC P-256 or P-384, RSA from 2048 "
            "bits on, use sig): all its tokens are refused",
            issuer->name);
    return SL_OK;
}

/* --- From a file --- */

static sl_status read_all(int fd, struct sl_buffer *text, sl_error *error)
{
    for (;;) {
        if (!sl_buffer_reserve(text, 4096))
            return sl_error_set(error, SL_TOO_LARGE, "it is over %zu KiB", JWKS_MAX / 1024);
        ssize_t got = read(fd, text->data + text->size, 4096);
        if (got < 0)
            return sl_error_set(error, SL_IO, "%s", sl_errno_text(errno));
        if (!got)
            return SL_OK;
        text->size += (size_t)got;
    }
}

static sl_status read_bytes(const char *file, struct stat *info, struct sl_buffer *text, sl_error *error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    sl_status status = SL_OK;
    if (fd < 0 || fstat(fd, info))
        status = sl_error_set(error, SL_IO, "%s", sl_errno_text(errno));
    else if (!S_ISREG(info->st_mode))
        status = sl_error_set(error, SL_IO, "it is no file");
    if (!status)
        status = read_all(fd, text, error);
    if (fd >= 0)
        close(fd);
    return status;
}

static void prefix_file(const char *name, const char *file, sl_error *error)
{
    sl_error_prefix(error, SECTION "%s.jwks-file: %s", name, file);
}

/* The lock is held. */
static sl_status read_file(struct gw_issuer *issuer, sl_error *error)
{
    struct stat info;
    struct sl_buffer text;
    sl_buffer_init(&text, JWKS_MAX);
    sl_status status = read_bytes(issuer->file, &info, &text, error);
    if (!status)
        status = take_jwks(issuer, text.data ? text.data : "", text.size, error);
    if (!status)
        issuer->seen = info;
    sl_buffer_free(&text);
    if (status)
        prefix_file(issuer->name, issuer->file, error);
    return status;
}

static bool file_changed(const struct gw_issuer *issuer)
{
    struct stat info;
    const struct stat *seen = &issuer->seen;
    return !stat(issuer->file, &info) &&
           (info.st_ino != seen->st_ino || info.st_dev != seen->st_dev || info.st_size != seen->st_size ||
            info.st_mtim.tv_sec != seen->st_mtim.tv_sec || info.st_mtim.tv_nsec != seen->st_mtim.tv_nsec);
}

/* The lock is held. */
static void reread_file(struct gw_issuer *issuer)
{
    sl_error error = {0};
    if (file_changed(issuer) && read_file(issuer, &error))
        SL_WARNING(&issuer->all->log, "%s; the keys that were read before stay", error.text);
}

/* --- From a URL --- */

/* On the engine's thread. */
static void answered(void *opaque, struct sl_http_response *response)
{
    struct gw_issuer *issuer = opaque;
    sl_error error = {0};
    sl_status status = SL_OK;
    pthread_mutex_lock(&issuer->lock);
    if (response->status == 200)
        status =
            take_jwks(issuer, response->body.data ? response->body.data : "", response->body.size, &error);
    else if (response->status)
        status = sl_error_set(&error, SL_UNAVAILABLE, "it answered with status %d", response->status);
    else
        error = response->error, status = error.status;
    bool had = issuer->had;
    issuer->asking = false;
    struct gw_key_wait *waiting = issuer->waiting;
    issuer->waiting = NULL;
    issuer->waiting_count = 0;
    pthread_mutex_unlock(&issuer->lock);
    if (status && status != SL_CLOSED)
        SL_WARNING(&issuer->all->log, "token issuer %s: no keys from %s: %s%s", issuer->name, issuer->url,
                   error.text, had ? "; those that were had before stay" : "");
    while (waiting) {
        struct gw_key_wait *next = waiting->next;
        waiting->ready(waiting);
        waiting = next;
    }
}

/* The lock is held. */
static void ask(struct gw_issuer *issuer, int64_t now_ms)
{
    static const struct sl_http_header accept = {"Accept", "application/jwk-set+json, application/json"};
    const struct sl_http_request request = {
        .method = "GET", .url = issuer->url, .headers = &accept, .header_count = 1, .max_response = JWKS_MAX};
    sl_error error = {0};
    issuer->asked_ms = now_ms;
    issuer->asking = true;
    if (sl_http_begin(issuer->http, &request, answered, issuer, &error)) {
        issuer->asking = false;
        SL_WARNING(&issuer->all->log, "token issuer %s: its keys cannot be asked for: %s", issuer->name,
                   error.text);
    }
}

/* --- Opening --- */

/* Where the setting is written, before the error. */
static void locate(const struct gw_issuer_settings *settings, const char *name, sl_error *error)
{
    char path[256];
    snprintf(path, sizeof path, SECTION "%s.%s", settings->name, name);
    if (settings->config)
        sl_config_prefix(settings->config, path, error);
}

static void bad(const struct gw_issuer_settings *settings, const char *name, const char *why,
                struct gw_faults *faults)
{
    sl_error error = {0};
    sl_error_set(&error, SL_BAD_CONFIG, SECTION "%s.%s %s", settings->name, name, why);
    locate(settings, name, &error);
    gw_fault(faults, SL_BAD_CONFIG, &error);
}

/* Whether a URL leads to this machine, where nobody on the way can change what comes. */
static bool is_loopback(const char *url)
{
    char host[64];
    struct in_addr v4;
    const char *from = url + strlen("http://");
    size_t size = *from == '[' ? strcspn(from, "]") + 1 : strcspn(from, ":/?#");
    if (size >= sizeof host)
        return false;
    memcpy(host, from, size);
    host[size] = 0;
    return !strcasecmp(host, "localhost") || !strcmp(host, "[::1]") ||
           (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static void check_keys(const struct gw_issuer_settings *settings, struct gw_faults *faults)
{
    const char *url = settings->jwks_url;
    if (!settings->jwks_file == !url)
        bad(settings, "jwks-file or jwks-url", "must be set, one of the two", faults);
    else if (url && sl_url_has_user(url))
        bad(settings, "jwks-url", "has a user's name or password in it: leave it out", faults);
    else if (url && !strncasecmp(url, "http://", 7) && !is_loopback(url))
        bad(settings, "jwks-url",
            "is http:// and not on this machine: use https://, or anyone on the way could put in keys of "
            "their own",
            faults);
}

/* The issuer of settings[at] is one by itself. */
static void check_name(const struct gw_issuer_settings *settings, size_t at, const char *own,
                       struct gw_faults *faults)
{
    const char *issuer = settings[at].issuer;
    if (!issuer || !*issuer) {
        bad(&settings[at], "issuer", "is not set: say what the tokens have as iss", faults);
        return;
    }
    if (!strcmp(issuer, own))
        bad(&settings[at], "issuer",
            "is the gateway's own (streamlayer.gateway.token.issuer): give one of them another name", faults);
    for (size_t i = 0; i < at; i++)
        if (settings[i].issuer && !strcmp(issuer, settings[i].issuer)) {
            bad(&settings[at], "issuer", "is another one's, too: each has its own", faults);
            return;
        }
}

/* What the settings point to. */
static sl_status check_files(const struct gw_issuer_settings *settings, sl_error *error)
{
    struct gw_jwk *keys[GW_JWKS_KEYS_MAX];
    struct stat info;
    struct sl_buffer text;
    size_t count = 0;
    if (!settings->jwks_file) {
        const struct sl_http_settings http = {.tls.ca_file = settings->ca_file, .names.ca_file = CA_FILE};
        sl_status status = sl_tls_check(&http, NULL, error);
        if (status) {
            sl_error_prefix(error, SECTION "%s", settings->name);
            locate(settings, "ca-file", error);
        }
        return status;
    }
    sl_buffer_init(&text, JWKS_MAX);
    sl_status status = read_bytes(settings->jwks_file, &info, &text, error);
    if (!status)
        status = gw_jwks_parse(text.data ? text.data : "", text.size, keys, &count, error);
    while (count)
        gw_jwk_unlink(keys[--count]);
    sl_buffer_free(&text);
    if (!status)
        return SL_OK;
    prefix_file(settings->name, settings->jwks_file, error);
    locate(settings, "jwks-file", error);
    return error->status = SL_BAD_CONFIG;
}

void gw_issuers_check(const struct gw_issuer_settings *settings, size_t count, const char *own,
                      struct gw_faults *faults)
{
    sl_error error = {0};
    for (size_t i = 0; i < count; i++) {
        check_name(settings, i, own, faults);
        if (!settings[i].audience || !*settings[i].audience)
            bad(&settings[i], "audience",
                "is not set: say what the tokens have as aud, so that those for others are refused", faults);
        check_keys(&settings[i], faults);
        gw_fault(faults, check_files(&settings[i], &error), &error);
    }
}

static sl_status start_url(struct gw_issuer *issuer, const struct gw_issuer_settings *settings,
                           const struct sl_http_settings *http, sl_error *error)
{
    struct sl_http_settings own = *http;
    own.max_connections = 1;
    own.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    own.timeout_ms = FETCH_TIMEOUT_MS;
    own.retries = 0;
    own.tls = (struct sl_http_tls){.ca_file = settings->ca_file};
    sl_status status = sl_http_create(&own, &issuer->all->log, &issuer->http, error);
    if (status) {
        sl_error_prefix(error, SECTION "%s", issuer->name);
        return status;
    }
    pthread_mutex_lock(&issuer->lock);
    ask(issuer, sl_mono_ms());
    pthread_mutex_unlock(&issuer->lock);
    return SL_OK;
}

static sl_status open_one(struct gw_issuer *issuer, const struct gw_issuer_settings *settings,
                          const struct sl_http_settings *http, sl_error *error)
{
    const char *claim = settings->claim && *settings->claim ? settings->claim : "sub";
    if (!(issuer->name = strdup(settings->name)) || !(issuer->issuer = strdup(settings->issuer)) ||
        !(issuer->audience = strdup(settings->audience)) || !(issuer->claim = strdup(claim)) ||
        (settings->jwks_file && !(issuer->file = strdup(settings->jwks_file))) ||
        (settings->jwks_url && !(issuer->url = strdup(settings->jwks_url))))
        return sl_error_oom(error);
    if (issuer->url)
        return start_url(issuer, settings, http, error);
    pthread_mutex_lock(&issuer->lock);
    sl_status status = read_file(issuer, error);
    pthread_mutex_unlock(&issuer->lock);
    if (status)
        error->status = SL_BAD_CONFIG;
    return status ? SL_BAD_CONFIG : SL_OK;
}

sl_status gw_issuers_open(const struct gw_issuer_settings *settings, size_t count, const char *own,
                          int64_t refresh_ms, const struct sl_http_settings *http, const struct sl_log *log,
                          atomic_uint *epoch, struct gw_issuers **out, sl_error *error)
{
    struct gw_issuers *issuers = calloc(1, sizeof *issuers + count * sizeof *issuers->list);
    sl_error unused;
    *out = issuers;
    if (!issuers)
        return sl_error_oom(error);
    if (!error)
        error = &unused;
    atomic_store(&issuers->refresh_ms, refresh_ms);
    issuers->epoch = epoch;
    if (log)
        issuers->log = *log;
    *error = (sl_error){0};
    struct gw_faults faults = {.tell = gw_fault_keep, .opaque = error};
    gw_issuers_check(settings, count, own, &faults);
    sl_status status = error->status;
    for (size_t i = 0; i < count && !status; i++) {
        struct gw_issuer *issuer = &issuers->list[i];
        pthread_mutex_init(&issuer->lock, NULL);
        issuer->all = issuers;
        issuers->count++;
        status = open_one(issuer, &settings[i], http, error);
    }
    if (status)
        gw_issuers_close(out);
    return status;
}

void gw_issuers_finish(struct gw_issuers *issuers)
{
    for (size_t i = 0; i < issuers->count; i++) {
        struct gw_issuer *issuer = &issuers->list[i];
        pthread_mutex_lock(&issuer->lock);
        struct sl_http *http = issuer->http;
        issuer->http = NULL; /* nothing is asked any more */
        pthread_mutex_unlock(&issuer->lock);
        sl_http_destroy(&http);
    }
}

void gw_issuers_close(struct gw_issuers **out)
{
    struct gw_issuers *issuers = *out;
    if (!issuers)
        return;
    *out = NULL;
    gw_issuers_finish(issuers);
    for (size_t i = 0; i < issuers->count; i++) {
        struct gw_issuer *issuer = &issuers->list[i];
        for (size_t k = 0; k < issuer->count; k++)
            gw_jwk_unlink(issuer->keys[k]);
        pthread_mutex_destroy(&issuer->lock);
        free(issuer->name);
        free(issuer->issuer);
        free(issuer->audience);
        free(issuer->file);
        free(issuer->url);
        free(issuer->claim);
    }
    free(issuers);
}

/* --- Use --- */

void gw_issuers_set_refresh(struct gw_issuers *issuers, int64_t refresh_ms)
{
    atomic_store(&issuers->refresh_ms, refresh_ms);
}

void gw_issuers_reread(struct gw_issuers *issuers)
{
    for (size_t i = 0; i < issuers->count; i++) {
        struct gw_issuer *issuer = &issuers->list[i];
        pthread_mutex_lock(&issuer->lock);
        if (issuer->file)
            reread_file(issuer);
        pthread_mutex_unlock(&issuer->lock);
    }
}

void gw_issuers_tick(struct gw_issuers *issuers, int64_t now_ms, int64_t *next_ms)
{
    *next_ms = INT64_MAX;
    for (size_t i = 0; i < issuers->count; i++) {
        struct gw_issuer *issuer = &issuers->list[i];
        pthread_mutex_lock(&issuer->lock);
        /* Where there are none yet, soon again: requests need them. */
        int64_t wait_ms = issuer->had ? atomic_load(&issuers->refresh_ms) : ASK_FIRST_MS;
        if (now_ms >= issuer->asked_ms + wait_ms && !issuer->asking) {
            issuer->asked_ms = now_ms;
            if (issuer->file)
                reread_file(issuer);
            else if (issuer->http)
                ask(issuer, now_ms);
        }
        if (issuer->asked_ms + wait_ms < *next_ms)
            *next_ms = issuer->asked_ms + wait_ms;
        pthread_mutex_unlock(&issuer->lock);
    }
}

struct gw_issuer *gw_issuers_find(struct gw_issuers *issuers, const char *issuer)
{
    for (size_t i = 0; i < issuers->count; i++)
        if (!strcmp(issuers->list[i].issuer, issuer))
            return &issuers->list[i];
    return NULL;
}

const char *gw_issuer_audience(const struct gw_issuer *issuer)
{
    return issuer->audience;
}

const char *gw_issuer_claim(const struct gw_issuer *issuer)
{
    return issuer->claim;
}

/* The lock is held. Without a kid there must be one only, so that it is clear which is meant. */
static struct gw_jwk *find_key(const struct gw_issuer *issuer, const char *kid, const char *algorithm)
{
    struct gw_jwk *found = NULL;
    for (size_t i = 0; i < issuer->count; i++) {
        const char *name = gw_jwk_kid(issuer->keys[i]);
        if (!gw_jwk_serves(issuer->keys[i], algorithm) || (kid && (!name || strcmp(name, kid) != 0)))
            continue;
        if (found)
            return NULL;
        found = issuer->keys[i];
    }
    return found ? gw_jwk_link(found) : NULL;
}

/* The lock is held. Whether the caller is to wait for an answer. */
static bool ask_for(struct gw_issuer *issuer, struct gw_key_wait *wait)
{
    int64_t now_ms = sl_mono_ms();
    int64_t pause_ms = issuer->had ? ASK_AGAIN_MS : ASK_FIRST_MS;
    if (!wait || !issuer->http || issuer->waiting_count == GW_ISSUER_WAITERS_MAX)
        return false;
    if (!issuer->asking && (!issuer->asked_ms || now_ms >= issuer->asked_ms + pause_ms))
        ask(issuer, now_ms);
    if (!issuer->asking)
        return false;
    wait->next = issuer->waiting;
    issuer->waiting = wait;
    issuer->waiting_count++;
    return true;
}

sl_status gw_issuer_key(struct gw_issuer *issuer, const char *kid, const char *algorithm,
                        struct gw_key_wait *wait, bool *later, struct gw_jwk **key, sl_error *error)
{
    pthread_mutex_lock(&issuer->lock);
    *key = find_key(issuer, kid, algorithm);
    if (!*key && issuer->file) {
        reread_file(issuer);
        *key = find_key(issuer, kid, algorithm);
    }
    *later = !*key && ask_for(issuer, wait);
    bool had = issuer->had;
    pthread_mutex_unlock(&issuer->lock);
    if (*key || *later)
        return SL_OK;
    if (!had)
        return sl_error_set_retriable(error, SL_UNAVAILABLE,
                                      "the keys of the bearer token's issuer, %s, cannot be had now",
                                      issuer->issuer);
    return sl_error_set(error, SL_UNAUTHENTICATED,
                        "the bearer token is signed with a key that its issuer, %s, does not publish for %s",
                        issuer->issuer, algorithm);
}
