/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * muster_plugin.h - the muster workload plugin ABI, version 1.0. C11 or C++11.
 *
 * A plugin is one shared object that exports ONE symbol (muster_plugin_v1, at
 * the end) and carries ONE ELF note (section ".note.muster", owner "muster",
 * type 'MSTR') whose body is a JSON manifest (MUSTER_MANIFEST). Coordinators
 * and clients read only the note; an executor, a child process of a worker,
 * is the only process that loads the plugin.
 *
 * Rules that hold everywhere, unless a comment says otherwise:
 *  R1 64-bit little-endian targets only. All structs are plain C: no bit
 *     fields, no enums in struct fields, no varargs, no long, no bool.
 *  R2 Every struct that may grow begins with uint32_t struct_size, set by its
 *     CREATOR to its own sizeof. The reader uses a field only when
 *     offsetof(field)+sizeof(field) <= struct_size (MUSTER_HAS). Fields are
 *     only ever appended; a removed field stays and becomes reserved.
 *  R3 Nothing may unwind or longjmp across any function pointer here.
 *  R4 Memory: whoever allocates frees. Pointers passed INTO a call are
 *     borrowed until that call returns. Pointers in the plugin's table are
 *     owned by the plugin and stay valid until the process ends. Results are
 *     written into memory the HOST gives (result_alloc, out_reserve). free()
 *     is never called across the border: the two sides may have two heaps.
 *  R5 Text is UTF-8 (ptr,len), not NUL-terminated, unless it is `char *`.
 *     Length 0 is empty, whatever the pointer (NULL too).
 *  R6 [any] = may be called from any thread, concurrently. [one] = the host
 *     never overlaps it with another [one] call on the same object.
 *     [call] = only from the thread that is inside the call that was given
 *     this ctx, and only until that call returns.
 *  R7 The host never calls dlclose(). Threads that the plugin started must be
 *     stopped in unload(); the process may also just be killed.
 */
#ifndef MUSTER_PLUGIN_H
#define MUSTER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define MUSTER_ASSERT(c, m) static_assert(c, m)
#else
#define MUSTER_ASSERT(c, m) _Static_assert(c, m)
#endif

#define MUSTER_ABI_MAJOR 1u /* a new major = a new entry symbol name       */
#define MUSTER_ABI_MINOR 0u /* a new minor = appended fields or extensions */

#define MUSTER_EXPORT __attribute__((visibility("default")))

#define MUSTER_HAS(p, type, field)                                             \
  ((p)->struct_size >= offsetof(type, field) + sizeof((p)->field))

/* ---- small value types (frozen: these never grow) ---------------------- */
typedef struct muster_str   { const char    *ptr; size_t len; } muster_str;
typedef struct muster_bytes { const uint8_t *ptr; size_t len; } muster_bytes;
typedef struct muster_buf   { uint8_t       *ptr; size_t len; } muster_buf;

typedef int32_t muster_status;
#define MUSTER_OK              0
#define MUSTER_E_FAILED      (-1) /* deterministic failure: not retried      */
#define MUSTER_E_TRANSIENT   (-2) /* may succeed on another try or worker    */
#define MUSTER_E_CANCELLED   (-3) /* stopped because of cancel or deadline   */
#define MUSTER_E_PARAMS      (-4) /* job parameters or task input rejected   */
#define MUSTER_E_UNSUPPORTED (-5) /* this host and plugin cannot do it       */
#define MUSTER_E_NOMEM       (-6) /* no memory                               */
#define MUSTER_E_PANIC       (-7) /* caught panic or stray exception. The job
                                     or acc object is poisoned: the host makes
                                     a new one, and destroys this one when the
                                     calls in it are over                    */
#define MUSTER_E_ABI         (-8) /* struct_size, version or contract broken */
#define MUSTER_E_LIMIT       (-9) /* the result is over the job's limit:
                                     16 MiB unless it says otherwise         */
