/*
 * remote.pml: one slab, its owner, those who free its blocks, who adopts it, and
 * who parks its owner; after src/cache/remote.c, depot.c and thread.c.
 *
 * The slab is destroyed once, when all blocks are back, and nobody touches it
 * afterwards; no block is counted twice or forgotten.  Defined with one of
 *   MISSING_LOOK    who finds the inbox closed does not look who owns the slab now
 *   MISSING_ORDER   the number is added before the bit is set
 *   MISSING_FORWARD what is found in the inbox at the end is not sent on
 * it goes wrong.
 *
 * SPDX-License-Identifier: MIT
 */
#define BLOCKS 2 /* one for each thread that frees */
#define NONE 0   /* in the depot; else the number of a cache */
#define EMPTY 0
#define POSTED 1
#define CLOSED 2

byte owner = 1, used = BLOCKS, bits = 0, count = 0, freed = 0; /* bits, freed: sets of blocks */
byte inbox[3];
bool held[3]; /* the lock of each cache; that of 0 is the depot's */
bool gone = false;
byte done = 0;

inline lock(l) { atomic { !held[l] -> held[l] = true } }
inline unlock(l) { held[l] = false }

inline collect()
{
    assert(!gone);
    atomic { n = count; count = 0 }
    atomic {
        assert((freed & bits) == 0);
        freed = freed | bits;
        bits = 0
    }
    assert(n <= used);
    used = used - n
}

/* REQUIRES the lock of who owns it: an empty slab is destroyed. */
inline settle()
{
    if
    :: used == 0 -> assert(!gone && count == 0); gone = true
    :: else -> skip
    fi
}

inline post()
{
    do
    :: assert(!gone);
       o = owner;
       if
       :: o == NONE ->
           lock(0);
           if
           :: owner == NONE -> collect(); settle(); unlock(0); break
           :: else -> unlock(0)
           fi
       :: else ->
           atomic {
               if
               :: inbox[o] == CLOSED -> sent = false
               :: else -> assert(inbox[o] == EMPTY); inbox[o] = POSTED; sent = true
               fi
           };
           if
           :: sent -> break
           :: else ->
#ifdef MISSING_LOOK
               break
#else
               skip
#endif
           fi
       fi
    od
}

inline drain(c)
{
    atomic { was = inbox[c]; inbox[c] = EMPTY };
    if
    :: was == POSTED ->
        if
        :: owner == c -> collect(); settle()
        :: else -> post()
        fi
    :: else -> skip
    fi
}

/* REQUIRES the cache's lock. */
inline hand_over(c, becomes)
{
    if
    :: owner == c && !gone ->
        lock(0);
        owner = NONE;
        settle();
        unlock(0)
    :: else -> skip
    fi;
    atomic { was = inbox[c]; inbox[c] = becomes };
    if
    :: was == POSTED ->
#ifdef MISSING_FORWARD
        skip
#else
        post()
#endif
    :: else -> skip
    fi
}

active [BLOCKS] proctype freer()
{
    byte o, n, before, me = 1 << _pid;
    bool sent;
    if
    :: owner == NONE ->
        lock(0);
        if
        :: owner == NONE ->
            freed = freed | me;
            used--;
            settle();
            unlock(0);
            goto end
        :: else -> unlock(0)
        fi
    :: else -> skip
    fi;
#ifdef MISSING_ORDER
    atomic { before = count; count++ };
    atomic { assert(!gone); bits = bits | me };
#else
    atomic { assert(!gone); bits = bits | me };
    atomic { assert(!gone); before = count; count++ };
#endif
    if
    :: before == 0 -> post()
    :: else -> skip
    fi;
end:
    done++
}

active proctype first_owner()
{
    byte o, n, was;
    bool sent;
    lock(1);
    drain(1); /* a slow path */
    unlock(1);
    lock(1);
    hand_over(1, CLOSED); /* and its end */
    unlock(1);
    done++
}

active proctype parker()
{
    byte o, n, was;
    bool sent;
    lock(1);
    if
    :: inbox[1] != CLOSED -> drain(1); hand_over(1, EMPTY)
    :: else -> skip
    fi;
    unlock(1);
    done++
}

active proctype adopter()
{
    byte o, n, was;
    bool sent;
    lock(2);
    lock(0);
    if
    :: owner == NONE && !gone -> owner = 2
    :: else -> skip
    fi;
    unlock(0);
    drain(2);
    unlock(2);
    lock(2);
    hand_over(2, CLOSED);
    unlock(2);
    done++
}

active proctype judge()
{
    done == BLOCKS + 3;
    assert(gone && used == 0 && bits == 0 && count == 0 && freed == (1 << BLOCKS) - 1)
}
