#include "gateway/store/market.h"

#include "base/array.h"
#include "base/error.h"
#include "base/time.h"
#include "gateway/store/applications.h"
#include "gateway/store/db.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const char *const gw_period_names[GW_PERIOD_COUNT] = {"all", "month", "day"};

struct gw_market {
    pthread_mutex_t change; /* one call on the file at a time */
    sqlite3 *db;
    pthread_rwlock_t lock;               /* guards what follows; written only under change too */
    struct gw_market_subscription **all; /* in the order of applications and HRNs */
    size_t count;
};

/* Subscriptions */

struct gw_market_flow *gw_market_flow_link(struct gw_market_flow *flow)
{
    atomic_fetch_add_explicit(&flow->references, 1, memory_order_relaxed);
    return flow;
}

void gw_market_flow_unlink(struct gw_market_flow *flow)
{
    if (flow && atomic_fetch_sub(&flow->references, 1) == 1)
        free(flow);
}

void gw_market_unlink(struct gw_market_subscription *subscription)
{
    if (!subscription || atomic_fetch_sub(&subscription->references, 1) > 1)
        return;
    gw_market_flow_unlink(subscription->flow);
    free(subscription);
}

enum gw_standing gw_market_standing(const struct gw_market_subscription *subscription, int64_t now_ms)
{
    if (!subscription)
        return GW_STANDING_NONE;
    if (now_ms < subscription->terms.from_ms)
        return GW_STANDING_EARLY;
    return now_ms < subscription->terms.until_ms ? GW_STANDING_CURRENT : GW_STANDING_ENDED;
}

static int compare(const char *application, const char *hrn, const struct gw_market_subscription *other)
{
    int order = strcmp(application, other->application);
    return order ? order : strcmp(hrn, other->hrn);
}

