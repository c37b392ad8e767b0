/*
 * A message as a line of JSON: what `consume --json` writes is what `produce --ndjson` reads. Text stands as
 * it is where it is UTF-8, and otherwise in base64 under the field's name with Base64 behind it. A payload
 * that is other JSON than a string stands for its own text, byte for byte.
 */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include "base/buffer.h"
#include <jansson.h>
#include <streamlayer/message.h>

#define CLI_RECORD_WHY 300 /* bytes of an explanation */

/* Appends the message as one line, newline included. A failure is latched in text. */
void cli_record_write(struct sl_buffer *text, const sl_message *message);

/* What a message that was read from a line borrows; zeroed to begin with. */
struct cli_record {
    json_t *object;
    void **parts; /* decoded and rendered values */
    size_t count;
};

/*
 * Fills message, whose other parts are kept: fields that the line has replace them, headers are added. What
 * it borrows stays until the next read or the free, as long as the line itself does. false: why says what is
 * wrong, without a newline.
 */
bool cli_record_read(struct cli_record *record, const char *line, size_t size, sl_message *message,
                     char why[CLI_RECORD_WHY]);
void cli_record_free(struct cli_record *record);

#endif
