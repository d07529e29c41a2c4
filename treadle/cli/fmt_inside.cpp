// The code of fmt that the command calls, compiled into it.
//
// fmt's shared library brings the C++ library's, and to load both took `treadle run` longer than
// all that it does. Rejected: fmt's header-only form everywhere (each file takes three times as
// long to compile).
#define FMT_HEADER_ONLY 1
#include <fmt/format.h>

#include <cstdio>
#include <string>

namespace treadle::cli {

// Whoever else includes fmt only declares these; their addresses here make the compiler emit them.
using format_function = std::string (*)(fmt::string_view, fmt::format_args);
using print_function = void (*)(fmt::string_view, fmt::format_args);
using print_to_function = void (*)(std::FILE*, fmt::string_view, fmt::format_args);
extern const format_function emitted_format;
extern const print_function emitted_print;
extern const print_to_function emitted_print_to;
const format_function emitted_format = &fmt::vformat;
const print_function emitted_print = &fmt::vprint;
const print_to_function emitted_print_to = &fmt::vprint;

}  // namespace treadle::cli