static struct gw_market_subscription *find(struct gw_market_subscription *const *all, size_t count,
                                           const char *application, const char *hrn)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(application, hrn, all[middle]);
        if (!order)
            return all[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* One in one piece of memory, with the flow of the one before it (NULL: there was none). */
static struct gw_market_subscription *subscription_new(const char *application, const char *hrn,
                                                       const struct gw_market_terms *terms,
                                                       const struct gw_market_subscription *before)
{
    size_t id_size = strlen(application) + 1, hrn_size = strlen(hrn) + 1;
    struct gw_market_subscription *made = malloc(sizeof *made + id_size + hrn_size);
    struct gw_market_flow *flow = !made    ? NULL
                                  : before ? gw_market_flow_link(before->flow)
                                           : calloc(1, sizeof *flow);
    if (!flow) {
        free(made);
        return NULL;
    }
    if (!before)
        atomic_init(&flow->references, 1);
    char *text = (char *)(made + 1);
    *made = (struct gw_market_subscription){
        .application = memcpy(text, application, id_size),
        .hrn = memcpy(text + id_size, hrn, hrn_size),
        .terms = *terms,
        .flow = flow,
    };
    atomic_init(&made->references, 1);
    /* A rate that was agreed on holds whether or not layers' rates are kept. */
    atomic_store(&flow->out.always, terms->out_kbps < GW_MARKET_KBPS_MAX);
    gw_throttle_set_rate(&flow->out, (int64_t)terms->out_kbps * 1024);
    return made;
}

/* Reading */

struct reading {
    const struct gw_market *market;
    struct gw_market_subscription **all;
    size_t count, capacity;
    bool failed;
};

static struct gw_market_terms terms_of(sqlite3_stmt *row, int column)
{
    return (struct gw_market_terms){
        .from_ms = sqlite3_column_int64(row, column),
        .until_ms = sqlite3_column_type(row, column + 1) == SQLITE_NULL
                        ? INT64_MAX
                        : sqlite3_column_int64(row, column + 1),
        .out_kbps = sqlite3_column_int(row, column + 2),
        .volume = sqlite3_column_int64(row, column + 3),
        .period = (enum gw_period)sqlite3_column_int(row, column + 4),
    };
}
#define TERMS "s.from_ms, s.until_ms, s.out_kbps, s.volume, s.period"

static bool read_row(void *opaque, sqlite3_stmt *row)
{
    struct reading *reading = opaque;
    const char *application = gw_db_text(row, 0), *hrn = gw_db_text(row, 1);
    const struct gw_market_terms terms = terms_of(row, 2);
    struct gw_market_subscription *made =
        sl_array_reserve((void **)&reading->all, reading->count, &reading->capacity, sizeof *reading->all)
            ? subscription_new(application, hrn, &terms,
                               find(reading->market->all, reading->market->count, application, hrn))
            : NULL;
    reading->failed = !made;
    if (made)
        reading->all[reading->count++] = made;
    return !reading->failed;
}

static void release(struct gw_market_subscription **all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gw_market_unlink(all[i]);
    free(all);
}

/* Under change. */
static sl_status refresh(struct gw_market *market, sl_error *error)
{
    struct reading reading = {.market = market};
    sl_status status = gw_db_run(market->db,
                                 "SELECT s.application, s.hrn, " TERMS " FROM marketplace_subscriptions s "
                                 "ORDER BY s.application, s.hrn",
                                 read_row, &reading, NULL, error, "");
    if (!status && reading.failed)
        status = sl_error_oom(error);
    if (status) {
        release(reading.all, reading.count);
        return status;
    }
    struct gw_market_subscription **old = market->all;
    size_t old_count = market->count;
    pthread_rwlock_wrlock(&market->lock);
    market->all = reading.all;
    market->count = reading.count;
    pthread_rwlock_unlock(&market->lock);
    release(old, old_count);
    return SL_OK;
}

sl_status gw_market_refresh(struct gw_market *market, sl_error *error)
{
    pthread_mutex_lock(&market->change);
    sl_status status = refresh(market, error);
    pthread_mutex_unlock(&market->change);
    return status;
}

sl_status gw_market_open(const char *data_directory, struct gw_market **out, sl_error *error)
{
    struct gw_market *market = *out = calloc(1, sizeof *market);
    if (!market)
        return sl_error_oom(error);
    pthread_mutex_init(&market->change, NULL);
    pthread_rwlock_init(&market->lock, NULL);
    sl_status status = gw_db_open(data_directory, &market->db, error);
    if (!status && (status = refresh(market, error)))
        sl_error_prefix(error, "%s/catalogs.db", data_directory);
    if (status)
        gw_market_close(out);
    return status;
}

void gw_market_close(struct gw_market **out)
{
    struct gw_market *market = *out;
    if (!market)
        return;
    *out = NULL;
    release(market->all, market->count);
    sqlite3_close(market->db);
    pthread_rwlock_destroy(&market->lock);
    pthread_mutex_destroy(&market->change);
    free(market);
}

struct gw_market_subscription *gw_market_find(struct gw_market *market, const char *application,
                                              const char *hrn)
{
    pthread_rwlock_rdlock(&market->lock);
    struct gw_market_subscription *found = find(market->all, market->count, application, hrn);
    if (found)
        atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
    pthread_rwlock_unlock(&market->lock);
    return found;
}

/* Changing */

static sl_status check_catalog(struct gw_market *market, const char *hrn, sl_error *error)
{
    int64_t marketplace = -1;
    sl_status status = gw_db_run(market->db, "SELECT marketplace FROM catalogs WHERE hrn = ? AND state = 1",
                                 gw_db_read_number, &marketplace, NULL, error, "s", hrn);
    if (!status && marketplace < 0)
        status = sl_error_set(error, SL_UNSUPPORTED, "there is no catalog %.300s", hrn);
    else if (!status && !marketplace)
        status = sl_error_set(error, SL_CONFLICT, "the catalog %.300s is not on the Marketplace", hrn);
    return status;
}

/* What of a statement's arguments may be null has a place of its own: gw_db_run has no letter for that. */
static sl_status insert(struct gw_market *market, const char *id, const char *hrn,
                        const struct gw_market_terms *terms, const char *by, sl_error *error)
{
    return gw_db_run(market->db,
                     "INSERT OR REPLACE INTO marketplace_subscriptions (application, hrn, from_ms, until_ms, "
                     "out_kbps, volume, period, subscribed_by, created_ms) "
                     "VALUES (?1, ?2, ?3, nullif(?4, 9223372036854775807), ?5, nullif(?6, 0), ?7, ?8, ?9)",
                     NULL, NULL, NULL, error, "ssiiiiisi", id, hrn, terms->from_ms, terms->until_ms,
                     (int64_t)terms->out_kbps, terms->volume, (int64_t)terms->period, by, sl_wall_ms());
}

sl_status gw_market_set(struct gw_market *market, const char *application, const char *hrn,
                        const struct gw_market_terms *terms, const char *by, sl_error *error)
{
    char id[GW_APPLICATION_ID_SIZE];
    pthread_mutex_lock(&market->change);
    /* One transaction: neither goes to a catalog or an application that is being deleted. */
    sl_status status = gw_db_run(market->db, "BEGIN IMMEDIATE", NULL, NULL, NULL, error, "");
    bool begun = !status;
    if (!status)
        status = check_catalog(market, hrn, error);
    if (!status)
        status = gw_application_resolve(market->db, application, id, error);
    if (!status)
        status = insert(market, id, hrn, terms, by, error);
    if (!status)
        status = gw_db_run(market->db, "COMMIT", NULL, NULL, NULL, error, "");
    if (status && begun)
        gw_db_run(market->db, "ROLLBACK", NULL, NULL, NULL, NULL, "");
    if (!status)
        status = refresh(market, error);
    pthread_mutex_unlock(&market->change);
    return status;
}

sl_status gw_market_remove(struct gw_market *market, const char *application, const char *hrn,
                           sl_error *error)
{
    char id[GW_APPLICATION_ID_SIZE];
    int changed = 0;
    pthread_mutex_lock(&market->change);
    sl_status status = gw_application_resolve(market->db, application, id, error);
    if (!status)
        status =
            gw_db_run(market->db, "DELETE FROM marketplace_subscriptions WHERE application = ? AND hrn = ?",
                      NULL, NULL, &changed, error, "ss", id, hrn);
    /* What another call could not read anew, or another program has removed, is known yet. */
    bool known = !status && find(market->all, market->count, id, hrn);
    if (!status && (changed || known))
        status = refresh(market, error);
    if (!status && !changed)
        status = sl_error_set(error, SL_UNSUPPORTED,
                              "the application \"%.100s\" has no Marketplace subscription to %.300s",
                              application, hrn);
    pthread_mutex_unlock(&market->change);
    return status;
}

/* Showing */

struct listing {
    json_t *items;
    bool failed;
};

/* Adds a member that may be absent. */
static bool set_integer(json_t *object, const char *name, bool there, int64_t value)
{
    return !there || !json_object_set_new(object, name, json_integer(value));
}

static bool list_row(void *opaque, sqlite3_stmt *row)
{
    struct listing *listing = opaque;
    const struct gw_market_terms terms = terms_of(row, 3);
    const char *by = gw_db_text(row, 8);
    json_t *item = json_pack(
        "{s:s, s:s, s:s, s:I, s:i, s:s, s:s*, s:I}", "application", gw_db_text(row, 0), "name",
        gw_db_text(row, 1), "hrn", gw_db_text(row, 2), "from", (json_int_t)terms.from_ms, "outboundKbps",
        terms.out_kbps, "period", terms.period < GW_PERIOD_COUNT ? gw_period_names[terms.period] : "all",
        "subscribedBy", *by ? by : NULL, "created", (json_int_t)sqlite3_column_int64(row, 9));
    listing->failed = !set_integer(item, "until", terms.until_ms < INT64_MAX, terms.until_ms) ||
                      !set_integer(item, "volumeBytes", terms.volume > 0, terms.volume);
    listing->failed |= json_array_append_new(listing->items, item) != 0;
    return !listing->failed;
}

sl_status gw_market_json(struct gw_market *market, const char *application, const char *hrn, json_t **items,
                         sl_error *error)
{
    struct listing listing = {.items = json_array()};
    char id[GW_APPLICATION_ID_SIZE];
    *items = NULL;
    if (!listing.items)
        return sl_error_oom(error);
    pthread_mutex_lock(&market->change);
    sl_status status = application ? gw_application_resolve(market->db, application, id, error) : SL_OK;
    if (!status)
        status =
            gw_db_run(market->db,
                      "SELECT a.id, a.name, s.hrn, " TERMS ", s.subscribed_by, s.created_ms "
                      "FROM marketplace_subscriptions s JOIN applications a ON a.id = s.application "
                      "WHERE s.application = coalesce(?1, s.application) AND s.hrn = coalesce(?2, s.hrn) "
                      "ORDER BY s.hrn, a.name",
                      list_row, &listing, NULL, error, "ss", application ? id : NULL, hrn);
    pthread_mutex_unlock(&market->change);
    if (!status && listing.failed)
        status = sl_error_oom(error);
    if (status)
        json_decref(listing.items);
    else
        *items = listing.items;
    return status;
}
