// SPDX-License-Identifier: MIT OR Apache-2.0
//
// muster_plugin.hpp - write a muster workload as a C++17 class.
//
//   #include <muster_plugin.hpp>
//
//   class Collatz {
//    public:
//     Collatz(const muster::Params &params, const muster::Job &) : rounds_(params.get_u64("rounds", 10)) {}
//     void run(const muster::Task &task, muster::Context &ctx) { ctx.write_u64(task.index * rounds_); }
//    private:
//     uint64_t rounds_;
//   };
//
//   MUSTER_PLUGIN(Collatz, R"({"muster":1,"name":"collatz","version":"1.0.0","output":"u64",
//     "flags":["concurrent","threads_ok"],"params":{"type":"object","additionalProperties":false,
//     "properties":{"rounds":{"type":"integer","default":10,"minimum":1}}}})");
//
// One MUSTER_PLUGIN per shared object. Name, version and flags are read from the manifest, so they stand in one
// place; "name" and "version" must be its first two fields after "muster". With "concurrent", run() is called
// from several threads at once.
//
// A class that also has a type `Partial` (default-constructible: the partial of no tasks) and the functions
//   void add(Partial &, muster::View result, uint64_t index);
//   void merge(Partial &left, Partial &&right);
//   std::string encode(const Partial &);
//   Partial decode(muster::View bytes);
//   std::string finish(Partial &&);
// can combine results: say "reduce":true in the manifest.
//
// Exceptions stop at the border: muster::Error carries its status, std::bad_alloc is MUSTER_E_NOMEM, any other
// std::exception is MUSTER_E_FAILED with its what(), and anything else is MUSTER_E_PANIC.
#ifndef MUSTER_PLUGIN_HPP
#define MUSTER_PLUGIN_HPP

#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "muster_plugin.h"

// Hidden, so that two plugins never share a variable.
namespace muster __attribute__((visibility("hidden"))) {

using View = std::string_view;

// Throw it to fail a task, or a job from the constructor.
class Error : public std::runtime_error {
 public:
  Error(muster_status status, const std::string &message, int32_t code = 0)
      : std::runtime_error(message), status_(status), code_(code) {}
  static Error failed(const std::string &message) { return Error(MUSTER_E_FAILED, message); }
  static Error transient(const std::string &message) { return Error(MUSTER_E_TRANSIENT, message); }
  static Error params(const std::string &message) { return Error(MUSTER_E_PARAMS, message); }
  static Error cancelled() { return Error(MUSTER_E_CANCELLED, "cancelled"); }
  muster_status status() const { return status_; }
  int32_t code() const { return code_; }

 private:
  muster_status status_;
  int32_t code_;
};

namespace detail {

inline const muster_host *host = nullptr;
inline const muster_rehearsal *rehearsal = nullptr;  // offered by `muster plugin test` alone

// What a rehearsal throws: no std::exception, as the worst that a workload may throw.
struct Rehearsed {};

inline void rehearse(uint32_t hook) {
  if (rehearsal != nullptr && rehearsal->panics(host->self, hook) != 0) throw Rehearsed{};
}

inline View view(muster_bytes bytes) {
  return bytes.len == 0 ? View() : View(reinterpret_cast<const char *>(bytes.ptr), bytes.len);
}

inline void log(muster_ctx *ctx, uint32_t level, View text) {
  if (host != nullptr) host->log(host->self, ctx, level, muster_str{text.data(), text.size()});
}

inline muster_status tell(muster_error *error, muster_status status, int32_t code, View text) noexcept {
  if (error == nullptr) return status;
  size_t len = text.size() < MUSTER_ERROR_CAP ? text.size() : MUSTER_ERROR_CAP;
  while (len > 0 && len < text.size() && (static_cast<unsigned char>(text[len]) & 0xc0u) == 0x80u) --len;
  if (len > 0) std::memcpy(error->text, text.data(), len);
  error->len = static_cast<uint32_t>(len);
  error->plugin_code = code;
  return status;
}

// Runs `call` for a function of the table and turns what it throws into a status.
template <class Call>
muster_status guard(muster_error *error, uint32_t hook, Call &&call) noexcept {
  try {
    rehearse(hook);
    call();
    return MUSTER_OK;
  } catch (const Error &e) {
    return tell(error, e.status(), e.code(), e.what());
  } catch (const std::bad_alloc &) {
    return tell(error, MUSTER_E_NOMEM, 0, "out of memory");
  } catch (const std::exception &e) {
    return tell(error, MUSTER_E_FAILED, 0, e.what());
  } catch (...) {
    return tell(error, MUSTER_E_PANIC, 0, "threw a value that is no std::exception");
  }
}

// Reads a flat JSON object: names, and values as JSON text (strings already decoded).
class FlatJson {
 public:
  struct Value {
    bool is_string;
    std::string text;
  };

