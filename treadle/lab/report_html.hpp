// The lab's result as one HTML file that needs nothing else: style, script, Chart.js and data are
// all inside, and a content security policy in the file forbids every request.
//
// Why a file like this: it can be mailed, opened on a phone and shown in class. Tables and texts
// are plain HTML, so that they can be read without scripts; only the plots need them.
#pragma once

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

// The parts of the page that do not depend on the result.
extern const std::string_view page_style;
extern const std::string_view page_script;

}  // namespace treadle::lab
