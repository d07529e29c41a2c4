// Who dozes beside busy workers: a few for all.
//
// A dozer looks at every processor each time that it gets up. If all idle workers did, their looks
// would grow with the square of the width (measured, 1024 on two CPUs: the first thread ran after 5
// to 20 s). One look by anybody finds what a waker has missed, so beyond a number of dozers the
// idle sleep soundly: until they are woken.
// A missed wake-up still costs one doze at most. Who lies down soundly does so beside dozers, and
// both are counted in one word: of it and a dozer that leaves for work one sees the other. That
// dozer looks, when it counts no more, whether there are sound sleepers and no dozer; then one of
// them is woken in its place. Nobody can be woken while somebody spins: so the place is marked as
// vacant first, and whoever is done with spinning looks for the mark.
// Where nobody is busy no dozer is needed, and they become sleepers without limit one by one.
// Up to 64 processors everybody may doze, and nothing here ever happens.
// Source of the bound: Go and Tokio let half of the running search at most; ours are fewer, as each
// of them looks at all.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"

namespace treadle::core {

template <template <class> class Atomic = base::atomic>
class basic_dozers {
 public:
  // All dozers together look at so many processors in a round at most: what 64 workers, who all
  // doze, do. Measured, 1024 beside a busy thread on two CPUs: 4 % of a CPU (all dozing: one).
  static constexpr unsigned looks_max = 64 * 64;
  static constexpr unsigned most(unsigned width) noexcept {
    const unsigned share = looks_max / width;
    return share < width ? share : width;
  }

  // A guess from anywhere: relaxed.
  bool anybody() const noexcept { return count_of(word_.load(base::relaxed)) != 0; }

  // By who lies down beside busy workers. True: it dozes; false: it sleeps soundly.
  [[nodiscard]] bool begin(unsigned width) noexcept {
    const unsigned room = most(width);
    std::uint64_t now = word_.load(base::relaxed);  // relaxed: validated by the CAS
    bool dozes;
    do {
      dozes = count_of(now) < room;
      // seq_cst: of us and is_missing() one sees the other
    } while (!word_.compare_exchange_weak(now, now + (dozes ? one_dozer : one_sound), base::seq_cst,
                                          base::relaxed));
    // relaxed, both: before our end(), which whoever marks the place after it has seen
    if (dozes && vacant_.load(base::relaxed)) vacant_.store(false, base::relaxed);
    return dozes;
  }
  void end(bool dozed) noexcept {
    word_.fetch_sub(dozed ? one_dozer : one_sound, base::seq_cst);  // seq_cst: as begin()
  }

  // Whether others sleep soundly and nobody dozes for them. By who leaves, after its end().
  bool is_missing() const noexcept {
    const std::uint64_t now = word_.load(base::seq_cst);  // seq_cst: as begin()
    return count_of(now) == 0 && now != 0;
  }
  // Before a sleeper is woken for the place.
  void mark_vacant() noexcept {
    vacant_.store(true, base::seq_cst);  // seq_cst: before the look whether somebody spins
  }
  // seq_cst: after the end of a spin; of the two one sees the other.
  bool is_vacant() const noexcept { return vacant_.load(base::seq_cst); }

 private:
  static constexpr std::uint64_t one_dozer = 1;
  static constexpr std::uint64_t one_sound = std::uint64_t{1} << 32;
  static std::uint32_t count_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word);
  }

  // Low half: dozers; high half: sound sleepers.
  alignas(base::false_sharing_bytes) Atomic<std::uint64_t> word_{0};
  Atomic<bool> vacant_{false};
};

using dozers = basic_dozers<>;

}  // namespace treadle::core