  static std::map<std::string, Value> read(View json) {
    FlatJson reader(json);
    std::map<std::string, Value> values;
    if (json.empty()) return values;
    reader.expect('{');
    if (reader.peek() == '}') return values;
    do {
      std::string name = reader.string();
      reader.expect(':');
      values[name] = reader.value();
    } while (reader.skip(','));
    reader.expect('}');
    return values;
  }

 private:
  explicit FlatJson(View json) : json_(json) {}

  [[noreturn]] void bad() const {
    throw Error::params("parameters are not a flat JSON object: see byte " + std::to_string(at_));
  }
  char peek() {
    while (at_ < json_.size() && View(" \t\r\n").find(json_[at_]) != View::npos) ++at_;
    if (at_ >= json_.size()) bad();
    return json_[at_];
  }
  bool skip(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!skip(c)) bad();
  }
  char next() {
    if (at_ >= json_.size()) bad();
    return json_[at_++];
  }
  Value value() {
    char first = peek();
    if (first == '"') return Value{true, string()};
    if (first == '{' || first == '[') bad();
    size_t begin = at_;
    while (at_ < json_.size() && View(",} \t\r\n").find(json_[at_]) == View::npos) ++at_;
    return Value{false, std::string(json_.substr(begin, at_ - begin))};
  }
  std::string string() {
    expect('"');
    std::string text;
    for (char c = next(); c != '"'; c = next()) {
      if (c == '\\') {
        escape(text);
      } else {
        text += c;
      }
    }
    return text;
  }
  void escape(std::string &text) {
    char c = next();
    size_t known = View("\"\\/bfnrt").find(c);
    if (known != View::npos) {
      text += "\"\\/\b\f\n\r\t"[known];
      return;
    }
    if (c != 'u') bad();
    uint32_t point = hex();
    if (point >= 0xd800 && point < 0xdc00) {
      if (next() != '\\' || next() != 'u') bad();
      point = 0x10000 + ((point - 0xd800) << 10) + (hex() - 0xdc00);
    }
    append_utf8(text, point);
  }
  uint32_t hex() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      size_t digit = View("0123456789abcdefABCDEF").find(next());
      if (digit == View::npos) bad();
      value = value * 16 + static_cast<uint32_t>(digit < 16 ? digit : digit - 6);
    }
    return value;
  }
  static void append_utf8(std::string &text, uint32_t point) {
    auto byte = [&text](uint32_t value) { text += static_cast<char>(static_cast<unsigned char>(value)); };
    if (point < 0x80) {
      byte(point);
    } else if (point < 0x800) {
      byte(0xc0 | point >> 6), byte(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
      byte(0xe0 | point >> 12), byte(0x80 | (point >> 6 & 0x3f)), byte(0x80 | (point & 0x3f));
    } else {
      byte(0xf0 | (point >> 18 & 7)), byte(0x80 | (point >> 12 & 0x3f));
      byte(0x80 | (point >> 6 & 0x3f)), byte(0x80 | (point & 0x3f));
    }
  }

  View json_;
  size_t at_ = 0;
};

