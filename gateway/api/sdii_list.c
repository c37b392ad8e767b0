#include "gateway/api/sdii_list.h"

#include "sdii.pb-c.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_MESSAGE ((size_t)128)       /* that reading takes at most, beside the message's own bytes */
#define SPARE       ((size_t)1 << 20)   /* for the fields of the message that is looked at */
#define COPIES      ((size_t)2)         /* of it meanwhile: its parts, and what is in a part */
#define STEP        ((size_t)256 << 10) /* reserved at once: asking has its cost */
#define TAG_MAX     0x1fffffffu         /* the largest field number that protobuf has */

/* What stands before each allocation, so that giving back can be counted. */
union block {
    size_t size;
    max_align_t align;
};

struct gw_sdii_list {
    const struct gw_sdii_limits *limits;
    ProtobufCAllocator allocator;
    size_t max, used, reserved;
    enum gw_sdii_fault refused; /* why an allocation failed, else GW_SDII_READ */
    GwSdii__List *unpacked;
};

static void *take(void *opaque, size_t size)
{
    struct gw_sdii_list *list = opaque;
    if (size > list->max || size + sizeof(union block) > list->max - list->used) {
        list->refused = GW_SDII_TOO_MANY;
        return NULL;
    }
    size += sizeof(union block);
    while (list->used + size > list->reserved) {
        size_t missing = list->used + size - list->reserved;
        size_t step = missing > STEP ? missing : STEP;
        if (!list->limits->reserve(list->limits->opaque, step)) {
            list->refused = GW_SDII_NO_ROOM;
            return NULL;
        }
        list->reserved += step;
    }
    union block *block = malloc(size);
    if (!block) {
        list->refused = GW_SDII_NO_MEMORY;
        return NULL;
    }
    block->size = size;
    list->used += size;
    return block + 1;
}

static void give(void *opaque, void *pointer)
{
    struct gw_sdii_list *list = opaque;
    if (!pointer)
        return;
    union block *block = (union block *)pointer - 1;
    list->used -= block->size;
    free(block);
}

/* libprotobuf-c takes field numbers that protobuf does not have (but for 0, which it refuses). */
static bool numbers_ok(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        if (message->unknown_fields[i].tag > TAG_MAX)
            return false;
    return true;
}

/* Whether the bytes are such a message; its fields stay with *unpacked where that is wanted. */
static bool is_message(struct gw_sdii_list *list, const ProtobufCMessageDescriptor *descriptor,
                       const ProtobufCBinaryData *bytes, ProtobufCMessage **unpacked)
{
    static const uint8_t none;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &list->allocator, bytes->len,
                                                          bytes->data ? bytes->data : &none);
    bool good = message && numbers_ok(message);
    if (good && unpacked)
        *unpacked = message;
    else
        protobuf_c_message_free_unpacked(message, &list->allocator);
    return good;
}

/* Why a message cannot be taken, or NULL. */
static const char *message_fault(struct gw_sdii_list *list, const ProtobufCBinaryData *bytes)
{
    ProtobufCMessage *unpacked;
    if (!is_message(list, &gw_sdii__message__descriptor, bytes, &unpacked))
        return "it must be protobuf with an envelope (field 1) and a path (field 2)";
    const GwSdii__Message *message = (const GwSdii__Message *)(const void *)unpacked;
    const char *fault = NULL;
    if (!is_message(list, &gw_sdii__part__descriptor, &message->envelope, NULL))
        fault = "its envelope (field 1) is not protobuf";
    else if (!is_message(list, &gw_sdii__part__descriptor, &message->path, NULL))
        fault = "its path (field 2) is not protobuf";
    protobuf_c_message_free_unpacked(unpacked, &list->allocator);
    return fault;
}

