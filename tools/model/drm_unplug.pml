/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The unplug protocol of DRM core as a model for spin. tools/model/check runs it: as it
 * is, and with each of the mutations that tools/model/expectations lists, which have to
 * fail.
 *
 * What stands for what. C functions without a file are in drivers/gpu/drm/drm_unplug.c;
 * waits.c, sections.c, fences.c are short for drm_unplug_waits.c and so on beside it, and
 * sched.c for scheduler/sched_unplug.c.
 *
 *   enter(), leave()	drm_unplug_gate_enter(), drm_unplug_gate_exit(): the section
 *			around a handler (drm_unplug_ioctl_enter()), fault, open, mmap
 *   lock(), unlock()	srcu_read_lock_fast(), srcu_read_unlock_fast() on drm_unplug.srcu
 *   note()		drm_unplug_section_note() (sections.c)
 *   worker()		drm_dev_enter(), drm_dev_exit() in a worker or interrupt
 *   sleep_abortable()	drm_unplug_wait_begin(), test the condition and drm_dev_is_gone(),
 *			sleep, drm_unplug_wait_end() (waits.c), and what is made of them:
 *			drm_dev_fence_wait(), drm_dev_wait_event() (fences.c).
 *			Uninterruptible here, so that no later step makes up for a wake-up
 *			that is lost
 *   sleep_unaudited()	an interruptible sleep of a driver that knows nothing of unplugs
 *   wait_fence()	dma_fence_wait() in a driver: interruptible or not, see driver
 *   user_memory()	a fault on memory of a client (userfaultfd, FUSE) in a handler
 *   park(), unpark()	the same with the section left meanwhile. No C code yet: issue 4
 *   submit()		drm_sched_push_begin(), drm_sched_push_end() (sched.c)
 *   commit()		a flip that promises an event, with or without a wait for it
 *   committer()		its second half, in a worker: drm_crtc_arm_vblank_event()
 *   read_events()	drm_read(): drm_unplug_events_over() (waits.c)
 *   eventfd()		drm_unplug_eventfd_add() (waits.c), then poll()
 *   fault()		a page fault puts a page of the device into a map
 *   unplug(),		drm_dev_unplug(),
 *   unregister()	drm_dev_unregister() with drm_unplug_begin(), drm_unplug_end()
 *   DRAIN		drm_unplug_drain(), with the steps
 *     mark()		drm_unplug.gone is set
 *     hooks()		drm_unplug_quiesce(): drm_unplug_ops.quiesce, once, and .signal;
 *			late_hooks() is the call after the wait
 *     announce()	drm_unplug_announce() (waits.c): eventfds, readers
 *     kick()		drm_unplug_kick() (waits.c): sleepers
 *     wait()		synchronize_srcu_expedited(): returns when the sections that ran at
 *			its start have ended, no matter how many began since
 *   rounds()		drm_unplug_stall(): drm_unplug_sections_poke(), the kill in
 *			drm_unplug_sections_stalled() (sections.c), and .signal for late
 *			fences. It does no step of DRAIN over again, so that one that is left
 *			out is seen, and not only late
 *   send_armed()	drm_unplug_send_events() (waits.c)
 *   zap()		drm_unplug_maps_zap()
 *   stop()		driver: the hardware no longer writes to memory
 *   end_fences()	drm_sched_unplug() or drm_sched_fini(): drm_sched_end() (sched.c)
 *   shut_down()	driver: drm_atomic_helper_shutdown() or the like, between
 *			drm_dev_unregister() and drm_dev_unplug()
 *   remove()		the remove callback; bystander() is any other task that unplugs or
 *			unregisters the device at the same time
 *
 * Worst cases that are built in: the hardware may stop to answer at any moment, user
 * memory may never arrive, a client of another device sits in its section for ever,
 * clients go on until they have seen ENODEV, handlers touch the device to their end.
 *
 * What is checked: no deadlock (invalid end states; only a parked client may sleep for
 * ever), no livelock (all_end), and the assertions, most of all in touch() for handlers
 * that outlive the device and in returned() for what callers rely on.
 *
 * Not modelled: memory ordering. Each step is seen by all at once. In the kernel that
 * takes the grace period of SRCU (between gone and the test under a section), the lock
 * of the wait queue (between gone and the test of a sleeper), smp_mb() in
 * drm_dev_unplug() and the locks of the lists. Nor time: a round follows when it would
 * change something, and patience ends only for those that user_memory() keeps.
 */