// The text of a manifest's field, for name and version.
constexpr View field(View manifest, View key) {
  size_t begin = manifest.find(key);
  if (begin == View::npos) return View();
  begin = manifest.find('"', manifest.find(':', begin + key.size()));
  size_t end = manifest.find('"', begin + 1);
  return begin == View::npos || end == View::npos ? View() : manifest.substr(begin + 1, end - begin - 1);
}

constexpr uint64_t flags(View manifest) {
  constexpr std::pair<View, uint64_t> known[] = {
      {"\"concurrent\"", MUSTER_F_CONCURRENT}, {"\"threads_ok\"", MUSTER_F_THREADS_OK},
      {"\"deterministic\"", MUSTER_F_DETERMINISTIC}, {"\"idempotent\"", MUSTER_F_IDEMPOTENT},
      {"\"multi_job\"", MUSTER_F_MULTI_JOB}, {"\"chaos\"", MUSTER_F_CHAOS}};
  size_t begin = manifest.find("\"flags\"");
  if (begin == View::npos) return 0;
  View list = manifest.substr(begin, manifest.find(']', begin) - begin);
  uint64_t found = 0;
  for (const auto &flag : known) {
    if (list.find(flag.first) != View::npos) found |= flag.second;
  }
  return found;
}

}  // namespace detail

// The parameters of a job. The host has checked them against the manifest and filled in its defaults.
class Params {
 public:
  explicit Params(View json) : json_(json), values_(detail::FlatJson::read(json)) {}

  // The JSON object itself.
  const std::string &json() const { return json_; }

  uint64_t get_u64(const std::string &name, uint64_t otherwise) const {
    return number<uint64_t>(name, otherwise, "a whole number from 0",
                            [](const std::string &text, size_t *end) { return std::stoull(text, end); });
  }
  int64_t get_i64(const std::string &name, int64_t otherwise) const {
    return number<int64_t>(name, otherwise, "a whole number",
                           [](const std::string &text, size_t *end) { return std::stoll(text, end); });
  }
  double get_f64(const std::string &name, double otherwise) const {
    return number<double>(name, otherwise, "a number",
                          [](const std::string &text, size_t *end) { return std::stod(text, end); });
  }
  bool get_bool(const std::string &name, bool otherwise) const {
    auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    const std::string &text = found->second.text;
    if (found->second.is_string || (text != "true" && text != "false")) refuse(name, "true or false");
    return text == "true";
  }
  std::string get_string(const std::string &name, const std::string &otherwise) const {
    auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    if (!found->second.is_string) refuse(name, "a string");
    return found->second.text;
  }

 private:
  [[noreturn]] void refuse(const std::string &name, const char *expected) const {
    throw Error::params("parameter " + name + " is " + values_.at(name).text + "; it must be " + expected);
  }
  template <class T, class Read>
  T number(const std::string &name, T otherwise, const char *expected, Read read) const {
    auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    const std::string &text = found->second.text;
    bool negative = std::is_unsigned<T>::value && !text.empty() && text[0] == '-';
    try {
      size_t end = 0;
      if (!found->second.is_string && !negative) {
        T value = static_cast<T>(read(text, &end));
        if (end == text.size()) return value;
      }
    } catch (const std::logic_error &) {
    }
    refuse(name, expected);
  }

  std::string json_;
  std::map<std::string, detail::FlatJson::Value> values_;
};

// What a workload learns about its job.
struct Job {
  uint64_t id_hi, id_lo;
  uint64_t seed;          // the same in every process of the job
  uint32_t threads;       // how many threads may run tasks at once
  uint64_t tasks;         // 0 = not known
  uint64_t memory_limit;  // bytes, 0 = none

