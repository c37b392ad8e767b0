/* Reading the ledger: a connection for each question, so that nobody waits for the one that writes. */
#include "base/error.h"
#include "gateway/ledger/internal.h"
#include "gateway/ledger/records.h"
#include "gateway/ledger/rows.h"
#include "gateway/store/db.h"

#define BUSY_MS 10000
#define SQL_MAX ((size_t)4096)

struct question {
    sqlite3 *db;
    sqlite3_stmt *statement;
    struct sl_buffer sql;
};

static sl_status fail(struct question *question, sl_error *error)
{
    return sl_error_set(error, SL_IO, "the ledger cannot be read: SQLite: %s", sqlite3_errmsg(question->db));
}

/* Where the log is a topic: what ledger.db does not take of it would be missing. */
static sl_status check_folding(struct gw_ledger *ledger, sl_error *error)
{
    sl_status status = SL_OK;
    pthread_mutex_lock(&ledger->lock);
    if (ledger->kafka && ledger->failing & GW_LEDGER_FOLDING)
        status = sl_error_set(error, SL_UNAVAILABLE, "ledger.db does not take what its topic has: %s",
                              ledger->why);
    pthread_mutex_unlock(&ledger->lock);
    return status;
}

static sl_status begin(struct gw_ledger *ledger, struct question *question, sl_error *error)
{
    *question = (struct question){.db = NULL};
    sl_buffer_init(&question->sql, SQL_MAX);
    if (!ledger->running)
        return sl_error_set(error, SL_UNAVAILABLE, "%s", ledger->why);
    sl_status status =
        ledger->folder ? gw_folder_catch_up(ledger->folder, error) : check_folding(ledger, error);
    if (status)
        return status;
    if (sqlite3_open_v2(ledger->store.path, &question->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL))
        return fail(question, error);
    sqlite3_busy_timeout(question->db, BUSY_MS);
    /* What is put together on the way stays off a disk that may be full. Here, since within a transaction
     * SQLite refuses it once there is something temporary. */
    return sqlite3_exec(question->db, "PRAGMA temp_store = MEMORY", NULL, NULL, NULL) ? fail(question, error)
                                                                                      : SL_OK;
}

static void end(struct question *question)
{
    sqlite3_finalize(question->statement);
    sqlite3_close(question->db);
    sl_buffer_free(&question->sql);
}

static void bind_text(struct question *question, const char *name, const char *value)
{
    int at = sqlite3_bind_parameter_index(question->statement, name);
    if (at)
        sqlite3_bind_text(question->statement, at, value, -1, SQLITE_STATIC);
}

static void bind_number(struct question *question, const char *name, int64_t value)
{
    int at = sqlite3_bind_parameter_index(question->statement, name);
    if (at)
        sqlite3_bind_int64(question->statement, at, value);
}

/* Another question than the last. */
static void ask(struct question *question, const char *select)
{
    sqlite3_finalize(question->statement);
    question->statement = NULL;
    sl_buffer_reset(&question->sql);
    sl_buffer_append_text(&question->sql, select);
}

/* What is asked for of the rows u, and in which order. */
static sl_status prepare(struct question *question, const struct gw_usage_filter *filter, const char *order,
                         sl_error *error)
{
    struct sl_buffer *sql = &question->sql;
    if (filter->viewer && !filter->catalogs)
        sl_buffer_append_text(sql, " AND u.application = :viewer");
    if (filter->application)
        sl_buffer_append_text(sql, " AND u.application = :application");
    if (filter->hrn)
        sl_buffer_append_text(sql, " AND u.hrn = :hrn");
    if (filter->layer)
        sl_buffer_append_text(sql, " AND u.layer = :layer");
    if (!sl_buffer_append_text(sql, order) || sql->failed)
        return sl_error_oom(error);
    if (sqlite3_prepare_v2(question->db, sql->data, -1, &question->statement, NULL))
        return fail(question, error);
    bind_text(question, ":viewer", filter->viewer);
    bind_text(question, ":catalogs", filter->catalogs);
    bind_text(question, ":application", filter->application);
    bind_text(question, ":hrn", filter->hrn);
    bind_text(question, ":layer", filter->layer);
    bind_number(question, ":from", filter->from_hour);
    bind_number(question, ":to", filter->to_hour);
    return SL_OK;
}

/* *row: whether there is one. */
static sl_status next(struct question *question, bool *row, sl_error *error)
{
    int code = sqlite3_step(question->statement);
    *row = code == SQLITE_ROW;
    return *row || code == SQLITE_DONE ? SL_OK : fail(question, error);
}

static void take_line(sqlite3_stmt *row, struct gw_usage_line *line)
{
    line->application = gw_db_text(row, 0);
    line->hrn = gw_db_text(row, 1);
    line->layer = gw_db_text(row, 2);
    line->group = gw_db_text(row, 3);
    line->hour = sqlite3_column_int64(row, 4);
    for (int i = 0; i < GW_FIGURES; i++)
        gw_figure_set(&line->usage, (size_t)i, sqlite3_column_int64(row, 5 + i));
}

