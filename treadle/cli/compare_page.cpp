// The comparison as a page: the advice, a chart, the table, the machine.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "treadle/cli/compare_advice.hpp"
#include "treadle/cli/compare_report.hpp"
#include "treadle/cli/compare_text.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/report_html.hpp"

namespace treadle::cli {
namespace {

using lab::escaped;
using lab::page_fact;

std::string badge(const std::string& way) {
  const char* name = way == "m:1"   ? "many-to-one"
                     : way == "1:1" ? "one-to-one"
                     : way == "m:n" ? "many-to-many"
                                    : "native";
  return fmt::format("<span class=\"model {}\">{}</span>", name, escaped(way));
}

std::string table_line(const way_result& of) {
  const std::vector<std::string> heads = table_heads();
  const std::vector<std::string> cells = table_cells(of);
  std::string text = fmt::format("<tr><td>{}</td>", badge(of.name));
  for (std::size_t index = 1; index < cells.size(); ++index) {
    text += fmt::format("<td class=\"number\" data-name=\"{}\">{}</td>", heads[index],
                        lab::typeset(cells[index]));
  }
  return text + "</tr>\n";
}

std::string table(const comparison& all) {
  std::string text = "<div class=\"scroll\"><table class=\"ways\">\n<thead><tr>";
  for (const std::string& head : table_heads()) {
    text += fmt::format("<th class=\"number\">{}</th>", head);
  }
  text += "</tr></thead>\n<tbody>\n" + table_line(all.native);
  std::string missing;
  for (const way_result& each : all.models) {
    if (each.ran()) {
      text += table_line(each);
    } else {
      missing += fmt::format("<p>{} not run: {}</p>\n", badge(each.name), escaped(each.why_not));
    }
  }
  return text + "</tbody>\n</table></div>\n" + missing;
}

nlohmann::json plot_of(const comparison& all) {
  nlohmann::json rows = nlohmann::json::array();
  const auto add = [&](const way_result& of) {
    if (!of.ran()) return;
    rows.push_back({{"model", of.name},
                    {"label", of.name},
                    {"predicted", of.cpu_ns.median},
                    {"measured", of.wall_ns.median}});
  };
  add(all.native);
  for (const way_result& each : all.models) add(each);
  return {{"id", "plot-times"},
          {"kind", "bars"},
          {"unit", "ns"},
          {"logarithmic", false},
          {"axis", ""},
          {"rows", rows},
          {"names", {"CPU time", "wall time"}}};
}

constexpr std::string_view page_parts = R"(<main>
<header>
<h1>One program, three threading models</h1>
<p><code>{}</code></p>
</header>
<section>
<blockquote>{}</blockquote>
<p class="key"><span class="swatch predicted"></span> CPU time <span class="swatch measured"></span>
wall time, medians of {} runs</p>
<figure><figcaption>Time</figcaption><div class="plot" style="height:{}px"><canvas id="plot-times"
role="img" aria-label="Time; the numbers are in the table"></canvas></div></figure>
{}
<p>Times and switches are medians, and with what the program started itself. Memory is the largest
process at its largest; threads are kernel threads at most, as far as looks have seen them; avoided
are system calls that were answered without the kernel.</p>
<dl class="facts">
{}</dl>
</section>
</main>
<footer>Made by <code>treadle compare</code> {}. Numbers belong to this machine and this hour; run
it on yours.</footer>
)";

}  // namespace

std::string comparison_page(const compare_plan& plan, const comparison& all,
                            const lab::machine_facts& machine) {
  std::string words;
  for (const std::string& each : plan.program) words += (words.empty() ? "" : " ") + each;
  const nlohmann::json plot = plot_of(all);
  const std::string facts =
      page_fact("Machine", fmt::format("{}, {} cores", machine.cpu, machine.cores)) +
      page_fact("Memory", lab::human(machine.memory_bytes, "B")) +
      page_fact("Kernel", machine.kernel) + page_fact("C library", "glibc " + machine.glibc) +
      page_fact("Treadle", machine.version) + page_fact("Date", machine.date) +
      page_fact("Busy with other programs", fmt::format("{:.0f} %", machine.busy * 100));
  // A pair of bars needs 34 pixels to be read and touched; the axis takes 60 (as in the lab).
  const std::size_t height = 60 + 34 * plot["rows"].size();
  return lab::page_head("treadle compare: " + words) +
         fmt::format(page_parts, escaped(words), escaped(advise(all).sentence), plan.runs, height,
                     table(all), facts, escaped(machine.version)) +
         lab::page_tail(nlohmann::json::array({plot}));
}

}  // namespace treadle::cli
