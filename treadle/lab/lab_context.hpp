// What an experiment is given: the model, how thorough to be, the quantities already measured in
// this run, and the way to hand over rows.
//
// Base quantities (c_u, c_k, k_b ...) are measured at the first request and remembered for the
// whole run, across all child processes: every prediction of one run rests on one set of numbers,
// whatever experiments were chosen. Used by the one kernel thread that called experiment::run, and
// by threads that this thread waits for meanwhile.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "treadle/lab/interference.hpp"
#include "treadle/lab/prediction.hpp"
#include "treadle/lab/row.hpp"
#include "treadle/lab/sample.hpp"
#include "treadle/runtime.hpp"

namespace treadle::lab {

using quantities = std::map<std::string, sample, std::less<>>;

nlohmann::json to_json_object(const quantities& from);
quantities quantities_from_json(const nlohmann::json& from);

class lab_context {
 public:
  // What goes out: rows, quantities and words for the progress line.
  struct outlet {
    std::function<void(const row&)> row;
    std::function<void(const std::string&, const sample&)> quantity;
    std::function<void(const std::string&)> progress;
  };

  lab_context(treadle::model model, bool quick, quantities known, outlet out);

  treadle::model model() const { return model_; }
  std::string_view model_name() const { return to_string(model_); }
  bool quick() const { return quick_; }

  // Processors of an M:N runtime here (TREADLE_WIDTH and CPU limits counted in).
  unsigned width();
  // P of the formulas for the model that is running: CPUs that its threads can use at a time, were
  // it not M:1. A width beyond the CPUs adds none.
  unsigned processors();

  // Repetitions of a measurement that lasts milliseconds.
  unsigned repetitions() const { return quick_ ? 3 : 7; }
  // How long one repetition should last.
  std::chrono::nanoseconds span() const;

  // The remembered quantity `name`, measured now by `measure` if it is the first request.
  sample quantity(const std::string& name, const std::function<sample()>& measure);

  void report(const row& made);
  // The same for a row that needs the CPUs for itself: one that differs while other programs took
  // a good part of them says so instead (interference.hpp).
  void report_shared(const row& made);
  void progress(const std::string& text);
  // A part of an experiment, named by what it measures: when it throws, a row says why it did not
  // run, and the other parts go on.
  void attempt(const char* quantity, void (*part)(lab_context&));

  // A subject of the model that is running.
  subject of(std::string quantity, std::string unit, std::string plot = {},
             std::string label = {}) const;

  // Runs a probe in a fresh process. Throws std::runtime_error with the reason when it fails.
  nlohmann::json run_probe(std::string_view name, const nlohmann::json& request);

 private:
  treadle::model model_;
  bool quick_;
  quantities known_;
  outlet out_;
  interference others_;  // since this context was made
};

// "c_u = 7.12 ns": how a basis names a quantity.
std::string named(std::string_view name, double value, std::string_view unit);

}  // namespace treadle::lab
