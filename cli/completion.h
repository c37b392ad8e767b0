/* What the completion scripts ask. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "cli.h"

/* Prints what the last of the words, which follow the program's name, may become: a value, a tab and a
 * description a line; then directives: ":file", ":directory" (such names, too), ":nospace". */
int cli_complete(struct cli *cli, int count, char **words);

#endif
