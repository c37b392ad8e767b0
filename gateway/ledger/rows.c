#include "gateway/ledger/rows.h"

#include "base/error.h"
#include "gateway/ledger/schema.h"
#include "gateway/store/db.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TEXT_MAX ((size_t)1 << 30)
/* What a row's checksum is of. */
#define REACHED        "application, topic, grp, partition, ranges"
#define DELIVERY_NAMES "writer, number, node, application, hrn, layer, grp, topic, at_ms"
#define DELIVERY       DELIVERY_NAMES ", messages, bytes, blob_bytes, again, records"
#define CLOCK          "application, hour"
#define USAGE                                                                                                \
    "application, hrn, layer, grp, hour, calls_in, calls_out, messages_in, messages_out, bytes_in,"          \
    " bytes_out, blob_bytes_in, blob_bytes_out"
#define READ_DELIVERY                                                                                        \
    "SELECT id, state, number, messages, bytes, blob_bytes, again, records,"                                 \
    " checksum = row_checksum(state, " DELIVERY ") FROM deliveries "

static const char *const texts[GW_ROWS_STATEMENTS] = {
    [GW_ROWS_HOUR] = "SELECT hour, checksum = row_checksum(" CLOCK ") FROM clocks WHERE application = ?1",
    [GW_ROWS_PUT_HOUR] =
        "INSERT INTO clocks (" CLOCK ", checksum) VALUES (?1, ?2, row_checksum(?1, ?2))"
        " ON CONFLICT (application) DO UPDATE SET hour = excluded.hour, checksum = excluded.checksum",
    /* A row that is damaged is not changed, so that it stays found. */
    [GW_ROWS_BILL] =
        "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
        " row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13))"
        " ON CONFLICT DO UPDATE SET calls_in = calls_in + ?6, calls_out = calls_out + ?7,"
        " messages_in = messages_in + ?8, messages_out = messages_out + ?9, bytes_in = bytes_in + ?10,"
        " bytes_out = bytes_out + ?11, blob_bytes_in = blob_bytes_in + ?12,"
        " blob_bytes_out = blob_bytes_out + ?13,"
        " checksum = row_checksum(?1, ?2, ?3, ?4, ?5, calls_in + ?6, calls_out + ?7, messages_in + ?8,"
        " messages_out + ?9, bytes_in + ?10, bytes_out + ?11, blob_bytes_in + ?12, blob_bytes_out + ?13)"
        " WHERE checksum = row_checksum(" USAGE ")",
    [GW_ROWS_REACHED] = "SELECT ranges, checksum = row_checksum(" REACHED ") FROM reached"
                        " WHERE application = ?1 AND topic = ?2 AND grp = ?3 AND partition = ?4",
    [GW_ROWS_PUT_REACHED] =
        "INSERT INTO reached VALUES (?1, ?2, ?3, ?4, ?5, row_checksum(?1, ?2, ?3, ?4, ?5))"
        " ON CONFLICT DO UPDATE SET ranges = excluded.ranges, checksum = excluded.checksum",
    [GW_ROWS_ADD_DELIVERY] = "INSERT INTO deliveries (state, " DELIVERY ", checksum)"
                             " VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
                             " row_checksum(0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14))",
    [GW_ROWS_DELIVERY] = READ_DELIVERY "WHERE writer = ?1 AND number = ?2 AND state < 2",
    [GW_ROWS_OLDER_DELIVERY] = READ_DELIVERY "WHERE (application, topic, grp) ="
                                             " (SELECT application, topic, grp FROM deliveries WHERE id = ?1)"
                                             " AND state < 2 AND id < ?2 ORDER BY id DESC LIMIT 1",
    /* state < 2: so that SQLite uses the index that has no settled ones. */
    [GW_ROWS_LEFT_OPEN] =
        READ_DELIVERY "WHERE state < 2 AND state = 0 AND node = ?1 AND writer <> ?2 LIMIT 1",
    [GW_ROWS_PUT_DELIVERY] =
        "UPDATE deliveries SET state = ?2, messages = ?3, bytes = ?4, blob_bytes = ?5, again = ?6,"
        " records = coalesce(?7, records), checksum = row_checksum(?2, " DELIVERY_NAMES
        ", ?3, ?4, ?5, ?6, coalesce(?7, records)) WHERE id = ?1",
    [GW_ROWS_REMOVE_DELIVERY] = "DELETE FROM deliveries WHERE id = ?1",
    /* Most have nothing in them that was counted before: these need not be read. */
    [GW_ROWS_SETTLE] = "DELETE FROM deliveries WHERE writer = ?1 AND number = ?2 AND state = 0 AND again = 0",
    [GW_ROWS_FORGET] = "DELETE FROM deliveries WHERE state = 2 AND at_ms < ?1",
};

