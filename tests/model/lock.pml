/*
 * lock.pml: src/os/lock.c.  One at a time; nobody sleeps for ever.
 *
 * Defined MISSING_AWAITED: who wakes takes the lock as held, not as awaited, so
 * that its unlock wakes nobody.  Defined MISSING_COMPARE: the system puts a
 * waiter to sleep without a second look at the word.
 *
 * SPDX-License-Identifier: MIT
 */
#define THREADS 3
#define TIMES 2
#define FREE 0
#define HELD 1
#define AWAITED 2

byte state = FREE;
byte inside = 0;
bool asleep[THREADS];

#ifdef MISSING_AWAITED
#define TAKEN HELD
#else
#define TAKEN AWAITED
#endif

inline cas(from, to)
{
    atomic {
        if
        :: state == from -> state = to; ok = true
        :: else -> ok = false
        fi
    }
}

/* The futex: looks and sleeps at once. */
inline wait()
{
#ifdef MISSING_COMPARE
    asleep[_pid] = true;
#else
    atomic {
        if
        :: state == AWAITED -> asleep[_pid] = true
        :: else -> skip
        fi
    }
#endif
    !asleep[_pid]
}

inline wake()
{
    atomic {
        if
        :: asleep[0] -> asleep[0] = false
        :: asleep[1] -> asleep[1] = false
        :: asleep[2] -> asleep[2] = false
        :: else -> skip
        fi
    }
}

active [THREADS] proctype thread()
{
    bool ok;
    byte seen, times = 0;
again:
    cas(FREE, HELD);
    do
    :: ok -> break
    :: else ->
        seen = state;
        if
        :: seen == FREE -> cas(FREE, TAKEN)
        :: seen == AWAITED -> wait()
        :: seen == HELD ->
            cas(HELD, AWAITED);
            if
            :: ok -> ok = false; wait()
            :: else -> skip
            fi
        fi
    od;
    inside++;
    assert(inside == 1);
    inside--;
    cas(HELD, FREE);
    if
    :: ok -> skip
    :: else -> state = FREE; wake()
    fi;
    times++;
    if
    :: times < TIMES -> goto again
    :: else -> skip
    fi
}