#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef BYSTANDERS
#define BYSTANDERS 0
#endif
#ifndef WORKERS
#define WORKERS 0
#endif

/* --- mutations of the order ------------------------------------------------------------ */

#if defined(WAIT_BEFORE_KICK)
#define DRAIN mark(); hooks(); announce(); wait(); kick(); late_hooks()
#elif defined(WAIT_BEFORE_MARK)
#define DRAIN wait(); mark(); hooks(); announce(); kick(); late_hooks()
#elif defined(WAIT_BEFORE_HOOKS)	/* those of 2021, and stock drivers */
#define DRAIN mark(); announce(); kick(); wait(); hooks()
#elif defined(HOOKS_BEFORE_MARK)
#define DRAIN hooks(); mark(); announce(); kick(); wait(); late_hooks()
#elif defined(KICK_BEFORE_MARK)
#define DRAIN kick(); mark(); hooks(); announce(); wait(); late_hooks()
#elif defined(ANNOUNCE_BEFORE_MARK)
#define DRAIN first = !gone; announce(); mark(); hooks(); kick(); wait(); late_hooks()
#elif defined(NO_MARK)
#define DRAIN first = true; hooks(); announce(); kick(); wait(); late_hooks()
#elif defined(NO_HOOKS)
#define DRAIN mark(); announce(); kick(); wait()
#elif defined(NO_LAST_HOOKS)
#define DRAIN mark(); hooks(); announce(); kick(); wait()
#elif defined(NO_ANNOUNCE)
#define DRAIN mark(); hooks(); kick(); wait(); late_hooks()
#elif defined(NO_KICK)
#define DRAIN mark(); hooks(); announce(); wait(); late_hooks()
#elif defined(NO_WAIT)
#define DRAIN mark(); hooks(); announce(); kick(); late_hooks()
#elif defined(TEARDOWN_BEFORE_WAIT)
#define DRAIN mark(); hooks(); announce(); kick(); hw = false; wait(); late_hooks()
#elif defined(UNREGISTER_BEFORE_WAIT)
#define DRAIN mark(); hooks(); announce(); kick(); registered = false; wait(); late_hooks()
#elif defined(ZAP_BEFORE_WAIT)
#define DRAIN mark(); hooks(); announce(); kick(); zap(); wait(); late_hooks()
#elif defined(KICK_BEFORE_ANNOUNCE)	/* no mutations, these three: they may change places */
#define DRAIN mark(); hooks(); kick(); announce(); wait(); late_hooks()
#elif defined(ANNOUNCE_AFTER_WAIT)
#define DRAIN mark(); hooks(); kick(); wait(); late_hooks(); announce()
#elif defined(KICK_BEFORE_HOOKS)
#define DRAIN mark(); announce(); kick(); hooks(); wait(); late_hooks()
#else
#define DRAIN mark(); hooks(); announce(); kick(); wait(); late_hooks()
#endif

/* --- state ----------------------------------------------------------------------------- */

#define BIT(n)		(1 << (n))
#define WORKER		CLIENTS		/* its bit in readers */

/* the device */
bool gone;		/* drm_unplug.gone */
bool unplugged;		/* drm_device.unplugged */
bool registered = true;	/* nodes, sysfs, clients, all that drm_dev_unregister() removes */
bool mapped;		/* a page table points at the device */
bool running = true;	/* the hardware works, and writes to memory */
bool hw = true;		/* registers and driver structures that handlers use exist */

/*
 * When the driver stops the hardware and ends its fences: after it has unplugged, before that,
 * or in its hooks. Handlers of the first kind must not wait for a fence uninterruptibly. Fences
 * of the last kind do not go through the scheduler: its handlers go on making them.
 */
