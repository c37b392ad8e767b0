/*
 * HOCON (Human-Optimized Config Object Notation; the Lightbend specification): parsing, merging,
 * substitutions, reading, rendering. Usable alone: needs only src/base.
 *
 * Documents are parsed unresolved, laid over one another, then resolved once, so that a substitution in one
 * may look at another. A resolved tree is immutable and may be read by many threads.
 *
 * Where it knowingly differs from the Lightbend library: docs/hocon.md, and tests/hocon/differences.txt with
 * documents that show it.
 */
#ifndef SL_HOCON_HOCON_H
#define SL_HOCON_HOCON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct hocon;       /* a document, or the tree of one: owned by who made it, released with hocon_free */
struct hocon_value; /* a value inside a resolved document; lives as long as the document */

enum hocon_type { HOCON_NULL, HOCON_BOOLEAN, HOCON_NUMBER, HOCON_STRING, HOCON_LIST, HOCON_OBJECT };

/* Limits; zero members mean the defaults. */
struct hocon_limits {
    size_t max_bytes;      /* of one file: 16 MiB */
    unsigned max_depth;    /* of nested values: 200 */
    unsigned max_includes; /* of files within files: 32 */
    size_t max_resolved;   /* values that substitutions may make (they can multiply): 1,000,000 */
};

/* Parses. Errors: SL_BAD_CONFIG "FILE:LINE:COLUMN: what, and what was expected"; SL_IO; SL_OUT_OF_MEMORY.
 * origin names the text in errors and origins; includes in it are relative to directory (NULL: the working
 * directory), those by file() to the working directory, as the specification has it. */
sl_status hocon_parse_file(const char *file, const struct hocon_limits *limits, struct hocon **document,
                           sl_error *error);
sl_status hocon_parse_text(const char *text, size_t size, const char *origin, const char *directory,
                           const struct hocon_limits *limits, struct hocon **document, sl_error *error);

/* An unresolved document with one path (HOCON path expression) set to one string value: for -D and the
 * environment. */
sl_status hocon_single(const char *path, const char *value, const char *origin, struct hocon **document,
                       sl_error *error);

/* Lays over on under: *merged is new, both stay the caller's. */
sl_status hocon_merge(const struct hocon *over, const struct hocon *under, struct hocon **merged,
                      sl_error *error);

/* Resolves substitutions; falls back to the environment where use_environment (${x[]}: to the list of x_0,
 * x_1 and so on). *resolved is new. Errors: SL_BAD_CONFIG for what cannot be resolved and for cycles, with
 * FILE:LINE:COLUMN. */
sl_status hocon_resolve(const struct hocon *document, bool use_environment, const struct hocon_limits *limits,
                        struct hocon **resolved, sl_error *error);

/* Whether an unresolved document itself, not by a substitution, gives path (keys without quotes, and dots
 * between them) a value. *file, *line: where, or NULL and 0; the document's. */
bool hocon_mentions(const struct hocon *document, const char *path, const char **file, unsigned *line);
/* Whether a substitution in an unresolved document has a path that begins with key. */
bool hocon_refers_to(const struct hocon *document, const char *key);

void hocon_free(struct hocon **document);

/* Reading a resolved document. A path is a HOCON path expression ("a.b.\"c.d\""); NULL: not there. */
const struct hocon_value *hocon_root(const struct hocon *document);
const struct hocon_value *hocon_get(const struct hocon_value *value, const char *path);
/* The field of an object that has that very key, whatever characters it has; NULL too where value is NULL or
 * no object. */
const struct hocon_value *hocon_field(const struct hocon_value *value, const char *key);
enum hocon_type hocon_type_of(const struct hocon_value *value);
/* A scalar as text, as it was written (numbers and booleans too; null: "null"); NULL for lists and objects.
 */
const char *hocon_text(const struct hocon_value *value);
size_t hocon_count(const struct hocon_value *value); /* of a list's elements or an object's fields; else 0 */
const struct hocon_value *hocon_at(const struct hocon_value *value,
                                   size_t index);                         /* a list's or object's, in order */
const char *hocon_key_at(const struct hocon_value *object, size_t index); /* undotted, unquoted */
/* Where the value was written: "FILE:LINE", or the origin given. The document's. */
const char *hocon_origin(const struct hocon_value *value);
/* In the line of hocon_origin, bytes from 1; 0: the origin has no line. */
unsigned hocon_column(const struct hocon_value *value);

/* Conversions that HOCON knows (a string "5" is a number where one is wanted; "yes", "on" are true; an object
 * with numbered keys is a list). false: not convertible. */
bool hocon_as_boolean(const struct hocon_value *value, bool *out);
bool hocon_as_integer(const struct hocon_value *value, int64_t *out);
bool hocon_as_duration_ms(const struct hocon_value *value, int64_t *out); /* a bare number: milliseconds */
bool hocon_as_bytes(const struct hocon_value *value, int64_t *out);       /* a bare number: bytes */
/* The list: the value itself, or what an object with numbers for keys makes; NULL: neither. The document's.
 */
const struct hocon_value *hocon_as_list(const struct hocon_value *value);

/* Joins key to path as a path expression, quoting where it must. Released with free; NULL: no memory. */
char *hocon_path_join(const char *path, const char *key);

/* The value as JSON text (indented two spaces when pretty); numbers that JSON does not know ("007", "5.")
 * become such as it does. Released with free. */
sl_status hocon_render_json(const struct hocon_value *value, bool pretty, char **json, sl_error *error);

#endif
