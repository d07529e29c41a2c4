// The soak: every part of the library at once, for minutes, beside everything that may go wrong.
//
//   soak [--seconds N] [--model M] [--workers N] [--seed N] [--only PART,...] [--hold] [--list]
//
// Exit status 0: all went well; 1: a violation, a leak or a turn without an end, with one line that
// says which; 2: wrong arguments. The parts take turns in rounds; after each round nothing may run,
// and what the process then holds must not grow. Ends with one line for each part.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <treadle/treadle.hpp>
#include <vector>

#include "tests/soak/leaks.hpp"
#include "tests/soak/part.hpp"
#include "tests/soak/tools.hpp"
#include "tests/soak/watchdog.hpp"
#include "treadle/base/clock.hpp"

namespace soak {

std::span<const part* const> all_parts() {
  static constexpr std::array list{
      &peers,        &closers,     &droughts_at_accept, &full_disk,     &files,       &deadlines,
      &races,        &malloc_hogs, &printf_hogs,        &throwing_hogs, &number_hogs, &unseen_calls,
      &unseen_waits, &cold_pages,  &children,           &sleepers,      &locks,       &threads,
      &scopes,       &stops,       &runtimes,           &pool_calls};
  return list;
}

namespace {

struct wishes {
  unsigned seconds = 600;
  unsigned seed = 1;
  bool hold = false;
  bool list = false;
  std::vector<std::string> only;
  treadle::runtime_options runtime{};
};

unsigned number_of(std::string_view option, std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw std::invalid_argument(std::string(option) + " is \"" + std::string(text) +
                                "\", allowed are whole numbers");
  }
  return number;
}

std::vector<std::string> names_of(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    names.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    const auto known = [&](const part* one) { return one->name == names.back(); };
    const std::span<const part* const> parts = all_parts();
    if (std::none_of(parts.begin(), parts.end(), known)) {
      throw std::invalid_argument("no part \"" + names.back() + "\"; --list names them");
    }
  }
  return names;
}

wishes parse(int count, char** words) {
  wishes wanted;
  wanted.runtime.model = treadle::model::many_to_many;
  // Guess: more preemptions than at the default.
  wanted.runtime.slice = std::chrono::milliseconds(3);
  for (int i = 1; i < count; ++i) {
    const std::string_view option = words[i];
    if (option == "--hold" || option == "--list") {
      (option == "--hold" ? wanted.hold : wanted.list) = true;
      continue;
    }
    if (i + 1 == count) throw std::invalid_argument(std::string(option) + " needs a value");
    const std::string_view value = words[++i];
    if (option == "--seconds") {
      wanted.seconds = number_of(option, value);
    } else if (option == "--seed") {
      wanted.seed = number_of(option, value);
    } else if (option == "--model") {
      wanted.runtime.model = treadle::parse_model(value);
    } else if (option == "--workers") {
      wanted.runtime.width = treadle::parse_width(option, value);
    } else if (option == "--only") {
      wanted.only = names_of(value);
    } else {
      throw std::invalid_argument(std::string(option) + " is no option");
    }
  }
  return wanted;
}

// Why a part cannot run in this runtime; null when it can.
const char* why_not(const part& one, const treadle::runtime& in) {
  if (one.needs == needs::nothing || in.model() == treadle::model::one_to_one) return nullptr;
  if (in.model() == treadle::model::many_to_one) return "m:1 has one kernel thread";
  const treadle::core::activation_report& can = in.activation();
  if (one.needs == needs::preemption && !can.preempts) return can.why_not_preempting;
  if (one.needs == needs::relief && can.level == treadle::activation::off) {
    return can.why_not_better;
  }
  return nullptr;
}

void take_turns(seat& mine, std::int64_t until) {
  while (treadle::base::monotonic_now() < until) {
    mine.began = treadle::base::monotonic_now();
    try {
      mine.of.turn(mine);
      ++mine.turns;
    } catch (const excuse&) {
      ++mine.excused;
    } catch (const std::system_error& error) {
      const int why = error.code().value();
      if ((why != EMFILE && why != ENFILE) || droughts == 0) {
        violate(mine.of.name, 0, error.what(), why);
      }
      ++mine.excused;
    } catch (const std::exception& error) {
      violate(mine.of.name, 0, error.what(), 0);
    }
    mine.began = 0;
    mine.mark("");
    // In m:1 nobody else would have a turn.
    treadle::this_thread::yield();
  }
}

void run_round(std::deque<seat>& seats, std::int64_t nanoseconds) {
  const std::int64_t until = treadle::base::monotonic_now() + nanoseconds;
  std::deque<treadle::thread> all;
  for (seat& one : seats) {
    all.emplace_back([&one, until] { take_turns(one, until); });
  }
  for (treadle::thread& one : all) one.join();
}

