// The page, from top to bottom.
#include "treadle/lab/report_html.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "treadle/lab/human.hpp"
#include "treadle/lab/report_text.hpp"

// Chart.js as the build found it (cmake/chart_js.S).
extern "C" const char treadle_chart_js_begin[];
extern "C" const char treadle_chart_js_end[];

namespace treadle::lab {
namespace {

std::string_view chart_library() {
  return {treadle_chart_js_begin,
          static_cast<std::size_t>(treadle_chart_js_end - treadle_chart_js_begin)};
}

// Class names of the style: no colons in them.
std::string_view model_class(std::string_view model) {
  if (model == "m:1") return "many-to-one";
  if (model == "1:1") return "one-to-one";
  return "many-to-many";
}

std::string model_badge(std::string_view model) {
  return fmt::format("<span class=\"model {}\">{}</span>", model_class(model), escaped(model));
}

std::string verdict_badge(verdict value) {
  const std::string_view name =
      value == verdict::holds ? "holds" : (value == verdict::differs ? "differs" : "not-run");
  return fmt::format("<span class=\"verdict {}\">{}</span>", name, to_string(value));
}

std::string counts(const verdict_count& of) {
  std::string text = fmt::format("<span class=\"verdict holds\">{} hold</span>", of.holds);
  if (of.differs > 0) {
    text += fmt::format(" <span class=\"verdict differs\">{} differ</span>", of.differs);
  }
  if (of.not_run > 0) {
    text += fmt::format(" <span class=\"verdict not-run\">{} not run</span>", of.not_run);
  }
  return text;
}

}  // namespace

std::string page_head(std::string_view title) {
  return fmt::format(R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
 style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>{}</title>
<style>
{}</style>
</head>
<body>
)",
                     escaped(title), page_style);
}

std::string page_fact(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value));
}

