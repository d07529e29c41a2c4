// The lab's result as one HTML file that needs nothing else: style, script, Chart.js and data are
// all inside, and a content security policy in the file forbids every request.
//
// Why a file like this: it can be mailed, opened on a phone and shown in class. Tables and texts
// are plain HTML, so that they can be read without scripts; only the plots need them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "treadle/lab/conductor.hpp"
#include "treadle/lab/machine.hpp"

namespace treadle::lab {

std::string html_report(const lab_result& of, const machine_facts& machine);

// Text made safe for HTML, in elements and in quoted attributes.
std::string escaped(std::string_view text);

// The same, set as a textbook would: c_u with a lowered u, <= and us as signs.
std::string typeset(std::string_view text);

// What every page of Treadle's begins and ends with; the end draws `plots`, a list of objects
// {id, kind, unit, logarithmic, axis, rows} for canvases of that id; of bars, `names` may name the
// two of a pair.
std::string page_head(std::string_view title);
std::string page_tail(const nlohmann::json& plots);

// A line of a list of class "facts".
std::string page_fact(std::string_view name, std::string_view value);

// The parts of the page that do not depend on the result.
extern const std::string_view page_style;
extern const std::string_view page_script;

}  // namespace treadle::lab
