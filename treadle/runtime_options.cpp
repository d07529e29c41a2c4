// Where settings come from, and what is said when they make no sense.
#include <charconv>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include "treadle/base/cpu_width.hpp"
#include "treadle/io/blocking_pool.hpp"
#include "treadle/runtime.hpp"

namespace treadle {
namespace {

// Sourced: name resolvers and TLS libraries need more than 64 KiB.
constexpr std::size_t stack_bytes_default = 256 * 1024;
// Sourced: Go's slice; an interactive kernel's is of the same order.
constexpr std::chrono::nanoseconds slice_default = std::chrono::milliseconds(10);
// Sourced: one page, as glibc's default guard.
constexpr std::size_t guard_bytes_default = 4 * 1024;

[[noreturn]] void refuse(std::string_view setting, std::string_view value,
                         std::string_view allowed) {
  throw std::invalid_argument("treadle: " + std::string(setting) + " is \"" + std::string(value) +
                              "\", allowed are " + std::string(allowed));
}

constexpr std::string_view models_allowed = "m:1, 1:1 and m:n";
constexpr std::string_view widths_allowed = "whole numbers from 1 to 1024";
constexpr std::string_view bytes_allowed = "bytes, or a number with the suffix K or M";
constexpr std::string_view stacks_allowed = "16384 to 8388608 bytes (16K to 8M)";
constexpr std::string_view calls_allowed = "whole numbers from 1 to 4096";
constexpr std::string_view io_allowed =
    "auto, uring and pool (files), sockets=epoll and sockets=uring, one of each with a comma";
constexpr std::string_view activations_allowed = "proc, perf, monitor and off";
constexpr std::string_view slices_allowed = "1ms to 1h (suffix us, ms or s), and off";
constexpr std::string_view guards_allowed = "0 to 1048576 bytes (0 to 1M)";

const char* from_environment(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

// `shown` is the value as the user wrote it.
void check_width(std::string_view setting, unsigned width, std::string_view shown) {
  if (width < 1 || width > width_max) refuse(setting, shown, widths_allowed);
}
void check_blocking_threads(std::string_view setting, unsigned threads, std::string_view shown) {
  if (threads < 1 || threads > io::blocking_threads_max) refuse(setting, shown, calls_allowed);
}
void check_stack(std::string_view setting, std::size_t bytes, std::string_view shown) {
  if (bytes < stack_bytes_min || bytes > stack_bytes_max) refuse(setting, shown, stacks_allowed);
}
void check_guard(std::string_view setting, std::size_t bytes, std::string_view shown) {
  if (bytes > guard_bytes_max) refuse(setting, shown, guards_allowed);
}

void check_slice(std::string_view setting, std::chrono::nanoseconds slice, std::string_view shown) {
  if (slice.count() != 0 && (slice < slice_min || slice > slice_max)) {
    refuse(setting, shown, slices_allowed);
  }
}

model parse_model_of(std::string_view setting, std::string_view text) {
  if (text == "m:1") return model::many_to_one;
  if (text == "1:1") return model::one_to_one;
  if (text == "m:n") return model::many_to_many;
  refuse(setting, text, models_allowed);
}

// An enumeration may hold any number; its values begin with 0 and leave none out.
template <class Choice>
Choice check_choice(const char* setting, Choice choice, Choice last, std::string_view allowed) {
  const auto number = static_cast<int>(choice);
  if (number < 0 || number > static_cast<int>(last)) {
    refuse(setting, std::to_string(number), allowed);
  }
  return choice;
}

model resolve_model(const runtime_options& options) {
  if (options.model) {
    return check_choice("runtime_options::model", *options.model, model::many_to_many,
                        models_allowed);
  }
  const char* text = from_environment("TREADLE_MODEL");
  return text != nullptr ? parse_model_of("TREADLE_MODEL", text) : model::many_to_many;
}

unsigned resolve_width(const runtime_options& options) {
  if (options.width) {
    check_width("runtime_options::width", *options.width, std::to_string(*options.width));
    return *options.width;
  }
  const char* text = from_environment("TREADLE_WIDTH");
  return text != nullptr ? parse_width("TREADLE_WIDTH", text) : base::usable_width();
}

// False when it is not a whole number, or too large a one.
bool read_number(std::string_view text, unsigned& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

unsigned resolve_blocking_threads(const runtime_options& options) {
  if (options.blocking_threads) {
    check_blocking_threads("runtime_options::blocking_threads", *options.blocking_threads,
                           std::to_string(*options.blocking_threads));
    return *options.blocking_threads;
  }
  constexpr const char* name = "TREADLE_BLOCKING_THREADS";
  const char* text = from_environment(name);
  if (text == nullptr) return io::blocking_threads_default;
  unsigned threads = 0;
  if (!read_number(text, threads)) refuse(name, text, calls_allowed);
  check_blocking_threads(name, threads, text);
  return threads;
}

struct io_wish {
  std::optional<io::file_calls> files;
  std::optional<io::socket_events> sockets;
};

// False when it is no word, or says what another one has said already.
bool read_io_word(std::string_view word, io_wish& wish) {
  const auto set = [](auto& what, auto value) {
    if (what) return false;
    what = value;
    return true;
  };
  if (word == "auto") return set(wish.files, io::file_calls::automatic);
  if (word == "uring") return set(wish.files, io::file_calls::uring);
  if (word == "pool") return set(wish.files, io::file_calls::pool);
  if (word == "sockets=epoll") return set(wish.sockets, io::socket_events::epoll);
  if (word == "sockets=uring") return set(wish.sockets, io::socket_events::uring);
  return false;
}

io_wish io_from_environment() {
  constexpr const char* name = "TREADLE_IO";
  io_wish wish;
  const char* text = from_environment(name);
  if (text == nullptr) return wish;
  std::string_view rest = text;
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    if (!read_io_word(rest.substr(0, comma), wish)) refuse(name, text, io_allowed);
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
  }
  return wish;
}

std::size_t resolve_stack(const runtime_options& options) {
  if (options.stack_bytes) {
    check_stack("runtime_options::stack_bytes", *options.stack_bytes,
                std::to_string(*options.stack_bytes));
    return *options.stack_bytes;
  }
  const char* text = from_environment("TREADLE_STACK");
  if (text == nullptr) return stack_bytes_default;
  const std::size_t bytes = parse_bytes("TREADLE_STACK", text);
  check_stack("TREADLE_STACK", bytes, text);
  return bytes;
}

std::size_t resolve_guard(const runtime_options& options) {
  if (options.guard_bytes) {
    check_guard("runtime_options::guard_bytes", *options.guard_bytes,
                std::to_string(*options.guard_bytes));
    return *options.guard_bytes;
  }
  const char* text = from_environment("TREADLE_GUARD");
  if (text == nullptr) return guard_bytes_default;
  const std::size_t bytes = parse_bytes("TREADLE_GUARD", text);
  check_guard("TREADLE_GUARD", bytes, text);
  return bytes;
}

activation resolve_activation(const runtime_options& options) {
  if (options.activation) {
    return check_choice("runtime_options::activation", *options.activation, activation::perf,
                        activations_allowed);
  }
  const char* text = from_environment("TREADLE_ACTIVATION");
  return text != nullptr ? parse_activation("TREADLE_ACTIVATION", text) : activation::proc;
}

std::chrono::nanoseconds resolve_slice(const runtime_options& options) {
  if (options.slice) {
    check_slice("runtime_options::slice", *options.slice,
                std::to_string(options.slice->count()) + "ns");
    return *options.slice;
  }
  const char* text = from_environment("TREADLE_SLICE");
  return text != nullptr ? parse_slice("TREADLE_SLICE", text) : slice_default;
}

}  // namespace

std::string_view to_string(model which) noexcept {
  switch (which) {
    case model::many_to_one:
      return "m:1";
    case model::one_to_one:
      return "1:1";
    case model::many_to_many:
      return "m:n";
  }
  return "unknown";
}

model parse_model(std::string_view text) { return parse_model_of("model", text); }

unsigned parse_width(std::string_view setting, std::string_view text) {
  unsigned width = 0;
  if (!read_number(text, width)) refuse(setting, text, widths_allowed);
  check_width(setting, width, text);
  return width;
}

std::size_t parse_bytes(std::string_view setting, std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  std::size_t unit = 1;
  if (suffix == "K" || suffix == "k" || suffix == "KiB") unit = 1024;
  if (suffix == "M" || suffix == "m" || suffix == "MiB") unit = 1024 * 1024;
  // Guess: beyond 2^40 no setting makes sense, and below it nothing overflows.
  constexpr std::size_t number_max = std::size_t{1} << 40;
  if (error != std::errc{} || (unit == 1 && !suffix.empty()) || number > number_max / unit) {
    refuse(setting, text, bytes_allowed);
  }
  return number * unit;
}

activation parse_activation(std::string_view setting, std::string_view text) {
  if (text == "perf") return activation::perf;
  if (text == "proc") return activation::proc;
  if (text == "monitor") return activation::monitor;
  if (text == "off") return activation::off;
  refuse(setting, text, activations_allowed);
}

std::chrono::nanoseconds parse_slice(std::string_view setting, std::string_view text) {
  if (text == "off") return std::chrono::nanoseconds(0);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  std::int64_t unit = 0;
  if (suffix == "us") unit = 1'000;
  if (suffix == "ms") unit = 1'000'000;
  if (suffix == "s") unit = 1'000'000'000;
  // The bound keeps the product from overflowing.
  if (error != std::errc{} || unit == 0 || number <= 0 || number > slice_max.count() / unit) {
    refuse(setting, text, slices_allowed);
  }
  const std::chrono::nanoseconds slice(number * unit);
  check_slice(setting, slice, text);
  return slice;
}

runtime_settings resolve(const runtime_options& options) {
  io_wish io{options.file_calls, options.socket_events};
  if (!io.files || !io.sockets) {
    const io_wish more = io_from_environment();
    if (!io.files) io.files = more.files;
    if (!io.sockets) io.sockets = more.sockets;
  }
  return {
      resolve_model(options),
      resolve_width(options),
      resolve_stack(options),
      resolve_guard(options),
      resolve_blocking_threads(options),
      check_choice("runtime_options::file_calls", io.files.value_or(io::file_calls::automatic),
                   io::file_calls::pool, "automatic, uring and pool"),
      check_choice("runtime_options::socket_events", io.sockets.value_or(io::socket_events::epoll),
                   io::socket_events::uring, "epoll and uring"),
      resolve_activation(options),
      resolve_slice(options)};
}

}  // namespace treadle