namespace {

std::string quantity_card(const quantities& known, std::string_view name, std::string_view unit,
                          std::string_view meaning) {
  const auto found = known.find(name);
  const std::string value =
      found == known.end() ? "not measured" : human(found->second.median, unit);
  // c_u is written as c with a lower u.
  const std::size_t mark = name.find('_');
  return fmt::format(
      "<div class=\"card\"><div class=\"symbol\">{}<sub>{}</sub></div><div class=\"number\">{}"
      "</div><div>{}</div></div>\n",
      escaped(name.substr(0, mark)), escaped(name.substr(mark + 1)), typeset(value),
      escaped(meaning));
}

std::string introduction(const lab_result& of, const machine_facts& machine) {
  std::string text = fmt::format(
      "<header>\n<h1>Three threading models, measured</h1>\n<p>Textbooks say what threads cost and "
      "can do under each model. Here every claim was put to the test on one machine: "
      "<b>predicted</b> from costs measured in the same run, <b>measured</b>, and judged.</p>\n"
      "<p>{}</p>\n</header>\n",
      counts(count_verdicts(of)));
  text += "<section>\n<div class=\"models\">\n";
  struct model_words {
    std::string_view name;
    std::string_view words;
  };
  constexpr std::array models{
      model_words{"m:1",
                  "Many-to-one: all threads share one kernel thread. The cheapest switch; "
                  "one core; one blocking call stops all."},
      model_words{"1:1",
                  "One-to-one: every thread is a kernel thread. All cores, nobody waits for "
                  "another's call; dear to make, to switch and to keep."},
      model_words{"m:n",
                  "Many-to-many: many threads on a few kernel threads. Meant to have the "
                  "best of both, and hard to build."}};
  for (const model_words& each : models) {
    text += fmt::format("<div class=\"card\">{} {}</div>\n", model_badge(each.name),
                        escaped(each.words));
  }
  text += "</div>\n<h2>What the formulas are fed with</h2>\n<div class=\"cards\">\n";
  text += quantity_card(of.known, "c_u", "ns", "a switch between user threads");
  text += quantity_card(of.known, "c_k", "ns", "a switch made by the kernel");
  text += quantity_card(of.known, "k_b", "B", "kernel memory of one kernel thread");
  text += "</div>\n<dl class=\"facts\">\n";
  text += page_fact("Machine", fmt::format("{}, {} cores", machine.cpu, machine.cores));
  text += page_fact("Memory", human(machine.memory_bytes, "B"));
  text += page_fact("Kernel", machine.kernel);
  text += page_fact("C library", "glibc " + machine.glibc);
  text += page_fact("Compiler", machine.compiler);
  text += page_fact("Treadle", machine.version);
  text += page_fact("Date", machine.date);
  text += page_fact("Busy with other programs", fmt::format("{:.0f} %", machine.busy * 100));
  if (!machine.settings.empty()) text += page_fact("Settings", machine.settings);
  text += "</dl>\n";
  if (const std::string warning = busy_warning(machine); !warning.empty()) {
    text += fmt::format("<p class=\"warning\"><b>Note:</b> {}.</p>\n", escaped(warning));
  }
  return text + "</section>\n";
}

std::string contents(const lab_result& of) {
  std::string text = "<nav>\n<h2>Experiments</h2>\n<ol>\n";
  for (const experiment_result& each : of.experiments) {
    text += fmt::format("<li><a href=\"#{}\">{}</a> {}</li>\n", escaped(each.what->id),
                        escaped(each.what->title), counts(count_verdicts(each.rows)));
  }
  return text + "</ol>\n</nav>\n";
}

std::string table_row(const row& of, bool with_why) {
  std::string text = fmt::format(
      "<tr><td>{}</td><td>{}</td><td class=\"number\" data-name=\"predicted\">{}</td>"
      "<td class=\"number\" data-name=\"measured\">{}</td><td "
      "class=\"verdict-cell\">{}</td></tr>\n",
      model_badge(of.model), typeset(of.quantity), of.shown.empty() ? "&ndash;" : typeset(of.shown),
      of.measured ? typeset(human(*of.measured, of.unit)) : "&ndash;", verdict_badge(of.verdict));
  if (with_why) {
    text +=
        fmt::format("<tr class=\"why\"><td></td><td colspan=\"4\">{}</td></tr>\n", typeset(of.why));
  }
  return text;
}

std::string table(const std::vector<row>& rows) {
  std::string text =
      "<div class=\"scroll\"><table>\n<thead><tr><th>model</th><th>quantity</th>"
      "<th class=\"number\">predicted</th><th class=\"number\">measured</th><th>verdict</th></tr>"
      "</thead>\n<tbody>\n";
  for (std::size_t index = 0; index < rows.size(); ++index) {
    text += table_row(rows[index], shows_why(rows, index));
  }
  text +=
      "</tbody>\n</table></div>\n<details><summary>Where each number comes from</summary>\n"
      "<ul>\n";
  for (const row& each : rows) {
    text += fmt::format("<li>{} {}: {}</li>\n", model_badge(each.model), typeset(each.quantity),
                        typeset(each.why));
  }
  return text + "</ul>\n</details>\n";
}

std::size_t rows_in(const std::vector<row>& rows, std::string_view key) {
  std::size_t count = 0;
  for (const row& each : rows) count += each.plot == key && each.measured ? 1 : 0;
  return count;
}

// Line plots have a legend of their own.
constexpr std::string_view key_of_bars =
    "<p class=\"key\"><span class=\"swatch predicted\"></span> predicted (a bound where the table "
    "says &le; or &ge;) <span class=\"swatch measured\"></span> measured</p>\n";

std::string figures(const experiment_result& of) {
  std::string text;
  bool bars = false;
  for (const plot& each : of.what->plots) {
    const std::size_t count = rows_in(of.rows, each.key);
    if (count == 0) continue;
    bars = bars || each.kind == plot_kind::bars;
    // A bar needs 34 pixels to be read and touched; the axis and its title take 60.
    const std::size_t height = each.kind == plot_kind::bars ? 60 + 34 * count : 340;
    text += fmt::format(
        "<figure><figcaption>{}</figcaption><div class=\"plot\" style=\"height:{}px\">"
        "<canvas id=\"plot-{}-{}\" role=\"img\" aria-label=\"{}; the numbers are in the table\">"
        "</canvas></div></figure>\n",
        escaped(each.title), height, escaped(of.what->id), escaped(each.key), escaped(each.title));
  }
  if (text.empty()) return text;
  return fmt::format("{}<div class=\"figures\">\n{}</div>\n", bars ? key_of_bars : "", text);
}

std::string section(const experiment_result& of) {
  return fmt::format(
      "<section id=\"{}\">\n<h2>{}</h2>\n<p>{}</p>\n<blockquote>{}</blockquote>\n"
      "<p><b>What was done.</b> {}</p>\n<p><b>What to look at.</b> {}</p>\n{}{}</section>\n",
      escaped(of.what->id), escaped(of.what->title), counts(count_verdicts(of.rows)),
      typeset(of.what->claim), typeset(of.what->method), typeset(of.what->look), figures(of),
      table(of.rows));
}

nlohmann::json plot_data(const lab_result& of) {
  nlohmann::json plots = nlohmann::json::array();
  for (const experiment_result& each : of.experiments) {
    for (const plot& one : each.what->plots) {
      if (rows_in(each.rows, one.key) == 0) continue;
      nlohmann::json rows = nlohmann::json::array();
      for (const row& line : each.rows) {
        if (line.plot != one.key || !line.measured) continue;
        nlohmann::json entry = public_json(line);
        entry["label"] = line.label.empty() ? line.model + " " + line.quantity : line.label;
        rows.push_back(std::move(entry));
      }
      plots.push_back({{"id", fmt::format("plot-{}-{}", each.what->id, one.key)},
                       {"kind", one.kind == plot_kind::bars ? "bars" : "lines"},
                       {"unit", one.unit},
                       {"logarithmic", one.logarithmic},
                       {"axis", one.axis},
                       {"rows", std::move(rows)}});
    }
  }
  return plots;
}

// JSON inside a script element: no "<" may stand there, as "</script" would end it. In JSON a "<"
// can only be part of a string, where the escape means the same.
std::string embedded(const nlohmann::json& data) {
  std::string text;
  for (const char each : data.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)) {
    if (each == '<') {
      text += "\\u003c";
    } else {
      text += each;
    }
  }
  return text;
}

}  // namespace

