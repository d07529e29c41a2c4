// The Date field of answers, made once a second for the whole process; any kernel thread may ask.
//
// A sequence lock: an odd version means that somebody writes. Readers copy word by word, and make
// the text themselves when a writer is in the way, so that nobody ever waits. Rejected: one for
// each connection, which with ten thousand of them would be made for every other answer; and one
// for each kernel thread, which a Treadle thread may leave in the middle.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>

namespace treadle::bench {

class http_date {
 public:
  static constexpr std::size_t bytes = 37;  // "Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n"

  /// Writes the field, with its line's end, to `to`, which has room for `bytes`.
  void copy(char* to, std::time_t now = std::time(nullptr)) {
    std::array<std::uint64_t, words> text;
    // acquire: pairs with the release at the end of publish(), before which the words were stored.
    const std::uint32_t version = version_.load(std::memory_order_acquire);
    // acquire, the words too: pairs with the stores in publish(). Who sees one of a later writer
    // sees its odd version, too, by the second look. Rejected: fences, which TSan does not know.
    const std::int64_t second = second_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < words; ++i) text[i] = text_[i].load(std::memory_order_acquire);
    // relaxed: behind the loads above, which are acquire.
    const bool whole = version % 2 == 0 && version_.load(std::memory_order_relaxed) == version;
    if (!whole || second != now) {
      text = made(now);
      if (version % 2 == 0) publish(version, now, text);
    }
    std::memcpy(to, text.data(), bytes);
  }

 private:
  static constexpr std::size_t words = (bytes + 1 + 7) / 8;  // strftime() writes a zero behind

  static std::array<std::uint64_t, words> made(std::time_t now) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::array<char, words * 8> text{};
    std::strftime(text.data(), text.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    std::array<std::uint64_t, words> whole;
    std::memcpy(whole.data(), text.data(), text.size());
    return whole;
  }

  void publish(std::uint32_t version, std::time_t now,
               const std::array<std::uint64_t, words>& text) {
    // acquire: what the last writer stored comes before what is stored here. relaxed when somebody
    // else writes: then there is nothing to do.
    if (!version_.compare_exchange_strong(version, version + 1, std::memory_order_acquire,
                                          std::memory_order_relaxed)) {
      return;
    }
    // release: the odd version comes before each of them; pairs with the loads in copy().
    second_.store(now, std::memory_order_release);
    for (std::size_t i = 0; i < words; ++i) text_[i].store(text[i], std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);  // pairs with the first load in copy()
  }

  std::atomic<std::uint32_t> version_{0};
  std::atomic<std::int64_t> second_{-1};
  std::array<std::atomic<std::uint64_t>, words> text_{};
};

}  // namespace treadle::bench
