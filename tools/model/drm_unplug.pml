/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The unplug protocol of DRM core as a model for spin. tools/model/check runs it: as it
 * is, and with each of the mutations that tools/model/expectations lists, which have to
 * fail.
 *
 * What stands for what. C functions without a file are in drivers/gpu/drm/drm_unplug.c.
 * "driver" is what a driver has to do, or a library for it such as the scheduler.
 *
 *   enter(), leave()	drm_unplug_gate_enter(), drm_unplug_gate_exit(): the section
 *			around a handler (drm_unplug_ioctl_enter()), fault, open, mmap
 *   lock(), unlock()	srcu_read_lock_fast(), srcu_read_unlock_fast() on drm_unplug.srcu
 *   wait()		synchronize_srcu_expedited() in drm_unplug_drain(): returns when
 *			the sections that ran at its start have ended, no matter how many
 *			began since
 *   worker()		drm_dev_enter(), drm_dev_exit() in a worker or interrupt
 *   sleep_core()	drm_unplug_wait_begin(), test drm_dev_is_gone(), sleep,
 *			drm_unplug_wait_end() (drm_unplug_waits.c). Uninterruptible here,
 *			so that no other step can make up for a lost wake-up
 *   sleep_unaudited()	an interruptible sleep of a driver that knows nothing of unplugs
 *   park(), unpark()	the section is left around a sleep that user space controls, such
 *			as a copy from a FUSE or userfaultfd page
 *   submit()		a job gets its fence (driver: publish it, then test for gone) and
 *			goes to the hardware unless that was stopped
 *   commit()		a flip promises an event, under drm_device.event_lock
 *   read_events()	drm_read(): drm_unplug_events_over() (drm_unplug_waits.c)
 *   eventfd()		drm_unplug_eventfd_add() (drm_unplug_waits.c), then poll()
 *   fault()		a page fault puts a page of the device into a map
 *   unplugger()	drm_dev_unplug() or drm_dev_unregister(), then the rest of the
 *			remove callback
 *   ORDER		drm_unplug_drain(), in these steps:
 *   mark()		drm_unplug.gone is set
 *   quiesce()		driver: no new job starts, the hardware no longer writes to memory
 *   signal()		driver: all fences end with ENODEV
 *   events()		pending vblank and flip events are sent, flips count as done
 *   kick()		drm_unplug_kick() (drm_unplug_waits.c): sleepers, eventfds, readers,
 *			and tasks inside of a handler (task_work_add(TWA_SIGNAL))
 *   zap()		drm_unplug_maps_zap() in drm_unplug_end()
 *
 * Worst cases that are built in: the hardware may stop to answer at any moment, a wait
 * for a fence or a flip cannot be interrupted, user memory may never arrive, a client
 * of another device sits in its section for ever, clients go on until they have seen
 * ENODEV, and two tasks unplug at once. An unplug that waits repeats some steps every ten
 * seconds; nothing but drivers with unchecked fences needs that, so it is left out except
 * with REPEAT.
 *
 * What is checked: no deadlock (invalid end states; only user memory may never end), no
 * livelock (all_end), and the assertions: touch() for handlers that outlive the device,
 * unplugger() for what its caller may rely on.
 *
 * Not modelled: memory ordering. Each step is seen by all at once. In the kernel that
 * takes the grace period of SRCU (between gone and the test under a section), the lock
 * of the wait queue (between gone and the test of a sleeper) and the locks of the lists.
 */

#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef UNPLUGGERS
#define UNPLUGGERS 1
#endif
#ifndef WORKERS
#define WORKERS 0
#endif

/* --- mutations of the order ------------------------------------------------------------ */

