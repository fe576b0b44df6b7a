/*
 * parking.pml: who looks for sleepers, the sleepers, and their ends; after
 * slai_threads_park() and slai_cache_retire().  A cache is parked only under its
 * lock and while it is in the list; its slabs are in one place at any time.
 *
 * Defined MISSING_LOCK: it is parked without its lock.  Defined MISSING_CLOSED:
 * a cache whose thread has ended is parked all the same, and its inbox opened.
 *
 * SPDX-License-Identifier: MIT
 */
#define CACHES 2
#define SLABS 2 /* each cache has that many, at first */

bool listed[CACHES], closed[CACHES], held[CACHES], threads_held, searching;
byte has[CACHES], depot, inside[CACHES], made, searched, done;

inline lock(l) { atomic { !l -> l = true } }

inline enter(c) { inside[c]++; assert(inside[c] == 1) }
inline leave(c) { inside[c]-- }

/* REQUIRES the cache's lock: slab by slab, as each has the depot's lock for a while. */
inline hand_over(c)
{
    do
    :: has[c] > 0 -> has[c]--; atomic { depot++ }
    :: else -> break
    od
}

inline park(c)
{
#ifndef MISSING_LOCK
    lock(held[c]);
#endif
    enter(c);
    if
#ifdef MISSING_CLOSED
    :: true ->
#else
    :: !closed[c] ->
#endif
        hand_over(c);
        closed[c] = false
    :: else -> skip
    fi;
    leave(c);
#ifndef MISSING_LOCK
    held[c] = false
#endif
}

inline look_for_sleepers()
{
    if
    :: made - searched >= 1 ->
        atomic { seen = searched };
        atomic {
            if
            :: searched == seen -> searched = made; won = true
            :: else -> won = false
            fi
        };
        if
        :: won ->
            lock(threads_held);
            other = 0;
            do
            :: other < CACHES ->
                if
                :: other != me && listed[other] -> park(other)
                :: else -> skip
                fi;
                other++
            :: else -> break
            od;
            threads_held = false
        :: else -> skip
        fi
    :: else -> skip
    fi
}

active [CACHES] proctype thread()
{
    byte me = _pid, other, seen;
    bool won;
    /* Born. */
    lock(threads_held);
    listed[me] = true;
    has[me] = SLABS;
    threads_held = false;
    /* A slow path: adopts, or makes a slab. */
    lock(held[me]);
    enter(me);
    atomic {
        if
        :: depot > 0 -> depot--; has[me]++
        :: else -> made++; has[me]++
        fi
    };
    leave(me);
    held[me] = false;
    look_for_sleepers();
    /* Its end. */
    lock(held[me]);
    enter(me);
    hand_over(me);
    closed[me] = true;
    leave(me);
    held[me] = false;
    lock(threads_held);
    listed[me] = false;
    assert(closed[me] && has[me] == 0);
    threads_held = false;
    atomic { done++ }
}

active proctype judge()
{
    done == CACHES;
    assert(depot == CACHES * SLABS + made);
    assert(has[0] == 0 && has[1] == 0 && closed[0] && closed[1])
}