sl_status gw_rows_failure(sqlite3 *db, sl_error *error)
{
    int code = sqlite3_errcode(db);
    if (code == SQLITE_NOMEM)
        return sl_error_oom(error);
    return sl_error_set(error, code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? SL_CHECKSUM_MISMATCH : SL_IO,
                        "SQLite: %s", sqlite3_errmsg(db));
}

static sl_status damaged(sl_error *error, const char *table, const char *application)
{
    return sl_error_set(error, SL_CHECKSUM_MISMATCH,
                        "a row of the table \"%s\"%s%.100s is damaged: its checksum is wrong", table,
                        application ? ", of application " : "", application ? application : "");
}

/* What lies in a row could not be read: only what is damaged is told so. */
static sl_status undecoded(sl_status why, const char *table, const char *application, sl_error *error)
{
    return why == SL_OUT_OF_MEMORY ? sl_error_oom(error) : damaged(error, table, application);
}

static void row_checksum(sqlite3_context *context, int count, sqlite3_value **values)
{
    uLong crc = crc32(0, NULL, 0);
    for (int i = 0; i < count; i++) {
        unsigned char number[9] = {(unsigned char)sqlite3_value_type(values[i])};
        if (*number == SQLITE_INTEGER) {
            uint64_t value = (uint64_t)sqlite3_value_int64(values[i]);
            for (size_t k = 0; k < 8; k++)
                number[1 + k] = (unsigned char)(value >> 8 * k);
            crc = crc32(crc, number, sizeof number);
        } else {
            const void *bytes = sqlite3_value_blob(values[i]);
            crc = crc32(crc, number, 1);
            if (bytes)
                crc = crc32(crc, bytes, (uInt)sqlite3_value_bytes(values[i]));
        }
    }
    sqlite3_result_int64(context, (sqlite3_int64)crc);
}

sl_status gw_rows_add_checksum(sqlite3 *db, sl_error *error)
{
    int code =
        sqlite3_create_function(db, "row_checksum", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                NULL, row_checksum, NULL, NULL);
    return code ? gw_rows_failure(db, error) : SL_OK;
}

static sl_status make_tables(sqlite3 *db, sl_error *error)
{
    int64_t version = -1;
    sl_status status = gw_db_run(db, "PRAGMA user_version", gw_db_read_number, &version, NULL, error, "");
    if (status || version == GW_LEDGER_SCHEMA_VERSION)
        return status;
    if (version)
        return sl_error_set(error, SL_BAD_CONFIG,
                            "it was written by a newer version (its schema is %lld, this one knows %d): use "
                            "that version",
                            (long long)version, GW_LEDGER_SCHEMA_VERSION);
    return sqlite3_exec(db, "BEGIN IMMEDIATE;" GW_LEDGER_SCHEMA "COMMIT", NULL, NULL, NULL)
               ? gw_rows_failure(db, error)
               : SL_OK;
}

