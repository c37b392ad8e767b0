/*
 * The tables of ledger.db.
 *
 * usage has what is billed: a row for each application, catalog, layer, group (grp, "": none) and hour since
 * 1970, UTC.
 *
 * reached has which offsets were counted (gw_ranges of records.h). Where the log is a topic it has also which
 * events of it were taken: of application "" and topic "", with the writer as grp, by their sequence.
 *
 * deliveries are by the run of a gateway (writer) and their number there. Their state is of enum
 * gw_delivery_state; messages, bytes and blob_bytes are what they have counted and is not confirmed; again is
 * how many records were counted before; records is a gw_record_list of records.h.
 *
 * clocks has the last hour of each application.
 *
 * meta has what a ledger has once: "node", the gateway's name in it; "log", where its log is; "journal", up
 * to which of the journal's sequences the tables have it, with the CRC-32 of node, space and number behind
 * it; "offset of N", where the topic's partition N is read on.
 *
 * checksum is the CRC-32 of a row's other columns (of deliveries without id): of the bytes of texts and
 * blobs, each behind a byte of its own, and of numbers' 8 bytes, lowest first. SQLite itself would not see a
 * bit that has changed within a row.
 *
 * In version 1 clocks and meta had no checksum, and that of deliveries was not of state; reached had 64
 * ranges at most. upgrade.c brings such a file here; it has the SQL of each version's by itself, so that what
 * stands below may change with the version.
 */
#ifndef GW_LEDGER_SCHEMA_H
#define GW_LEDGER_SCHEMA_H

#define GW_LEDGER_SCHEMA_VERSION 2

/* Whether a row of meta is good: an operator's "begin", which no gateway writes, has none. */
#define GW_LEDGER_META_GOOD                                                                                  \
    "(checksum IS row_checksum(name, value) OR (checksum IS NULL AND value = 'begin'))"

#define GW_LEDGER_SCHEMA                                                                                     \
    "CREATE TABLE usage (application TEXT NOT NULL, hrn TEXT NOT NULL, layer TEXT NOT NULL,"                 \
    " grp TEXT NOT NULL, hour INTEGER NOT NULL, calls_in INTEGER NOT NULL, calls_out INTEGER NOT NULL,"      \
    " messages_in INTEGER NOT NULL, messages_out INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"               \
    " bytes_out INTEGER NOT NULL, blob_bytes_in INTEGER NOT NULL, blob_bytes_out INTEGER NOT NULL,"          \
    " checksum INTEGER NOT NULL, PRIMARY KEY (application, hrn, layer, grp, hour)) STRICT, WITHOUT ROWID;"   \
    "CREATE TABLE reached (application TEXT NOT NULL, topic TEXT NOT NULL, grp TEXT NOT NULL,"               \
    " partition INTEGER NOT NULL, ranges BLOB NOT NULL, checksum INTEGER NOT NULL,"                          \
    " PRIMARY KEY (application, topic, grp, partition)) STRICT, WITHOUT ROWID;"                              \
    "CREATE TABLE deliveries (id INTEGER PRIMARY KEY, writer TEXT NOT NULL, number INTEGER NOT NULL,"        \
    " node TEXT NOT NULL, state INTEGER NOT NULL, application TEXT NOT NULL, hrn TEXT NOT NULL,"             \
    " layer TEXT NOT NULL, grp TEXT NOT NULL, topic TEXT NOT NULL, at_ms INTEGER NOT NULL,"                  \
    " messages INTEGER NOT NULL, bytes INTEGER NOT NULL, blob_bytes INTEGER NOT NULL,"                       \
    " again INTEGER NOT NULL, records BLOB NOT NULL, checksum INTEGER NOT NULL,"                             \
    " UNIQUE (writer, number)) STRICT;"                                                                      \
    "CREATE INDEX deliveries_unsettled ON deliveries (application, topic, grp) WHERE state < 2;"             \
    "CREATE INDEX deliveries_settled ON deliveries (at_ms) WHERE state = 2;"                                 \
    "CREATE TABLE clocks (application TEXT PRIMARY KEY, hour INTEGER NOT NULL, checksum INTEGER NOT NULL)"   \
    " STRICT, WITHOUT ROWID;"                                                                                \
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER)"                       \
    " STRICT, WITHOUT ROWID;"                                                                                \
    "PRAGMA user_version = 2;"

#endif
