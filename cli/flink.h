/* Stream layers as tables of Flink SQL: what `flink ddl` and `flink init` share. */
#ifndef CLI_FLINK_H
#define CLI_FLINK_H

#include "base/buffer.h"
#include "cli.h"

enum cli_flink_use { CLI_FLINK_BOTH, CLI_FLINK_SOURCE, CLI_FLINK_SINK };

#define CLI_FLINK_COLUMNS_MAX 512
#define CLI_FLINK_JOB_MAX     100

struct cli_flink_column {
    const char *name; /* name_size bytes of it */
    size_t name_size;
    const char *type;
};

/* What the user decides of a table. Texts are the command line's, or static, where nothing else is said. */
struct cli_flink_wish {
    const char *name;          /* the table's; NULL: the layer's id */
    const char *format;        /* Flink's name of it; NULL: by the layer's content type */
    const char *message_class; /* of protobuf; NULL: none */
    struct cli_flink_column columns[CLI_FLINK_COLUMNS_MAX];
    size_t column_count;
    const char *event_time; /* a column's name; NULL: the message's timestamp */
    int64_t late_ms;        /* how far event time may be out of order */
    const char *job;        /* what its group and its transactions are named after */
    bool exactly_once;
    const char *start;      /* scan.startup.mode */
    const char *reset;      /* auto.offset.reset; NULL: Kafka's own */
    int64_t start_ms;       /* for the mode "timestamp" */
    const char *until;      /* scan.bounded.mode; NULL: never */
    int64_t until_ms;       /* for the mode "timestamp" */
    const char *token_file; /* NULL: tokens come from the credentials */
    char *credentials;      /* a credentials file's absolute name, the wish's own; NULL: the usual place */
    bool shaded;            /* Kafka's classes are those of flink-sql-connector-kafka */
};

/* What the platform says of a layer; released with cli_flink_layer_free. */
struct cli_flink_layer {
    const char *hrn, *id; /* the command line's */
    sl_catalog *catalog;  /* the next two are its */
    const char *content_type;
    bool gzip;
    sl_layer_endpoint *endpoint;
};

/* A table: the layer, and how it is to be read or written. */
struct cli_flink_table {
    const struct cli_flink_layer *layer;
    const struct cli_flink_wish *wish;
    enum cli_flink_use use;
    const char *name;
    const char *format;
    bool text; /* of the format raw: the payload is text */
};

/* The options of both commands. */
#define CLI_FLINK_OPTIONS                                                                                    \
    {'C', "column", "NAME:TYPE",                                                                             \
     "a field of the payload and its type in Flink SQL, such as speed:DOUBLE (repeatable; without any, the " \
     "payload is one column, as bytes or text)"},                                                            \
        {0, "format", "raw|json|csv|avro|protobuf",                                                          \
         "how Flink reads the payload (default: by the layer's content type)"},                              \
        {0, "message-class", "CLASS", "of protobuf: the Java class of the message, which the job has"},      \
        {0, "event-time", "COLUMN",                                                                          \
         "the column that is the time of events: TIMESTAMP(3), TIMESTAMP_LTZ(3), or BIGINT, milliseconds "   \
         "since 1970, which becomes sl_event_time (default: the message's timestamp)"},                      \
        {0, "late", "DURATION", "how far events may be out of order (default 5s)"},                          \
        {'s', "start", "group|begin|end|@TIME",                                                              \
         "where a job without a checkpoint begins: where its group has committed, and without that as "      \
         "stream.consumer.start says (default); at the oldest message; behind the newest; at a time"},       \
        {0, "until", "end|@TIME", "a source that ends there (default: never)"},                              \
        {0, "token-file", "FILE",                                                                            \
         "brokers are shown the token in this file, by Kafka's own class; see docs/flink.md for its "        \
         "limits"},                                                                                          \
    {                                                                                                        \
        0, "shaded", NULL,                                                                                   \
            "Kafka's classes are those of flink-sql-connector-kafka; needs --token-file "                    \
            "where brokers want a token"                                                                     \
    }

/* Reads the options that both commands have. CLI_OK, or an exit code after a message; to be released in
 * either case. */
int cli_flink_wish_read(struct cli_flink_wish *wish, struct cli *cli);
void cli_flink_wish_free(struct cli_flink_wish *wish);
/* Loads the configuration, which completes the wish, and makes the client. CLI_OK, or an exit code after a
 * message. */
int cli_flink_connect(struct cli_flink_wish *wish, struct cli *cli);
bool cli_flink_is_job(const char *name);
/* What a job is called becomes part of its group's name. CLI_OK, or an exit code after a message. */
int cli_flink_check_job(const struct cli *cli, const char *job);

/* Asks the platform. CLI_OK, or an exit code after a message; to be released in either case. */
int cli_flink_layer_get(struct cli_flink_layer *layer, struct cli *cli, const char *hrn, const char *id,
                        enum cli_flink_use use);
void cli_flink_layer_free(struct cli_flink_layer *layer);

/* Makes a table of both; names and formats are settled. CLI_OK, or an exit code after a message. */
int cli_flink_table_prepare(struct cli_flink_table *table, const struct cli *cli,
                            const struct cli_flink_layer *layer, const struct cli_flink_wish *wish,
                            enum cli_flink_use use);

/* flink_table.c: the SQL. Failures latch in the buffer. */
/* CREATE TABLE …; with what there is to be said of it before, as comments. */
void cli_flink_append_table(struct sl_buffer *sql, const struct cli_flink_table *table);
/* Whether the brokers want the application's token. */
bool cli_flink_wants_token(const struct cli_flink_table *table);
/* Whether the brokers want something that no DDL should have: a user and a password. */
bool cli_flink_needs_secret(const struct cli_flink_table *table);
/* A name in backticks; a text in single quotes. */
void cli_flink_append_name(struct sl_buffer *sql, const char *name, size_t size);
void cli_flink_append_text(struct sl_buffer *sql, const char *text);
/* An absolute path as a URL, in which its own characters are escaped. */
void cli_flink_append_file_url(struct sl_buffer *url, const char *path);

#endif
