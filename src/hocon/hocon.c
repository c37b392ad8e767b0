/* Documents: making, merging and resolving them. */
#include "hocon/hocon.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "hocon/parse.h"
#include "hocon/resolve.h"

sl_status hocon_parse_file(const char *file, const struct hocon_limits *limits, struct hocon **document,
                           sl_error *error)
{
    *document = NULL;
    struct hocon_limits filled = hocon_limits_of(limits);
    struct hocon *made = hocon_new();
    if (!made)
        return sl_error_oom(error);
    size_t files = 0;
    struct hocon_parser parser = {.document = made, .limits = &filled, .files = &files, .error = error};
    sl_status status = hocon_parse_path(&parser, file, &made->root);
    if (status == SL_OK && !made->root)
        status = sl_error_set(error, SL_IO, "%s is not there, expected a configuration file", file);
    if (status == SL_OK)
        *document = made;
    else
        hocon_free(&made);
    return status;
}

sl_status hocon_parse_text(const char *text, size_t size, const char *origin, const char *directory,
                           const struct hocon_limits *limits, struct hocon **document, sl_error *error)
{
    *document = NULL;
    struct hocon_limits filled = hocon_limits_of(limits);
    if (size > filled.max_bytes)
        return sl_error_set(error, SL_BAD_CONFIG, "%s is too large, expected at most %zu bytes", origin,
                            filled.max_bytes);
    struct hocon *made = hocon_new();
    if (!made)
        return sl_error_oom(error);
    size_t files = 0;
    struct hocon_input input = {.directory = directory ? directory : "."};
    struct hocon_parser parser = {
        .document = made, .limits = &filled, .files = &files, .input = &input, .error = error};
    const char *name = hocon_arena_text(&made->arena, origin, strlen(origin));
    sl_status status = SL_OUT_OF_MEMORY;
    if (name)
        status = hocon_parse_bytes(&parser, text, size, name, HOCON_SYNTAX_CONF, &made->root);
    else
        sl_error_oom(error);
    if (status == SL_OK)
        *document = made;
    else
        hocon_free(&made);
    return status;
}

sl_status hocon_single(const char *path, const char *value, const char *origin, struct hocon **document,
                       sl_error *error)
{
    *document = NULL;
    struct hocon *made = hocon_new();
    struct hocon_place place = {0};
    if (!made || !(place.file = hocon_arena_text(&made->arena, origin, strlen(origin)))) {
        hocon_free(&made);
        return sl_error_oom(error);
    }
    struct hocon_limits limits = hocon_limits_of(NULL);
    struct hocon_path keys;
    sl_status status = hocon_path_of_text(path, place.file, &made->arena, &keys, error);
    if (status == SL_OK && keys.count > limits.max_depth)
        status =
            hocon_fail(error, &place, "the path has more than %u keys, expected fewer", limits.max_depth);
    if (status == SL_OK && sl_utf8_length(value, strlen(value)) < 0)
        status = hocon_fail(error, &place, "the value of %s is not UTF-8, expected UTF-8 text", path);
    if (status == SL_OK) {
        struct hocon_node *node = hocon_node_text(made, NODE_STRING, &place, value, strlen(value));
        made->root = hocon_node_new(made, NODE_OBJECT, &place);
        if (!node || !made->root || !hocon_node_set(made, made->root, &keys, node))
            status = sl_error_oom(error);
    }
    if (status == SL_OK)
        *document = made;
    else
        hocon_free(&made);
    return status;
}

sl_status hocon_merge(const struct hocon *over, const struct hocon *under, struct hocon **merged,
                      sl_error *error)
{
    *merged = NULL;
    if (!over->root || !under->root)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "resolved documents cannot be merged");
    struct hocon *made = hocon_new();
    struct hocon_node *upper;
    if (!made || !hocon_node_copy(made, under->root, &made->root) ||
        !hocon_node_copy(made, over->root, &upper) || !hocon_node_push_all(made, &made->root, upper)) {
        hocon_free(&made);
        return sl_error_oom(error);
    }
    *merged = made;
    return SL_OK;
}

static sl_status resolve_root(struct hocon_resolver *resolver, const struct hocon *document)
{
    sl_status status = hocon_slot_of(resolver, NULL, document->root, NULL, &resolver->root);
    if (status == SL_OK)
        status = hocon_evaluate(resolver, resolver->root, &resolver->resolved->value);
    return status;
}

sl_status hocon_resolve(const struct hocon *document, bool use_environment, const struct hocon_limits *limits,
                        struct hocon **resolved, sl_error *error)
{
    *resolved = NULL;
    if (!document->root)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "the document is resolved already");
    struct hocon *made = hocon_new();
    if (!made)
        return sl_error_oom(error);
    struct hocon_resolver resolver = {.resolved = made,
                                      .limits = hocon_limits_of(limits),
                                      .use_environment = use_environment,
                                      .place = &document->root->place,
                                      .error = error};
    /* What stands in the document itself does not count: a slot, layers, a key, a value, an element for each.
     */
    size_t own = document->nodes < SIZE_MAX / 16 ? document->nodes : SIZE_MAX / 16;
    size_t extra =
        resolver.limits.max_resolved < SIZE_MAX / 16 ? resolver.limits.max_resolved : SIZE_MAX / 16;
    resolver.most_weight = own + extra;
    resolver.budget = own * 8 + extra * 4;
    resolver.text_budget = resolver.limits.max_bytes * 4;
    sl_status status = resolve_root(&resolver, document);
    hocon_arena_free(&resolver.scratch);
    if (status == SL_OK && !made->value)
        status = sl_error_set(error, SL_INTERNAL, "a document without a root");
    if (status == SL_OK)
        *resolved = made;
    else
        hocon_free(&made);
    return status;
}
