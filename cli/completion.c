/* streamlayer completion, and what the scripts that it prints ask: `streamlayer __complete WORD…`. */
#include "completion.h"
#include "base/text.h"
#include "config/context.h"
#include "config/settings.h"
#include "help.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_S 2 /* whoever presses a key waits for the platform no longer */

struct completion {
    struct cli *cli;
    const char *current; /* the word to complete, or of "--option=value" the value */
    const char *prefix;  /* what of the word stands before it, to be repeated: "--option=" */
    size_t prefix_size;
    const struct cli_command *command;
    const char *group; /* the first word of a command of two, while there is no second */
    const char *operands[8];
    size_t operand_count;
};

/* The description's first sentence follows a tab. */
static void offer(const struct completion *completion, const char *value, const char *meaning)
{
    if (strncmp(value, completion->current, strlen(completion->current)) != 0)
        return;
    printf("%.*s%s\t", (int)completion->prefix_size, completion->prefix, value);
    for (size_t i = 0; meaning && meaning[i] && i < 100; i++)
        putchar((unsigned char)meaning[i] < ' ' ? ' ' : meaning[i]);
    putchar('\n');
}

/* --- what has names
 * ------------------------------------------------------------------------------------------ */

static void stop_waiting(int number)
{
    (void)number;
    _exit(0);
}

/* A client that is silent and ends with the patience; false: there is none to be had. */
static bool connect_quietly(const struct completion *completion)
{
    fflush(stdout);
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nothing >= 0)
        dup2(nothing, STDERR_FILENO);
    if (nothing >= 0)
        close(nothing);
    signal(SIGALRM, stop_waiting);
    alarm(PATIENCE_S);
    return completion->cli->client || cli_connect(completion->cli) == CLI_OK;
}

static void offer_catalogs(const struct completion *completion)
{
    sl_catalog_list *list = NULL;
    if (!connect_quietly(completion) || sl_catalog_list_get(completion->cli->client, &list, NULL))
        return;
    for (size_t i = 0; i < sl_catalog_list_count(list); i++) {
        const sl_catalog *catalog = sl_catalog_list_at(list, i);
        offer(completion, sl_catalog_hrn(catalog), sl_catalog_name(catalog));
    }
    sl_catalog_list_destroy(&list);
}

/* The HRN that goes with the operand at index: the one before it. */
static const char *hrn_before(const struct completion *completion, size_t index)
{
    while (index > 0)
        if (!strncmp(completion->operands[--index], "hrn:", 4))
            return completion->operands[index];
    return NULL;
}

static void offer_layers(const struct completion *completion)
{
    const char *hrn = hrn_before(completion, completion->operand_count);
    sl_catalog *catalog = NULL;
    if (!hrn || !connect_quietly(completion) || sl_catalog_get(completion->cli->client, hrn, &catalog, NULL))
        return;
    sl_layer_spec layer = {.struct_size = sizeof layer};
    for (size_t i = 0; sl_catalog_layer_at(catalog, i, &layer); i++)
        offer(completion, layer.id, layer.content_type);
    sl_catalog_destroy(&catalog);
}

static void offer_groups(const struct completion *completion)
{
    sl_group_list *list = NULL;
    if (completion->operand_count < 2 || !connect_quietly(completion) ||
        sl_group_list_get(completion->cli->client, completion->operands[0], completion->operands[1], &list,
                          NULL))
        return;
    for (size_t i = 0; i < sl_group_list_count(list); i++)
        offer(completion, sl_group_name(sl_group_list_at(list, i)),
              sl_group_state(sl_group_list_at(list, i)));
    sl_group_list_destroy(&list);
}

static void offer_contexts(const struct completion *completion)
{
    struct hocon *contexts = NULL;
    if (sl_contexts_read(&contexts, NULL))
        return;
    const struct hocon_value *all = sl_contexts_all(contexts);
    const char *current = sl_contexts_current(contexts);
    for (size_t i = 0; all && i < hocon_count(all); i++) {
        const char *name = hocon_key_at(all, i);
        offer(completion, name, current && !strcmp(current, name) ? "the current context" : NULL);
    }
    hocon_free(&contexts);
}

