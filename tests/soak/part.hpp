// What a part of the soak is: something that takes turns, each short, each with a known answer.
//
// Every part runs in threads of one runtime beside all the others. A turn makes what it needs,
// does it, checks it and takes it down again, so that nothing may be left when all turns are over.
// What cannot be right is a violation: one line, and the process ends with status 1 at once, as the
// other threads of the turn may now wait for ever.
// One part takes all descriptors away for moments: a turn that meets that is excused.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace soak {

// What a part asks of the model.
enum class needs {
  nothing,
  relief,      // threads block unseen until another one has run
  preemption,  // threads compute without giving way
};

inline constexpr std::size_t counts_max = 6;

class seat;

struct part {
  const char* name;
  soak::needs needs;
  unsigned copies;                              // so many take turns at the same time
  std::array<const char*, counts_max> counted;  // what it counts besides turns; null: nothing
  void (*turn)(seat&);
};

std::span<const part* const> all_parts();

// The place of one that takes turns. All but the counters and marks is its own thread's.
class seat {
 public:
  seat(const part& what, unsigned seed) : of(what), random_(seed) {}

  // 0 to below - 1.
  unsigned draw(unsigned below) { return static_cast<unsigned>(random_() % below); }
  // From any thread of the turn.
  void count(std::size_t which, std::uint64_t more = 1) {
    counts[which].fetch_add(more, std::memory_order_relaxed);
  }
  void mark(const char* where) { step.store(where, std::memory_order_relaxed); }

  const part& of;
  std::atomic<std::uint64_t> turns{0};
  std::atomic<std::uint64_t> excused{0};
  std::array<std::atomic<std::uint64_t>, counts_max> counts{};
  std::atomic<std::int64_t> began{0};  // monotonic nanoseconds; 0: between turns
  std::atomic<const char*> step{""};   // where the turn is, for whoever finds it stuck

 private:
  std::mt19937 random_;
};

// A turn that came to nothing because no descriptor was left.
struct excuse {};

// How often descriptors were taken away, odd: they are now.
extern std::atomic<unsigned> droughts;

// One line on stderr, without a lock of libc's: the one who holds it may be stuck.
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);
[[noreturn]] void violate(const char* file, int line, const char* what, long number);

#define SOAK_CHECK(condition, what, number)                                 \
  do {                                                                      \
    if (!(condition)) {                                                     \
      ::soak::violate(__FILE__, __LINE__, what, static_cast<long>(number)); \
    }                                                                       \
  } while (false)

extern const part peers;
extern const part closers;
extern const part droughts_at_accept;
extern const part full_disk;
extern const part files;
extern const part deadlines;
extern const part races;
extern const part malloc_hogs;
extern const part printf_hogs;
extern const part throwing_hogs;
extern const part number_hogs;
extern const part unseen_calls;
extern const part unseen_waits;
extern const part cold_pages;
extern const part children;
extern const part sleepers;
extern const part locks;
extern const part threads;
extern const part scopes;
extern const part stops;
extern const part runtimes;
extern const part pool_calls;

}  // namespace soak