/* Unknown negative = MUSTER_E_FAILED; unknown positive = MUSTER_E_ABI.      */

/* Caller-allocated error text: no ownership question. On entry struct_size is
 * set and plugin_code and len are 0; text is not cleared. Cut long texts at a
 * character border.                                                         */
#define MUSTER_ERROR_CAP 2032
typedef struct muster_error {
  uint32_t struct_size;
  int32_t  plugin_code;          /* free for the plugin, shown to the user   */
  uint32_t len;                  /* bytes of text                            */
  uint32_t reserved0;
  char     text[MUSTER_ERROR_CAP];
} muster_error;
MUSTER_ASSERT(sizeof(muster_error) == 2048, "muster_error layout");

/* ---- opaque objects ---------------------------------------------------- */
typedef struct muster_job muster_job;  /* owned by the plugin                */
typedef struct muster_acc muster_acc;  /* plugin-owned partial reduction     */
typedef struct muster_ctx muster_ctx;  /* owned by the host, one per slot    */

/* ---- what the host passes in ------------------------------------------- */
typedef struct muster_job_params {
  uint32_t     struct_size;
  uint32_t     threads;          /* how many threads may run tasks at once   */
  uint64_t     job_id_hi, job_id_lo;
  muster_bytes params;           /* JSON object, checked against the schema of
                                    the manifest, defaults filled in         */
  uint64_t     seed;             /* the same in every process of the job     */
  uint64_t     memory_limit;     /* bytes for this process, 0 = none         */
  uint64_t     tasks;            /* tasks of the job, 0 = not known          */
} muster_job_params;

/* One task, for run().                                                      */
typedef struct muster_task {
  uint32_t     struct_size;
  uint32_t     attempt;          /* 1,2,..: for logs ONLY, never for results */
  uint64_t     index;            /* number of the task within the job        */
  uint64_t     seed;             /* muster_task_seed(job seed, index)        */
  muster_bytes input;            /* may point into a shared mapping          */
} muster_task;

/* Tasks start .. start+count-1, for run_range(). Input of task start+i:
 * input_data[input_offsets[i] .. input_offsets[i+1]].                       */
typedef struct muster_range {
  uint32_t        struct_size;
  uint32_t        attempt;       /* of every task in the range               */
  uint64_t        start, count;  /* count >= 1                               */
  uint64_t        job_seed;      /* see muster_task_seed                     */
  const uint8_t  *input_data;
  const uint64_t *input_offsets; /* count+1 offsets; NULL = no inputs        */
} muster_range;

/* Where run_range() puts results. The plugin appends the bytes of a result at
 * data[data_len], adds to data_len, and when the task is finished writes its
 * length to lens[lens_len] and adds 1 to lens_len. Make room first with
 * host->out_reserve; data may move then. lens has room for the whole range.
 * On entry data_len and lens_len are 0; data may be NULL when data_cap is 0.  */
typedef struct muster_out {
  uint32_t  struct_size;
  uint32_t  reserved0;
  uint8_t  *data;
  size_t    data_len, data_cap;
  uint32_t *lens;
  size_t    lens_len, lens_cap;
  size_t    data_soft_max;       /* when data_len has reached this, the plugin
                                    should return MUSTER_OK before the range
                                    is done: the host ships what is there and
                                    calls again for the rest                 */
} muster_out;

typedef struct muster_task_ctx {
  uint32_t                 struct_size;
  uint32_t                 slot; /* 0..threads-1, stable for this thread     */
  muster_ctx              *ctx;  /* pass back to every host callback         */
  const volatile uint32_t *cancel; /* never NULL. != 0: return
                                    MUSTER_E_CANCELLED soon. Look at it at
                                    least every 10 ms, or sleep on it with
                                    FUTEX_WAIT, not private: who sets it
                                    wakes all; hosts of older versions do
                                    not, so look every 100 ms                */
  uint64_t                 deadline_ns; /* in host->now_ns() time,
                                    UINT64_MAX = none                        */
  muster_str               scratch_dir; /* private folder, empty = none: ask
                                    muster.scratch/1 for one                 */
  volatile uint64_t       *current; /* never NULL. run_range() stores the index
                                    here before it starts a task, so that a
                                    crash is blamed on the right one         */
} muster_task_ctx;

