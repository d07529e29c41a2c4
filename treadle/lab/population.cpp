// The probe "population" and the asking for it.
#include "treadle/lab/population.hpp"

#include <alloca.h>
#include <time.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "treadle/lab/formulas.hpp"
#include "treadle/lab/probes.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/latch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// How often a growing population looks at its budget: often enough to stop within 2 % of a limit
// of some thousands, rarely enough that reading /proc does not dominate.
constexpr std::uint64_t budget_check_threads = 16;

// Kernel memory of processes that ended a moment ago is still being returned; guess: it takes no
// longer than this.
void settle() {
  const timespec pause{0, 30'000'000};
  (void)::nanosleep(&pause, nullptr);
}

[[gnu::noinline]] void touch_stack(std::size_t bytes) {
  auto* const memory = static_cast<volatile char*>(alloca(bytes));
  // guess: no page is smaller.
  for (std::size_t place = 0; place < bytes; place += 4096) memory[place] = 1;
}

class crowd {
 public:
  explicit crowd(const population_request& wanted)
      : wanted_(wanted),
        threads_(wanted.threads),
        arrived_(static_cast<std::ptrdiff_t>(wanted.threads)) {}

  void create(const memory_reading& before) {
    for (thread& each : threads_) {
      try {
        each = thread([this] {
          if (wanted_.touched_bytes > 0) touch_stack(wanted_.touched_bytes);
          arrived_.count_down();
          gate_.wait();
        });
      } catch (const std::system_error& error) {
        stopped_ = error.what();
        break;
      }
      ++created_;
      if (wanted_.kernel_budget > 0 && created_ % budget_check_threads == 0 &&
          kernel_side(read_memory() - before) >= wanted_.kernel_budget) {
        stopped_ = "budget";
        break;
      }
    }
    const std::uint64_t missing = wanted_.threads - created_;
    if (missing > 0) arrived_.count_down(static_cast<std::ptrdiff_t>(missing));
  }
  void wait_for_all() { arrived_.wait(); }
  void release_and_join() {
    gate_.count_down();
    for (std::uint64_t index = 0; index < created_; ++index) threads_[index].join();
  }
  std::uint64_t created() const { return created_; }
  const std::string& stopped() const { return stopped_; }

 private:
  population_request wanted_;
  std::vector<thread> threads_;
  latch arrived_;
  latch gate_{1};
  std::uint64_t created_ = 0;
  std::string stopped_;
};

nlohmann::json run_population(const nlohmann::json& request) {
  population_request wanted;
  wanted.model = parse_model(request.at("model").get<std::string>());
  wanted.threads = request.at("threads").get<std::uint64_t>();
  wanted.stack_bytes = request.at("stack_bytes").get<std::size_t>();
  wanted.touched_bytes = request.at("touched_bytes").get<std::size_t>();
  wanted.kernel_budget = request.at("kernel_budget").get<double>();

  crowd all(wanted);  // its memory is touched now, so that it is not counted as the threads'
  settle();
  const memory_reading before = read_memory();
  runtime own{{.model = wanted.model, .stack_bytes = wanted.stack_bytes}};
  return own.run([&] {
    const stopwatch watch;
    all.create(before);
    const double create = watch.nanoseconds();
    all.wait_for_all();
    const stopwatch reading;
    const memory_reading grown = read_memory() - before;
    const double paused = reading.nanoseconds();
    all.release_and_join();
    return nlohmann::json{{"created", all.created()},
                          {"stopped", all.stopped()},
                          {"grown", to_json_object(grown)},
                          {"create", create},
                          {"all", watch.nanoseconds() - paused}};
  });
}

}  // namespace

const probe population_probe{"population", run_population};

population measure_population(lab_context& lab, const population_request& wanted) {
  const nlohmann::json answer =
      lab.run_probe("population", {{"model", to_string(wanted.model)},
                                   {"threads", wanted.threads},
                                   {"stack_bytes", wanted.stack_bytes},
                                   {"touched_bytes", wanted.touched_bytes},
                                   {"kernel_budget", wanted.kernel_budget}});
  return {answer.at("created").get<std::uint64_t>(), answer.at("stopped").get<std::string>(),
          memory_from_json(answer.at("grown")), answer.at("create").get<double>(),
          answer.at("all").get<double>()};
}

double kernel_side(const memory_reading& of) {
  return of.kernel_stacks + of.kernel_objects + of.page_tables;
}

double expected_bytes(const population_request& wanted, double kernel_bytes_each) {
  const auto threads = static_cast<double>(wanted.threads);
  const auto reserved = static_cast<double>(wanted.stack_bytes);
  // Two pages beyond what is touched: the first frames, and the runtime's own record.
  double bytes = threads * (static_cast<double>(wanted.touched_bytes) + 2 * 4096) +
                 formula::page_tables(threads, reserved, 4096);
  if (wanted.model == model::one_to_one) bytes += threads * kernel_bytes_each;
  return bytes;
}

}  // namespace treadle::lab
