#include "gw_scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "gateway/gateway.h"
#include "gateway/store/access.h"
#include "gateway/store/catalogs.h"
#include "gateway/store/db.h"

struct fixture {
    char root[SCRATCH_SIZE], directory[80]; /* the second is made by the store */
    struct gw_catalogs *catalogs;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    scratch_make(fixture->root, "store");
    snprintf(fixture->directory, sizeof fixture->directory, "%s/a/b", fixture->root);
    assert_int_equal(gw_catalogs_open(fixture->directory, &fixture->catalogs, NULL), SL_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_catalogs_close(&fixture->catalogs);
    scratch_remove(fixture->root);
    free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture)
{
    gw_catalogs_close(&fixture->catalogs);
    assert_int_equal(gw_catalogs_open(fixture->directory, &fixture->catalogs, NULL), SL_OK);
}

static const struct gw_layer_spec plain = {.id = "l",
                                           .name = "a layer",
                                           .content_type = "application/json",
                                           .parallelization = 4,
                                           .in_kbps = 1000,
                                           .out_kbps = 4000,
                                           .ttl_ms = 3600000};
#define HRN GW_HRN_PREFIX "c"

static void make(struct fixture *fixture, const char *id)
{
    struct gw_layer_spec spec = plain;
    struct gw_layer *layer;
    spec.id = id;
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &spec, &layer, NULL), SL_OK);
    assert_int_equal(gw_catalogs_publish_layer(fixture->catalogs, layer, NULL), SL_OK);
    gw_layer_unlink(layer);
}

static void layers_are_found_again(void **state)
{
    struct fixture *fixture = *state;
    bool exists = true;
    assert_null(gw_catalogs_find(fixture->catalogs, HRN, "l", &exists));
    assert_false(exists);
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "the catalog", true, NULL, NULL), SL_OK);
    assert_null(gw_catalogs_find(fixture->catalogs, HRN, "l", &exists));
    assert_true(exists);
    struct gw_layer_spec spec = plain;
    spec.content_encoding = "gzip";
    struct gw_layer *layer;
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &spec, &layer, NULL), SL_OK);
    assert_null(gw_catalogs_find(fixture->catalogs, HRN, "l", &exists)); /* its topic is not there yet */
    char topic[250];
    snprintf(topic, sizeof topic, "%s", layer->topic);
    assert_int_equal(gw_catalogs_publish_layer(fixture->catalogs, layer, NULL), SL_OK);
    gw_layer_unlink(layer);
    for (int i = 0; i < 2; i++) {
        layer = gw_catalogs_find(fixture->catalogs, HRN, "l", &exists);
        assert_non_null(layer);
        assert_string_equal(layer->hrn, HRN);
        assert_string_equal(layer->name, "a layer");
        assert_string_equal(layer->topic, topic);
        assert_string_equal(layer->content_type, "application/json");
        assert_string_equal(layer->content_encoding, "gzip");
        assert_int_equal(layer->parallelization, 4);
        assert_int_equal(layer->in_kbps, 1000);
        assert_int_equal(layer->out_kbps, 4000);
        assert_int_equal(layer->ttl_ms, 3600000);
        assert_true(layer->marketplace);
        gw_layer_unlink(layer);
        reopen(fixture);
    }
}

static void topics_are_legal_and_never_the_same(void **state)
{
    struct fixture *fixture = *state;
    char id[65], topics[2][300];
    memset(id, 'a', 64);
    id[64] = 0;
    assert_int_equal(gw_catalogs_create(fixture->catalogs, id, id, false, NULL, NULL), SL_OK);
    char hrn[200];
    snprintf(hrn, sizeof hrn, "%s%s", GW_HRN_PREFIX, id);
    struct gw_layer_spec spec = plain;
    spec.id = id;
    for (int i = 0; i < 2; i++) {
        struct gw_layer *layer;
        assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, hrn, &spec, &layer, NULL), SL_OK);
        snprintf(topics[i], sizeof topics[i], "%s", layer->topic);
        assert_true(strlen(topics[i]) <= 249);
        assert_int_equal(strspn(topics[i], "abcdefghijklmnopqrstuvwxyz0123456789.-_"), strlen(topics[i]));
        gw_layer_unlink(layer);
        assert_int_equal(gw_catalogs_condemn(fixture->catalogs, hrn, id, NULL), SL_OK);
        assert_int_equal(gw_catalogs_forget_topic(fixture->catalogs, GW_CLUSTER_DEFAULT, topics[i], NULL),
                         SL_OK);
    }
    assert_string_not_equal(topics[0], topics[1]);
}