/*
 * Who manages catalogs sees pairs of an application and a catalog: his own, and all of these catalogs. So
 * does who may see all and asks for a catalog. They are looked for in the table's key, application by
 * application: from one catalog that is asked for to the next that the application has used, so that it takes
 * as many steps as there are of these, or of those, whichever are fewer. In the key the rows of a pair lie
 * together, in the order that is asked for. So no page looks at rows that it does not tell, nor sorts. An
 * index of catalogs would find the pairs as well, but is as large as the key, in a file that may have a
 * bound.
 */
static const char make_seen[] = "CREATE TEMP TABLE asked (hrn TEXT PRIMARY KEY) WITHOUT ROWID;"
                                "CREATE TEMP TABLE seen (application TEXT NOT NULL, hrn TEXT NOT NULL,"
                                " PRIMARY KEY (application, hrn)) WITHOUT ROWID";
static const char fill_asked[] =
    "INSERT OR IGNORE INTO asked SELECT value FROM json_each(coalesce(:catalogs, json_array(:hrn)))"
    " WHERE :hrn IS NULL OR value = :hrn";
static const char fill_seen[] =
    "INSERT OR IGNORE INTO seen WITH RECURSIVE"
    " own (hrn) AS (SELECT min(hrn) FROM usage WHERE application = :viewer UNION ALL"
    " SELECT (SELECT min(u.hrn) FROM usage AS u WHERE u.application = :viewer AND u.hrn > own.hrn)"
    " FROM own WHERE own.hrn IS NOT NULL),"
    " near (application, hrn) AS (" /* what is asked for: the next behind each that was used */
    " SELECT c.application, (SELECT min(a.hrn) FROM asked AS a WHERE a.hrn >="
    " (SELECT min(u.hrn) FROM usage AS u WHERE u.application = c.application))"
    " FROM clocks AS c" /* every application that has used something */
    " WHERE c.application >= :after_application AND (:application IS NULL OR c.application = :application)"
    " UNION ALL SELECT near.application, (SELECT min(a.hrn) FROM asked AS a WHERE a.hrn >="
    " (SELECT min(u.hrn) FROM usage AS u WHERE u.application = near.application AND u.hrn > near.hrn))"
    " FROM near WHERE near.hrn IS NOT NULL)"
    " SELECT :viewer, hrn FROM own WHERE hrn IS NOT NULL UNION ALL"
    " SELECT n.application, n.hrn FROM near AS n WHERE n.hrn IS NOT NULL"
    " AND EXISTS (SELECT 1 FROM usage AS u WHERE u.application = n.application AND u.hrn = n.hrn)";

static sl_status find_seen(struct question *question, const struct gw_usage_filter *filter,
                           const struct gw_usage_line *after, sl_error *error)
{
    static const char *const fills[] = {fill_asked, fill_seen};
    if (sqlite3_exec(question->db, make_seen, NULL, NULL, NULL))
        return fail(question, error);
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
        ask(question, "");
        if (sqlite3_prepare_v2(question->db, fills[i], -1, &question->statement, NULL))
            return fail(question, error);
        bind_text(question, ":viewer", filter->viewer);
        bind_text(question, ":catalogs", filter->catalogs);
        bind_text(question, ":application", filter->application);
        bind_text(question, ":hrn", filter->hrn);
        bind_text(question, ":after_application", after ? after->application : "");
        if (sqlite3_step(question->statement) != SQLITE_DONE)
            return fail(question, error);
    }
    return SL_OK;
}

#define LINE                                                                                                 \
    "SELECT u.application, u.hrn, u.layer, u.grp, u.hour, calls_in, calls_out, messages_in, messages_out,"   \
    " bytes_in, bytes_out, blob_bytes_in, blob_bytes_out FROM "

static sl_status read_usage(struct question *question, const struct gw_usage_filter *filter,
                            const struct gw_usage_line *after,
                            bool (*each)(void *opaque, const struct gw_usage_line *line), void *opaque,
                            sl_error *error)
{
    struct gw_usage_line line;
    bool row = true, pairs = filter->catalogs || (filter->hrn && !filter->viewer);
    sl_status status = pairs ? find_seen(question, filter, after, error) : SL_OK;
    ask(question, pairs ? LINE "seen AS s CROSS JOIN usage AS u"
                               " ON u.application = s.application AND u.hrn = s.hrn"
                        : LINE "usage AS u");
    sl_buffer_append_text(&question->sql, " WHERE u.hour >= :from AND u.hour < :to");
    if (after)
        sl_buffer_append_text(&question->sql, " AND (u.application, u.hrn, u.layer, u.grp, u.hour) >"
                                              " (:after_application, :after_hrn, :after_layer, :after_group,"
                                              " :after_hour)");
    if (!status)
        status = prepare(question, filter,
                         pairs ? " ORDER BY s.application, s.hrn, u.layer, u.grp, u.hour"
                               : " ORDER BY u.application, u.hrn, u.layer, u.grp, u.hour",
                         error);
    if (!status && after) {
        bind_text(question, ":after_application", after->application);
        bind_text(question, ":after_hrn", after->hrn);
        bind_text(question, ":after_layer", after->layer);
        bind_text(question, ":after_group", after->group);
        bind_number(question, ":after_hour", after->hour);
    }
    while (!status && row) {
        status = next(question, &row, error);
        if (!status && row) {
            take_line(question->statement, &line);
            row = each(opaque, &line);
        }
    }
    return status;
}