mtype = { STOPS_LAST, STOPS_FIRST, HAS_HOOKS };
mtype driver;
bool hooks_lock;	/* drm_unplug.ops_lock */
bool quiesced;		/* drm_unplug.quiesced */

/* sections */
byte readers;		/* who holds the read side */
byte awaited[2];	/* whom each unplugging task waits for */
byte handlers;		/* how many handlers or faults run under a section */
bool working;		/* the worker has found drm_dev_enter() to succeed */

/*
 * Promises: one fence of a job of the first client, that all can wait for, and one event
 * for the last client. More of a kind would not meet each other.
 */
#define NONE	0
#define PENDING	1
#define SENT	2	/* event: can be read. fence: ended with ENODEV */
#define ARMED	3	/* event: comes with the next vblank */
#define PROMISED	(event == PENDING || event == ARMED)
#define SUBMITS	(me == 0)
#define FLIPS	(me == CLIENTS - 1)
byte fence;
bool on_hw;		/* the hardware works on the job of the fence */
bool late_fence;	/* it was made by a handler that the unplug has overtaken */
bool ended;		/* drm_sched_state.ended */
bool pushing;		/* an RCU section of drm_sched_push_begin() */
bool awaited_push;	/* the one that synchronize_rcu() waits for */
byte event;
bool efd[CLIENTS];	/* on drm_unplug.eventfds */

/* tasks */
#define SLEEPERS	1	/* drm_unplug.sleepers */
#define EVENT_WAIT	2	/* drm_file.event_wait */
byte queue[CLIENTS];	/* wait queue that the task is on */
bool asleep[CLIENTS];	/* task state is not TASK_RUNNING */
bool listed[CLIENTS];	/* in drm_unplug.slots or .crowd */
bool notify[CLIENTS];	/* TIF_NOTIFY_SIGNAL: interruptible sleeps return at once */
bool user[CLIENTS];	/* waits for user memory, unless it was killed */

/* unplugging tasks */
byte leaver;		/* drm_unplug.leaver */
bool has_left;		/* drm_unplug.left */
bool stall;		/* drm_unplug.stall_work is queued, by and for both */
byte unplugging = 1 + BYSTANDERS;	/* how many have not returned */

/* clients that have not seen ENODEV and are neither killed nor parked for ever */
byte busy = CLIENTS;

/* Whatever a handler does with the device or what belongs to it. */
inline touch()
{
	d_step {
		assert(hw);
		assert(registered)
	}
}

/* --- sections -------------------------------------------------------------------------- */

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

inline note()
{
#ifdef NOTE_MAY_FAIL	/* no slot left, and no memory */
	if
	:: true -> listed[me] = true
	:: true
	fi
#else
	listed[me] = true
#endif
}

/* @ok is false where the device is gone and no section was started. */
inline enter()
{
#if defined(GATE_WITHOUT_TEST)
	atomic { lock(me); ok = true; handlers++ };
	note()
#elif defined(GATE_TEST_BEFORE_LOCK)
	test_gone();
	if
	:: ok -> lock(me); note()
	:: else
	fi
#elif defined(GATE_NOTES_BEFORE_TEST)	/* no mutation */
	lock(me);
	note();
	test_gone();
	if
	:: ok
	:: else -> atomic { listed[me] = false; unlock(me) }
	fi
#else
	lock(me);
	test_gone();
	if
	:: ok -> note()
	:: else -> unlock(me)
	fi
#endif
}

/* Task work runs on the way back to user space. */
inline leave()
{
	atomic { listed[me] = false; handlers--; unlock(me); notify[me] = false }
}

/*
 * Off the list before the test, so that no poke hits a task while it faults on user
 * memory: with userfaultfd, such a fault starts over again and again after that.
 */
inline park()
{
#if defined(PARK_STAYS_LISTED)
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
#if defined(UNPARK_WITHOUT_TEST)
	atomic { lock(me); ok = true; handlers++ };
	note()
#elif defined(UNPARK_WITHOUT_LOCK)
	test_gone();
	note()
#elif defined(UNPARK_TEST_BEFORE_LOCK)
	test_gone();
	if
	:: ok -> lock(me); note()
	:: else
	fi
#else
	enter()
#endif
}

