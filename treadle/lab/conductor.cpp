// The plan, step by step, and the child's side of it.
#include "treadle/lab/conductor.hpp"

#include <fmt/format.h>

#include <exception>
#include <nlohmann/json.hpp>

#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/child.hpp"

namespace treadle::lab {
namespace {

// No experiment needs so long for one model unless it hangs: on two cores the longest takes a
// twentieth of it (measured: treadle lab on a 2-core virtual machine).
constexpr std::chrono::seconds limit_quick{30};
constexpr std::chrono::seconds limit_full{120};

// The request that measures what every report shows, whatever was chosen.
constexpr std::string_view base_kind = "base";
constexpr std::string_view experiment_kind = "experiment";

class conductor {
 public:
  conductor(const lab_plan& plan, const lab_observer& observer)
      : plan_(plan), observer_(observer), steps_(plan.chosen.size() * plan.models.size() + 1) {}

  lab_result run() {
    // A failure here shows again, and is reported, in the experiments that need the quantity.
    (void)step("base quantities", request(base_kind, model::many_to_many), nullptr);
    for (const experiment* each : plan_.chosen) {
      experiment_result done{each, {}};
      for (const treadle::model of : plan_.models) run_one(done, of);
      if (observer_.finished) observer_.finished(done);
      result_.experiments.push_back(std::move(done));
    }
    return std::move(result_);
  }

 private:
  nlohmann::json request(std::string_view kind, treadle::model of) const {
    return {{"kind", kind},
            {"model", to_string(of)},
            {"quick", plan_.quick},
            {"known", to_json_object(result_.known)}};
  }

  void run_one(experiment_result& into, treadle::model of) {
    nlohmann::json wanted = request(experiment_kind, of);
    wanted["id"] = into.what->id;
    const std::string trouble =
        step(fmt::format("{} {}", into.what->id, to_string(of)), wanted, &into.rows);
    if (trouble.empty()) return;
    const bool some = !into.rows.empty() && into.rows.back().model == to_string(of);
    into.rows.push_back(not_run(
        {to_string(of), some ? "the rest of this experiment" : "this experiment", ""}, trouble));
  }

  // What went wrong; empty: nothing.
  std::string step(const std::string& name, const nlohmann::json& wanted, std::vector<row>* rows) {
    ++step_;
    say(name);
    std::string error;
    std::string outcome;
    try {
      outcome = run_child(wanted, plan_.quick ? limit_quick : limit_full,
                          [&](const nlohmann::json& record) { take(record, name, rows, error); });
    } catch (const std::exception& failed) {
      return failed.what();
    }
    return error.empty() ? outcome : error;
  }

  void take(const nlohmann::json& record, const std::string& name, std::vector<row>* rows,
            std::string& error) {
    if (record.contains("row") && rows != nullptr) rows->push_back(row_from_json(record["row"]));
    if (record.contains("known")) result_.known.merge(quantities_from_json(record["known"]));
    if (record.contains("progress")) {
      say(fmt::format("{}: {}", name, record["progress"].get<std::string>()));
    }
    if (record.contains("error")) error = record["error"].get<std::string>();
  }

  void say(const std::string& text) {
    if (observer_.progress) observer_.progress(fmt::format("[{}/{}] {}", step_, steps_, text));
  }

  const lab_plan& plan_;
  const lab_observer& observer_;
  std::size_t step_ = 0;
  std::size_t steps_;
  lab_result result_;
};

lab_context context_for(const nlohmann::json& request) {
  return lab_context(parse_model(request.at("model").get<std::string>()),
                     request.at("quick").get<bool>(), quantities_from_json(request.at("known")),
                     {.row =
                          [](const row& made) {
                            write_record({{"row", travelling_json(made)}});
                          },
                      .quantity =
                          [](const std::string& name, const sample& value) {
                            write_record({{"known", to_json_object(quantities{{name, value}})}});
                          },
                      .progress =
                          [](const std::string& text) {
                            write_record({{"progress", text}});
                          }});
}

void measure_base(lab_context& lab) {
  (void)lab.width();
  (void)user_switch(lab);
  (void)kernel_switch(lab);
  (void)kernel_bytes(lab);
}

void serve(const nlohmann::json& request) {
  const std::string kind = request.at("kind").get<std::string>();
  if (kind == "probe") {
    const probe* const wanted = find_probe(request.at("name").get<std::string>());
    if (wanted == nullptr) throw std::invalid_argument("no such probe");
    write_record({{"answer", wanted->run(request.at("request"))}});
    return;
  }
  lab_context lab = context_for(request);
  if (kind == base_kind) return measure_base(lab);
  const experiment* const wanted = find_experiment(request.at("id").get<std::string>());
  if (wanted == nullptr) throw std::invalid_argument("no such experiment");
  wanted->run(lab);
}

}  // namespace

lab_result run_lab(const lab_plan& plan, const lab_observer& observer) {
  return conductor(plan, observer).run();
}

int serve_request(std::string_view request) {
  follow_parent();
  try {
    serve(nlohmann::json::parse(request));
    return 0;
  } catch (const std::exception& error) {
    try {
      write_record({{"error", error.what()}});
    } catch (const std::exception&) {
      return 1;  // nobody listens any more
    }
    return 0;
  }
}

}  // namespace treadle::lab
