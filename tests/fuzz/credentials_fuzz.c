/*
 * Any bytes as a credentials file: properties, INI with and without a profile, a token file. What is read of
 * them must be fit for a header.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/credential_file.h"
#include "base/secret.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
    if (text && !sl_is_token_text(text, SIZE_MAX))
        abort(); /* what the fuzzer looks for */
}

static void parse(const char *text, size_t size, const char *profile)
{
    struct sl_credential_keys keys;
    sl_error error = {0};
    sl_status status = sl_credential_keys_parse(text, size, "input", profile, false, &keys, &error);
    if (status != SL_OK && (status != SL_BAD_CONFIG || !error.text[0]))
        abort();
    check(keys.client_id);
    check(keys.key_id);
    check(keys.key_secret);
    check(keys.token_url);
    check(keys.scope);
    sl_credential_keys_free(&keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char *token;
    int64_t expires_ms;
    parse(text, size, NULL);
    parse(text, size, "prod");
    if (sl_token_file_parse(text, size, "input", &token, &expires_ms, NULL) == SL_OK)
        check(token);
    sl_hidden_free(&token);
    return 0;
}