static void what_exists_is_not_made_again(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    struct gw_layer *layer;
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "already"));
    make(fixture, "l");
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &plain, &layer, &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "already"));
    assert_null(layer);
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, GW_HRN_PREFIX "x", &plain, &layer, &error),
                     SL_NOT_FOUND);
}

/* The topics that wait for their deletion, joined. */
static void condemned(struct fixture *fixture, const char *hrn, size_t count)
{
    json_t *topics;
    assert_int_equal(gw_catalogs_condemned(fixture->catalogs, hrn, NULL, &topics, NULL), SL_OK);
    assert_int_equal(json_array_size(topics), count);
    json_decref(topics);
}

static void deleting_goes_on_where_it_ended(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    bool exists;
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    make(fixture, "a");
    make(fixture, "b");
    struct gw_layer *held = gw_catalogs_find(fixture->catalogs, HRN, "a", &exists);
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN, "a", NULL), SL_OK);
    assert_null(gw_catalogs_find(fixture->catalogs, HRN, "a", &exists));
    assert_string_equal(held->id, "a"); /* whoever holds it may go on */
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN, "a", NULL), SL_OK); /* tried again */
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN, "nope", NULL), SL_NOT_FOUND);
    struct gw_layer *layer;
    struct gw_layer_spec spec = plain;
    spec.id = "a";
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &spec, &layer, &error), SL_CONFLICT);
    condemned(fixture, HRN, 1);
    assert_int_equal(gw_catalogs_forget_topic(fixture->catalogs, held->cluster, held->topic, NULL), SL_OK);
    gw_layer_unlink(held);
    condemned(fixture, HRN, 0);
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN, NULL, NULL), SL_OK);
    assert_false(gw_catalogs_exists(fixture->catalogs, HRN));
    reopen(fixture); /* a crash before its topic was deleted */
    assert_false(gw_catalogs_exists(fixture->catalogs, HRN));
    condemned(fixture, NULL, 1);
    assert_int_equal(gw_catalogs_forget_empty(fixture->catalogs, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "still being deleted"));
    json_t *topics;
    assert_int_equal(gw_catalogs_condemned(fixture->catalogs, NULL, NULL, &topics, NULL), SL_OK);
    const json_t *topic = json_array_get(topics, 0);
    assert_true(json_is_false(json_object_get(topic, "adopted")));
    assert_int_equal(gw_catalogs_forget_topic(fixture->catalogs,
                                              json_string_value(json_object_get(topic, "cluster")),
                                              json_string_value(json_object_get(topic, "topic")), NULL),
                     SL_OK);
    json_decref(topics);
    assert_int_equal(gw_catalogs_forget_empty(fixture->catalogs, NULL), SL_OK);
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, NULL), SL_OK);
}

static void a_layer_is_changed(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    bool exists;
    struct gw_layer *now, *late;
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    make(fixture, "l");
    struct gw_layer *before = gw_catalogs_find(fixture->catalogs, HRN, "l", &exists);
    before->counters->messages_in = 7;
    struct gw_layer_spec spec = plain;
    spec.name = "another name";
    spec.parallelization = 8;
    spec.in_kbps = 2000;
    spec.ttl_ms = 7200000;
    assert_int_equal(gw_catalogs_update_layer(fixture->catalogs, before, &spec, &now, NULL), SL_OK);
    assert_ptr_equal(now->counters, before->counters); /* what was counted goes on */
    assert_int_equal(now->counters->messages_in, 7);
    assert_int_equal(now->counters->in.rate, 2000 * 1024);
    assert_string_equal(before->name, "a layer"); /* whoever holds it goes on with what it was */
    assert_int_equal(gw_catalogs_update_layer(fixture->catalogs, before, &spec, &late, &error), SL_CONFLICT);
    assert_null(late);
    gw_layer_unlink(now);
    reopen(fixture);
    now = gw_catalogs_find(fixture->catalogs, HRN, "l", &exists);
    assert_string_equal(now->name, "another name");
    assert_int_equal(now->parallelization, 8);
    assert_int_equal(now->ttl_ms, 7200000);
    assert_string_equal(now->topic, before->topic);
    gw_layer_unlink(now);
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN, "l", NULL), SL_OK);
    assert_int_equal(gw_catalogs_update_layer(fixture->catalogs, before, &spec, &late, &error), SL_NOT_FOUND);
    gw_layer_unlink(before);
}