static void offer_choices(const struct completion *completion, const struct sl_setting *setting)
{
    for (const char *const *choice = setting->choices; choice && *choice; choice++)
        offer(completion, *choice, NULL);
    if (setting->type == SL_BOOLEAN) {
        offer(completion, "true", NULL);
        offer(completion, "false", NULL);
    }
}

/* PATH, or PATH=VALUE. */
static void offer_settings(struct completion *completion, bool with_value)
{
    const char *equals = with_value ? strchr(completion->current, '=') : NULL;
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)) != NULL; i++) {
        char name[256], typed[240];
        const char *path = setting->path;
        if (sl_setting_is_named(setting)) {
            if (!sl_setting_path_typed(setting, completion->current, typed, sizeof typed))
                continue; /* it is offered once a name stands there */
            path = typed;
        }
        size_t length = strlen(path);
        if (!equals) {
            bool section =
                setting->type == SL_SECTION || setting->type == SL_LAYERS || setting->type == SL_NAMED;
            snprintf(name, sizeof name, "%s%s", path, !with_value ? "" : section ? "." : "=");
            offer(completion, name, setting->meaning);
        } else if ((size_t)(equals - completion->current) == length &&
                   !strncmp(path, completion->current, length)) {
            struct completion value = *completion;
            char prefix[300];
            snprintf(prefix, sizeof prefix, "%.*s%.*s=", (int)completion->prefix_size, completion->prefix,
                     (int)length, path);
            value.prefix = prefix;
            value.prefix_size = strlen(prefix);
            value.current = equals + 1;
            offer_choices(&value, setting);
            if (setting->type == SL_FILE)
                puts(":file");
        }
    }
    if (with_value && !equals)
        puts(":nospace");
}

/* First words of commands; group not NULL: the second words of those. */
static void offer_commands(const struct completion *completion, const char *group)
{
    char last[64] = "";
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *command = cli_commands[i];
        size_t first = strcspn(command->name, " ");
        bool inside = group && strlen(group) == first && !strncmp(group, command->name, first);
        if (inside && command->name[first]) {
            offer(completion, command->name + first + 1, command->summary);
        } else if (!group && (strlen(last) != first || strncmp(last, command->name, first) != 0)) {
            snprintf(last, sizeof last, "%.*s", (int)first, command->name);
            bool several = command->name[first] != 0;
            char meaning[128];
            snprintf(meaning, sizeof meaning, "%s%s", command->summary, several ? ", and more" : "");
            offer(completion, last, meaning);
        }
    }
}

/* "begin|end|N": what is in small letters are values themselves. */
static void offer_words(const struct completion *completion, const char *kinds)
{
    while (*kinds) {
        char word[64];
        size_t length = strcspn(kinds, "|");
        snprintf(word, sizeof word, "%.*s", (int)length, kinds);
        if (word[0] && strspn(word, "abcdefghijklmnopqrstuvwxyz-") == strlen(word))
            offer(completion, word, NULL);
        kinds += length + (kinds[length] == '|');
    }
}

/* The values of an option or operand, by its argument's name. */
static void offer_values(struct completion *completion, const char *kind)
{
    if (!strcmp(kind, "HRN"))
        offer_catalogs(completion);
    else if (!strcmp(kind, "LAYER"))
        offer_layers(completion);
    else if (!strcmp(kind, "GROUP"))
        offer_groups(completion);
    else if (!strcmp(kind, "CONTEXT"))
        offer_contexts(completion);
    else if (!strcmp(kind, "COMMAND"))
        offer_commands(completion, completion->operand_count ? completion->operands[0] : NULL);
    else if (!strcmp(kind, "CONNECTOR"))
        offer_choices(completion, sl_setting_find(SL_ROOT "stream.connector.producer"));
    else if (!strcmp(kind, "PATH") || !strcmp(kind, "PATH=VALUE"))
        offer_settings(completion, !strcmp(kind, "PATH=VALUE"));
    else if (!strcmp(kind, "FILE"))
        puts(":file");
    else if (!strcmp(kind, "DIR"))
        puts(":directory");
    else if (strchr(kind, '|'))
        offer_words(completion, kind);
}

