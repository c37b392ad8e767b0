/* What was delivered to each application of each catalog, in memory. */
#include "base/error.h"
#include "gateway/ledger/store.h"
#include "gateway/store/db.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS 1024

struct volume {
    struct volume *next;
    struct gw_volumes sums;
    int64_t expected, expected_hour; /* what is not folded yet, and when it was last */
    const char *hrn;                 /* within application */
    char application[];              /* and the HRN behind its NUL */
};

struct gw_volume_table {
    pthread_mutex_t lock;
    struct volume *buckets[BUCKETS];
};

sl_status gw_volumes_create(struct gw_volume_table **out, sl_error *error)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return sl_error_oom(error);
    pthread_mutex_init(&(*out)->lock, NULL);
    return SL_OK;
}

void gw_volumes_destroy(struct gw_volume_table **out)
{
    struct gw_volume_table *table = *out;
    *out = NULL;
    if (!table)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (table->buckets[i]) {
            struct volume *gone = table->buckets[i];
            table->buckets[i] = gone->next;
            free(gone);
        }
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static struct volume **bucket_of(struct gw_volume_table *table, const char *application, const char *hrn)
{
    size_t hash = 0;
    for (const char *c = application; *c; c++)
        hash = hash * 31 + (unsigned char)*c;
    for (const char *c = hrn; *c; c++)
        hash = hash * 31 + (unsigned char)*c;
    return &table->buckets[hash % BUCKETS];
}

static struct volume *find(struct volume *first, const char *application, const char *hrn)
{
    while (first && (strcmp(first->application, application) != 0 || strcmp(first->hrn, hrn) != 0))
        first = first->next;
    return first;
}

/* Found or made; NULL: no memory. */
static struct volume *volume_of(struct gw_volume_table *table, const char *application, const char *hrn)
{
    struct volume **bucket = bucket_of(table, application, hrn), *found = find(*bucket, application, hrn);
    size_t size = strlen(application) + 1, hrn_size = strlen(hrn) + 1;
    if (found || !(found = calloc(1, sizeof *found + size + hrn_size)))
        return found;
    memcpy(found->application, application, size);
    found->hrn = memcpy(found->application + size, hrn, hrn_size);
    found->next = *bucket;
    return *bucket = found;
}

static int month_of(int64_t hour)
{
    time_t seconds = (time_t)(hour * 3600);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    return utc.tm_year * 12 + utc.tm_mon;
}

static bool same_month(int64_t hour, int64_t other)
{
    return hour / 24 == other / 24 || month_of(hour) == month_of(other);
}

static void add(struct gw_volumes *sums, int64_t hour, int64_t bytes)
{
    if (hour > sums->hour) {
        if (hour / 24 != sums->hour / 24)
            sums->day = 0;
        if (!same_month(hour, sums->hour))
            sums->month = 0;
        sums->hour = hour;
    }
    if (hour / 24 == sums->hour / 24)
        sums->day += bytes;
    if (same_month(hour, sums->hour))
        sums->month += bytes;
    sums->all += bytes;
}

void gw_volumes_add(struct gw_volume_table *table, const char *application, const char *hrn, int64_t hour,
                    int64_t bytes)
{
    pthread_mutex_lock(&table->lock);
    struct volume *volume = volume_of(table, application, hrn);
    if (volume)
        add(&volume->sums, hour, bytes);
    pthread_mutex_unlock(&table->lock);
}

void gw_volumes_expect(struct gw_volume_table *table, const char *application, const char *hrn, int64_t hour,
                       int64_t bytes)
{
    pthread_mutex_lock(&table->lock);
    struct volume *volume = volume_of(table, application, hrn);
    if (volume) {
        volume->expected += bytes;
        volume->expected_hour = hour;
    }
    pthread_mutex_unlock(&table->lock);
}

static bool take(void *opaque, sqlite3_stmt *row)
{
    gw_volumes_add(opaque, gw_db_text(row, 0), gw_db_text(row, 1), sqlite3_column_int64(row, 2),
                   sqlite3_column_int64(row, 3));
    return true;
}

sl_status gw_volumes_load(struct gw_volume_table *table, sqlite3 *db, sl_error *error)
{
    return gw_db_run(db,
                     "SELECT application, hrn, hour, sum(bytes_out + blob_bytes_out) FROM usage"
                     " GROUP BY application, hrn, hour ORDER BY application, hrn, hour",
                     take, table, NULL, error, "");
}

void gw_volumes_get(struct gw_volume_table *table, const char *application, const char *hrn,
                    struct gw_volumes *volumes)
{
    pthread_mutex_lock(&table->lock);
    const struct volume *found = find(*bucket_of(table, application, hrn), application, hrn);
    *volumes = found ? found->sums : (struct gw_volumes){0};
    if (found && found->expected > 0)
        add(volumes, found->expected_hour > volumes->hour ? found->expected_hour : volumes->hour,
            found->expected);
    pthread_mutex_unlock(&table->lock);
}
