/*
 * scenario_tree.c: documents as trees of nodes with names, attributes and
 * texts: built, changed and torn down, some of them held at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <string.h>

enum { NODES = 2000, NODE_BYTES = 220, DEPTH = 24 };

struct attribute {
    struct attribute *next;
    char *value;
    uint32_t length;
    uint32_t id;
};

struct node {
    struct node *parent, *first, *last, *next;
    struct attribute *attributes;
    char *text;
    uint32_t length;
    uint32_t kind;
};

struct document {
    struct node *root;
    uint64_t bytes;
};

static char *make_text(struct worker *worker, struct document *document, size_t length)
{
    char *text = worker_malloc(worker, length);

    memset(text, 'x', length);
    document->bytes += length;
    worker->check += length;
    return text;
}

static void drop_text(struct worker *worker, char *text, size_t length)
{
    if (text[0] != 'x' || text[length - 1] != 'x') {
        work_fail("contents of a block of %zu bytes changed", length);
    }
    worker_free(worker, text);
}

static void add_attribute(struct worker *worker, struct document *document, struct node *node)
{
    struct attribute *attribute = worker_malloc(worker, sizeof(*attribute));

    attribute->length = 2 + (uint32_t)rng_below(&worker->rng, 30);
    attribute->value = make_text(worker, document, attribute->length);
    attribute->id = node->kind;
    attribute->next = node->attributes;
    node->attributes = attribute;
    document->bytes += sizeof(*attribute);
}

static struct node *add_node(struct worker *worker, struct document *document, struct node *parent)
{
    struct node *node = worker_calloc(worker, sizeof(*node));

    document->bytes += sizeof(*node);
    node->parent = parent;
    node->kind = (uint32_t)rng_below(&worker->rng, 64);
    if (parent != NULL) {
        *(parent->last != NULL ? &parent->last->next : &parent->first) = node;
        parent->last = node;
    }
    for (uint64_t left = rng_below(&worker->rng, 4); left > 0; left--) {
        add_attribute(worker, document, node);
    }
    if (rng_below(&worker->rng, 2) == 0) {
        node->length = (uint32_t)rng_pareto(&worker->rng, 8, 4096);
        node->text = make_text(worker, document, node->length);
    }
    return node;
}

static void build(struct worker *worker, struct document *document)
{
    unsigned depth = 0;

    *document = (struct document){NULL, 0};
    document->root = add_node(worker, document, NULL);
    struct node *at = document->root;
    for (unsigned i = 1; i < NODES; i++) {
        struct node *node = add_node(worker, document, at);
        uint64_t way = rng_below(&worker->rng, 8);
        if (way < 3 && depth < DEPTH) {
            at = node;
            depth++;
        }
        for (; way > 5 && at->parent != NULL; way--) {
            at = at->parent;
            depth--;
        }
    }
}

/* What a script does to a page: texts of some nodes are replaced. */
static void change(struct worker *worker, struct document *document, struct node *node)
{
    for (; node != NULL; node = node->next) {
        if (node->text != NULL && rng_below(&worker->rng, 4) == 0) {
            document->bytes -= node->length;
            drop_text(worker, node->text, node->length);
            node->length = (uint32_t)rng_pareto(&worker->rng, 8, 4096);
            node->text = make_text(worker, document, node->length);
        }
        change(worker, document, node->first);
    }
}

static void tear_down(struct worker *worker, struct node *node)
{
    struct node *next_node;
    struct attribute *next;

    for (; node != NULL; node = next_node) {
        next_node = node->next;
        tear_down(worker, node->first);
        for (struct attribute *attribute = node->attributes; attribute != NULL; attribute = next) {
            next = attribute->next;
            drop_text(worker, attribute->value, attribute->length);
            worker_free(worker, attribute);
        }
        if (node->text != NULL) {
            drop_text(worker, node->text, node->length);
        }
        worker_free(worker, node);
    }
}

static void tree_work(struct worker *worker)
{
    size_t count = (size_t)(worker->live / (NODES * NODE_BYTES)) + 1;
    struct document *documents = work_map(count * sizeof(*documents));
    uint64_t held = 0;

    while (worker_more_slowly(worker)) {
        struct document *document = &documents[rng_below(&worker->rng, count)];
        tear_down(worker, document->root);
        build(worker, document);
        change(worker, document, document->root);
    }
    for (size_t i = 0; i < count; i++) {
        held += documents[i].bytes;
    }
    worker_settle(worker, held);
    for (size_t i = 0; i < count; i++) {
        tear_down(worker, documents[i].root);
    }
    work_unmap(documents, count * sizeof(*documents));
}

static void tree_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, tree_work, NULL, outcome);
}

const struct scenario scenario_tree = {
    .name = "tree",
    .summary = "documents as trees of nodes, attributes and texts: built, changed, torn down",
    .source = "own; document object models",
    .own_sizes = true,
    .defaults = {.threads = 1, .ops = 52000000, .live = 16 << 20, .seed = 1},
    .run = tree_run,
};
