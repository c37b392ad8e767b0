/* From text to nodes. */
#ifndef SL_HOCON_PARSE_H
#define SL_HOCON_PARSE_H

#include "hocon/lexer.h"
#include "hocon/path.h"
#include <sys/types.h>

/* Where a field stands that is being parsed: what an included file's substitutions are relative to. */
struct hocon_scope {
    const struct hocon_scope *outer;
    struct hocon_path path;
};

/* A file that is being parsed, and the one that includes it. */
struct hocon_input {
    const struct hocon_input *includer;
    dev_t device; /* with inode: which file it is, by whatever name; both 0 when it is none */
    ino_t inode;
    const char *directory; /* what includes in it are relative to */
};

struct hocon_parser {
    struct hocon *document;
    const struct hocon_limits *limits;
    size_t *files; /* read so far for the document */
    const struct hocon_input *input;
    struct hocon_path prefix; /* where in the tree the file is included */
    struct hocon_place from;  /* the include statement; no file: nothing includes it */
    const struct hocon_scope *scope;
    unsigned depth; /* of the value being parsed */
    unsigned lists; /* how many lists it lies in */
    struct hocon_lexer lexer;
    struct sl_buffer scratch;
    sl_error *error;
};

enum hocon_syntax { HOCON_SYNTAX_CONF, HOCON_SYNTAX_JSON, HOCON_SYNTAX_PROPERTIES };

/* Parses the whole text, named file, as parser's other members say. *root: a NODE_OBJECT or NODE_LIST. */
sl_status hocon_parse_bytes(struct hocon_parser *parser, const char *text, size_t size, const char *file,
                            enum hocon_syntax syntax, struct hocon_node **root);

/* Parses one include statement, at whose "include" the lexer stands, and merges the file into object. */
sl_status hocon_parse_include(struct hocon_parser *parser, struct hocon_node *object);
/* Opens and parses a file; *root stays NULL when there is none. */
sl_status hocon_parse_path(struct hocon_parser *parser, const char *file, struct hocon_node **root);

sl_status hocon_parse_properties(struct hocon_parser *parser, struct hocon_node **root);

#endif