/* --- what clients do ------------------------------------------------------------------- */

inline sleep_abortable(condition)
{
#if defined(SLEEPER_TEST_BEFORE_QUEUE)
	if
	:: gone || condition
	:: else ->
		queue[me] = SLEEPERS;
		asleep[me] = true;
		(!asleep[me] || condition)
	fi;
#elif defined(SLEEPER_TEST_BEFORE_STATE)
	queue[me] = SLEEPERS;
	do
	:: gone || condition -> break
	:: else ->
		asleep[me] = true;
		(!asleep[me] || condition)
	od;
#else
	queue[me] = SLEEPERS;
	do
	:: asleep[me] = true;
		if
#ifdef SLEEPER_WITHOUT_TEST
		:: condition -> break
#else
		:: gone || condition -> break
#endif
		:: else -> (!asleep[me] || condition)
		fi
	od;
#endif
	atomic { asleep[me] = false; queue[me] = NONE }
}

inline sleep_unaudited()
{
#ifdef POKE_IGNORED	/* the driver tries again at once */
	do
	:: notify[me] -> skip
	od;
#endif
	notify[me]
}

inline wait_fence()
{
	if
#ifdef WAIT_BEFORE_SIGNAL	/* the order of 2021, and stock drivers */
	:: true -> (fence != PENDING)
#else
	:: driver != STOPS_LAST -> (fence != PENDING)
	:: driver == STOPS_LAST -> (fence != PENDING || notify[me])
#endif
	fi
}

inline submit()
{
	atomic { pushing = true; late = ended && driver != HAS_HOOKS };
#ifdef PUSH_UNCHECKED
	late = false;
#endif
	atomic {
		if
		:: late -> fence = SENT
		:: else -> fence = PENDING; late_fence = gone && driver == HAS_HOOKS
		fi;
		late = false;
		pushing = false;
		awaited_push = false
	}
}

/* Under drm_device.event_lock. */
inline send_event()
{
	if
	:: event == ARMED ->
		event = SENT;
		if
		:: queue[CLIENTS - 1] == EVENT_WAIT -> asleep[CLIENTS - 1] = false
		:: else
		fi
	:: else
	fi
}

/* The same: arming and this do not overlap. */
inline send_armed()
{
	if
	:: unplugged -> send_event()
	:: else
	fi
}

