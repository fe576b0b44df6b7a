/*
 * Remote frees: blocks of slabs that another thread owns.  The freeing thread
 * sets their bits in the slab's remote set, then adds their number to the slab's
 * count; the one whose addition finds the count at 0 posts the slab to its
 * owner's inbox.  The owner takes the whole inbox and counts the slabs in.
 *
 * Why it is safe: a slab's `used` includes every block whose number has not
 * been taken from the count by the owner, who takes it only after popping the
 * slab from the inbox.  So until the poster is done, used > 0 and the slab
 * cannot be destroyed; and after its addition a thread that does not post never
 * looks at the slab again.  Push one, take all: there is no ABA.
 */
#ifndef CACHE_REMOTE_H
#define CACHE_REMOTE_H

#include "cache/thread.h"

/* The inbox of a cache whose thread has ended: nothing can be posted there. */
#define SLAI_INBOX_CLOSED ((struct slai_span *)1)

/* Frees n >= 1 blocks of one slab of another's; blocks that are not out are reported and left. */
void slai_remote_free(struct slai_span *s, void *const *blocks, uint32_t n);

/* Takes all of a list of posted slabs: own ones by settled(tc, s), others go on to who owns them now. */
void slai_remote_drain(struct slai_tcache *tc, struct slai_span *posted,
                       void (*settled)(struct slai_tcache *tc, struct slai_span *s));

#endif