  void log(uint32_t level, View text) const { detail::log(nullptr, level, text); }
  // A metric that the manifest lists; 0 = it does not. Record with muster::record.
  static muster_metric metric(uint32_t kind, View name) {
    if (detail::host == nullptr) return 0;
    return detail::host->metric(detail::host->self, kind, muster_str{name.data(), name.size()});
  }
  // Memory of `bytes` bytes that all executors of the job on this worker share by this name, zeros at first; gone when
  // the workload's object is. Throws what muster_shared.region says.
  void *shared(View name, size_t bytes) const {
    const void *found =
        detail::host == nullptr ? nullptr : detail::host->extension(detail::host->self, MUSTER_EXT_SHARED);
    if (found == nullptr) throw Error(MUSTER_E_UNSUPPORTED, "this host offers no shared memory (muster.shared/1)");
    muster_buf room{nullptr, 0};
    muster_error why{};
    why.struct_size = sizeof why;
    muster_status status = static_cast<const muster_shared *>(found)->region(
        detail::host->self, id_hi, id_lo, muster_str{name.data(), name.size()}, bytes, &room, &why);
    if (status != MUSTER_OK) throw Error(status, std::string(why.text, why.len));
    return room.ptr;
  }
};

inline void record(muster_metric metric, double value) {
  if (detail::host != nullptr) detail::host->metric_record(detail::host->self, metric, value);
}

// One task. The same seed comes with every attempt.
struct Task {
  uint64_t index;
  uint64_t seed;
  View input;
};

// The running task's way to its host.
class Context {
 public:
  Context(const muster_range &range, const muster_task_ctx &call, muster_out &out)
      : range_(range), call_(call), out_(out) {}

  // Appends to the task's result.
  void write(const void *data, size_t len) {
    if (len == 0) return;
    if (out_.data_cap - out_.data_len < len) reserve(len);
    std::memcpy(out_.data + out_.data_len, data, len);
    out_.data_len += len;
  }
  void write(View text) { write(text.data(), text.size()); }
  void write_u64(uint64_t value) { write(&value, sizeof value); }
  void write_i64(int64_t value) { write(&value, sizeof value); }
  void write_f64(double value) { write(&value, sizeof value); }

  bool cancelled() const { return *call_.cancel != 0; }
  // Throws when the task should stop. Cheap: ask at least every 10 ms.
  void check() const {
    if (cancelled()) throw Error::cancelled();
  }
  // As check(), and lets others go first where tasks take turns.
  void checkpoint() {
    if (detail::host->checkpoint(detail::host->self, call_.ctx) != MUSTER_OK) throw Error::cancelled();
  }
  // Runs code that waits and does not compute.
  template <class Wait>
  auto blocking(Wait &&wait) {
    struct End {
      muster_ctx *ctx;
      ~End() { detail::host->blocking_end(detail::host->self, ctx); }
    };
    detail::host->blocking_begin(detail::host->self, call_.ctx);
    End end{call_.ctx};
    return wait();
  }
  void progress(uint64_t done, uint64_t total) const {
    detail::host->progress(detail::host->self, call_.ctx, done, total);
  }
  void log(uint32_t level, View text) const { detail::log(call_.ctx, level, text); }
  uint32_t slot() const { return call_.slot; }
  uint32_t attempt() const { return range_.attempt; }
  // A folder that the running attempt has for itself, removed with all that is in it when it has ended; made when it is
  // first asked for. Empty where the host has none; throws when it cannot be made.
  View scratch_dir() const {
    const void *found = detail::host->extension(detail::host->self, MUSTER_EXT_SCRATCH);
    if (found == nullptr) return View();
    muster_str path = {};
    muster_error error = {};
    error.struct_size = sizeof error;
    muster_status status =
        static_cast<const muster_scratch *>(found)->dir(detail::host->self, call_.ctx, &path, &error);
    if (status != MUSTER_OK) throw Error(status, std::string(error.text, error.len), error.plugin_code);
    return View(path.ptr, path.len);
  }

