/*
 * Any bytes as a trusted proxy's headers: the first line is the list of proxies, then come Forwarded and
 * X-Forwarded-For, -Proto, -Host, -Port, -Prefix; "-" is one that was not sent. What is read of them must be
 * fit for a URL.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/http/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort(); /* what the fuzzer looks for */
}

static const char *line(char **rest)
{
    char *text = strsep(rest, "\n");
    return text && strcmp(text, "-") != 0 ? text : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char peer[GW_ADDRESS_SIZE] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1};
    struct gw_networks trusted;
    struct gw_forwarded forwarded;
    const char *why = NULL;
    char text[GW_ADDRESS_TEXT], bad[100];
    char *copy = malloc(size + 1), *rest = copy;
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    copy[size] = 0;
    const char *list = line(&rest);
    if (gw_networks_parse(list, &trusted, bad) == SL_BAD_CONFIG)
        check(!trusted.count && strstr(list, bad));
    struct gw_forwarded_headers headers;
    headers.forwarded = line(&rest);
    headers.clients = line(&rest);
    headers.proto = line(&rest);
    headers.host = line(&rest);
    headers.port = line(&rest);
    headers.prefix = line(&rest);
    if (gw_forwarded_read(&trusted, peer, &headers, &forwarded, &why)) {
        check(!*forwarded.host || gw_host_is_legal(forwarded.host));
        check(!*forwarded.prefix || (*forwarded.prefix == '/' && !strpbrk(forwarded.prefix, "?#\\ \r\"")));
        gw_address_text(forwarded.client, text);
        check(*text != 0);
        /* Who is not trusted says nothing of who its client is. */
        check(gw_networks_hold(&trusted, peer) || !memcmp(forwarded.client, peer, sizeof peer));
    } else {
        check(why != NULL);
    }
    gw_networks_free(&trusted);
    free(copy);
    return 0;
}
