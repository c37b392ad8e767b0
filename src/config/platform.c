/* Where the platform is: settings that make sense only together. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "config/config.h"

struct platform {
    const char *name, *lookup_url, *token_url;
};

/* HERE's: lookup as its SDK for C++ has it (DefaultLookupEndpointProvider), tokens as its plug-in for Gradle
 * has (ArtifactPropertiesResolver). */
static const struct platform platforms[] = {
    {"here", "https://api-lookup.data.api.platform.here.com/lookup/v1",
     "https://account.api.here.com/oauth2/token"},
    {"here-dev", "https://api-lookup.data.api.platform.in.here.com/lookup/v1",
     "https://stg.account.api.here.com/oauth2/token"},
    {"here-cn", "https://api-lookup.data.api.platform.hereolp.cn/lookup/v1",
     "https://account.hereapi.cn/oauth2/token"},
    {"here-cn-dev", "https://api-lookup.data.api.platform.in.hereolp.cn/lookup/v1",
     "https://account.sit.hereapi.cn/oauth2/token"},
    {"local", "http://127.0.0.1:8080/lookup/v1",
     "http://127.0.0.1:8080/oauth2/token"}, /* `streamlayer up`'s */
};

/* A text that is set and not empty. */
static const char *text_at(const sl_config *config, const char *path)
{
    const char *text = sl_config_get(config, path);
    return text && *text ? text : NULL;
}

/* The platform that is chosen by its name; NULL: a custom one. A URL of one's own, with the environment left
 * at its default, means custom: it must not lead to HERE's. */
static sl_status chosen(const sl_config *config, const struct platform **platform, sl_error *error)
{
    const char *name = NULL;
    *platform = NULL;
    sl_status status = sl_config_choice(config, SL_LOOKUP_ENV_PATH, &name, error);
    if (status != SL_OK)
        return status;
    const char *origin = sl_config_origin(config, SL_LOOKUP_ENV_PATH);
    if (text_at(config, SL_LOOKUP_URL_PATH) && origin && strcmp(origin, "default") == 0)
        return SL_OK;
    for (size_t i = 0; i < sizeof platforms / sizeof *platforms; i++)
        if (strcmp(name, platforms[i].name) == 0)
            *platform = &platforms[i];
    return SL_OK;
}

sl_status sl_config_lookup_url(const sl_config *config, char **url, sl_error *error)
{
    const struct platform *platform;
    sl_status status = chosen(config, &platform, error);
    if (status != SL_OK)
        return status;
    const char *set = platform ? platform->lookup_url : text_at(config, SL_LOOKUP_URL_PATH);
    if (!set)
        return sl_error_set(error, SL_BAD_CONFIG, "%s: %s = custom needs %s",
                            sl_config_origin(config, SL_LOOKUP_ENV_PATH), SL_LOOKUP_ENV_PATH,
                            SL_LOOKUP_URL_PATH);
    if (!platform) {
        status = sl_setting_check(sl_setting_find(SL_LOOKUP_URL_PATH),
                                  sl_config_value(config, SL_LOOKUP_URL_PATH), NULL, error);
        if (status != SL_OK)
            return status;
    }
    size_t size = strlen(set);
    while (set[size - 1] == '/')
        size--;
    const char *authority = strstr(set, "://");
    bool bare = authority && !memchr(authority + 3, '/', size - (size_t)(authority + 3 - set));
    *url = sl_printf("%.*s%s", (int)size, set, bare ? "/lookup/v1" : "");
    return *url ? SL_OK : sl_error_oom(error);
}

const char *sl_config_default_token_url(const sl_config *config)
{
    const struct platform *platform;
    return chosen(config, &platform, NULL) == SL_OK && platform ? platform->token_url : NULL;
}