#if defined(WAIT_BEFORE_SIGNAL)		/* the order of 2021 */
#define ORDER mark(); quiesce(); wait(); signal(); events(); kick()
#elif defined(WAIT_BEFORE_EVENTS)
#define ORDER mark(); quiesce(); signal(); wait(); events(); kick()
#elif defined(WAIT_BEFORE_KICK)
#define ORDER mark(); quiesce(); signal(); events(); wait(); kick()
#elif defined(WAIT_BEFORE_MARK)
#define ORDER wait(); mark(); quiesce(); signal(); events(); kick()
#elif defined(KICK_BEFORE_MARK)
#define ORDER kick(); mark(); quiesce(); signal(); events(); wait()
#elif defined(SIGNAL_BEFORE_MARK)
#define ORDER quiesce(); signal(); mark(); events(); kick(); wait()
#elif defined(SIGNAL_BEFORE_QUIESCE)
#define ORDER mark(); signal(); quiesce(); events(); kick(); wait()
#elif defined(EVENTS_BEFORE_MARK)
#define ORDER quiesce(); events(); mark(); signal(); kick(); wait()
#elif defined(NO_MARK)
#define ORDER quiesce(); signal(); events(); kick(); wait()
#elif defined(NO_QUIESCE)
#define ORDER mark(); signal(); events(); kick(); wait()
#elif defined(NO_SIGNAL)
#define ORDER mark(); quiesce(); events(); kick(); wait()
#elif defined(NO_EVENTS)
#define ORDER mark(); quiesce(); signal(); kick(); wait()
#elif defined(NO_KICK)
#define ORDER mark(); quiesce(); signal(); events(); wait()
#elif defined(NO_WAIT)
#define ORDER mark(); quiesce(); signal(); events(); kick()
#elif defined(TEARDOWN_BEFORE_WAIT)
#define ORDER mark(); quiesce(); signal(); events(); kick(); hw = false; wait()
#elif defined(UNREGISTER_BEFORE_WAIT)
#define ORDER mark(); quiesce(); signal(); events(); kick(); registered = false; wait()
#elif defined(ZAP_BEFORE_WAIT)
#define ORDER mark(); quiesce(); signal(); events(); kick(); zap(); wait()
#elif defined(QUIESCE_FIRST)		/* no mutations, these two: nothing depends on it */
#define ORDER quiesce(); mark(); signal(); events(); kick(); wait()
#elif defined(KICK_EVENTS_SIGNAL)
#define ORDER mark(); quiesce(); kick(); events(); signal(); wait()
#else
#define ORDER mark(); quiesce(); signal(); events(); kick(); wait()
#endif

/* --- state ----------------------------------------------------------------------------- */

#define BIT(n)		(1 << (n))
#define WORKER		CLIENTS		/* its bit in readers */

/* the device */
bool gone;		/* drm_unplug.gone */
bool unplugged;		/* drm_device.unplugged */
bool running = true;	/* the hardware works on jobs and writes to memory */
bool registered = true;	/* nodes, sysfs, clients, all that drm_dev_unregister() removes */
bool mapped;		/* a page table points at the device */
bool hw = true;		/* registers and driver structures that handlers use exist */

/* sections */
byte readers;		/* who holds the read side */
byte awaited[2];	/* whom each unplugger waits for */
byte handlers;		/* how many handlers or faults run under a section */

/*
 * Promises: one fence of a job of the first client, that all can wait for, and one event
 * for the last client. More of a kind would not meet each other.
 */
#define NONE	0
#define PENDING	1
#define SENT	2	/* event: can be read. fence: ended with ENODEV */
#define SUBMITS	(me == 0)
#define FLIPS	(me == CLIENTS - 1)
byte fence;
bool on_hw;		/* the hardware works on the job of the fence */
byte event;
bool efd[CLIENTS];	/* on drm_unplug.eventfds */

/* tasks */
#define SLEEPERS	1	/* drm_unplug.sleepers */
#define EVENT_WAIT	2	/* drm_file.event_wait */
byte queue[CLIENTS];	/* wait queue that the task is on */
bool asleep[CLIENTS];	/* task state is not TASK_RUNNING */
bool listed[CLIENTS];	/* on the list of tasks that the kick interrupts */
bool notify[CLIENTS];	/* TIF_NOTIFY_SIGNAL: interruptible sleeps return at once */

/* unplugging tasks */
byte leaver;		/* drm_unplug.leaver */
bool is_left;		/* drm_unplug.left */
byte returned;		/* how many have returned */

/* clients that have not seen ENODEV yet and do not sleep on user memory for ever */
byte clients_left = CLIENTS;

/* Whatever a handler does with the device or what belongs to it. */
inline touch()
{
	d_step {
		assert(hw);
		assert(registered)
	}
}