/* The seed of a task: the same on every attempt, machine and shape, and the
 * same in run() and run_range(). The mixer is the finaliser of splitmix64
 * (Steele, Lea, Flood, OOPSLA 2014).                                        */
static inline uint64_t muster_mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}
static inline uint64_t muster_task_seed(uint64_t job_seed, uint64_t index) {
  return muster_mix64(job_seed ^
                      muster_mix64(index + UINT64_C(0x9e3779b97f4a7c15)));
}

/* ---- what the host offers ---------------------------------------------- */
#define MUSTER_LOG_ERROR 1
#define MUSTER_LOG_WARN  2
#define MUSTER_LOG_INFO  3
#define MUSTER_LOG_DEBUG 4
#define MUSTER_LOG_TRACE 5

#define MUSTER_METRIC_COUNTER   1 /* record(v): adds v >= 0                  */
#define MUSTER_METRIC_GAUGE     2 /* record(v): the value is now v           */
#define MUSTER_METRIC_HISTOGRAM 3 /* record(v): one observation              */
typedef uint32_t muster_metric;   /* 0 = invalid; recording it does nothing  */

/* The host's table is valid until the process ends.                         */
typedef struct muster_host {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;
  void    *self;                  /* first argument of every callback        */

  /* [any] ctx may be NULL outside of a task.                                */
  void (*log)(void *self, muster_ctx *ctx, uint32_t level, muster_str msg);

  /* [any] A metric that the manifest lists; unknown name or other kind = 0.
   * Call it in load() or create(), keep the number. No labels: the host adds
   * the plugin's name. Recording costs an atomic: not for every tiny task.  */
  muster_metric (*metric)(void *self, uint32_t kind, muster_str name);
  void (*metric_record)(void *self, muster_metric m, double value);

  /* [any] monotonic nanoseconds.                                            */
  uint64_t (*now_ns)(void *self);
  /* [any] How far the running task is, the one that `current` names; total
   * 0 = not known. Its last word before a heartbeat, once a second, is shown
   * with the job until the task ends. Cheap: it touches two words.          */
  void (*progress)(void *self, muster_ctx *ctx, uint64_t done, uint64_t total);

  /* [call] The result of run() or acc_take(): room for len bytes, which the
   * caller fills before it returns. Once per call: a second one makes the
   * task fail with MUSTER_E_ABI; none is an empty result. {NULL,0} when over
   * the limit, at a second call, or without memory: return MUSTER_E_LIMIT.  */
  muster_buf (*result_alloc)(void *self, muster_ctx *ctx, size_t len);

  /* [call] Makes room for `more` bytes behind out->data_len; may move data.
   * MUSTER_OK, MUSTER_E_LIMIT (the unfinished task would be over the limit of
   * one result) or MUSTER_E_NOMEM: return that status.                      */
  muster_status (*out_reserve)(void *self, muster_ctx *ctx, muster_out *out,
                               size_t more);

  /* [call] A point where the task could stop or let others go first. Call it
   * now and then in long tasks. MUSTER_OK or MUSTER_E_CANCELLED.            */
  muster_status (*checkpoint)(void *self, muster_ctx *ctx);
  /* [call] Around code that waits (I/O, sleep, a lock of its own) and does not
   * compute: others may compute meanwhile. Always in pairs, not nested.     */
  void (*blocking_begin)(void *self, muster_ctx *ctx);
  void (*blocking_end)(void *self, muster_ctx *ctx);

  /* [any] Optional features by id, e.g. "muster.gpu/1". NULL = not offered. */
  const void *(*extension)(void *self, const char *id);
} muster_host;