/* --- the words before --------------------------------------------------------------------------------------
 */

/* The option that a word names ("--key", "-k", "--key=v", "-kv"); *value: what of the word is its value, or
 * NULL. */
static const struct cli_option *find_option(const struct completion *completion, const char *word,
                                            const char **value)
{
    const struct cli_option *tables[] = {cli_global_options,
                                         completion->command ? completion->command->options : NULL};
    size_t length = strcspn(word, "=");
    for (size_t i = 0; i < 2; i++) {
        for (const struct cli_option *option = tables[i]; option && !cli_option_is_end(option); option++) {
            bool is_long = word[1] == '-' && option->name && strlen(option->name) == length - 2 &&
                           !strncmp(option->name, word + 2, length - 2);
            bool is_short = word[1] != '-' && option->letter && word[1] == option->letter;
            *value = is_long && word[length] ? word + length + 1 : NULL;
            if (is_short && option->argument && word[2])
                *value = word + 2;
            if (is_long || is_short)
                return option;
        }
    }
    return NULL;
}

static void offer_options(const struct completion *completion)
{
    const struct cli_option *tables[] = {completion->command ? completion->command->options : NULL,
                                         cli_global_options};
    for (size_t i = 0; i < 2; i++)
        for (const struct cli_option *option = tables[i]; option && !cli_option_is_end(option); option++) {
            char word[64];
            if (option->name)
                snprintf(word, sizeof word, "--%s", option->name);
            else
                snprintf(word, sizeof word, "-%c", option->letter);
            offer(completion, word, option->meaning);
        }
}

/* The name of the operand at index: of "HRN LAYER [FILE…]" the third and all behind it are FILE. */
static void operand_kind(const char *operands, size_t index, char out[64])
{
    char word[64] = "";
    bool repeated = false;
    out[0] = 0;
    for (size_t at = 0; *operands && at <= index; at++) {
        size_t length = strcspn(operands, " ");
        const char *begin = operands + (*operands == '[');
        snprintf(word, sizeof word, "%.*s", (int)(operands + length - begin), begin);
        operands += length + (operands[length] == ' ');
        char *end = word + strcspn(word, "]");
        *end = 0;
        char *dots = strstr(word, "…");
        repeated = dots != NULL;
        if (dots)
            *dots = 0;
        if (at == index || (repeated && !*operands))
            snprintf(out, 64, "%s", word);
    }
}

/* Of "[PATH] | --layer HRN LAYER" the part that goes with the flags that are given. */
static const char *operands_given(const struct completion *completion)
{
    static const char bar[] = " | --";
    const char *operands = completion->command->operands, *other = operands;
    while ((other = strstr(other, bar))) {
        char flag[64];
        other += strlen(bar);
        size_t length = strcspn(other, " ");
        snprintf(flag, sizeof flag, "%.*s", (int)length, other);
        if (cli_flag(completion->cli, flag))
            return other + length + (other[length] == ' ');
    }
    return operands;
}

/* Takes a word that is no option: of the command's name, or an operand. */
static void take_word(struct completion *completion, const char *word)
{
    static const struct cli_command help = {.name = "help", .operands = "[COMMAND…]", .max_operands = 2};
    if (completion->command) {
        size_t most = sizeof completion->operands / sizeof *completion->operands;
        if (completion->operand_count < most)
            completion->operands[completion->operand_count++] = word;
        return;
    }
    char name[96];
    snprintf(name, sizeof name, "%s%s%s", completion->group ? completion->group : "",
             completion->group ? " " : "", word);
    for (size_t i = 0; cli_commands[i]; i++)
        if (!strcmp(cli_commands[i]->name, name))
            completion->command = cli_commands[i];
    if (!strcmp(name, help.name))
        completion->command = &help;
    completion->group = word;
}