// Whether all threads that were started have ended: detached ones may be on their way.
bool all_ended(const treadle::runtime& in) {
  // Guess: half a minute, for the last steps of the last threads.
  for (int i = 0; i < 3'000; ++i) {
    const treadle::runtime_counters now = in.counters();
    if (now.threads_started == now.threads_finished) return true;
    ::usleep(10'000);
  }
  return false;
}

void print_parts(const std::deque<seat>& seats) {
  for (auto first = seats.begin(); first != seats.end();) {
    const part& of = first->of;
    std::uint64_t turns = 0;
    std::uint64_t excused = 0;
    std::array<std::uint64_t, counts_max> counts{};
    for (; first != seats.end() && &first->of == &of; ++first) {
      turns += first->turns;
      excused += first->excused;
      for (std::size_t i = 0; i < counts_max; ++i) counts[i] += first->counts[i];
    }
    std::printf("%-14s %8llu turns, %llu excused", of.name, static_cast<unsigned long long>(turns),
                static_cast<unsigned long long>(excused));
    for (std::size_t i = 0; i < counts_max && of.counted[i] != nullptr; ++i) {
      std::printf(", %llu %s", static_cast<unsigned long long>(counts[i]), of.counted[i]);
    }
    std::printf("\n");
  }
}

std::deque<seat> choose(const wishes& wanted, const treadle::runtime& in) {
  std::deque<seat> seats;
  unsigned seed = wanted.seed;
  for (const part* one : all_parts()) {
    const bool is_named =
        std::find(wanted.only.begin(), wanted.only.end(), one->name) != wanted.only.end();
    if (!wanted.only.empty() && !is_named) continue;
    if (const char* reason = why_not(*one, in)) {
      std::printf("%-14s not run: %s\n", one->name, reason);
      continue;
    }
    for (unsigned i = 0; i < one->copies; ++i) seats.emplace_back(*one, seed++);
  }
  return seats;
}

std::string run_rounds(const wishes& wanted, treadle::runtime& in, std::deque<seat>& seats) {
  // Guess: many enough to see growth, long enough to be a mixture.
  const unsigned rounds = std::clamp(wanted.seconds / 10, 2U, 60U);
  const std::int64_t length = treadle::base::nanoseconds_per_second * wanted.seconds / rounds;
  std::vector<holdings> seen;
  for (unsigned i = 0; i < rounds; ++i) {
    in.run([&] { run_round(seats, length); });
    if (!all_ended(in)) return "threads did not end";
    seen.push_back(read_holdings());
    std::printf("round %u of %u: %s\n", i + 1, rounds, describe(seen.back()).c_str());
    std::fflush(stdout);
  }
  const std::string grown = what_grew(seen);
  return grown.empty() ? grown : "it grows: " + grown;
}

// What the process keeps from its first use on: the ring of file calls.
void start_what_stays() {
  treadle::runtime first;
  first.run([] {
    const descriptor file = make_file();
    SOAK_MUST(treadle::io::fsync(file.get()));
  });
}

std::string soak(const wishes& wanted) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  ::signal(SIGPIPE, SIG_IGN);
  start_what_stays();
  const holdings before = read_holdings();
  std::string wrong;
  std::deque<seat> seats;
  {
    treadle::runtime runtime(wanted.runtime);
    seats = choose(wanted, runtime);
    std::printf("soak: %s, width %u, seed %u, %u s, blocked threads are found by %s\n",
                treadle::to_string(runtime.model()).data(), runtime.width(), wanted.seed,
                wanted.seconds, to_string(runtime.activation().level).data());
    std::fflush(stdout);
    // Guess: a turn takes milliseconds; a sanitizer and a busy machine make it some hundred times.
    const watchdog guard(seats, std::chrono::seconds(30), wanted.hold);
    wrong = run_rounds(wanted, runtime, seats);
    const treadle::runtime_counters did = runtime.counters();
    std::printf("%llu threads, %llu preemptions, %llu reliefs\n",
                static_cast<unsigned long long>(did.threads_started),
                static_cast<unsigned long long>(did.preemptions),
                static_cast<unsigned long long>(did.reliefs));
  }
  print_parts(seats);
  if (wrong.empty()) {
    wrong = what_is_left(before);
    if (!wrong.empty()) wrong = "something is left: " + wrong;
  }
  return wrong;
}

int run(int count, char** words) {
  const wishes wanted = parse(count, words);
  if (wanted.list) {
    for (const part* one : all_parts()) std::printf("%s\n", one->name);
    return 0;
  }
  const std::string wrong = soak(wanted);
  if (!wrong.empty()) {
    std::fprintf(stderr, "soak: LEAK: %s\n", wrong.c_str());
    return 1;
  }
  std::printf("soak: all is well\n");
  return 0;
}

}  // namespace
}  // namespace soak

int main(int count, char** words) {
  try {
    return soak::run(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "soak: %s\n", error.what());
    return 2;
  }
}
