/*
 * An SDII message list: protobuf, read by libprotobuf-c from sdii.proto's messages. A function of its bytes;
 * nothing here knows of HTTP or Kafka. Any thread; a list belongs to one at a time.
 *
 * libprotobuf-c keeps a few dozen bytes for each field until a message is read, so a body of fields of two
 * bytes takes many times its size: what reading takes is bounded, by what max_messages messages can need.
 */
#ifndef GW_API_SDII_LIST_H
#define GW_API_SDII_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct gw_sdii_list;

struct gw_sdii_limits {
    size_t max_messages, max_message; /* how many, and the bytes of one */
    /* Memory that is counted together with others': false, there is none left now. release gives back what
     * the list held. Both from within gw_sdii_list_read, release from gw_sdii_list_free, too. */
    bool (*reserve)(void *opaque, size_t bytes);
    void (*release)(void *opaque, size_t bytes);
    void *opaque; /* must stay as long as the list */
};

enum gw_sdii_fault {
    GW_SDII_READ,      /* none */
    GW_SDII_MALFORMED, /* text says why */
    GW_SDII_TOO_LARGE, /* a message is over max_message */
    GW_SDII_TOO_MANY,  /* messages or fields, for the limits */
    GW_SDII_NO_ROOM,   /* reserve said so */
    GW_SDII_NO_MEMORY,
};

#define GW_SDII_TEXT_MAX 256

/* *out is the caller's, and lies in memory of its own: bytes need not stay. Fails for all of the list, text
 * saying where. */
enum gw_sdii_fault gw_sdii_list_read(const void *bytes, size_t size, const struct gw_sdii_limits *limits,
                                     struct gw_sdii_list **out, char text[GW_SDII_TEXT_MAX]);
size_t gw_sdii_list_count(const struct gw_sdii_list *list);
/* The bytes of a message, as they came: the list's. Never NULL. */
const void *gw_sdii_list_message(const struct gw_sdii_list *list, size_t index, size_t *size);
void gw_sdii_list_free(struct gw_sdii_list **out); /* NULL is allowed */

#endif
