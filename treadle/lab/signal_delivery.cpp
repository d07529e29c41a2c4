// signal-delivery: which thread gets a signal.
#include <fmt/format.h>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/pthreads.hpp"

namespace treadle::lab {
namespace {

// Guess: enough that one that goes wrong now and then shows; each waits for the one before.
constexpr long rounds_quick = 100;
constexpr long rounds_full = 1000;

struct kind {
  const char* name;  // in the record
  const char* quantity;
  const char* handled;  // the quantity for the count
};

constexpr kind kinds[] = {
    {"process", "sent to the process, handled by another thread than the one that takes it",
     "sent to the process, handled"},
    {"outside", "from another process, handled by another thread than the one that takes it",
     "from another process, handled"},
    {"thread", "sent to a thread, handled by another", "sent to a thread, handled"}};

void report(lab_context& lab, const nlohmann::json& record) {
  const std::string name(lab.model_name());
  for (const kind& each : kinds) {
    if (!record.contains(each.name)) continue;
    const nlohmann::json& counts = record.at(each.name);
    const auto count = [&](const char* field) { return counts.at(field).get<double>(); };
    lab.report(judge(lab.of(each.quantity, "signals", "wrong", name + " " + each.name),
                     at_most(0, 1, "one of eight threads has it unblocked"),
                     sample::once(count("wrong")), human(count("sent"), "") + " sent"));
    lab.report(judge(lab.of(each.handled, "signals"), about(count("sent"), 1, "each one sent"),
                     sample::once(count("handled"))));
  }
  if (record.contains("fault")) {
    lab.report(judge(lab.of("faults, handled by another thread than the faulting", "signals",
                            "wrong", name + " fault"),
                     at_most(0, 1, "a fault is the thread's own"),
                     sample::once(record.at("fault").at("wrong").get<double>()),
                     "8 threads, 20 faults each"));
  }
}

void count(lab_context& lab) {
  const nlohmann::json records =
      run_pthreads(lab, {.part = "deliveries",
                         .number = lab.quick() ? rounds_quick : rounds_full,
                         .workers = lab.width()});
  for (const nlohmann::json& each : records) report(lab, each);
}

void run(lab_context& lab) { lab.attempt("signals handled", count); }

}  // namespace

const experiment signal_delivery{
    .id = "signal-delivery",
    .title = "Which thread gets a signal",
    .claim =
        "A signal for the process goes to any thread that does not block it, a fault to the thread "
        "that made it. In M:1 the kernel knows one thread only, and the library must find the "
        "right one.",
    .method =
        "Eight pthreads, of which one after the other is the only one that takes SIGUSR1; it is "
        "sent to the process, by itself and by another process, and each handler notes on which "
        "thread it runs. The same with pthread_kill. Then all of them touch a page that they may "
        "not, again and again.",
    .look = "No signal may go to another thread, and none may be lost, whatever the model.",
    .plots = {{.key = "wrong", .title = "Handled by a wrong thread", .unit = "signals"}},
    .run = run};

}  // namespace treadle::lab