/* --- the section ----------------------------------------------------------------------- */

inline lock(n)
{
	readers = readers | BIT(n)
}

inline unlock(n)
{
	atomic {
		readers = readers & ~BIT(n);
		awaited[0] = awaited[0] & ~BIT(n);
		awaited[1] = awaited[1] & ~BIT(n)
	}
}

/*
 * Lock, then test. @ok is false where the device is gone and no section was started.
 * The list of tasks to interrupt has a lock of its own; what counts is that a task is
 * on it before it tests.
 */
inline test_gone()
{
	atomic {
		ok = !gone;
		if
		:: ok -> handlers++
		:: else
		fi
	}
}

inline enter()
{
#if defined(GATE_WITHOUT_TEST)
	atomic { lock(me); listed[me] = true; ok = true; handlers++ }
#elif defined(GATE_TEST_BEFORE_LOCK)
	test_gone();
	if
	:: ok -> atomic { lock(me); listed[me] = true }
	:: else
	fi
#elif defined(GATE_LISTS_AFTER_TEST)
	lock(me);
	test_gone();
	if
	:: ok -> listed[me] = true
	:: else -> unlock(me)
	fi
#else
	atomic { lock(me); listed[me] = true };
	test_gone();
	if
	:: ok
	:: else -> atomic { listed[me] = false; unlock(me) }
	fi
#endif
}

/* Task work runs on the way back to user space. */
inline leave()
{
	atomic { listed[me] = false; handlers--; unlock(me); notify[me] = false }
}

/*
 * Off the list before the test, so that no kick hits a task while it faults on user
 * memory: such a fault starts over for as long as an interruption is pending.
 */
inline park()
{
#if defined(NO_PARK)
	atomic { listed[me] = false; ok = !gone }
#elif defined(PARK_STAYS_LISTED)
	atomic { unlock(me); ok = !gone; handlers-- }
#elif defined(PARK_WITHOUT_TEST)
	atomic { listed[me] = false; unlock(me); handlers-- }
#else
	atomic { listed[me] = false; unlock(me); handlers-- };
	ok = !gone
#endif
}

inline unpark()
{
#if defined(NO_PARK)
	ok = true
#elif defined(UNPARK_WITHOUT_TEST)
	atomic { lock(me); listed[me] = true; handlers++; ok = true }
#elif defined(UNPARK_WITHOUT_LOCK)
	listed[me] = true;
	test_gone()
#elif defined(UNPARK_TEST_BEFORE_LOCK)
	test_gone();
	if
	:: ok -> atomic { lock(me); listed[me] = true }
	:: else
	fi
#else
	enter()
#endif
}

/* --- clients --------------------------------------------------------------------------- */

inline sleep_core()
{
#if defined(SLEEPER_TEST_BEFORE_QUEUE)
	if
	:: gone
	:: else ->
		queue[me] = SLEEPERS;
		asleep[me] = true;
		!asleep[me]
	fi;
#elif defined(SLEEPER_TEST_BEFORE_STATE)
	queue[me] = SLEEPERS;
	do
	:: gone -> break
	:: else ->
		asleep[me] = true;
		!asleep[me]
	od;
#else
	queue[me] = SLEEPERS;
	do
	:: asleep[me] = true;
		if
#ifndef SLEEPER_WITHOUT_TEST
		:: gone -> break
#endif
		:: else -> !asleep[me]
		fi
	od;
#endif
	atomic { asleep[me] = false; queue[me] = NONE }
}

inline sleep_unaudited()
{
#ifdef KICK_IGNORED	/* the driver tries again at once */
	do
	:: (!asleep[me] || notify[me]) -> asleep[me] = true
	od;
#endif
	asleep[me] = true;
	(!asleep[me] || notify[me]);
	asleep[me] = false
}

/* May never end. A kick must not have hit the task, or it would spin. */
inline user_memory()
{
	assert(!notify[me]);
	if
	:: true
	:: true ->
		clients_left--;
end_user_memory:
		(false)
	fi;
	assert(!notify[me])
}