/* ---- what the plugin offers -------------------------------------------- */
#define MUSTER_F_CONCURRENT    (1u << 0) /* calls on one job may overlap     */
#define MUSTER_F_THREADS_OK    (1u << 1) /* may share a process with others  */
#define MUSTER_F_DETERMINISTIC (1u << 2) /* same input, seed -> same bytes   */
#define MUSTER_F_IDEMPOTENT    (1u << 3) /* running again has no more effect */
#define MUSTER_F_MULTI_JOB     (1u << 4) /* more than one job per process    */
#define MUSTER_F_ASYNC         (1u << 6) /* offers MUSTER_EXT_ASYNC          */
#define MUSTER_F_CHAOS         (1u << 5) /* made to harm its process: shared
                                            clusters refuse it unless they
                                            were started with --allow-chaos  */

typedef struct muster_plugin {
  uint32_t   struct_size;
  uint16_t   abi_major, abi_minor;   /* what it was compiled against         */
  muster_str name;                   /* as in the manifest                   */
  muster_str version;                /* as in the manifest                   */
  uint64_t   flags;                  /* MUSTER_F_*, as in the manifest;
                                        unknown bits are ignored             */

  /* [one] once per process, before anything else. May be NULL. Keep the
   * pointer to the host's table: it stays valid.                            */
  muster_status (*load)(const muster_host *host, muster_error *err);
  /* [one] last call, only when no job lives. May be NULL.                   */
  void (*unload)(void);

  /* [one] once per job and process, and again after MUSTER_E_PANIC, when calls
   * may still be in the old object. *out must be set if and only if it returns
   * OK. Required.                                                           */
  muster_status (*create)(const muster_job_params *p, muster_job **out,
                          muster_error *err);
  /* [one] never fails, should return within 5 s. Required.                  */
  void (*destroy)(muster_job *job);

  /* [any] with F_CONCURRENT, else [one]. One task; its result goes through
   * host->result_alloc. Required unless run_range is there, which the host
   * prefers.                                                                */
  muster_status (*run)(muster_job *job, const muster_task *task,
                       const muster_task_ctx *tc, muster_error *err);

  /* As run(), for many tasks in index order, so that the border is paid once.
   * MUSTER_OK: tasks start..start+lens_len-1 are done; when that is not the
   * whole range (see data_soft_max), at least one must be done. An error: the
   * task start+lens_len failed (with E_CANCELLED: was stopped), the earlier
   * ones are fine, bytes behind their results are dropped; the host calls
   * again for the tasks behind the failed one. The lengths must add up to
   * data_len when it returns OK.                                            */
  muster_status (*run_range)(muster_job *job, const muster_range *range,
                             const muster_task_ctx *tc, muster_out *out,
                             muster_error *err);

  /* Reduction: these five together or none, acc_join with them if wanted. An
   * acc is used by one thread at a time; different accs of a job by several
   * threads when F_CONCURRENT. Combining must be associative. The order of
   * all calls is fixed by the number of tasks, so floating point repeats.   */
  muster_status (*acc_new)(muster_job *job, muster_acc **out,
                           muster_error *err);
  /* Adds the result of task `index`; called in index order.                 */
  muster_status (*acc_add)(muster_job *job, muster_acc *acc,
                           muster_bytes result, uint64_t index,
                           muster_error *err);
  /* Adds a serialised partial of the tasks right behind those in acc.       */
  muster_status (*acc_merge)(muster_job *job, muster_acc *acc,
                             muster_bytes partial, muster_error *err);
  /* Through host->result_alloc: final 0 = the serialised partial, 1 = the
   * output of the job. Afterwards only acc_free is called.                  */
  muster_status (*acc_take)(muster_job *job, muster_acc *acc, uint32_t final,
                            const muster_task_ctx *tc, muster_error *err);
  void (*acc_free)(muster_job *job, muster_acc *acc);
  /* As acc_merge, without a copy: `other` covers the tasks right behind those
   * in acc; afterwards only acc_free(other) is called. May be NULL: the host
   * then does acc_take(other, 0) and acc_merge.                             */
  muster_status (*acc_join)(muster_job *job, muster_acc *acc,
                            muster_acc *other, muster_error *err);

  /* [any] optional feature tables by id; NULL = not offered. May be NULL.   */
  const void *(*extension)(const char *id);
} muster_plugin;

