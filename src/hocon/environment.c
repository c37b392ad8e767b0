/* What substitutions find in the environment. */
#include "hocon/resolve.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

/* *node: the variable's value as a string; NULL: it is not set. */
static sl_status read_variable(struct hocon_resolver *resolver, const char *name, struct hocon_node **node)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): nothing here changes it */
    *node = NULL;
    if (!value)
        return SL_OK;
    if (sl_utf8_length(value, strlen(value)) < 0)
        return hocon_fail(resolver->error, resolver->place,
                          "the environment variable %s is not UTF-8, expected UTF-8 text", name);
    sl_status status = hocon_spend(resolver, 1);
    if (status != SL_OK)
        return status;
    struct hocon_node *made = hocon_arena_alloc(&resolver->scratch, sizeof *made);
    char *origin = sl_printf("environment variable %s", name);
    if (made && origin) {
        made->type = NODE_STRING;
        made->place.file = hocon_arena_text(&resolver->scratch, origin, strlen(origin));
        made->scalar.size = strlen(value);
        made->scalar.text = hocon_arena_text(&resolver->scratch, value, made->scalar.size);
    }
    free(origin);
    if (!made || !made->place.file || !made->scalar.text)
        return sl_error_oom(resolver->error);
    *node = made;
    return SL_OK;
}

/* *list: name_0, name_1 and so on up to the first that is not set; NULL: there are none. */
static sl_status read_variables(struct hocon_resolver *resolver, const char *name, struct hocon_node **list)
{
    struct hocon_node *made = NULL;
    *list = NULL;
    for (unsigned i = 0;; i++) {
        char *numbered = sl_printf("%s_%u", name, i);
        struct hocon_node *element = NULL;
        sl_status status =
            numbered ? read_variable(resolver, numbered, &element) : sl_error_oom(resolver->error);
        free(numbered);
        if (status != SL_OK)
            return status;
        if (!element)
            break;
        if (!made && (made = hocon_arena_alloc(&resolver->scratch, sizeof *made)) != NULL) {
            made->type = NODE_LIST;
            made->place = element->place;
        }
        struct hocon_node **nodes =
            made ? hocon_arena_extend(&resolver->scratch, made->list.nodes, made->list.count,
                                      &made->list.capacity, sizeof(struct hocon_node *))
                 : NULL;
        if (!nodes)
            return sl_error_oom(resolver->error);
        made->list.nodes = nodes;
        nodes[made->list.count++] = element;
    }
    *list = made;
    return SL_OK;
}

/* A variable's name is its path: keys with dots in them are none. */
static bool variable_name(const struct hocon_path *path, struct sl_buffer *name)
{
    sl_buffer_init(name, SIZE_MAX / 2);
    for (size_t i = 0; i < path->count; i++) {
        if (memchr(path->keys[i].text, '.', path->keys[i].size))
            return false;
        sl_buffer_append(name, ".", i > 0);
        sl_buffer_append(name, path->keys[i].text, path->keys[i].size);
    }
    return true;
}

sl_status hocon_look_in_environment(struct hocon_resolver *resolver, const struct hocon_path *path, bool list,
                                    struct hocon_slot **target)
{
    struct sl_buffer name;
    struct hocon_node *node = NULL;
    sl_status status = SL_OK;
    if (variable_name(path, &name)) {
        if (name.failed)
            status = sl_error_oom(resolver->error);
        else
            status =
                list ? read_variables(resolver, name.data, &node) : read_variable(resolver, name.data, &node);
    }
    sl_buffer_free(&name);
    if (status != SL_OK || !node)
        return status;
    status = hocon_slot_of(resolver, NULL, node, NULL, target);
    return status == SL_OK ? hocon_flatten(resolver, *target) : status;
}
