#include "gateway/store/access.h"

#include "base/array.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct key {
    char *id, *secret;
    int64_t expires_ms;         /* INT64_MAX: never */
    struct gw_account *account; /* the snapshot's */
};

/* What an outside issuer calls an application. */
struct subject {
    char *issuer, *subject;
    struct gw_account *account; /* the snapshot's */
};

/* All that is known, made anew at each change. */
struct snapshot {
    struct gw_account **accounts; /* linked; in the order of ids */
    size_t account_count, account_capacity;
    struct key *keys; /* in the order of ids */
    size_t key_count, key_capacity;
    struct subject *subjects; /* in the order of subjects, then issuers */
    size_t subject_count, subject_capacity;
};

struct gw_access {
    struct gw_applications *applications;
    gw_access_change changed;
    void *opaque;
    pthread_mutex_t refresh; /* one at a time */
    pthread_rwlock_t lock;   /* guards the pointer that follows; written only under refresh too */
    struct snapshot *snapshot;
    bool behind; /* a change was seen and could not be read; under refresh */
};

/* Accounts */

static void allowance_unlink(struct gw_allowance *allowance)
{
    if (allowance && atomic_fetch_sub(&allowance->references, 1) == 1)
        free(allowance);
}

struct gw_account *gw_account_link(struct gw_account *account)
{
    atomic_fetch_add_explicit(&account->references, 1, memory_order_relaxed);
    return account;
}

void gw_account_unlink(struct gw_account *account)
{
    if (!account || atomic_fetch_sub(&account->references, 1) > 1)
        return;
    allowance_unlink(account->allowance);
    free(account);
}

unsigned gw_account_rights(const struct gw_account *account, const char *hrn)
{
    size_t low = 0, high = hrn ? account->grant_count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(account->grants[middle].hrn, hrn);
        if (!order)
            return account->rights | account->all | account->grants[middle].rights;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return account->rights | (hrn ? account->all : 0);
}

static bool same(const struct gw_account *a, const struct gw_account *b)
{
    if (a->rights != b->rights || a->all != b->all || a->grant_count != b->grant_count ||
        strcmp(a->name, b->name) != 0)
        return false;
    for (size_t i = 0; i < a->grant_count; i++)
        if (a->grants[i].rights != b->grants[i].rights || strcmp(a->grants[i].hrn, b->grants[i].hrn) != 0)
            return false;
    return true;
}

/* Snapshots */

static void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (size_t i = 0; i < snapshot->account_count; i++)
        gw_account_unlink(snapshot->accounts[i]);
    for (size_t i = 0; i < snapshot->key_count; i++) {
        free(snapshot->keys[i].id);
        if (snapshot->keys[i].secret)
            OPENSSL_cleanse(snapshot->keys[i].secret, strlen(snapshot->keys[i].secret));
        free(snapshot->keys[i].secret);
    }
    for (size_t i = 0; i < snapshot->subject_count; i++) {
        free(snapshot->subjects[i].issuer);
        free(snapshot->subjects[i].subject);
    }
    free(snapshot->accounts);
    free(snapshot->keys);
    free(snapshot->subjects);
    free(snapshot);
}