/* ---- optional: many tasks at the same time on one thread ---------------- */
/* "muster.async/1", from the plugin's extension(), for tasks that mostly wait. The host lends a thread to drive(), where
 * the plugin's own runtime (its timers and sockets) keeps tasks going: it takes them with next() and completes each
 * once. The manifest's flags list "async". run or run_range stay required, for all other models.                    */
#define MUSTER_EXT_ASYNC "muster.async/1"

/* One attempt of one task. No two are the same in a process; 0 is none.                                              */
typedef uint64_t muster_ticket;

#define MUSTER_NEXT_NONE  0 /* nothing for now: ask again when wake_fd is readable, and after every completion        */
#define MUSTER_NEXT_TASK  1 /* begin the task                                                                        */
#define MUSTER_NEXT_STOP  2 /* complete the task of this ticket soon, with MUSTER_E_CANCELLED                         */
#define MUSTER_NEXT_CLOSE 3 /* drop what is going on without completing it, and return from drive()                   */

typedef struct muster_async_task {
  uint32_t      struct_size;
  uint32_t      attempt;         /* as in muster_task                        */
  muster_ticket ticket;
  uint64_t      index;
  uint64_t      seed;            /* muster_task_seed(job seed, index)        */
  muster_bytes  input;           /* valid until the task is completed        */
} muster_async_task;

/* The host's side of one drive(). next and enter are called by the thread that drive() was called on. complete may
 * come from any thread, also late: the struct stays valid until the process ends.                                   */
typedef struct muster_async {
  uint32_t struct_size;
  uint32_t in_flight;            /* tasks that next() gives at the same time at most */
  void    *self;                 /* first argument of the functions          */
  int32_t  wake_fd;              /* to poll for reading, never to read       */
  uint32_t reserved0;
  /* [call] What to do next. MUSTER_NEXT_TASK fills the task (its struct_size is set before), MUSTER_NEXT_STOP its
   * ticket. Ask until it says MUSTER_NEXT_NONE.                                                                     */
  uint32_t (*next)(void *self, muster_async_task *task);
  /* [call] The thread runs code of this task from here (0: of none), so that a crash, a log line and progress
   * belong to the right one.                                                                                       */
  void (*enter)(void *self, muster_ticket ticket);
  /* [any] Ends a task: with MUSTER_OK and its result, or with an error (err may be NULL). Once: a second time makes
   * the task fail with MUSTER_E_ABI while its result has not been taken over, and is counted and dropped afterwards,
   * as is a ticket that nobody was given. Both texts are copied.                                                    */
  void (*complete)(void *self, muster_ticket ticket, muster_status status,
                   muster_bytes result, const muster_error *err);
} muster_async;

typedef struct muster_ext_async {
  uint32_t struct_size;
  uint32_t reserved0;
  /* [any] One call per thread. Returns MUSTER_OK when next() has said MUSTER_NEXT_CLOSE. A task that was not
   * completed by then, or when it returns an error, fails. `tc` is that of the thread: blocking_begin and
   * blocking_end around the runtime's waits let others compute, where tasks take turns.                             */
  muster_status (*drive)(muster_job *job, const muster_task_ctx *tc,
                         const muster_async *host, muster_error *err);
} muster_ext_async;