static enum gw_sdii_fault read_messages(struct gw_sdii_list *list, char text[GW_SDII_TEXT_MAX])
{
    const GwSdii__List *unpacked = list->unpacked;
    for (size_t i = 0; i < unpacked->n_message; i++) {
        if (unpacked->message[i].len > list->limits->max_message) {
            snprintf(text, GW_SDII_TEXT_MAX, "message %zu of the list has %zu bytes, more than %zu", i,
                     unpacked->message[i].len, list->limits->max_message);
            return GW_SDII_TOO_LARGE;
        }
        const char *fault = message_fault(list, &unpacked->message[i]);
        if (list->refused == GW_SDII_TOO_MANY)
            snprintf(text, GW_SDII_TEXT_MAX, "message %zu of the list has too many fields", i);
        if (list->refused)
            return list->refused;
        if (fault) {
            snprintf(text, GW_SDII_TEXT_MAX,
                     "message %zu of the list (the first is 0) is no SDII message: %s", i, fault);
            return GW_SDII_MALFORMED;
        }
    }
    return GW_SDII_READ;
}

static enum gw_sdii_fault read_list(struct gw_sdii_list *list, const void *bytes, size_t size,
                                    char text[GW_SDII_TEXT_MAX])
{
    static const uint8_t none;
    size_t max = list->limits->max_messages;
    list->unpacked = gw_sdii__list__unpack(&list->allocator, size, size ? bytes : &none);
    if (list->refused == GW_SDII_TOO_MANY || (list->unpacked && list->unpacked->n_message > max)) {
        snprintf(text, GW_SDII_TEXT_MAX,
                 "the list has more than %zu messages, which the gateway takes at once", max);
        return GW_SDII_TOO_MANY;
    }
    if (list->refused)
        return list->refused;
    if (!list->unpacked) {
        snprintf(text, GW_SDII_TEXT_MAX,
                 "the body is no SDII message list: it is not protobuf with messages in field 1");
        return GW_SDII_MALFORMED;
    }
    if (list->unpacked->base.n_unknown_fields) {
        snprintf(text, GW_SDII_TEXT_MAX,
                 "the body is no SDII message list: it has a field %u (a message by itself? a list has its "
                 "messages in field 1, and nothing else)",
                 (unsigned)list->unpacked->base.unknown_fields[0].tag);
        return GW_SDII_MALFORMED;
    }
    return read_messages(list, text);
}

enum gw_sdii_fault gw_sdii_list_read(const void *bytes, size_t size, const struct gw_sdii_limits *limits,
                                     struct gw_sdii_list **out, char text[GW_SDII_TEXT_MAX])
{
    struct gw_sdii_list *list = calloc(1, sizeof *list);
    *out = NULL;
    text[0] = 0;
    if (!list)
        return GW_SDII_NO_MEMORY;
    list->limits = limits;
    list->allocator = (ProtobufCAllocator){take, give, list};
    size_t max =
        limits->max_messages < SIZE_MAX / 2 / PER_MESSAGE ? limits->max_messages * PER_MESSAGE : SIZE_MAX / 2;
    list->max = size + COPIES * limits->max_message + SPARE + max;
    enum gw_sdii_fault fault = read_list(list, bytes, size, text);
    if (fault)
        gw_sdii_list_free(&list);
    *out = list;
    return fault;
}

size_t gw_sdii_list_count(const struct gw_sdii_list *list)
{
    return list->unpacked->n_message;
}

const void *gw_sdii_list_message(const struct gw_sdii_list *list, size_t index, size_t *size)
{
    const ProtobufCBinaryData *message = &list->unpacked->message[index];
    *size = message->len;
    return message->data;
}

void gw_sdii_list_free(struct gw_sdii_list **out)
{
    struct gw_sdii_list *list = *out;
    *out = NULL;
    if (!list)
        return;
    if (list->unpacked)
        gw_sdii__list__free_unpacked(list->unpacked, &list->allocator);
    list->limits->release(list->limits->opaque, list->reserved);
    free(list);
}