  // Runs `run` for each task of the range, until the host wants the results so far.
  template <class Run>
  void each(Run &&run) {
    for (uint64_t i = 0; i < range_.count; ++i) {
      if (i > 0 && out_.data_len >= out_.data_soft_max) return;
      check();
      uint64_t index = range_.start + i;
      *call_.current = index;
      size_t begin = out_.data_len;
      run(Task{index, muster_task_seed(range_.job_seed, index), input(i)}, *this);
      size_t len = out_.data_len - begin;
      if (len > UINT32_MAX) throw Error(MUSTER_E_LIMIT, "a result has 4 GiB or more");
      out_.lens[out_.lens_len++] = static_cast<uint32_t>(len);
    }
  }

 private:
  void reserve(size_t more) {
    muster_status status = detail::host->out_reserve(detail::host->self, call_.ctx, &out_, more);
    if (status != MUSTER_OK) throw Error(status, "no room for " + std::to_string(more) + " more bytes of results");
  }
  View input(uint64_t i) const {
    if (range_.input_offsets == nullptr) return View();
    uint64_t from = range_.input_offsets[i], to = range_.input_offsets[i + 1];
    return to <= from ? View() : View(reinterpret_cast<const char *>(range_.input_data) + from, to - from);
  }

  const muster_range &range_;
  const muster_task_ctx &call_;
  muster_out &out_;
};

namespace detail {

template <class W>
W &workload(muster_job *job) {
  return *reinterpret_cast<W *>(job);
}

inline muster_status load(const muster_host *table, muster_error *error) noexcept {
  if (table->struct_size < sizeof(muster_host)) {
    return tell(error, MUSTER_E_ABI, 0, "the host's table is older than this plugin's header");
  }
  host = table;
  auto *found = static_cast<const muster_rehearsal *>(host->extension(host->self, MUSTER_EXT_REHEARSAL));
  if (found != nullptr && found->struct_size >= sizeof(muster_rehearsal)) rehearsal = found;
  return guard(error, MUSTER_HOOK_LOAD, [] {});
}

template <class W>
muster_status create(const muster_job_params *p, muster_job **out, muster_error *error) noexcept {
  return guard(error, MUSTER_HOOK_CREATE, [&] {
    Params params(view(p->params));
    Job job{p->job_id_hi, p->job_id_lo, p->seed, p->threads, p->tasks, p->memory_limit};
    *out = reinterpret_cast<muster_job *>(new W(params, job));
  });
}

template <class W>
void destroy(muster_job *job) noexcept {
  guard(nullptr, MUSTER_HOOK_DESTROY, [&] { delete &workload<W>(job); });
}

template <class W>
muster_status run_range(muster_job *job, const muster_range *range, const muster_task_ctx *tc, muster_out *out,
                        muster_error *error) noexcept {
  return guard(error, MUSTER_HOOK_RUN, [&] {
    Context context(*range, *tc, *out);
    W &w = workload<W>(job);
    context.each([&w](const Task &task, Context &ctx) { w.run(task, ctx); });
  });
}

// The functions of a class that can combine results.
template <class W>
struct Combine {
  using Partial = typename W::Partial;
  using Acc = std::optional<Partial>;  // empty once it was taken