inline submit()
{
#ifdef FENCE_TEST_BEFORE_PUBLISH
	if
	:: gone
	:: else -> fence = PENDING
	fi;
#else
	fence = PENDING;
#ifndef FENCE_UNCHECKED
	d_step {
		if
		:: gone && fence == PENDING -> fence = SENT
		:: else
		fi
	}
#endif
#endif
	d_step {
		if
		:: fence == PENDING && running -> on_hw = true
		:: else
		fi
	}
}

/* Under &drm_device.event_lock. */
inline send_event()
{
	if
	:: event == PENDING ->
		event = SENT;
		if
		:: queue[CLIENTS - 1] == EVENT_WAIT -> asleep[CLIENTS - 1] = false
		:: else
		fi
	:: else
	fi
}

inline commit()
{
	event = PENDING
#ifndef EVENT_UNCHECKED
	;
	d_step {
		if
		:: gone -> send_event()
		:: else
		fi
	}
#endif
}

#define EVENTS_OVER	(gone && !(FLIPS && event != NONE))
#define EVENT_OR_OVER	(FLIPS && event == SENT || EVENTS_OVER)

inline read_events()
{
	do
	:: atomic { FLIPS && event == SENT -> event = NONE; break }
	:: atomic { EVENTS_OVER -> ok = false; break }
	:: atomic { !EVENT_OR_OVER -> queue[me] = EVENT_WAIT; asleep[me] = true };
		if
		:: EVENT_OR_OVER
		:: else -> !asleep[me]
		fi;
		atomic { queue[me] = NONE; asleep[me] = false }
	od
}

inline eventfd()
{
#ifdef EVENTFD_TEST_UNLOCKED
	ok = !gone;
	if
	:: ok -> efd[me] = true
	:: else
	fi;
#else
	d_step {	/* drm_unplug_eventfd_lock */
		ok = !gone;
		if
		:: ok -> efd[me] = true
		:: else
		fi
	}
#endif
	!efd[me]
}

inline fault()
{
	atomic { mapped = true; assert(hw) }
}

/*
 * Does what it likes in any order, again and again, until it is told ENODEV. Each pass
 * is one system call. A handler touches the device to the last; what it can touch then,
 * it could before.
 */
proctype client(byte me)
{
	bool ok;

	do
	:: enter();
		if
		:: !ok -> break
		:: else
		fi;
		if
		:: true
		:: SUBMITS && fence != PENDING ->
			submit();
			if
			:: true -> (fence != PENDING)	/* waits for its job */
			:: true					/* leaves it behind */
			fi
		:: fence == PENDING -> (fence != PENDING)	/* for that of another */
		:: FLIPS && event == NONE ->
			commit();
			if
			:: true -> (event != PENDING)	/* blocking */
			:: true
			fi
		:: sleep_core()
		:: sleep_unaudited()
		:: park();
			if
			:: ok -> user_memory()
			:: else
			fi;
			unpark()
		:: fault()
		fi;
		if
		:: ok ->
			atomic { touch(); leave() }
		:: else -> break	/* gone while parked */
		fi
	:: !gone -> sleep_core()	/* DRM_UNPLUG_WAITS: no section, nothing touched */
	:: read_events();
		if
		:: !ok -> break
		:: else
		fi
	:: eventfd();
		if
		:: !ok -> break
		:: else
		fi
	od;
	clients_left--
}

/* --- driver and hardware --------------------------------------------------------------- */

proctype worker()
{
	do
	::
#ifndef WORKER_WITHOUT_SECTION
		lock(WORKER);
#endif
		if
		:: unplugged -> break
		:: else
		fi;
		atomic { assert(hw); unlock(WORKER) }
	od;
	unlock(WORKER)
}

/* May die at any moment, and then nothing is signalled any more. */
proctype hardware()
{
	do
	:: atomic { running && on_hw ->
		assert(fence == PENDING);	/* DMA into memory that was let go */
		fence = NONE;
		on_hw = false
	}
	:: atomic { running && event == PENDING -> send_event() }
	:: true -> break
	od
}

/* --- unplug ---------------------------------------------------------------------------- */

inline mark()
{
	gone = true
}

inline quiesce()
{
	running = false
}

inline signal()
{
	atomic {
		if
		:: fence == PENDING ->
			/* memory is let go: nobody may write to it any more */
			assert(!(running && on_hw));
			fence = SENT
		:: else
		fi
	}
}