/* ---- host extension: the stack of a failure ------------------------------
 * host->extension(host->self, MUSTER_EXT_BACKTRACE) gives a muster_backtrace
 * or NULL.                                                                  */
#define MUSTER_EXT_BACKTRACE "muster.backtrace/1"
typedef struct muster_backtrace {
  uint32_t struct_size;
  uint32_t reserved0;
  /* [call] Keeps the stack of the calling thread with the failure of the
   * running call, the last one when it is called more than once; without a
   * failure it is forgotten. self is host->self. For whoever catches what
   * went wrong only when the stack is gone: a C++ plugin calls it before it
   * throws. The host takes a few per second and ignores the others.         */
  void (*capture)(void *self, muster_ctx *ctx);
} muster_backtrace;

/* ---- host extension: memory that executors share -------------------------
 * host->extension(host->self, MUSTER_EXT_SHARED) gives a muster_shared or
 * NULL.                                                                     */
#define MUSTER_EXT_SHARED "muster.shared/1"
#define MUSTER_REGION_NAME_MAX 64
typedef struct muster_shared {
  uint32_t struct_size;
  uint32_t reserved0;
  /* [any] While the job lives: from its create() on until its destroy()
   * returns. A region of this name and length, zeros at first, that all
   * executors of the job on this worker have in common. It survives executors,
   * also those that were killed while they wrote to it, and ends with the job
   * on this worker. The first who asks makes it, and asking again gives the same
   * memory. out->ptr is aligned to a page; after destroy() touching it is a
   * segmentation fault. Names: 1 to MUSTER_REGION_NAME_MAX bytes of UTF-8.
   * MUSTER_E_PARAMS: a name or length that cannot be; MUSTER_E_FAILED: the
   * region has another length; MUSTER_E_NOMEM: over the limit of the job's
   * regions on a worker (64 of them, 1 GiB); MUSTER_E_TRANSIENT: the table of
   * regions is held by a process that stands still. The pages count as memory of the
   * executor that touches them first.                                       */
  muster_status (*region)(void *self, uint64_t job_id_hi, uint64_t job_id_lo,
                          muster_str name, size_t len, muster_buf *out,
                          muster_error *err);
} muster_shared;

/* ---- host extension: messages between tasks ------------------------------
 * host->extension(host->self, MUSTER_EXT_CHANNEL) gives a muster_channels or
 * NULL. A channel has one sender and one receiver: two tasks of the job that
 * run at the same time on this worker and ask for the same name, kind, capacity
 * and message_max. Who comes third waits for a fourth: each pair has a channel
 * of its own. A channel belongs to the call that opened its end: what that has
 * not closed when it returns is closed then, as given up. Whoever waits here
 * lets others compute, as within blocking_begin and blocking_end, and stops
 * within 10 ms of cancel (MUSTER_E_CANCELLED) or of the death of the peer.
 * Kinds but the queue use a region whose name begins with "muster.".        */
#define MUSTER_EXT_CHANNEL "muster.channel/1"
#define MUSTER_CHANNEL_QUEUE  1u /* within one executor: a list under a lock  */
#define MUSTER_CHANNEL_SHARED 2u /* a ring in memory that executors share     */
#define MUSTER_CHANNEL_PIPE   3u
#define MUSTER_CHANNEL_SOCKET 4u /* a Unix stream socket                      */
#define MUSTER_CHANNEL_EITHER   0u /* the side that is missing                */
#define MUSTER_CHANNEL_SENDER   1u
#define MUSTER_CHANNEL_RECEIVER 2u
#define MUSTER_CHANNEL_NAME_MAX 64
/* capacity * (message_max + 8) is at most this, and capacity at most 65536.  */
#define MUSTER_CHANNEL_BYTES_MAX 4194304
#define MUSTER_CHANNEL_END SIZE_MAX /* as a length: nothing comes any more    */