int cli_complete(struct cli *cli, int count, char **words)
{
    struct completion completion = {.cli = cli, .current = "", .prefix = ""};
    bool only_operands = false;
    const struct cli_option *open_option = NULL;
    if (count < 1)
        return CLI_USAGE;
    for (int i = 0; i < count - 1; i++) {
        const char *value = NULL;
        if (open_option) {
            if (!cli_option_given(cli, open_option, words[i]))
                return CLI_FAILED;
            open_option = NULL;
        } else if (!only_operands && !strcmp(words[i], "--")) {
            only_operands = true;
        } else if (!only_operands && words[i][0] == '-' && words[i][1]) {
            const struct cli_option *option = find_option(&completion, words[i], &value);
            if (option && option->argument && !value)
                open_option = option;
            else if (option && !cli_option_given(cli, option, value))
                return CLI_FAILED;
        } else {
            take_word(&completion, words[i]);
        }
    }
    const char *word = words[count - 1], *value = NULL;
    const struct cli_option *option = NULL;
    completion.current = word;
    if (!open_option && !only_operands && word[0] == '-')
        option = find_option(&completion, word, &value);
    if (value) {
        completion.prefix = word;
        completion.prefix_size = (size_t)(value - word);
        completion.current = value;
        open_option = option->argument ? option : NULL;
    }
    if (open_option) {
        offer_values(&completion, open_option->argument);
    } else if (!only_operands && word[0] == '-') {
        offer_options(&completion);
    } else if (!completion.command) {
        offer_commands(&completion, completion.group);
        if (!completion.group)
            offer(&completion, "help", "an overview, or a command's help");
    } else {
        char kind[64];
        operand_kind(operands_given(&completion), completion.operand_count, kind);
        offer_values(&completion, kind);
    }
    return cli_flush_output(cli);
}

/* --- the scripts
 * --------------------------------------------------------------------------------------------- */

static const char bash_script[] =
    "# bash completion for streamlayer, made by `streamlayer completion bash`.\n"
    "_streamlayer() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} rest piece trimmed word= value directive=\n"
    "    local -a words=()\n"
    "    rest=$line\n"
    "    # Bash breaks words at : and = too: what has no blanks between is one word here.\n"
    "    for piece in \"${COMP_WORDS[@]:0:COMP_CWORD+1}\"; do\n"
    "        trimmed=${rest#\"${rest%%[![:space:]]*}\"}\n"
    "        if [[ $trimmed != \"$rest\" ]]; then\n"
    "            words+=(\"$word\")\n"
    "            word=\n"
    "        fi\n"
    "        [[ $trimmed == \"$piece\"* ]] || piece=$trimmed\n"
    "        rest=${trimmed#\"$piece\"}\n"
    "        word+=$piece\n"
    "    done\n"
    "    words+=(\"$word\")\n"
    "    # Readline replaces only what stands behind the last break.\n"
    "    local strip= class=${COMP_WORDBREAKS//[![:punct:]]/}\n"
    "    [[ $class == *:* && $word == *:* ]] && strip=${word%\"${word##*:}\"}\n"
    "    if [[ $class == *=* && ${word#\"$strip\"} == *=* ]]; then\n"
    "        strip=${word%\"${word##*=}\"}\n"
    "    fi\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r value; do\n"
    "        case $value in\n"
    "        :*) directive+=$value ;;\n"
    "        *)\n"
    "            value=${value%%$'\\t'*}\n"
    "            COMPREPLY+=(\"${value#\"$strip\"}\")\n"
    "            ;;\n"
    "        esac\n"
    "    done < <(\"$1\" __complete \"${words[@]:1}\" 2>/dev/null)\n"
    "    case $directive in\n"
    "    *:file* | *:directory*)\n"
    "        local kind=-f\n"
    "        [[ $directive == *:directory* ]] && kind=-d\n"
    "        compopt -o filenames\n"
    "        while IFS= read -r value; do\n"
    "            COMPREPLY+=(\"$value\")\n"
    "        done < <(compgen \"$kind\" -- \"${word#\"$strip\"}\")\n"
    "        ;;\n"
    "    esac\n"
    "    [[ $directive == *:nospace* ]] && compopt -o nospace\n"
    "    return 0\n"
    "}\n"
    "complete -F _streamlayer streamlayer\n";