/* Whoever divides the throughput of a layer that was changed meanwhile puts no old rate back, nor gives more
 * than there is. */
static void a_part_is_of_what_the_layer_has_now(void **state)
{
    struct fixture *fixture = *state;
    bool exists;
    struct gw_layer *now;
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    make(fixture, "l");
    struct gw_layer *before = gw_catalogs_find(fixture->catalogs, HRN, "l", &exists);
    const struct gw_layer_counters *counters = before->counters;
    gw_layer_set_http_part(before, 500, 500);
    assert_int_equal(counters->in.rate, 500 * 1024);
    struct gw_layer_spec spec = plain;
    spec.in_kbps = 200;
    assert_int_equal(gw_catalogs_update_layer(fixture->catalogs, before, &spec, &now, NULL), SL_OK);
    gw_layer_set_http_part(before, 900, 900);
    assert_int_equal(counters->in.rate, 100 * 1024);
    assert_int_equal(counters->out.rate, 3600 * 1024); /* which was not changed */
    gw_layer_set_http_part(before, 100, 100);
    assert_int_equal(counters->in.rate, 20 * 1024);
    gw_layer_set_http_part(now, 900, 900);
    assert_int_equal(counters->in.rate, 180 * 1024);
    gw_layer_unlink(before);
    gw_layer_unlink(now);
}

static void topics_are_adopted_once_a_cluster(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    bool exists;
    struct gw_layer *layer, *other;
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    struct gw_layer_spec spec = plain;
    spec.topic = "orders";
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &spec, &layer, NULL), SL_OK);
    assert_int_equal(gw_catalogs_publish_layer(fixture->catalogs, layer, NULL), SL_OK);
    spec.id = "m";
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &spec, &other, &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "orders belongs to the layer \"l\" of " HRN));
    spec.cluster = "eu"; /* another topic, of the same name */
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &spec, &other, NULL), SL_OK);
    assert_int_equal(gw_catalogs_publish_layer(fixture->catalogs, other, NULL), SL_OK);
    assert_string_equal(layer->key, "orders");
    assert_string_equal(other->key, "orders@eu");
    gw_layer_unlink(layer);
    gw_layer_unlink(other);
    reopen(fixture);
    layer = gw_catalogs_find(fixture->catalogs, HRN, "m", &exists);
    assert_true(layer->adopted);
    assert_string_equal(layer->cluster, "eu");
    assert_string_equal(layer->topic, "orders");
    gw_layer_unlink(layer);
    json_t *topics;
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN, "m", NULL), SL_OK);
    assert_int_equal(gw_catalogs_condemned(fixture->catalogs, HRN, "m", &topics, NULL), SL_OK);
    const json_t *topic = json_array_get(topics, 0);
    assert_true(json_is_true(json_object_get(topic, "adopted")));
    assert_string_equal(json_string_value(json_object_get(topic, "key")), "orders@eu");
    json_decref(topics);
    /* One that lives is not forgotten. */
    assert_int_equal(gw_catalogs_forget_topic(fixture->catalogs, GW_CLUSTER_DEFAULT, "orders", NULL), SL_OK);
    assert_int_equal(gw_catalogs_forget_topic(fixture->catalogs, "eu", "orders", NULL), SL_OK);
    reopen(fixture);
    layer = gw_catalogs_find(fixture->catalogs, HRN, "l", &exists);
    assert_non_null(layer);
    gw_layer_unlink(layer);
}

static void what_was_half_made_is_condemned(void **state)
{
    struct fixture *fixture = *state;
    struct gw_layer *layer;
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &plain, &layer, NULL), SL_OK);
    gw_layer_unlink(layer);
    condemned(fixture, NULL, 0);
    reopen(fixture);
    condemned(fixture, NULL, 1);
    /* Deleted while it is made: it is never seen. */
    make(fixture, "m");
    struct gw_layer_spec spec = plain;
    spec.id = "n";
    assert_int_equal(gw_catalogs_begin_layer(fixture->catalogs, HRN, &spec, &layer, NULL), SL_OK);
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN, "n", NULL), SL_OK);
    assert_int_equal(gw_catalogs_publish_layer(fixture->catalogs, layer, NULL), SL_NOT_FOUND);
    gw_layer_unlink(layer);
}