inline commit()
{
	event = PENDING
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

#ifdef PARK

/* May never end, and has to be left alone. */
inline user_memory()
{
	park();
	if
	:: ok ->
		assert(!notify[me]);
		if
		:: true
		:: true ->
			busy--;
end_user_memory:
			(false)
		fi;
		assert(!notify[me])
	:: else
	fi;
	unpark()
}

#else

/* Ends when the memory arrives or when the task is killed. */
inline user_memory()
{
	user[me] = true;
	if
	:: true -> user[me] = false
	:: true -> (!user[me]) -> killed = true
	fi
}

#endif

inline fault()
{
	atomic { mapped = true; assert(hw) }
}

/*
 * Does what it likes in any order, again and again, until it is told ENODEV. Each pass
 * is one system call.
 */
proctype client(byte me)
{
	bool ok, late, killed;

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
			:: true -> wait_fence()
			:: true			/* leaves it behind */
			fi
		:: fence == PENDING -> sleep_abortable(fence != PENDING)
		:: FLIPS && event == NONE ->
			commit();
			if
			:: true -> sleep_abortable(!PROMISED)
			:: true
			fi
		:: sleep_abortable(false)
		:: sleep_unaudited()
		:: user_memory()
		:: fault()
		fi;
		if
		:: ok -> atomic { touch(); leave() }
		:: else -> break	/* gone while parked */
		fi;
		if
		:: killed -> break
		:: else
		fi
	:: !gone -> sleep_abortable(false)	/* DRM_UNPLUG_WAITS: nothing is touched */
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
	busy--
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
		:: atomic { !unplugged -> working = true }
		fi;
		atomic { assert(hw); working = false; unlock(WORKER) }
	od;
	unlock(WORKER)
}

/* With its scheduler. May die at any moment, and then nothing is done any more. */
proctype hardware()
{
	do
	:: atomic { running && fence == PENDING && !on_hw -> on_hw = true }
	:: atomic { running && on_hw ->
		assert(fence == PENDING);	/* DMA into memory that was let go */
		fence = NONE;
		on_hw = false
	}
	:: atomic { running && event == ARMED -> send_event() }
	:: true -> break
	od
}

/* Nothing keeps it from running, and nobody waits for it. */
proctype committer()
{
end:
	do
	:: atomic { event == PENDING -> event = ARMED;
#ifndef ARM_UNCHECKED
		send_armed()
#endif
	}
	od
}

inline stop()
{
	running = false
}

inline end_fences()
{
#ifndef ENDED_AFTER_SIGNAL
	ended = true;
#endif
#ifndef END_WITHOUT_RCU
	awaited_push = pushing;	/* synchronize_rcu() */
	!awaited_push;
#endif
	atomic {
		if
		:: fence == PENDING ->
			/* memory is let go: nobody may write to it any more */
			assert(!(running && on_hw));
			fence = SENT
		:: else
		fi
	}
#ifdef ENDED_AFTER_SIGNAL
	ended = true
#endif
}

inline shut_down()
{
	event != PENDING;	/* waits for commits under way */
	atomic { send_event() }
}

/* --- unplug ---------------------------------------------------------------------------- */

/* Only the first announces it. */
inline mark()
{
	atomic { first = !gone; gone = true }
}

inline signal()
{
	atomic {
		if
		:: fence == PENDING ->
			assert(!(running && on_hw));
			fence = SENT;
			late_fence = false;	/* of no interest any more, and so two states less */
			on_hw = false
		:: else
		fi
	}
}

inline hooks()
{
	if
	:: driver == HAS_HOOKS ->
#ifndef HOOKS_UNLOCKED
		atomic { !hooks_lock -> hooks_lock = true };
#endif
#ifdef SIGNAL_BEFORE_QUIESCE
		signal();
#endif
#ifndef NO_QUIESCE
		if
		:: !quiesced -> quiesced = true; stop()
		:: else
		fi;
#endif
#if !defined(NO_SIGNAL) && !defined(SIGNAL_BEFORE_QUIESCE)
		signal();
#endif
		hooks_lock = false
	:: else
	fi
}

/* Again, when sections have ended: the hardware is stopped by then. */
inline late_hooks()
{
	if
	:: driver == HAS_HOOKS ->
		atomic { !hooks_lock -> hooks_lock = true };
#ifndef NO_SIGNAL
		signal();
#endif
		hooks_lock = false
	:: else
	fi
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

inline announce()
{
	if
	:: first ->
#ifndef NO_EVENTFDS
		d_step {
			n = 0;
			do
			:: n < CLIENTS -> efd[n] = false; n++
			:: else -> break
			od;
			n = 0
		}
#endif
#ifndef NO_READERS
		wake_up(EVENT_WAIT);
#endif
	:: else
	fi;
	first = false
}

inline kick()
{
	wake_up(SLEEPERS)
}

#ifdef GLOBAL_SRCU	/* one domain for all devices */
#define OTHERS	BIT(WORKER + 1)
#else
#define OTHERS	0
#endif

inline wait()
{
	stall = true;
	awaited[me] = readers | OTHERS;
	(awaited[me] == 0);
	stall = false
}

inline zap()
{
	mapped = false
}

#define POKE(n) \
	atomic { stall && listed[n] && !notify[n] -> notify[n] = true }
#define KILL(n) \
	atomic { stall && listed[n] && user[n] -> user[n] = false }
#define SIGNAL_LATE \
	atomic { stall && driver == HAS_HOOKS && !hooks_lock && late_fence && fence == PENDING -> signal() }

proctype rounds()
{
#ifdef POKE_ONCE
	if
	:: atomic { stall -> notify[0] = listed[0] }
	:: unplugging == 0
	fi;
#endif
	do
#if !defined(NO_POKE) && !defined(POKE_ONCE)
	:: POKE(0)
#if CLIENTS > 1
	:: POKE(1)
#endif
#endif
#if !defined(NO_KILL) && !defined(PARK)
	:: KILL(0)
#if CLIENTS > 1
	:: KILL(1)
#endif
#endif
#if !defined(SIGNAL_ONCE) && !defined(NO_SIGNAL)
	:: SIGNAL_LATE
#endif
	:: unplugging == 0 -> break
	od
}

inline unregister()
{
#ifdef LEAVER_NOT_ATOMIC
	before = leaver;
	if
	:: before == 0 -> leaver = me + 1
	:: else
	fi;
#else
	atomic {	/* cmpxchg() */
		before = leaver;
		if
		:: before == 0 -> leaver = me + 1
		:: else
		fi
	}
#endif
	if
	:: before == 0 ->
		DRAIN;
#ifndef UNREGISTER_BEFORE_WAIT
		assert(registered);	/* it is done once */
#endif
		registered = false;
#ifndef NO_SEND
		atomic { send_armed() };
#endif
#if !defined(NO_ZAP) && !defined(ZAP_BEFORE_WAIT)
		zap();
#endif
		has_left = true
	:: before == me + 1
	:: else
#ifndef SECOND_DOES_NOT_WAIT
		-> has_left
#endif
	fi;
	before = 0
}

inline unplug()
{
#ifdef LEAVER_READ_TOO_EARLY
	before = leaver;
	unplugged = true;
#else
#if !defined(NO_UNPLUGGED) && !defined(UNPLUGGED_AFTER_DRAIN)
	unplugged = true;
#endif
	before = leaver;
#endif
	if
#ifndef NO_SECOND_DRAIN
	:: before != 0 -> DRAIN
#endif
	:: else
	fi;
	before = 0;
	unregister();
#ifdef UNPLUGGED_AFTER_DRAIN
	unplugged = true;
#endif
#if !defined(NO_SEND) && !defined(UNREGISTER_SENDS_ALONE)
	atomic { send_armed() }	/* armed before, by a device that was only unregistered */
#endif
}

/* What a caller may rely on. */
inline returned()
{
	atomic {
		assert(gone);
		assert(handlers == 0);
		assert(!registered);
		assert(!mapped)
	}
}

proctype remove()
{
	byte n, before;
	bool first;
	byte me = 0;

	if
	:: driver == STOPS_FIRST -> stop(); end_fences()
	:: else
	fi;

	if
	:: true			/* drm_dev_unplug() alone */
	:: true ->		/* drm_dev_unregister(), shut down in order or not, drm_dev_unplug() */
		unregister();
		if
		:: true -> shut_down()
		:: true
		fi
	fi;
	unplug();
	returned();
	assert(!working);

	if
	:: driver == STOPS_LAST ->
#if defined(FENCES_BEFORE_STOP)
		end_fences();
		stop()
#elif defined(NO_STOP)
		end_fences()
#elif defined(NO_FENCES)
		stop()
#else
		stop();
		end_fences()
#endif
	:: else
	fi;
	event != PENDING;	/* the worker holds a reference to what it needs */
	atomic {
		assert(fence != PENDING);
		assert(event != ARMED);
		hw = false;
		unplugging--
	}
}

proctype bystander()
{
	byte n, before;
	bool first;
	byte me = 1;

	if
	:: true ->
		unplug();
		assert(!working)
	:: true -> unregister()
	fi;
	returned();
	unplugging--
}

init {
	byte n;

	atomic {
		if
#ifdef DRIVER	/* one at a time, where all together are too many states */
		:: driver = DRIVER
#else
		:: driver = STOPS_LAST
		:: driver = STOPS_FIRST
		:: driver = HAS_HOOKS
#endif
		fi;
#ifdef IDLE
		busy = 0;
#else
		do
		:: n < CLIENTS -> run client(n); n++
		:: else -> break
		od;
#endif
		run hardware();
		run committer();
		run rounds();
		run remove();
#if BYSTANDERS > 0
		run bystander();
#endif
#if WORKERS > 0
		run worker();
#endif
		skip
	}
}

#ifdef LIVENESS
ltl all_end {
	<> (unplugging == 0 && busy == 0 && fence != PENDING && !PROMISED)
}
#endif
