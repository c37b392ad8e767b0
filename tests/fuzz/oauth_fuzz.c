/* Any bytes as the Authorization header and as the form of a token request: what is read of them is text, and
 * can be signed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/api/oauth_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct gw_oauth *oauth, const char *text, size_t size)
{
    if (oauth->count > GW_OAUTH_PARAMETERS_MAX)
        abort(); /* what the fuzzer looks for */
    for (size_t i = 0; i < oauth->count; i++) {
        const char *name = oauth->parameters[i].name, *value = oauth->parameters[i].value;
        if (name < text || name + strlen(name) > text + size || value < text ||
            value + strlen(value) > text + size)
            abort();
        if (!gw_oauth_value(oauth, name))
            abort();
    }
    (void)gw_oauth_repeated(oauth);
}

static void parse(const uint8_t *data, size_t size, bool (*read)(struct gw_oauth *oauth, char *text))
{
    struct gw_oauth oauth = {.count = 0};
    char *text = malloc(size + 1), signature[45];
    if (!text)
        return;
    memcpy(text, data, size);
    text[size] = 0;
    if (read(&oauth, text)) {
        check(&oauth, text, size);
        (void)sl_oauth_signature("POST", "http://a/oauth2/token", oauth.parameters, oauth.count, "secret",
                                 signature);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size, gw_oauth_read_header);
    parse(data, size, gw_oauth_read_form);
    return 0;
}
