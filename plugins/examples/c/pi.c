/* pi: estimates pi with random points in a square, of which a quarter of pi lie
 * in the quarter of a circle. A task gives how many of its points do, as u64;
 * --reduce adds them up and gives the estimate as a line of text.
 *
 * Shows the plain ABI from C11: the manifest, parameters, a range call, cancel,
 * and a reduction. */
#include "muster_plugin.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Points between two looks at whether the task should stop: a fraction of a
 * millisecond. */
#define POINTS_PER_PAUSE 100000u

MUSTER_MANIFEST(
    "{\"muster\":1,\"name\":\"pi\",\"version\":\"1.0.0\","
    "\"description\":\"Estimates pi with random points\","
    "\"input\":\"none\",\"output\":\"u64\",\"reduce\":true,"
    "\"flags\":[\"concurrent\",\"threads_ok\",\"deterministic\",\"idempotent\",\"multi_job\"],"
    "\"default_tasks\":100,"
    "\"params\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"points\":{\"type\":\"integer\",\"default\":1000000,\"minimum\":1,"
    "\"maximum\":1000000000000,\"description\":\"Points per task\"}},"
    "\"required\":[]},\"sdk\":\"c 1.0\"}");

struct muster_job {
  uint64_t points;
};

struct muster_acc {
  uint64_t hits, points;
};

static const muster_host *host;

static muster_status fail(muster_error *err, muster_status status, const char *text) {
  size_t len = strlen(text);
  if (len > sizeof err->text) len = sizeof err->text;
  memcpy(err->text, text, len);
  err->len = (uint32_t)len;
  return status;
}

static muster_status load(const muster_host *table, muster_error *err) {
  if (table->struct_size < sizeof *table) {
    return fail(err, MUSTER_E_ABI, "the host is older than this plugin");
  }
  host = table;
  return MUSTER_OK;
}

/* ---- the job ------------------------------------------------------------ */

/* The host has checked the parameters against the manifest and filled in the
 * default, so there is one name with one number. A plugin with more parameters
 * brings a JSON parser. */
static bool read_points(muster_bytes json, uint64_t *points) {
  static const char name[] = "\"points\"";
  size_t at = 0, end = json.len;
  while (at + sizeof name - 1 <= end && memcmp(json.ptr + at, name, sizeof name - 1) != 0) at++;
  at += sizeof name - 1;
  while (at < end && (json.ptr[at] == ' ' || json.ptr[at] == ':')) at++;
  uint64_t number = 0;
  for (; at < end && json.ptr[at] >= '0' && json.ptr[at] <= '9'; at++) {
    number = number * 10 + (uint64_t)(json.ptr[at] - '0');
  }
  *points = number;
  return number > 0;
}

static muster_status create(const muster_job_params *p, muster_job **out, muster_error *err) {
  uint64_t points;
  if (!read_points(p->params, &points)) {
    return fail(err, MUSTER_E_PARAMS, "parameter points must be a whole number of at least 1");
  }
  muster_job *job = malloc(sizeof *job);
  if (job == NULL) return fail(err, MUSTER_E_NOMEM, "no memory for a job");
  job->points = points;
  *out = job;
  return MUSTER_OK;
}

static void destroy(muster_job *job) { free(job); }

/* ---- the tasks ---------------------------------------------------------- */

/* The next number from 0 to below 1 (splitmix64). */
static double next_unit(uint64_t *state) {
  *state += UINT64_C(0x9e3779b97f4a7c15);
  return (double)(muster_mix64(*state) >> 11) * 0x1p-53;
}

static uint64_t count_hits(uint64_t *state, uint64_t points) {
  uint64_t hits = 0;
  for (uint64_t point = 0; point < points; point++) {
    double x = next_unit(state), y = next_unit(state);
    hits += x * x + y * y < 1.0;
  }
  return hits;
}

static muster_status run_task(const muster_job *job, uint64_t seed, const muster_task_ctx *tc,
                              uint64_t *hits) {
  uint64_t state = seed;
  *hits = 0;
  for (uint64_t left = job->points; left > 0;) {
    uint64_t some = left < POINTS_PER_PAUSE ? left : POINTS_PER_PAUSE;
    *hits += count_hits(&state, some);
    left -= some;
    if (host->checkpoint(host->self, tc->ctx) != MUSTER_OK) return MUSTER_E_CANCELLED;
  }
  return MUSTER_OK;
}

