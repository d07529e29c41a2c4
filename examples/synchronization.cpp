// Who waits for whom: settings that are read much and written seldom, a computation in phases, and
// a start and an end that everybody waits for. The regions stand in docs/synchronization.md.
#include <treadle/treadle.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

// Read by everybody, written now and then.
class settings {
 public:
  std::string get(const std::string& name) const {
    const treadle::shared_lock lock(guard_);
    const auto found = values_.find(name);
    return found == values_.end() ? std::string() : found->second;
  }
  void set(const std::string& name, std::string value) {
    const treadle::lock_guard lock(guard_);
    values_[name] = std::move(value);
  }

 private:
  mutable treadle::shared_mutex guard_;
  std::map<std::string, std::string> values_;  // guarded by guard_
};

// Each party smooths its own cell; the completion swaps the two rows while nobody looks at them.
std::vector<double> smoothed(std::vector<double> row, int phases) {
  std::vector<double> next(row.size());
  treadle::barrier phase(static_cast<std::ptrdiff_t>(row.size()), [&] { std::swap(row, next); });
  std::vector<treadle::jthread> parties;
  for (std::size_t i = 0; i < row.size(); ++i) {
    parties.emplace_back([&, i] {
      for (int turn = 0; turn < phases; ++turn) {
        const double left = row[i == 0 ? i : i - 1];
        const double right = row[i + 1 == row.size() ? i : i + 1];
        next[i] = (left + row[i] + right) / 3;
        phase.arrive_and_wait();
      }
    });
  }
  parties.clear();  // joins them
  return row;
}

// Everybody waits for the start; the caller waits for everybody, but not for ever.
bool all_done_in_time(std::size_t threads, std::chrono::milliseconds span) {
  treadle::manual_reset_event start;
  treadle::wait_group work(static_cast<std::ptrdiff_t>(threads));
  std::vector<treadle::jthread> workers;
  for (std::size_t i = 0; i < threads; ++i) {
    workers.emplace_back([&] {
      start.wait();
      work.done();
    });
  }
  start.set();
  return work.try_wait(span);
}

}  // namespace

int main() {
  settings shared;
  shared.set("colour", "blue");
  const bool known = shared.get("colour") == "blue" && shared.get("taste").empty();
  double sum = 0;
  for (const double each : smoothed({0, 0, 9, 0, 0}, 2)) sum += each;
  const bool smooth = sum > 8.9 && sum < 9.1;
  const bool done = all_done_in_time(10, std::chrono::hours(1));
  std::printf("settings: %d, phases: %d, start and end: %d\n", known, smooth, done);
  return known && smooth && done ? 0 : 1;
}
