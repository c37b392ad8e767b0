/* What an unresolved document has in it. */
#include <string.h>

#include "hocon/node.h"

/* The node that gives path, in the stack, a value; NULL: none. What a substitution brings is not seen. */
static const struct hocon_node *find(const struct hocon_node *stack, const char *path)
{
    size_t size = strcspn(path, ".");
    for (const struct hocon_node *node = stack; node; node = node->below) {
        const struct hocon_node *found = NULL;
        if (node->type == NODE_OBJECT) {
            const struct hocon_entry *entry = hocon_map_find(&node->fields, path, size);
            if (entry)
                found = path[size] ? find(entry->value, path + size + 1) : entry->value;
        } else if (node->type < NODE_OBJECT) {
            break; /* hides what is below */
        }
        for (size_t i = 0; node->type == NODE_CONCAT && !found && i < node->list.count; i++)
            found = find(node->list.nodes[i], path);
        if (found)
            return found;
    }
    return NULL;
}

bool hocon_mentions(const struct hocon *document, const char *path, const char **file, unsigned *line)
{
    const struct hocon_node *found = find(document->root, path);
    *file = found ? found->place.file : NULL;
    *line = found ? found->place.line : 0;
    return found != NULL;
}

/* As deep as the document, whose depth the parser limits. */
static bool refers(const struct hocon_node *stack, const char *key)
{
    for (const struct hocon_node *node = stack; node; node = node->below) {
        if (node->type == NODE_REFERENCE && node->reference.path.count > node->reference.prefix &&
            strcmp(node->reference.path.keys[node->reference.prefix].text, key) == 0)
            return true;
        for (size_t i = 0; node->type == NODE_OBJECT && i < node->fields.count; i++)
            if (refers(node->fields.entries[i].value, key))
                return true;
        for (size_t i = 0; (node->type == NODE_LIST || node->type == NODE_CONCAT) && i < node->list.count;
             i++)
            if (refers(node->list.nodes[i], key))
                return true;
    }
    return false;
}

bool hocon_refers_to(const struct hocon *document, const char *key)
{
    return refers(document->root, key);
}