static const char zsh_script[] =
    "#compdef streamlayer\n"
    "# zsh completion for streamlayer, made by `streamlayer completion zsh`.\n"
    "_streamlayer() {\n"
    "    local line file= directory=\n"
    "    local -a values suffix arguments\n"
    "    arguments=(\"${(@Q)words[2,CURRENT]}\")\n"
    "    # What stands behind the cursor is not asked about.\n"
    "    arguments[-1]=${(Q)PREFIX}\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :file) file=1 ;;\n"
    "        :directory) directory=1 ;;\n"
    "        :nospace) suffix=(-S '') ;;\n"
    "        *) values+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done < <(${(Q)words[1]} __complete \"${(@)arguments}\" 2>/dev/null)\n"
    "    (( ${#values} )) && _describe -t values streamlayer values \"${(@)suffix}\"\n"
    "    if [[ -n $file$directory ]]; then\n"
    "        [[ $PREFIX == --*=* ]] && compset -P '*='\n"
    "        if [[ -n $directory ]]; then _files -/; else _files; fi\n"
    "    fi\n"
    "}\n"
    "if [[ $funcstack[1] == _streamlayer ]]; then\n"
    "    _streamlayer \"$@\"\n"
    "else\n"
    "    compdef _streamlayer streamlayer\n"
    "fi\n";

static const char fish_script[] =
    "# fish completion for streamlayer, made by `streamlayer completion fish`.\n"
    "function __streamlayer_complete\n"
    "    set -l before (commandline -opc)\n"
    "    set -l word (commandline -ct)\n"
    "    set -l program $before[1]\n"
    "    set -e before[1]\n"
    "    for line in ($program __complete $before \"$word\" 2>/dev/null)\n"
    "        switch $line\n"
    "            case :file\n"
    "                __fish_complete_path (string replace -r '^--[^=]*=' '' -- $word)\n"
    "            case :directory\n"
    "                __fish_complete_directories (string replace -r '^--[^=]*=' '' -- $word) ''\n"
    "            case :nospace\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c streamlayer -f -a '(__streamlayer_complete)'\n";

static int run_completion(struct cli *cli)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        if (!strcmp(cli->operands[0], scripts[i].shell)) {
            fputs(scripts[i].script, stdout);
            return cli_flush_output(cli);
        }
    return cli_usage_error(cli, "there is no completion for \"%s\"; there is one for bash, zsh and fish",
                           cli->operands[0]);
}

const struct cli_command cli_completion_command = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "print a shell's completion script",
    .details =
        "It completes commands, options, settings, files, contexts, and, asking the platform for at most two "
        "seconds, catalogs, layers and groups. An installation has the scripts where the shells look; "
        "otherwise load them from the shell's own start file:\n"
        "\n"
        "  bash, ~/.bashrc:                    source <(streamlayer completion bash)\n"
        "  zsh, ~/.zshrc, after compinit:      source <(streamlayer completion zsh)\n"
        "  fish, ~/.config/fish/config.fish:   streamlayer completion fish | source\n",
    .examples = "  source <(streamlayer completion bash)\n",
    .run = run_completion,
};