typedef struct muster_channel_spec {
  uint32_t   struct_size;
  uint32_t   kind;        /* MUSTER_CHANNEL_QUEUE ..                          */
  uint32_t   side;        /* MUSTER_CHANNEL_EITHER ..                         */
  uint32_t   capacity;    /* messages that may be under way, 1 or more. Pipes
                             and sockets hold about as many, and no less than
                             the kernel's minimum                             */
  uint64_t   message_max; /* bytes                                            */
  uint64_t   wait_ns;     /* how long to wait for the peer                    */
  muster_str name;        /* 1 to MUSTER_CHANNEL_NAME_MAX bytes of UTF-8      */
} muster_channel_spec;

typedef struct muster_channels {
  uint32_t struct_size;
  uint32_t reserved0;
  /* [call] Waits until there is a peer. MUSTER_OK: *side says which side this
   * is, and *number names the end within this call; *side is
   * MUSTER_CHANNEL_EITHER when nobody came in time, and there is no channel.
   * MUSTER_E_PARAMS: the spec makes no sense; MUSTER_E_TRANSIENT: the peer
   * died or no channel is free (64 on a worker and job).                     */
  muster_status (*open)(void *self, muster_ctx *ctx,
                        const muster_channel_spec *spec, uint32_t *number,
                        uint32_t *side, muster_error *err);
  /* [call] Waits for room. MUSTER_E_LIMIT: over message_max;
   * MUSTER_E_TRANSIENT: the receiver has left or died. Close after an error. */
  muster_status (*send)(void *self, muster_ctx *ctx, uint32_t number,
                        muster_bytes message, muster_error *err);
  /* [call] Waits for a message and copies it into room. *len is its length, or
   * MUSTER_CHANNEL_END when the sender has closed and all was received.
   * MUSTER_E_LIMIT: it is larger than room; MUSTER_E_TRANSIENT: the sender gave
   * up or died; MUSTER_E_FAILED: what the channel holds was overwritten.     */
  muster_status (*receive)(void *self, muster_ctx *ctx, uint32_t number,
                           muster_buf room, size_t *len, muster_error *err);
  /* [call] done 0: gives up, the peer fails with MUSTER_E_TRANSIENT. 1: this
   * side has done its part; a sender waits until the receiver closes with 1:
   * MUSTER_E_TRANSIENT when that one gives up or dies instead. The number is
   * free afterwards, whatever is returned.                                   */
  muster_status (*close)(void *self, muster_ctx *ctx, uint32_t number,
                         uint32_t done, muster_error *err);
} muster_channels;

/* ---- host extension: a panic on request ----------------------------------
 * Offered by `muster plugin test` alone. Whoever wraps a workload, as the SDKs
 * do, asks it inside of its guard at the beginning of each function of the
 * plugin's table; a plugin without such a guard has no use for it.          */
#define MUSTER_EXT_REHEARSAL "muster.rehearsal/1"
#define MUSTER_HOOK_LOAD      1u
#define MUSTER_HOOK_CREATE    2u
#define MUSTER_HOOK_DESTROY   3u
#define MUSTER_HOOK_RUN       4u /* run or run_range                          */
#define MUSTER_HOOK_ACC_NEW   5u
#define MUSTER_HOOK_ACC_ADD   6u
#define MUSTER_HOOK_ACC_MERGE 7u
#define MUSTER_HOOK_ACC_TAKE  8u
#define MUSTER_HOOK_ACC_FREE  9u
#define MUSTER_HOOK_ACC_JOIN  10u
#define MUSTER_HOOK_DRIVE     11u
typedef struct muster_rehearsal {
  uint32_t struct_size;
  uint32_t reserved0;
  /* [any] Not 0: panic, or throw, now, as the workload might. self is
   * host->self.                                                             */
  uint32_t (*panics)(void *self, uint32_t hook);
} muster_rehearsal;

/* ---- host extension: a folder of the running task ------------------------
 * host->extension(host->self, MUSTER_EXT_SCRATCH) gives a muster_scratch or
 * NULL.                                                                     */
