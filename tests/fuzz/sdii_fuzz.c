/*
 * libFuzzer: SDII message lists. The first byte chooses the limits. A list that is taken must be what a
 * reader of protobuf's outer form finds, byte by byte; what reading takes stays within its bound, and all of
 * it is given back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/api/sdii_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct budget {
    size_t left, taken;
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool reserve(void *opaque, size_t bytes)
{
    struct budget *budget = opaque;
    if (bytes > budget->left)
        return false;
    budget->left -= bytes;
    budget->taken += bytes;
    return true;
}

static void release(void *opaque, size_t bytes)
{
    struct budget *budget = opaque;
    check(bytes <= budget->taken);
    budget->left += bytes;
    budget->taken -= bytes;
}

/* The number at *at, which moves behind it. */
static uint64_t read_number(const uint8_t *bytes, size_t size, size_t *at)
{
    uint64_t number = 0;
    unsigned shift = 0;
    do {
        check(*at < size && shift < 64);
        number |= (uint64_t)(bytes[*at] & 0x7f) << shift;
        shift += 7;
    } while (bytes[(*at)++] & 0x80);
    return number;
}

/* The list is nothing but fields 1 of bytes, and these are its messages. */
static void compare(const struct gw_sdii_list *list, const uint8_t *bytes, size_t size)
{
    size_t at = 0, count = 0;
    for (; at < size; count++) {
        check(read_number(bytes, size, &at) == (1 << 3 | 2));
        uint64_t length = read_number(bytes, size, &at);
        size_t got;
        check(length <= size - at && count < gw_sdii_list_count(list));
        const void *message = gw_sdii_list_message(list, count, &got);
        check(message && got == length && !memcmp(message, bytes + at, got));
        at += got;
    }
    check(count == gw_sdii_list_count(list));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct budget budget = {.left = data[0] & 1 ? (size_t)64 << 20 : (size_t)256 << 10};
    const struct gw_sdii_limits limits = {.max_messages = data[0] & 2 ? 1000 : 2,
                                          .max_message = data[0] & 4 ? 1 << 20 : 16,
                                          .reserve = reserve,
                                          .release = release,
                                          .opaque = &budget};
    struct gw_sdii_list *list;
    char text[GW_SDII_TEXT_MAX];
    enum gw_sdii_fault fault = gw_sdii_list_read(data + 1, size - 1, &limits, &list, text);
    check(!fault == (list != NULL) && memchr(text, 0, sizeof text));
    check(fault != GW_SDII_NO_MEMORY && (fault != GW_SDII_MALFORMED || *text));
    check(budget.taken <= size + limits.max_messages * 128 + 2 * limits.max_message + ((size_t)2 << 20));
    if (list) {
        check(gw_sdii_list_count(list) <= limits.max_messages);
        compare(list, data + 1, size - 1);
    }
    gw_sdii_list_free(&list);
    check(!budget.taken);
    return 0;
}