std::string page_tail(const nlohmann::json& plots) {
  return fmt::format(
      "<script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{}\n</script>\n"
      "<script>\n{}</script>\n</body>\n</html>\n",
      embedded(plots), chart_library(), page_script);
}

std::string escaped(std::string_view text) {
  // The library's JSON knows UTF-8: what is none becomes U+FFFD on the way there and back.
  const std::string readable =
      nlohmann::json::parse(
          nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
          .get<std::string>();
  std::string safe;
  for (const char each : readable) {
    switch (each) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += each;
    }
  }
  return safe;
}

std::string typeset(std::string_view text) {
  struct sign {
    std::string_view plain;
    std::string_view set;
  };
  // What escaped() has made of the lab's plain ASCII words.
  constexpr std::array signs{sign{"&lt;=", "&le;"},        sign{"&gt;=", "&ge;"},
                             sign{"&lt;&lt;", "&#8810;"},  sign{"c_u", "c<sub>u</sub>"},
                             sign{"c_k", "c<sub>k</sub>"}, sign{"s_k", "s<sub>k</sub>"},
                             sign{"k_b", "k<sub>b</sub>"}, sign{"K0", "K<sub>0</sub>"}};
  std::string set = escaped(text);
  for (const sign& each : signs) {
    for (std::size_t at = set.find(each.plain); at != set.npos;
         at = set.find(each.plain, at + each.set.size())) {
      set.replace(at, each.plain.size(), each.set);
    }
  }
  // "12 us", but not "for us".
  for (std::size_t at = set.find(" us"); at != set.npos; at = set.find(" us", at + 1)) {
    const bool number = at > 0 && set[at - 1] >= '0' && set[at - 1] <= '9';
    const bool word = at + 3 < set.size() && set[at + 3] >= 'a' && set[at + 3] <= 'z';
    if (number && !word) set.replace(at, 3, " &micro;s");
  }
  return set;
}

std::string html_report(const lab_result& of, const machine_facts& machine) {
  std::string page = page_head("Treadle lab: three threading models, measured");
  page += "<main>\n";
  page += introduction(of, machine);
  page += contents(of);
  for (const experiment_result& each : of.experiments) page += section(each);
  page += fmt::format(
      "</main>\n<footer>Made by <code>treadle lab</code> {}. Numbers belong to this machine and "
      "this hour; run it on yours.</footer>\n",
      escaped(machine.version));
  page += page_tail(plot_data(of));
  return page;
}

}  // namespace treadle::lab
