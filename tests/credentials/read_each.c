/*
 * Our reader of credentials files, asked by lines as Official.java is; "chain HOME" tells the source that is
 * taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/credentials.h"
#include "config/settings.h"

#define SIGNER SL_ROOT "request-signer.credentials."

static void print_part(const char *text)
{
    putchar('\t');
    for (; text && *text; text++)
        if (*text > ' ' && *text < 0x7f && *text != '%')
            putchar(*text);
        else
            printf("%%%04x", (unsigned)(unsigned char)*text);
}

static void answer(const sl_config *config, bool chain)
{
    struct sl_credentials credentials;
    struct sl_log silent = {0};
    sl_error error = {0};
    if (sl_credentials_load(config, &silent, &credentials, &error) != SL_OK) {
        printf("error\t%s\n", error.text);
    } else if (chain) {
        printf("ok\t%s\n", credentials.source ? credentials.source : "none");
    } else {
        fputs("ok", stdout);
        print_part(credentials.key_id);
        print_part(credentials.key_secret);
        print_part(credentials.token_url);
        print_part(credentials.scope);
        putchar('\n');
    }
    fflush(stdout);
    sl_credentials_free(&credentials);
}

int main(void)
{
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line, *verb = strsep(&rest, "\t"), *place = strsep(&rest, "\t");
        sl_config *config = NULL;
        if (!place || sl_config_create(&config, NULL) != SL_OK)
            return 2;
        bool chain = strcmp(verb, "chain") == 0;
        if (chain && setenv("HOME", place, 1) != 0)
            return 2;
        if (!chain && sl_config_set(config, SIGNER "file-path", place, NULL) != SL_OK)
            return 2;
        /* [default] is what is taken without a profile, so that an INI is asked for as such. */
        if (strcmp(verb, "ini") == 0 && sl_config_set(config, SIGNER "profile", rest, NULL) != SL_OK)
            return 2;
        answer(config, chain);
        sl_config_destroy(&config);
    }
    return 0;
}