static struct gw_account *find_account(const struct snapshot *snapshot, const char *id)
{
    size_t low = 0, high = snapshot ? snapshot->account_count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(snapshot->accounts[middle]->id, id);
        if (!order)
            return snapshot->accounts[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const struct key *find_key(const struct snapshot *snapshot, const char *id)
{
    size_t low = 0, high = snapshot->key_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(snapshot->keys[middle].id, id);
        if (!order)
            return &snapshot->keys[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int compare_subjects(const void *a, const void *b)
{
    const struct subject *one = a, *other = b;
    int order = strcmp(one->subject, other->subject);
    return order ? order : strcmp(one->issuer, other->issuer);
}

/* Reading */

/* A snapshot that is being made, and the account that rows are just being read of. */
struct reading {
    struct snapshot *snapshot;
    const struct snapshot *before;
    bool begun, has_subject; /* the subject is the snapshot's last */
    unsigned rights, all;
    struct sl_buffer text; /* id, name, principal, issuer, then the grants' HRNs, each with its NUL */
    unsigned *granted;     /* the grants' rights */
    size_t grant_count, grant_capacity;
};

/* The account of what was read, in one piece of memory. */
static struct gw_account *account_new(const struct reading *reading)
{
    size_t head = sizeof(struct gw_account) + reading->grant_count * sizeof(struct gw_grant);
    struct gw_account *account = calloc(1, head + reading->text.size);
    if (!account)
        return NULL;
    char *text = memcpy((char *)account + head, reading->text.data, reading->text.size);
    atomic_init(&account->references, 1);
    atomic_init(&account->stale, false);
    account->id = text;
    text += strlen(text) + 1;
    account->name = text;
    text += strlen(text) + 1;
    account->principal = text;
    text += strlen(text) + 1;
    account->issuer = reading->has_subject ? text : NULL;
    account->rights = reading->rights;
    account->all = reading->all;
    account->grant_count = reading->grant_count;
    for (size_t i = 0; i < reading->grant_count; i++) {
        text += strlen(text) + 1;
        account->grants[i] = (struct gw_grant){.hrn = text, .rights = reading->granted[i]};
    }
    return account;
}

/* The account that stood there when nothing in it is new, or else takes its allowance. NULL: no memory. */
static struct gw_account *instead_of(struct gw_account *before, struct gw_account *account)
{
    if (before && same(before, account)) {
        gw_account_unlink(account);
        return gw_account_link(before);
    }
    if (before) {
        account->allowance = before->allowance;
        atomic_fetch_add(&account->allowance->references, 1);
    } else if ((account->allowance = calloc(1, sizeof *account->allowance))) {
        atomic_init(&account->allowance->references, 1);
    } else {
        gw_account_unlink(account);
        return NULL;
    }
    return account;
}

/* The rows of one application are read: its account goes into the snapshot. */
static bool finish_account(struct reading *reading)
{
    struct snapshot *snapshot = reading->snapshot;
    if (!reading->begun)
        return true;
    reading->begun = false;
    if (reading->text.failed || !sl_array_reserve((void **)&snapshot->accounts, snapshot->account_count,
                                                  &snapshot->account_capacity, sizeof *snapshot->accounts))
        return false;
    struct gw_account *account = account_new(reading);
    if (account)
        account = instead_of(find_account(reading->before, account->id), account);
    if (!account)
        return false;
    snapshot->accounts[snapshot->account_count++] = account;
    if (reading->has_subject)
        snapshot->subjects[snapshot->subject_count - 1].account = account;
    return true;
}

static bool add_subject(struct snapshot *snapshot, const char *issuer, const char *subject)
{
    if (!sl_array_reserve((void **)&snapshot->subjects, snapshot->subject_count, &snapshot->subject_capacity,
                          sizeof *snapshot->subjects))
        return false;
    struct subject *added = &snapshot->subjects[snapshot->subject_count++];
    *added = (struct subject){.issuer = sl_strdup(issuer), .subject = sl_strdup(subject)};
    return added->issuer && added->subject;
}

static bool begin_account(struct reading *reading, const char *id, const char *name, unsigned rights,
                          const char *issuer, const char *subject)
{
    reading->begun = true;
    reading->has_subject = issuer && subject;
    const char *principal = reading->has_subject ? subject : id, *maker = reading->has_subject ? issuer : "";
    reading->rights = rights;
    reading->all = 0;
    reading->grant_count = 0;
    sl_buffer_reset(&reading->text);
    return sl_buffer_append(&reading->text, id, strlen(id) + 1) &&
           sl_buffer_append(&reading->text, name, strlen(name) + 1) &&
           sl_buffer_append(&reading->text, principal, strlen(principal) + 1) &&
           sl_buffer_append(&reading->text, maker, strlen(maker) + 1) &&
           (!reading->has_subject || add_subject(reading->snapshot, issuer, subject));
}

static bool read_grant(void *opaque, const char *id, const char *name, const char *issuer,
                       const char *subject, unsigned rights, const char *hrn, unsigned granted)
{
    struct reading *reading = opaque;
    if (!reading->begun || strcmp(reading->text.data, id) != 0)
        if (!finish_account(reading) || !begin_account(reading, id, name, rights, issuer, subject))
            return false;
    if (!hrn)
        return true;
    if (!strcmp(hrn, GW_EVERY_CATALOG)) {
        reading->all = granted;
        return true;
    }
    if (!sl_array_reserve((void **)&reading->granted, reading->grant_count, &reading->grant_capacity,
                          sizeof *reading->granted))
        return false;
    reading->granted[reading->grant_count++] = granted;
    return sl_buffer_append(&reading->text, hrn, strlen(hrn) + 1);
}

static bool read_key(void *opaque, const char *key_id, const char *secret, int64_t expires_ms, const char *id)
{
    struct reading *reading = opaque;
    struct snapshot *snapshot = reading->snapshot;
    if (!finish_account(reading) || !sl_array_reserve((void **)&snapshot->keys, snapshot->key_count,
                                                      &snapshot->key_capacity, sizeof *snapshot->keys))
        return false;
    struct key *key = &snapshot->keys[snapshot->key_count++];
    *key = (struct key){.id = sl_strdup(key_id),
                        .secret = sl_strdup(secret),
                        .expires_ms = expires_ms,
                        .account = find_account(snapshot, id)};
    return key->id && key->secret && key->account;
}

static sl_status read_all(struct gw_access *access, struct snapshot **out, sl_error *error)
{
    struct reading reading = {.snapshot = calloc(1, sizeof *reading.snapshot), .before = access->snapshot};
    const struct gw_applications_visitor visitor = {.grant = read_grant, .key = read_key, .opaque = &reading};
    *out = NULL;
    if (!reading.snapshot)
        return sl_error_oom(error);
    sl_buffer_init(&reading.text, SIZE_MAX / 2);
    sl_status status = gw_applications_visit(access->applications, &visitor, error);
    if (!status && !finish_account(&reading))
        status = sl_error_oom(error);
    sl_buffer_free(&reading.text);
    free(reading.granted);
    if (status) {
        snapshot_free(reading.snapshot);
        return status;
    }
    if (reading.snapshot->subject_count)
        qsort(reading.snapshot->subjects, reading.snapshot->subject_count, sizeof *reading.snapshot->subjects,
              compare_subjects);
    *out = reading.snapshot;
    return SL_OK;
}

/* Keeping it */

sl_status gw_access_open(struct gw_applications *applications, gw_access_change changed, void *opaque,
                         struct gw_access **out, sl_error *error)
{
    struct gw_access *access = calloc(1, sizeof *access);
    *out = access;
    if (!access)
        return sl_error_oom(error);
    pthread_mutex_init(&access->refresh, NULL);
    pthread_rwlock_init(&access->lock, NULL);
    access->applications = applications;
    sl_status status = gw_access_refresh(access, false, error);
    access->changed = changed;
    access->opaque = opaque;
    if (status)
        gw_access_close(out);
    return status;
}

void gw_access_close(struct gw_access **out)
{
    struct gw_access *access = *out;
    if (!access)
        return;
    *out = NULL;
    snapshot_free(access->snapshot);
    pthread_rwlock_destroy(&access->lock);
    pthread_mutex_destroy(&access->refresh);
    free(access);
}

/* Under refresh. */
static sl_status replace(struct gw_access *access, sl_error *error)
{
    struct snapshot *fresh, *old = access->snapshot;
    sl_status status = read_all(access, &fresh, error);
    if (status)
        return status;
    pthread_rwlock_wrlock(&access->lock);
    access->snapshot = fresh;
    pthread_rwlock_unlock(&access->lock);
    for (size_t i = 0; old && i < old->account_count; i++) {
        struct gw_account *before = old->accounts[i];
        const struct gw_account *after = find_account(fresh, before->id);
        if (after != before)
            atomic_store(&before->stale, true);
    }
    for (size_t i = 0; old && i < old->account_count && access->changed; i++) {
        const struct gw_account *before = old->accounts[i], *after = find_account(fresh, before->id);
        if (after != before)
            access->changed(access->opaque, before, after);
    }
    for (size_t i = 0; i < fresh->account_count && access->changed; i++)
        if (!find_account(old, fresh->accounts[i]->id))
            access->changed(access->opaque, NULL, fresh->accounts[i]);
    snapshot_free(old);
    return SL_OK;
}

sl_status gw_access_refresh(struct gw_access *access, bool only_if_changed, sl_error *error)
{
    bool changed;
    pthread_mutex_lock(&access->refresh);
    /* Asked in any case, and before it is read: what comes later will be seen as a change. */
    sl_status status = gw_applications_changed(access->applications, &changed, error);
    if (!status && (changed || access->behind || !only_if_changed)) {
        status = replace(access, error);
        access->behind = status != SL_OK;
    }
    pthread_mutex_unlock(&access->refresh);
    return status;
}

/* Finding */

void gw_access_each(struct gw_access *access, void (*visit)(void *opaque, const struct gw_account *account),
                    void *opaque)
{
    pthread_rwlock_rdlock(&access->lock);
    for (size_t i = 0; i < access->snapshot->account_count; i++)
        visit(opaque, access->snapshot->accounts[i]);
    pthread_rwlock_unlock(&access->lock);
}

struct gw_account *gw_access_find(struct gw_access *access, const char *id)
{
    pthread_rwlock_rdlock(&access->lock);
    struct gw_account *account = find_account(access->snapshot, id);
    if (account)
        gw_account_link(account);
    pthread_rwlock_unlock(&access->lock);
    return account;
}

struct gw_account *gw_access_renew(struct gw_access *access, struct gw_account *account)
{
    if (!atomic_load_explicit(&account->stale, memory_order_acquire))
        return account;
    struct gw_account *fresh = gw_access_find(access, account->id);
    gw_account_unlink(account);
    return fresh;
}

static struct gw_account *look_for_subject(struct gw_access *access, const struct subject *wanted)
{
    pthread_rwlock_rdlock(&access->lock);
    const struct snapshot *snapshot = access->snapshot;
    const struct subject *found = snapshot->subject_count
                                      ? bsearch(wanted, snapshot->subjects, snapshot->subject_count,
                                                sizeof *snapshot->subjects, compare_subjects)
                                      : NULL;
    struct gw_account *account = found ? gw_account_link(found->account) : NULL;
    pthread_rwlock_unlock(&access->lock);
    return account;
}

struct gw_account *gw_access_find_subject(struct gw_access *access, const char *issuer, const char *subject)
{
    const struct subject wanted = {.issuer = (char *)(uintptr_t)issuer,
                                   .subject = (char *)(uintptr_t)subject};
    struct gw_account *account = look_for_subject(access, &wanted);
    if (account || gw_access_refresh(access, true, NULL))
        return account;
    return look_for_subject(access, &wanted);
}

static struct gw_account *look_for_key(struct gw_access *access, const char *key_id, int64_t now_ms,
                                       char secret[GW_SECRET_SIZE])
{
    struct gw_account *account = NULL;
    pthread_rwlock_rdlock(&access->lock);
    const struct key *key = find_key(access->snapshot, key_id);
    if (key && key->expires_ms > now_ms && strlen(key->secret) < GW_SECRET_SIZE) {
        account = gw_account_link(key->account);
        memcpy(secret, key->secret, strlen(key->secret) + 1);
    }
    pthread_rwlock_unlock(&access->lock);
    return account;
}

struct gw_account *gw_access_find_key(struct gw_access *access, const char *key_id, int64_t now_ms,
                                      char secret[GW_SECRET_SIZE])
{
    memset(secret, 0, GW_SECRET_SIZE);
    struct gw_account *account = look_for_key(access, key_id, now_ms, secret);
    if (account || gw_access_refresh(access, true, NULL))
        return account;
    return look_for_key(access, key_id, now_ms, secret);
}
