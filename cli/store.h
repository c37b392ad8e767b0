/* A gateway's store of applications, for the commands that work on a data directory itself: there, nobody
 * asks for a token. */
#ifndef CLI_STORE_H
#define CLI_STORE_H

#include "cli.h"
#include "gateway/store/applications.h"

#define CLI_DATA_DIR_OPTION                                                                                  \
    {                                                                                                        \
        0, "data-dir", "DIR",                                                                                \
            "work on this data directory of a gateway instead of asking the platform: whoever may write it " \
            "needs no token, and the gateway need not run"                                                   \
    }

/* Whether --data-dir is given. */
bool cli_has_store(const struct cli *cli);
/* Opens the store of --data-dir, closed by gw_applications_close; makes it where it is not there yet, make is
 * true, and the configuration is of the gateway that is to have it. CLI_OK, or the exit code after a message.
 */
int cli_store_open(struct cli *cli, bool make, struct gw_applications **store);
/* Refuses an outside issuer that the directory's gateway does not take tokens of, where its configuration
 * (--config) tells. CLI_OK, or the exit code after a message. */
int cli_store_check_issuer(struct cli *cli, const char *issuer);
/* Where the gateway of that directory gives tokens: --token-url, or as its configuration says. CLI_OK;
 * released with free. */
int cli_store_token_url(struct cli *cli, char **url);

#endif
