// What an experiment is: a claim of the textbooks, what is done to test it, and how to show it.
//
// Each experiment has one file (switch_cost.cpp ...) that defines one `const experiment`, and is
// listed once in experiments.cpp. run() is called in a child process of its own, once for each
// model chosen, and hands its rows to the context one by one, so that a crash or a hang costs only
// the rows that were still to come.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace treadle::lab {

class lab_context;

enum class plot_kind {
  bars,   // one pair of bars (predicted, measured) for each row
  lines,  // one pair of lines for each model; the rows' labels are the horizontal axis
};

struct plot {
  std::string_view key;  // rows name it
  std::string_view title;
  plot_kind kind = plot_kind::bars;
  std::string_view unit;       // of all its rows
  bool logarithmic = false;    // the measured axis
  std::string_view axis = {};  // what the labels of a line plot are
};

struct experiment {
  std::string_view id;
  std::string_view title;
  std::string_view claim;   // one sentence
  std::string_view method;  // what was done
  std::string_view look;    // what to look at in the plots
  std::vector<plot> plots;
  // Rows of the model that the context names.
  void (*run)(lab_context&) = nullptr;
};

// In the order in which they are run and shown.
std::span<const experiment* const> experiments();

// Null when there is none of that name.
const experiment* find_experiment(std::string_view id);

// A measurement that needs a process of its own: takes and gives JSON objects.
struct probe {
  std::string_view name;
  nlohmann::json (*run)(const nlohmann::json& request) = nullptr;
};

const probe* find_probe(std::string_view name);

}  // namespace treadle::lab