static void catalogs_are_listed_in_pages(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"d", "b", "e", "a", "c"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(gw_catalogs_create(fixture->catalogs, ids[i], "a name", false, NULL, NULL), SL_OK);
    assert_int_equal(gw_catalogs_update(fixture->catalogs, HRN, "caf\xc3\xa9", NULL, NULL), SL_OK);
    assert_int_equal(gw_catalogs_update(fixture->catalogs, GW_HRN_PREFIX "x", "x", NULL, NULL), SL_NOT_FOUND);
    reopen(fixture);
    char seen[6] = "", *next = NULL;
    for (int page = 0; page < 3; page++) {
        char *after = next;
        json_t *items = gw_catalogs_list_json(fixture->catalogs, after, 2, NULL, NULL, &next);
        assert_int_equal(json_array_size(items), page < 2 ? 2 : 1);
        for (size_t i = 0; i < json_array_size(items); i++)
            strcat(seen, json_string_value(json_object_get(json_array_get(items, i), "id")));
        json_decref(items);
        free(after);
    }
    assert_null(next);
    assert_string_equal(seen, "abcde");
    bool exists;
    json_t *catalog = gw_catalogs_json(fixture->catalogs, HRN, &exists);
    assert_string_equal(json_string_value(json_object_get(catalog, "name")), "caf\xc3\xa9");
    json_decref(catalog);
}

static void json_has_no_null(void **state)
{
    struct fixture *fixture = *state;
    bool exists;
    assert_int_equal(gw_catalogs_create(fixture->catalogs, "c", "c", false, NULL, NULL), SL_OK);
    make(fixture, "l");
    json_t *catalog = gw_catalogs_json(fixture->catalogs, HRN, &exists);
    char *text = json_dumps(catalog, JSON_COMPACT);
    assert_null(strstr(text, "null"));
    assert_null(strstr(text, "contentEncoding"));
    assert_non_null(strstr(text, "\"layerType\":\"stream\",\"contentType\":\"application/json\""));
    free(text);
    json_decref(catalog);
}