sl_status gw_rows_open(sqlite3 *db, struct gw_rows *rows, sl_error *error)
{
    rows->db = db;
    sl_buffer_init(&rows->text, TEXT_MAX);
    sl_status status = gw_rows_add_checksum(db, error);
    if (!status)
        status = make_tables(db, error);
    for (size_t i = 0; i < GW_ROWS_STATEMENTS && !status; i++)
        if (sqlite3_prepare_v3(db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &rows->statements[i], NULL))
            status = gw_rows_failure(db, error);
    return status;
}

void gw_rows_close(struct gw_rows *rows)
{
    for (size_t i = 0; i < GW_ROWS_STATEMENTS; i++)
        sqlite3_finalize(rows->statements[i]);
    sl_buffer_free(&rows->text);
}

static sqlite3_stmt *text(sqlite3_stmt *statement, int column, const char *value)
{
    sqlite3_bind_text(statement, column, value, -1, SQLITE_STATIC);
    return statement;
}

/* Runs what gives no rows. */
static sl_status run(struct gw_rows *rows, sqlite3_stmt *statement, sl_error *error)
{
    int code = sqlite3_step(statement);
    sl_status status = code == SQLITE_DONE ? SL_OK : gw_rows_failure(rows->db, error);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

/* The next row, or that there is none. The statement is reset by the caller, who has read the row. */
static sl_status step(struct gw_rows *rows, sqlite3_stmt *statement, bool *found, sl_error *error)
{
    int code = sqlite3_step(statement);
    *found = code == SQLITE_ROW;
    return *found || code == SQLITE_DONE ? SL_OK : gw_rows_failure(rows->db, error);
}

sl_status gw_rows_hour(struct gw_rows *rows, const char *application, int64_t *hour, sl_error *error)
{
    sqlite3_stmt *statement = text(rows->statements[GW_ROWS_HOUR], 1, application);
    bool found;
    sl_status status = step(rows, statement, &found, error);
    int64_t last = found ? sqlite3_column_int64(statement, 0) : 0;
    if (found && !sqlite3_column_int(statement, 1))
        status = damaged(error, "clocks", application);
    sqlite3_reset(statement);
    if (status || (found && last >= *hour)) {
        *hour = last;
        return status;
    }
    statement = text(rows->statements[GW_ROWS_PUT_HOUR], 1, application);
    sqlite3_bind_int64(statement, 2, *hour);
    return run(rows, statement, error);
}

sl_status gw_rows_bill(struct gw_rows *rows, const struct gw_ledger_event *event, int64_t hour,
                       const struct gw_usage *usage, sl_error *error)
{
    sqlite3_stmt *statement = text(rows->statements[GW_ROWS_BILL], 1, event->application);
    text(statement, 2, event->hrn);
    text(statement, 3, event->layer);
    text(statement, 4, event->group);
    sqlite3_bind_int64(statement, 5, hour);
    for (int i = 0; i < GW_FIGURES; i++)
        sqlite3_bind_int64(statement, 6 + i, gw_figure(usage, (size_t)i));
    sl_status status = run(rows, statement, error);
    return status || sqlite3_changes(rows->db) ? status : damaged(error, "usage", event->application);
}

static sqlite3_stmt *of_partition(struct gw_rows *rows, enum gw_rows_statement which,
                                  const struct gw_ledger_event *event, int32_t partition)
{
    sqlite3_stmt *statement = text(rows->statements[which], 1, event->application);
    text(statement, 2, event->topic);
    text(statement, 3, event->group);
    sqlite3_bind_int64(statement, 4, partition);
    return statement;
}

sl_status gw_rows_reached(struct gw_rows *rows, const struct gw_ledger_event *event, int32_t partition,
                          struct gw_ranges *ranges, sl_error *error)
{
    sqlite3_stmt *statement = of_partition(rows, GW_ROWS_REACHED, event, partition);
    bool found;
    ranges->count = 0;
    sl_status status = step(rows, statement, &found, error);
    if (found)
        status = sqlite3_column_int(statement, 1)
                     ? gw_ranges_decode(sqlite3_column_blob(statement, 0),
                                        (size_t)sqlite3_column_bytes(statement, 0), ranges)
                     : SL_PROTOCOL;
    if (found && status)
        status = undecoded(status, "reached", event->application, error);
    sqlite3_reset(statement);
    return status;
}

sl_status gw_rows_put_reached(struct gw_rows *rows, const struct gw_ledger_event *event, int32_t partition,
                              const struct gw_ranges *ranges, sl_error *error)
{
    sqlite3_stmt *statement = of_partition(rows, GW_ROWS_PUT_REACHED, event, partition);
    sl_buffer_reset(&rows->text);
    if (!gw_ranges_encode(&rows->text, ranges))
        return sl_error_oom(error);
    sqlite3_bind_blob64(statement, 5, ranges->count ? rows->text.data : "", rows->text.size, SQLITE_STATIC);
    return run(rows, statement, error);
}

sl_status gw_rows_add_delivery(struct gw_rows *rows, const struct gw_ledger_event *event,
                               const struct gw_delivery *delivery, const struct gw_record_list *records,
                               sl_error *error)
{
    sqlite3_stmt *statement = text(rows->statements[GW_ROWS_ADD_DELIVERY], 1, delivery->writer);
    sl_buffer_reset(&rows->text);
    if (!gw_records_encode(&rows->text, records))
        return sl_error_oom(error);
    sqlite3_bind_int64(statement, 2, delivery->number);
    text(statement, 3, delivery->node);
    text(statement, 4, event->application);
    text(statement, 5, event->hrn);
    text(statement, 6, event->layer);
    text(statement, 7, event->group);
    text(statement, 8, event->topic);
    sqlite3_bind_int64(statement, 9, event->at_ms);
    sqlite3_bind_int64(statement, 10, delivery->messages);
    sqlite3_bind_int64(statement, 11, delivery->bytes);
    sqlite3_bind_int64(statement, 12, delivery->blob_bytes);
    sqlite3_bind_int64(statement, 13, delivery->again);
    sqlite3_bind_blob64(statement, 14, records->count ? rows->text.data : "", rows->text.size, SQLITE_STATIC);
    return run(rows, statement, error);
}

/* The row of READ_DELIVERY that the statement comes to. */
static sl_status read_delivery(struct gw_rows *rows, sqlite3_stmt *statement, struct gw_delivery *delivery,
                               struct gw_record_list *records, bool *found, sl_error *error)
{
    sl_status status = step(rows, statement, found, error);
    if (*found) {
        delivery->id = sqlite3_column_int64(statement, 0);
        delivery->state = (enum gw_delivery_state)sqlite3_column_int(statement, 1);
        delivery->number = sqlite3_column_int64(statement, 2);
        delivery->messages = sqlite3_column_int64(statement, 3);
        delivery->bytes = sqlite3_column_int64(statement, 4);
        delivery->blob_bytes = sqlite3_column_int64(statement, 5);
        delivery->again = sqlite3_column_int64(statement, 6);
        status = sqlite3_column_int(statement, 8)
                     ? gw_records_decode(sqlite3_column_blob(statement, 7),
                                         (size_t)sqlite3_column_bytes(statement, 7), records)
                     : SL_PROTOCOL;
        if (status)
            status = undecoded(status, "deliveries", NULL, error);
    }
    sqlite3_reset(statement);
    return status;
}

sl_status gw_rows_delivery(struct gw_rows *rows, const char *writer, int64_t number,
                           struct gw_delivery *delivery, struct gw_record_list *records, bool *found,
                           sl_error *error)
{
    sqlite3_stmt *statement = text(rows->statements[GW_ROWS_DELIVERY], 1, writer);
    sqlite3_bind_int64(statement, 2, number);
    return read_delivery(rows, statement, delivery, records, found, error);
}

sl_status gw_rows_older_delivery(struct gw_rows *rows, int64_t like, int64_t before,
                                 struct gw_delivery *delivery, struct gw_record_list *records, bool *found,
                                 sl_error *error)
{
    sqlite3_stmt *statement = rows->statements[GW_ROWS_OLDER_DELIVERY];
    sqlite3_bind_int64(statement, 1, like);
    sqlite3_bind_int64(statement, 2, before);
    return read_delivery(rows, statement, delivery, records, found, error);
}

sl_status gw_rows_left_open(struct gw_rows *rows, const char *node, const char *writer,
                            struct gw_delivery *delivery, struct gw_record_list *records, bool *found,
                            sl_error *error)
{
    sqlite3_stmt *statement = text(rows->statements[GW_ROWS_LEFT_OPEN], 1, node);
    text(statement, 2, writer);
    return read_delivery(rows, statement, delivery, records, found, error);
}

sl_status gw_rows_put_delivery(struct gw_rows *rows, const struct gw_delivery *delivery,
                               const struct gw_record_list *records, sl_error *error)
{
    sqlite3_stmt *statement = rows->statements[GW_ROWS_PUT_DELIVERY];
    sl_buffer_reset(&rows->text);
    if (records && !gw_records_encode(&rows->text, records))
        return sl_error_oom(error);
    sqlite3_bind_int64(statement, 1, delivery->id);
    sqlite3_bind_int64(statement, 2, delivery->state);
    sqlite3_bind_int64(statement, 3, delivery->messages);
    sqlite3_bind_int64(statement, 4, delivery->bytes);
    sqlite3_bind_int64(statement, 5, delivery->blob_bytes);
    sqlite3_bind_int64(statement, 6, delivery->again);
    if (records)
        sqlite3_bind_blob64(statement, 7, records->count ? rows->text.data : "", rows->text.size,
                            SQLITE_STATIC);
    return run(rows, statement, error);
}

sl_status gw_rows_remove_delivery(struct gw_rows *rows, int64_t id, sl_error *error)
{
    sqlite3_bind_int64(rows->statements[GW_ROWS_REMOVE_DELIVERY], 1, id);
    return run(rows, rows->statements[GW_ROWS_REMOVE_DELIVERY], error);
}

sl_status gw_rows_settle(struct gw_rows *rows, const char *writer, int64_t number, bool *settled,
                         sl_error *error)
{
    sqlite3_stmt *statement = text(rows->statements[GW_ROWS_SETTLE], 1, writer);
    sqlite3_bind_int64(statement, 2, number);
    sl_status status = run(rows, statement, error);
    *settled = !status && sqlite3_changes(rows->db) > 0;
    return status;
}

sl_status gw_rows_forget(struct gw_rows *rows, int64_t before_ms, sl_error *error)
{
    sqlite3_bind_int64(rows->statements[GW_ROWS_FORGET], 1, before_ms);
    return run(rows, rows->statements[GW_ROWS_FORGET], error);
}

sl_status gw_fold_check(sqlite3 *db, sl_error *error)
{
    static const struct {
        const char *table, *sql;
    } tables[] = {
        {"usage", "SELECT count(*) FROM usage WHERE checksum <> row_checksum(" USAGE ")"},
        {"reached", "SELECT count(*) FROM reached WHERE checksum <> row_checksum(" REACHED ")"},
        {"deliveries", "SELECT count(*) FROM deliveries WHERE checksum <> row_checksum(state, " DELIVERY ")"},
        {"clocks", "SELECT count(*) FROM clocks WHERE checksum <> row_checksum(" CLOCK ")"},
        {"meta", "SELECT count(*) FROM meta WHERE NOT " GW_LEDGER_META_GOOD},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        int64_t bad = 0;
        sl_status status = gw_db_run(db, tables[i].sql, gw_db_read_number, &bad, NULL, error, "");
        if (status)
            return status;
        if (bad)
            return sl_error_set(error, SL_CHECKSUM_MISMATCH,
                                "%lld of its rows in the table \"%s\" are damaged", (long long)bad,
                                tables[i].table);
    }
    return SL_OK;
}
