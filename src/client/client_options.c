/* What a program decides about a client besides its configuration. */
#include "client/client_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"

#define OPTIONS_MAGIC 0x0b710f55u

struct sl_client_options {
    unsigned magic;
    struct sl_token_origin origin;
};

sl_status sl_client_options_create(sl_client_options **options, sl_error *error)
{
    if (!options)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_client_options_create: options is NULL");
    *options = calloc(1, sizeof **options);
    if (!*options)
        return sl_error_oom(error);
    (*options)->magic = OPTIONS_MAGIC;
    return SL_OK;
}

void sl_client_options_destroy(sl_client_options **options)
{
    if (!options || !*options || (*options)->magic != OPTIONS_MAGIC)
        return;
    (*options)->magic = 0;
    sl_hidden_free(&(*options)->origin.token);
    free(*options);
    *options = NULL;
}

static sl_status check(const sl_client_options *options, sl_error *error)
{
    if (!options || options->magic != OPTIONS_MAGIC)
        return sl_error_set(error, SL_INVALID_HANDLE, "the client's options are NULL or were destroyed");
    return SL_OK;
}

sl_status sl_client_options_set_token(sl_client_options *options, const char *token, sl_error *error)
{
    sl_status status = check(options, error);
    if (status)
        return status;
    const char *text = sl_token_text(token);
    if (!text)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_client_options_set_token: the token is NULL, empty, or not printable ASCII "
                            "without spaces");
    char *copy = sl_hidden_copy(text, strlen(text));
    if (!copy)
        return sl_error_oom(error);
    sl_hidden_free(&options->origin.token);
    options->origin = (struct sl_token_origin){.token = copy};
    return SL_OK;
}

sl_status sl_client_options_set_token_callback(sl_client_options *options, sl_token_callback callback,
                                               void *opaque, sl_error *error)
{
    sl_status status = check(options, error);
    if (status)
        return status;
    sl_hidden_free(&options->origin.token);
    options->origin = (struct sl_token_origin){.callback = callback, .opaque = opaque};
    return SL_OK;
}

sl_status sl_client_options_origin(const sl_client_options *options, const struct sl_token_origin **origin,
                                   sl_error *error)
{
    *origin = NULL;
    sl_status status = options ? check(options, error) : SL_OK;
    if (!status && options)
        *origin = &options->origin;
    return status;
}