static muster_status run_range(muster_job *job, const muster_range *range, const muster_task_ctx *tc,
                               muster_out *out, muster_error *err) {
  for (uint64_t i = 0; i < range->count; i++) {
    if (i > 0 && out->data_len >= out->data_soft_max) break;
    uint64_t index = range->start + i, hits;
    *tc->current = index;
    muster_status status = run_task(job, muster_task_seed(range->job_seed, index), tc, &hits);
    if (status != MUSTER_OK) return fail(err, status, "cancelled");
    if (out->data_cap - out->data_len < sizeof hits) {
      status = host->out_reserve(host->self, tc->ctx, out, sizeof hits);
      if (status != MUSTER_OK) return fail(err, status, "no room for a result of 8 bytes");
    }
    memcpy(out->data + out->data_len, &hits, sizeof hits);
    out->data_len += sizeof hits;
    out->lens[out->lens_len++] = sizeof hits;
  }
  return MUSTER_OK;
}

/* ---- the reduction ------------------------------------------------------ */

static muster_status acc_new(muster_job *job, muster_acc **out, muster_error *err) {
  (void)job;
  muster_acc *acc = calloc(1, sizeof *acc);
  if (acc == NULL) return fail(err, MUSTER_E_NOMEM, "no memory for a sum");
  *out = acc;
  return MUSTER_OK;
}

static muster_status acc_add(muster_job *job, muster_acc *acc, muster_bytes result, uint64_t index,
                             muster_error *err) {
  (void)index;
  uint64_t hits;
  if (result.len != sizeof hits) return fail(err, MUSTER_E_FAILED, "a result must have 8 bytes");
  memcpy(&hits, result.ptr, sizeof hits);
  acc->hits += hits;
  acc->points += job->points;
  return MUSTER_OK;
}

static muster_status acc_join(muster_job *job, muster_acc *acc, muster_acc *other, muster_error *err) {
  (void)job, (void)err;
  acc->hits += other->hits;
  acc->points += other->points;
  return MUSTER_OK;
}

static muster_status acc_merge(muster_job *job, muster_acc *acc, muster_bytes partial,
                               muster_error *err) {
  muster_acc other;
  if (partial.len != sizeof other) return fail(err, MUSTER_E_FAILED, "a partial must have 16 bytes");
  memcpy(&other, partial.ptr, sizeof other);
  return acc_join(job, acc, &other, err);
}

static muster_status acc_take(muster_job *job, muster_acc *acc, uint32_t final,
                              const muster_task_ctx *tc, muster_error *err) {
  (void)job;
  char line[64];
  const void *bytes = acc;
  size_t len = sizeof *acc;
  if (final) {
    double pi = acc->points == 0 ? 0.0 : 4.0 * (double)acc->hits / (double)acc->points;
    len = (size_t)snprintf(line, sizeof line, "%.9f\n", pi);
    bytes = line;
  }
  muster_buf buf = host->result_alloc(host->self, tc->ctx, len);
  if (buf.ptr == NULL) return fail(err, MUSTER_E_LIMIT, "the result is over the limit");
  memcpy(buf.ptr, bytes, len);
  return MUSTER_OK;
}

static void acc_free(muster_job *job, muster_acc *acc) {
  (void)job;
  free(acc);
}

/* ---- the table ---------------------------------------------------------- */

static const muster_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi_major = MUSTER_ABI_MAJOR,
    .abi_minor = MUSTER_ABI_MINOR,
    .name = {"pi", 2},
    .version = {"1.0.0", 5},
    .flags = MUSTER_F_CONCURRENT | MUSTER_F_THREADS_OK | MUSTER_F_DETERMINISTIC |
             MUSTER_F_IDEMPOTENT | MUSTER_F_MULTI_JOB,
    .load = load,
    .create = create,
    .destroy = destroy,
    .run_range = run_range,
    .acc_new = acc_new,
    .acc_add = acc_add,
    .acc_merge = acc_merge,
    .acc_take = acc_take,
    .acc_free = acc_free,
    .acc_join = acc_join,
};

const muster_plugin *muster_plugin_v1(uint32_t host_major, uint32_t host_minor) {
  /* Every minor version up to the host's is known to it. */
  const uint32_t minor = MUSTER_ABI_MINOR;
  return host_major == MUSTER_ABI_MAJOR && host_minor + 1 > minor ? &plugin : NULL;
}