#define MUSTER_EXT_SCRATCH "muster.scratch/1"
typedef struct muster_scratch {
  uint32_t struct_size;
  uint32_t reserved0;
  /* [call] The path of a folder that the running attempt has for itself: the
   * one that `current` names, or in muster.async/1 that was entered. Empty at
   * first; the same one for the whole attempt, after which it is removed with
   * all that is in it, whatever becomes of the process. It is made when it is
   * first asked for: whoever does not ask pays nothing. Sets *path, valid as
   * long as the folder is, and returns MUSTER_OK; or returns why there is none
   * and fills err, which may be NULL: MUSTER_E_TRANSIENT when the disk is full,
   * with the system's number as plugin_code. self is host->self.            */
  muster_status (*dir)(void *self, muster_ctx *ctx, muster_str *path,
                       muster_error *err);
} muster_scratch;

/* ---- the one exported symbol ------------------------------------------- */
/* Must be cheap, must not start threads, must not call the host. Returns a
 * pointer to static storage, or NULL when the host's version is not enough.  */
typedef const muster_plugin *(*muster_plugin_entry_fn)(uint32_t host_major,
                                                       uint32_t host_minor);
MUSTER_EXPORT const muster_plugin *muster_plugin_v1(uint32_t host_major,
                                                    uint32_t host_minor);

/* ---- the manifest note ---------------------------------------------------
 * MUSTER_MANIFEST("{\"muster\":1,\"name\":\"pi\",\"version\":\"1.0.0\",...}");
 * once per plugin at file scope. Readable without running plugin code, for any
 * target, also after strip. descsz counts the terminating NUL.
 *
 * The manifest: {"muster":1, "name":"[a-z0-9][a-z0-9_-]{0,62}", "version":SemVer,
 *  "description":"..", "input":"none|optional|required",
 *  "output":"none|u64|i64|f64|text|json|bytes", "reduce":true|false,
 *  "reduced":as "output", of the combined output, when it is of another kind,
 *  "flags":["concurrent","threads_ok","deterministic","idempotent","multi_job",
 *  "async","chaos"],
 *  "default_tasks":N, "params":{..}, "metrics":[{"name","kind","help"}],
 *  "needs":["network","exec","read:/PATH","write:/PATH","env:NAME"],
 *  "sdk":".."}. Only muster, name and version are required. u64, i64 and f64
 *  results are 8 bytes little-endian, text is UTF-8, json one JSON document: a
 *  result that is something else makes its task fail, a combined output (text
 *  and json) its job. Bytes that may be anything are bytes. needs is what the
 *  plugin cannot do without under a sandbox (docs/sandbox.md): workers that do
 *  not grant it refuse its jobs there. params is a JSON Schema of a flat object:
 *  {"type":"object","additionalProperties":false,"properties":{"iters":
 *  {"type":"integer|number|string|boolean","default":..,"minimum":..,
 *  "maximum":..,"enum":[..],"description":".."}},"required":[..]}           */
#define MUSTER_NOTE_TYPE 0x4d535452u
#define MUSTER_MANIFEST(json)                                                  \
  __attribute__((used, section(".note.muster"), aligned(4))) static const      \
      struct {                                                                 \
    uint32_t namesz, descsz, type;                                             \
    char name[8];                                                              \
    char desc[(sizeof(json) + 3u) & ~(size_t)3u];                              \
  } muster_note_ = {7u, (uint32_t)sizeof(json), MUSTER_NOTE_TYPE, "muster", json}

MUSTER_ASSERT(sizeof(void *) == 8, "64-bit only");
MUSTER_ASSERT(offsetof(muster_plugin, load) == 48, "muster_plugin layout");
MUSTER_ASSERT(offsetof(muster_host, log) == 16, "muster_host layout");

#ifdef __cplusplus
}
#endif
#endif
