// nbody: stars that attract each other, moved by the leapfrog method, which keeps their energy nearly constant. Each
// task moves a cluster of its own, drawn from its seed, and gives by which part the energy is off at the end, as f64;
// --reduce gives mean and maximum over all clusters as a line of text.
//
// Shows muster_plugin.hpp: a class, exceptions as failures, typed parameters, and a reduction.
#include <muster_plugin.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

// Distances count as no shorter than this, so that near encounters stay harmless.
constexpr double kSoftening = 0.05;
// More forces than this take a task hours.
constexpr double kForcesMax = 1e13;

using Vector = std::array<double, 3>;

struct Star {
  Vector place, speed;
};

// Numbers from -1 to 1 that follow from a seed (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  double next() {
    state_ += UINT64_C(0x9e3779b97f4a7c15);
    return static_cast<double>(muster_mix64(state_) >> 11) * 0x1p-52 - 1.0;
  }

 private:
  uint64_t state_;
};

// Stars of equal mass, which is 1 for all together, as is the constant of gravitation.
class Cluster {
 public:
  Cluster(uint64_t stars, uint64_t seed) : stars_(stars), mass_(1.0 / static_cast<double>(stars)) {
    Random random(seed);
    for (Star &star : stars_) {
      for (double &coordinate : star.place) coordinate = random.next();
      for (double &coordinate : star.speed) coordinate = 0.3 * random.next();
    }
  }

  void step(double time) {
    drift(time / 2);
    kick(time);
    drift(time / 2);
  }

  double energy() const {
    double sum = 0;
    for (size_t i = 0; i < stars_.size(); ++i) {
      for (double speed : stars_[i].speed) sum += mass_ * speed * speed / 2;
      for (size_t j = 0; j < i; ++j) sum -= mass_ * mass_ / std::sqrt(distance2(stars_[i], stars_[j]));
    }
    return sum;
  }

 private:
  static double distance2(const Star &a, const Star &b) {
    double sum = kSoftening * kSoftening;
    for (size_t axis = 0; axis < 3; ++axis) sum += (a.place[axis] - b.place[axis]) * (a.place[axis] - b.place[axis]);
    return sum;
  }

  void drift(double time) {
    for (Star &star : stars_) {
      for (size_t axis = 0; axis < 3; ++axis) star.place[axis] += time * star.speed[axis];
    }
  }

  void kick(double time) {
    for (size_t i = 0; i < stars_.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        double d2 = distance2(stars_[i], stars_[j]);
        double pull = time * mass_ / (d2 * std::sqrt(d2));
        for (size_t axis = 0; axis < 3; ++axis) {
          double change = pull * (stars_[j].place[axis] - stars_[i].place[axis]);
          stars_[i].speed[axis] += change;
          stars_[j].speed[axis] -= change;
        }
      }
    }
  }

  std::vector<Star> stars_;
  double mass_;
};

class NBody {
 public:
  // What is known of the errors of some tasks.
  struct Partial {
    double sum = 0, largest = 0;
    uint64_t tasks = 0;
  };

  NBody(const muster::Params &params, const muster::Job &)
      : stars_(params.get_u64("stars", 20)), steps_(params.get_u64("steps", 1000)), time_(params.get_f64("time", 0.01)) {
    double forces = static_cast<double>(stars_) * static_cast<double>(stars_) * static_cast<double>(steps_);
    if (forces > kForcesMax) {
      throw muster::Error::params(std::to_string(stars_) + " stars and " + std::to_string(steps_) +
                                  " steps take hours per task; lower one of them");
    }
  }

  void run(const muster::Task &task, muster::Context &ctx) const {
    Cluster cluster(stars_, task.seed);
    const double before = cluster.energy();
    for (uint64_t step = 0; step < steps_; ++step) {
      cluster.step(time_);  // a few milliseconds at most
      ctx.check();
    }
    const double error = std::abs((cluster.energy() - before) / before);
    if (!std::isfinite(error)) throw muster::Error::failed("the stars flew apart; lower time");
    ctx.write_f64(error);
  }

  void add(Partial &partial, muster::View result, uint64_t) const {
    double error;
    if (result.size() != sizeof error) throw muster::Error::failed("a result must have 8 bytes");
    std::memcpy(&error, result.data(), sizeof error);
    merge(partial, Partial{error, error, 1});
  }

  void merge(Partial &left, Partial &&right) const {
    left.sum += right.sum;
    left.largest = std::max(left.largest, right.largest);
    left.tasks += right.tasks;
  }

  std::string encode(const Partial &partial) const {
    return std::string(reinterpret_cast<const char *>(&partial), sizeof partial);
  }

  Partial decode(muster::View bytes) const {
    Partial partial;
    if (bytes.size() != sizeof partial) throw muster::Error::failed("a partial must have 24 bytes");
    std::memcpy(&partial, bytes.data(), sizeof partial);
    return partial;
  }

  std::string finish(Partial &&partial) const {
    const double mean = partial.tasks == 0 ? 0.0 : partial.sum / static_cast<double>(partial.tasks);
    char line[96];
    const int len = std::snprintf(line, sizeof line, "mean %.3e largest %.3e\n", mean, partial.largest);
    return std::string(line, static_cast<size_t>(len));
  }

 private:
  uint64_t stars_, steps_;
  double time_;
};

}  // namespace

MUSTER_PLUGIN(NBody, R"({"muster":1,"name":"nbody","version":"1.0.0",
  "description":"Moves stars that attract each other, and says how well their energy was kept",
  "input":"none","output":"f64","reduce":true,"default_tasks":100,
  "flags":["concurrent","threads_ok","deterministic","idempotent","multi_job"],
  "params":{"type":"object","additionalProperties":false,"properties":{
    "stars":{"type":"integer","default":20,"minimum":2,"maximum":1000,"description":"Stars of a cluster"},
    "steps":{"type":"integer","default":1000,"minimum":0,"maximum":1000000000,"description":"Steps of time"},
    "time":{"type":"number","default":0.01,"minimum":1e-9,"maximum":1.0,"description":"Time of a step"}},
    "required":[]},"sdk":"c++ 1.0"})");
