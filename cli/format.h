/*
 * Format strings for messages, as kcat's -f has them, and the escapes of delimiters:
 *   %s payload   %S its size (-1: null)   %R its size as 4 bytes, big-endian
 *   %k key       %K its size (-1: none)   %h headers as name=value,name=value
 *   %T timestamp in ms (-1: none)         %D timestamp as ISO 8601 UTC
 *   %o offset    %p Kafka partition       %t layer    %i trace id    %d data handle    %% a percent sign
 *   \n \t \r \a \e \0 \\ \xHH
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include "base/buffer.h"
#include <streamlayer/message.h>

#define CLI_FORMAT_WHY 200

/* A part of a format: text, or what a letter stands for. */
struct cli_format_part {
    char letter;      /* 0: text */
    size_t at, count; /* the text's bytes in cli_format.text */
};

struct cli_format {
    struct cli_format_part *parts;
    size_t count;
    struct sl_buffer text;
};

/* false: why says what is wrong. To be freed in either case. */
bool cli_format_compile(struct cli_format *format, const char *text, char why[CLI_FORMAT_WHY]);
void cli_format_free(struct cli_format *format);
/* Appends a message. A failure is latched in out. */
void cli_format_write(const struct cli_format *format, struct sl_buffer *out, const sl_message *message,
                      const char *layer);
/*
 * As a file's name in a directory: what a message brings is percent-encoded but for A-Z a-z 0-9 - . _ ~, so
 * no key leads elsewhere; a name that is too long is cut and ends in ~PARTITION-OFFSET; one that begins with
 * a dot gets it encoded. NUL-terminated.
 */
void cli_format_name(const struct cli_format *format, struct sl_buffer *out, const sl_message *message,
                     const char *layer);
/* Whether it has a path separator in its own text: a name has none. */
bool cli_format_has_slash(const struct cli_format *format);

/* Undoes the escapes; false where one is unknown or broken. */
bool cli_unescape(struct sl_buffer *out, const char *text);

#endif