  static Partial &partial(muster_acc *acc) {
    Acc &held = *reinterpret_cast<Acc *>(acc);
    if (!held) throw Error(MUSTER_E_ABI, "the accumulator was already taken");
    return *held;
  }
  static muster_status make(muster_job *, muster_acc **out, muster_error *error) noexcept {
    return guard(error, MUSTER_HOOK_ACC_NEW, [&] { *out = reinterpret_cast<muster_acc *>(new Acc(Partial())); });
  }
  static muster_status add(muster_job *job, muster_acc *acc, muster_bytes result, uint64_t index,
                           muster_error *error) noexcept {
    return guard(error, MUSTER_HOOK_ACC_ADD, [&] { workload<W>(job).add(partial(acc), view(result), index); });
  }
  static muster_status merge(muster_job *job, muster_acc *acc, muster_bytes bytes, muster_error *error) noexcept {
    return guard(error, MUSTER_HOOK_ACC_MERGE, [&] {
      Partial &left = partial(acc);
      workload<W>(job).merge(left, workload<W>(job).decode(view(bytes)));
    });
  }
  static muster_status join(muster_job *job, muster_acc *acc, muster_acc *other, muster_error *error) noexcept {
    return guard(error, MUSTER_HOOK_ACC_JOIN, [&] {
      Partial &left = partial(acc);
      workload<W>(job).merge(left, std::move(partial(other)));
      reinterpret_cast<Acc *>(other)->reset();
    });
  }
  static muster_status take(muster_job *job, muster_acc *acc, uint32_t last, const muster_task_ctx *tc,
                            muster_error *error) noexcept {
    return guard(error, MUSTER_HOOK_ACC_TAKE, [&] {
      Partial &all = partial(acc);
      std::string bytes = last == 0 ? workload<W>(job).encode(all) : workload<W>(job).finish(std::move(all));
      reinterpret_cast<Acc *>(acc)->reset();
      muster_buf buf = host->result_alloc(host->self, tc->ctx, bytes.size());
      if (bytes.empty()) return;
      if (buf.ptr == nullptr) throw Error(MUSTER_E_LIMIT, "the combined result is over the limit");
      std::memcpy(buf.ptr, bytes.data(), bytes.size());
    });
  }
  static void free(muster_job *, muster_acc *acc) noexcept {
    guard(nullptr, MUSTER_HOOK_ACC_FREE, [&] { delete reinterpret_cast<Acc *>(acc); });
  }
};

template <class W, class = void>
struct CanCombine : std::false_type {};
template <class W>
struct CanCombine<W, std::void_t<typename W::Partial>> : std::true_type {};

template <class W>
constexpr muster_plugin table(View manifest) {
  View name = field(manifest, "\"name\""), version = field(manifest, "\"version\"");
  muster_plugin plugin{};
  plugin.struct_size = sizeof(muster_plugin);
  plugin.abi_major = MUSTER_ABI_MAJOR;
  plugin.abi_minor = MUSTER_ABI_MINOR;
  plugin.name = muster_str{name.data(), name.size()};
  plugin.version = muster_str{version.data(), version.size()};
  plugin.flags = flags(manifest);
  plugin.load = load;
  plugin.create = create<W>;
  plugin.destroy = destroy<W>;
  plugin.run_range = run_range<W>;
  if constexpr (CanCombine<W>::value) {
    plugin.acc_new = Combine<W>::make;
    plugin.acc_add = Combine<W>::add;
    plugin.acc_merge = Combine<W>::merge;
    plugin.acc_take = Combine<W>::take;
    plugin.acc_free = Combine<W>::free;
    plugin.acc_join = Combine<W>::join;
  }
  return plugin;
}

}  // namespace detail
}  // namespace muster

// Exports a class; once per shared object, outside of any namespace. `manifest` is a string literal.
#define MUSTER_PLUGIN(workload, manifest)                                                                  \
  MUSTER_MANIFEST(manifest);                                                                               \
  extern "C" MUSTER_EXPORT const muster_plugin *muster_plugin_v1(uint32_t major, uint32_t minor) {         \
    static constexpr char text[] = manifest;                                                               \
    static constexpr muster_plugin plugin = muster::detail::table<workload>(muster::View(text, sizeof text - 1)); \
    static_assert(plugin.name.len > 0 && plugin.version.len > 0, "the manifest needs a name and a version"); \
    const uint32_t needed = MUSTER_ABI_MINOR;                                                              \
    return major == MUSTER_ABI_MAJOR && minor + 1 > needed ? &plugin : nullptr;                            \
  }                                                                                                        \
  static_assert(true, "")

#endif