static void only_the_owner_may_read(void **state)
{
    struct fixture *fixture = *state;
    struct stat info;
    char file[120];
    assert_int_equal(stat(fixture->directory, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    static const char *const files[] = {"catalogs.db", "catalogs.db-wal", "catalogs.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/%s", fixture->directory, files[i]);
        assert_int_equal(stat(file, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600);
    }
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *fixture = *state;
    sqlite3 *db;
    struct gw_catalogs *catalogs;
    sl_error error = {0};
    assert_int_equal(gw_db_open(fixture->directory, &db, NULL), SL_OK);
    assert_int_equal(gw_db_run(db, "PRAGMA user_version = 99", NULL, NULL, NULL, NULL, ""), SL_OK);
    sqlite3_close(db);
    assert_int_equal(gw_catalogs_open(fixture->directory, &catalogs, &error), SL_BAD_CONFIG);
    assert_null(catalogs);
    assert_non_null(strstr(error.text, "catalogs.db"));
}

/* What version 1 wrote, as it wrote it. */
static const char version_1[] =
    "CREATE TABLE catalogs (hrn TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL,"
    " marketplace INTEGER NOT NULL, state INTEGER NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE layers (hrn TEXT NOT NULL REFERENCES catalogs (hrn), id TEXT NOT NULL, name TEXT NOT NULL,"
    " topic TEXT NOT NULL UNIQUE, content_type TEXT NOT NULL, content_encoding TEXT,"
    " parallelization INTEGER NOT NULL, in_kbps INTEGER NOT NULL, out_kbps INTEGER NOT NULL,"
    " ttl_ms INTEGER NOT NULL, state INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (hrn, id)) STRICT;"
    "CREATE TABLE applications (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, key_id TEXT NOT NULL UNIQUE,"
    " key_secret TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
    "INSERT INTO catalogs VALUES ('hrn:here:data::olp-here:old', 'old', 'Old', 1, 1, 1000);"
    "INSERT INTO layers VALUES ('hrn:here:data::olp-here:old', 'l', 'L', 'sl.old.l.x', 'text/plain', NULL, 4,"
    " 1000, 4000, 600000, 1, 1000);"
    "INSERT INTO applications VALUES ('app1', 'me', 'key1', 'secret1', 1000);"
    "PRAGMA user_version = 1;";

static void write_version_1(const char *directory, const char *more)
{
    char file[120];
    sqlite3 *db;
    snprintf(file, sizeof file, "%s/catalogs.db", directory);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, version_1, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, more, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static bool count_rows(void *opaque, sqlite3_stmt *row)
{
    *(int64_t *)opaque = sqlite3_column_int64(row, 0);
    return false;
}

static int64_t rows_of(const char *file, const char *sql)
{
    sqlite3 *db;
    int64_t count = -1;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(gw_db_run(db, sql, count_rows, &count, NULL, NULL, ""), SL_OK);
    sqlite3_close(db);
    return count;
}

static size_t backups_in(const char *directory, char found[200])
{
    size_t count = 0;
    DIR *files = opendir(directory);
    assert_non_null(files);
    for (struct dirent *entry; (entry = readdir(files));)
        if (!strncmp(entry->d_name, "catalogs.db.v1-", 15)) {
            snprintf(found, 200, "%s/%.100s", directory, entry->d_name);
            count++;
        }
    closedir(files);
    return count;
}

static void an_older_schema_is_upgraded_with_a_copy(void **state)
{
    struct fixture *fixture = *state;
    struct gw_catalogs *catalogs;
    struct gw_applications *applications;
    struct gw_access *access;
    char secret[GW_SECRET_SIZE];
    struct stat info;
    char copy[200];
    write_version_1(fixture->root, "");
    assert_int_equal(gw_catalogs_open(fixture->root, &catalogs, NULL), SL_OK);
    struct gw_layer *layer = gw_catalogs_find(catalogs, "hrn:here:data::olp-here:old", "l", NULL);
    assert_non_null(layer);
    assert_string_equal(layer->topic, "sl.old.l.x");
    assert_true(layer->marketplace);
    gw_layer_unlink(layer);
    gw_catalogs_close(&catalogs);
    assert_int_equal(gw_applications_open(fixture->root, &applications, NULL), SL_OK);
    assert_int_equal(gw_access_open(applications, NULL, NULL, &access, NULL), SL_OK);
    struct gw_account *account = gw_access_find_key(access, "key1", sl_wall_ms(), secret);
    assert_non_null(account);
    assert_string_equal(account->id, "app1");
    assert_string_equal(secret, "secret1");
    assert_int_equal(gw_account_rights(account, GW_HRN_PREFIX "any"), SL_RIGHTS_CATALOG | SL_RIGHTS_PLATFORM);
    gw_account_unlink(account);
    gw_access_close(&access);
    gw_applications_close(&applications);
    assert_int_equal(backups_in(fixture->root, copy), 1);
    assert_int_equal(stat(copy, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(rows_of(copy, "PRAGMA user_version"), 1);
    assert_int_equal(rows_of(copy, "SELECT count(*) FROM applications WHERE key_secret = 'secret1'"), 1);
    snprintf(copy, sizeof copy, "%s/catalogs.db", fixture->root);
    assert_int_equal(rows_of(copy, "SELECT rights FROM grants WHERE application = 'app1' AND hrn = '*'"), 7);
    assert_int_equal(rows_of(copy, "SELECT rights FROM applications WHERE id = 'app1'"), 24);
}

static void a_failed_upgrade_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    static const char *const obstacles[] = {"CREATE TABLE applications_1 (a)", "CREATE TABLE keys (a)",
                                            "CREATE TABLE grants (a)", "CREATE TABLE layers_1 (a)"};
    char file[200], copy[200];
    snprintf(file, sizeof file, "%s/catalogs.db", fixture->root);
    for (size_t i = 0; i < sizeof obstacles / sizeof *obstacles; i++) {
        struct gw_catalogs *catalogs;
        sl_error error = {0};
        unlink(file);
        write_version_1(fixture->root, obstacles[i]);
        assert_int_equal(gw_catalogs_open(fixture->root, &catalogs, &error), SL_IO);
        assert_non_null(strstr(error.text, "catalogs.db: SQLite: "));
        assert_int_equal(backups_in(fixture->root, copy), 0);
        assert_int_equal(rows_of(file, "PRAGMA user_version"), 1);
        assert_int_equal(rows_of(file, "SELECT count(*) FROM applications WHERE key_secret = 'secret1'"), 1);
        assert_int_equal(rows_of(file, "SELECT count(*) FROM layers"), 1);
    }
}

static void a_running_gateways_schema_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct gw_catalogs *catalogs;
    sl_error error = {0};
    char file[200];
    write_version_1(fixture->root, "");
    snprintf(file, sizeof file, "%s/gateway.lock", fixture->root);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(gw_catalogs_open(fixture->root, &catalogs, &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "older version's gateway"));
    int from;
    char *backup;
    assert_int_equal(gw_db_upgrade(fixture->root, &from, &backup, NULL), SL_OK);
    assert_int_equal(from, 1);
    assert_non_null(backup);
    free(backup);
    assert_int_equal(gw_catalogs_open(fixture->root, &catalogs, NULL), SL_OK);
    gw_catalogs_close(&catalogs);
    close(fd);
}

static void an_application_is_made_once(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application first, again;
    sl_error error = {0};
    assert_int_equal(gw_application_ensure(fixture->directory, "me", &first, NULL), SL_OK);
    assert_int_equal(gw_application_ensure(fixture->directory, "me", &again, NULL), SL_OK);
    assert_string_equal(first.id, again.id);
    assert_string_equal(first.key_secret, again.key_secret);
    assert_int_equal(gw_application_ensure(fixture->directory, "you", &again, NULL), SL_OK);
    assert_string_not_equal(first.key_id, again.key_id);
    assert_string_not_equal(first.key_secret, again.key_secret);
    assert_int_equal(gw_application_ensure(fixture->directory, "no spaces", &again, &error),
                     SL_INVALID_ARGUMENT);
}

/* What the next case has another process do. */
static void the_visitor(void **state)
{
    struct gw_application application;
    const char *directory = getenv("GW_STORE_VISIT");
    (void)state;
    if (directory)
        assert_int_equal(gw_application_ensure(directory, "visitor", &application, NULL), SL_OK);
}

/* SQLite's locks are the process's: closing any descriptor of the file would drop them, and the other
 * program, believing itself alone, would delete the journal that this one goes on writing to. */
static void another_program_may_come_and_go(void **state)
{
    struct fixture *fixture = *state;
    struct gw_applications *applications;
    assert_int_equal(gw_applications_open(fixture->directory, &applications, NULL), SL_OK);
    pid_t child = fork();
    if (!child) {
        if (!freopen("/dev/null", "w", stdout) ||
            !freopen("/dev/null", "w", stderr)) /* its report is not this case's */
            _exit(2);
        setenv("GW_STORE_VISIT", fixture->directory, 1);
        execl("/proc/self/exe", "visitor", "the_visitor", (char *)NULL);
        _exit(1);
    }
    int code = -1;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    char journal[120];
    snprintf(journal, sizeof journal, "%s/catalogs.db-wal", fixture->directory);
    assert_int_equal(access(journal, F_OK), 0);
    gw_applications_close(&applications);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(layers_are_found_again, setup, teardown),
    cmocka_unit_test_setup_teardown(topics_are_legal_and_never_the_same, setup, teardown),
    cmocka_unit_test_setup_teardown(what_exists_is_not_made_again, setup, teardown),
    cmocka_unit_test_setup_teardown(deleting_goes_on_where_it_ended, setup, teardown),
    cmocka_unit_test_setup_teardown(a_layer_is_changed, setup, teardown),
    cmocka_unit_test_setup_teardown(a_part_is_of_what_the_layer_has_now, setup, teardown),
    cmocka_unit_test_setup_teardown(topics_are_adopted_once_a_cluster, setup, teardown),
    cmocka_unit_test_setup_teardown(what_was_half_made_is_condemned, setup, teardown),
    cmocka_unit_test_setup_teardown(catalogs_are_listed_in_pages, setup, teardown),
    cmocka_unit_test_setup_teardown(json_has_no_null, setup, teardown),
    cmocka_unit_test_setup_teardown(only_the_owner_may_read, setup, teardown),
    cmocka_unit_test_setup_teardown(a_newer_schema_is_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(an_older_schema_is_upgraded_with_a_copy, setup, teardown),
    cmocka_unit_test_setup_teardown(a_failed_upgrade_changes_nothing, setup, teardown),
    cmocka_unit_test_setup_teardown(a_running_gateways_schema_is_left_alone, setup, teardown),
    cmocka_unit_test_setup_teardown(an_application_is_made_once, setup, teardown),
    cmocka_unit_test(the_visitor),
    cmocka_unit_test_setup_teardown(another_program_may_come_and_go, setup, teardown))
