/* Types of Flink SQL, as far as a table of Kafka's connector can have them. */
#ifndef CLI_FLINK_TYPE_H
#define CLI_FLINK_TYPE_H

#include <stdbool.h>

#define CLI_FLINK_WHY 200

/* What there is, in Flink's words. */
#define CLI_FLINK_TYPES                                                                                      \
    "STRING, CHAR(n), VARCHAR(n), BOOLEAN, BYTES, BINARY(n), VARBINARY(n), TINYINT, SMALLINT, INT, BIGINT, " \
    "FLOAT, DOUBLE, DECIMAL(p, s), DATE, TIME(p), TIMESTAMP(p), TIMESTAMP_LTZ(p), "                          \
    "ARRAY<type>, MULTISET<type>, MAP<type, type>, ROW<name type, ...>; each may be NOT NULL"

/* Whether the text is a type, and nothing else: it goes into a statement as it is. why: what is wrong with
 * it, where it is not. */
bool cli_flink_type_ok(const char *type, char why[CLI_FLINK_WHY]);

#endif