sl_status gw_ledger_read_usage(struct gw_ledger *ledger, const struct gw_usage_filter *filter,
                               const struct gw_usage_line *after,
                               bool (*each)(void *opaque, const struct gw_usage_line *line), void *opaque,
                               sl_error *error)
{
    struct question question;
    sl_status status = begin(ledger, &question, error);
    if (!status)
        status = read_usage(&question, filter, after, each, opaque, error);
    end(&question);
    return status;
}

/* The records that a delivery has counted, and that are not confirmed. */
static void keep_listed(struct gw_record_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->marks[i] == GW_RECORD_COUNTED)
            list->records[kept++] = list->records[i];
    list->count = kept;
}

static sl_status take_delivery(sqlite3_stmt *row, struct gw_record_list *list,
                               struct gw_unconfirmed *delivery)
{
    delivery->id = sqlite3_column_int64(row, 0);
    delivery->application = gw_db_text(row, 1);
    delivery->hrn = gw_db_text(row, 2);
    delivery->layer = gw_db_text(row, 3);
    delivery->group = gw_db_text(row, 4);
    delivery->at_ms = sqlite3_column_int64(row, 5);
    delivery->open = sqlite3_column_int(row, 6) == GW_DELIVERY_OPEN;
    delivery->messages = sqlite3_column_int64(row, 7);
    delivery->bytes = sqlite3_column_int64(row, 8);
    delivery->blob_bytes = sqlite3_column_int64(row, 9);
    sl_status status =
        gw_records_decode(sqlite3_column_blob(row, 10), (size_t)sqlite3_column_bytes(row, 10), list);
    if (status)
        return status;
    keep_listed(list);
    delivery->records = list->records;
    delivery->count = list->count;
    return SL_OK;
}

static sl_status read_unconfirmed(struct question *question, const struct gw_usage_filter *filter,
                                  int64_t after,
                                  bool (*each)(void *opaque, const struct gw_unconfirmed *delivery),
                                  void *opaque, sl_error *error)
{
    struct gw_record_list list = {.count = 0};
    struct gw_unconfirmed delivery;
    bool row = true;
    /* Settled ones may be many, and are not looked at: the index has none of them. */
    ask(question,
        "SELECT id, application, hrn, layer, grp, at_ms, state, messages, bytes,"
        " blob_bytes, records FROM deliveries AS u WHERE id IN"
        " (SELECT id FROM deliveries INDEXED BY deliveries_unsettled WHERE state < 2 AND id > :after)"
        " AND (messages > 0 OR blob_bytes > 0)"
        " AND at_ms / 3600000 >= :from AND at_ms / 3600000 < :to");
    if (filter->catalogs)
        sl_buffer_append_text(&question->sql, " AND (application = :viewer OR hrn IN"
                                              " (SELECT value FROM json_each(:catalogs)))");
    sl_status status = prepare(question, filter, " ORDER BY id", error);
    if (!status)
        bind_number(question, ":after", after);
    while (!status && row) {
        status = next(question, &row, error);
        if (status || !row)
            break;
        status = take_delivery(question->statement, &list, &delivery);
        if (status == SL_OUT_OF_MEMORY)
            sl_error_oom(error);
        else if (status)
            status = sl_error_set(error, SL_IO, "a row of the ledger's table \"deliveries\" is damaged");
        else
            row = each(opaque, &delivery);
    }
    gw_records_free(&list);
    return status;
}

sl_status gw_ledger_read_unconfirmed(struct gw_ledger *ledger, const struct gw_usage_filter *filter,
                                     int64_t after,
                                     bool (*each)(void *opaque, const struct gw_unconfirmed *delivery),
                                     void *opaque, sl_error *error)
{
    struct question question;
    sl_status status = begin(ledger, &question, error);
    if (!status)
        status = read_unconfirmed(&question, filter, after, each, opaque, error);
    end(&question);
    return status;
}

sl_status gw_ledger_read_both(struct gw_ledger *ledger, const struct gw_usage_filter *filter,
                              bool (*each_line)(void *opaque, const struct gw_usage_line *line),
                              bool (*each_delivery)(void *opaque, const struct gw_unconfirmed *delivery),
                              void *opaque, sl_error *error)
{
    struct question question;
    sl_status status = begin(ledger, &question, error);
    if (!status && sqlite3_exec(question.db, "BEGIN", NULL, NULL, NULL))
        status = fail(&question, error);
    if (!status)
        status = read_usage(&question, filter, NULL, each_line, opaque, error);
    if (!status)
        status = read_unconfirmed(&question, filter, INT64_MIN, each_delivery, opaque, error);
    end(&question);
    return status;
}