inline events()
{
	atomic { send_event() }
}

inline wake_up(q)
{
	d_step {
		n = 0;
		do
		:: n < CLIENTS ->
			if
			:: queue[n] == q -> asleep[n] = false
			:: else
			fi;
			n++
		:: else -> break
		od;
		n = 0
	}
}

inline kick()
{
#ifndef NO_KICK_SLEEPERS
	wake_up(SLEEPERS);
#endif
#ifndef NO_KICK_EVENTFDS
	d_step {
		n = 0;
		do
		:: n < CLIENTS -> efd[n] = false; n++
		:: else -> break
		od;
		n = 0
	}
#endif
#ifndef NO_KICK_READERS
	wake_up(EVENT_WAIT);
#endif
#ifndef NO_KICK_TASKS
	d_step {
		n = 0;
		do
		:: n < CLIENTS ->
			if
			:: listed[n] ->
#ifndef KICK_NOT_STICKY
				notify[n] = true;
#endif
				/* wakes what sleeps interruptibly */
				if
				:: queue[n] == NONE -> asleep[n] = false
				:: else
				fi
			:: else
			fi;
			n++
		:: else -> break
		od;
		n = 0
	}
#endif
	skip
}

#ifdef GLOBAL_SRCU	/* one domain for all devices */
#define OTHERS	BIT(WORKER + 1)
#else
#define OTHERS	0
#endif

inline wait()
{
	awaited[me] = readers | OTHERS;
#ifdef REPEAT
	do
	:: awaited[me] == 0 -> break
	:: else -> signal(); events(); kick()
	od
#else
	(awaited[me] == 0)
#endif
}

inline zap()
{
	mapped = false
}

/* The first is a remove callback, the second a task that gets in its way. */
proctype unplugger(byte me)
{
	byte n;
	bool drained, mine;

	/* drm_dev_unplug() */
	if
	:: true ->
#if !defined(NO_UNPLUGGED) && !defined(UNPLUGGED_AFTER_WAIT)
		unplugged = true;
#endif
		ORDER;
#ifdef UNPLUGGED_AFTER_WAIT
		unplugged = true;
#endif
		drained = true
	:: me == 1	/* drm_dev_unregister() */
	fi;

	/* drm_dev_unregister(), drm_unplug_begin() */
#ifdef LEAVER_NOT_ATOMIC
	mine = (leaver == 0);
	if
	:: mine -> leaver = me + 1
	:: else
	fi;
#else
	atomic {	/* cmpxchg() */
		mine = (leaver == 0);
		if
		:: mine -> leaver = me + 1
		:: else
		fi
	}
#endif
	if
	:: mine ->
#ifndef TWICE	/* A task that did it before does it again: left out to save states. */
		if
		:: drained
		:: else -> ORDER
		fi;
#else
		ORDER;
#endif
#ifndef UNREGISTER_BEFORE_WAIT
		assert(registered);	/* it is done once */
#endif
		registered = false;
#if !defined(NO_ZAP) && !defined(ZAP_BEFORE_WAIT)
		zap();
#endif
		is_left = true
	:: else
#ifndef SECOND_DOES_NOT_WAIT
		-> is_left
#endif
	fi;

	/* What a caller may rely on. */
	atomic {
		assert(gone);
		assert(handlers == 0);
		assert(!registered);
		assert(!mapped);
		assert(event != PENDING);
#ifndef REPEAT
		assert(fence != PENDING)
#endif
	}

	/* The rest of the remove callback. */
	if
	:: me == 0 ->
#ifdef REPEAT
		signal();	/* of jobs that came late and were not waited for */
		assert(fence != PENDING);
#endif
		hw = false
	:: else
	fi;
	returned++
}

init {
	byte n;

	atomic {
		do
		:: n < CLIENTS -> run client(n); n++
		:: else -> break
		od;
		run hardware();
		run unplugger(0);
#if UNPLUGGERS > 1
		run unplugger(1);
#endif
#if WORKERS > 0
		run worker();
#endif
		skip
	}
}

#ifdef LIVENESS
ltl all_end { <> (returned == UNPLUGGERS && clients_left == 0 && fence != PENDING) }
#endif
