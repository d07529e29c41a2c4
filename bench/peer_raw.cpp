// The loops behind peer_raw.hpp. The stacks are made once and stay: the contexts on them never end.
#include "peer_raw.hpp"

#include <atomic>
#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <memory>

#include "treadle/context/switch.hpp"

namespace treadle::bench {
namespace {

// Enough for a loop that calls nothing (guess).
constexpr std::size_t stack_bytes = 64 * 1024;

struct stack {
  std::unique_ptr<std::byte[]> bytes = std::make_unique<std::byte[]>(stack_bytes + 64);
  // The top at a cache line, as both makers of contexts like it.
  std::byte* top() const {
    const auto end = reinterpret_cast<std::uintptr_t>(bytes.get()) + stack_bytes + 64;
    return bytes.get() + (stack_bytes + 64) - end % 64;
  }
};

void bounce_fcontext(boost::context::detail::transfer_t from) {
  for (;;) from = boost::context::detail::jump_fcontext(from.fctx, nullptr);
}

context::resume_point asker;
context::resume_point answerer;

void bounce_treadle(std::uintptr_t message) {
  for (;;) message = context::jump(answerer, asker, message);
}

}  // namespace

repetition switch_by_fcontext(long turns) {
  static const stack other;
  static boost::context::detail::fcontext_t context =
      boost::context::detail::make_fcontext(other.top(), stack_bytes, bounce_fcontext);
  boost::context::detail::fcontext_t next = context;
  const stopwatch watch;
  for (long turn = 0; turn < turns; ++turn) {
    next = boost::context::detail::jump_fcontext(next, nullptr).fctx;
  }
  const repetition result = watch.stop(2.0 * static_cast<double>(turns));
  context = next;
  return result;
}

repetition switch_by_treadle(long turns) {
  static const stack other;
  static const bool made = (answerer = context::make_frame(other.top(), bounce_treadle), true);
  static_cast<void>(made);
  const stopwatch watch;
  for (long turn = 0; turn < turns; ++turn) context::jump(asker, answerer, 0);
  return watch.stop(2.0 * static_cast<double>(turns));
}

repetition compare_and_swap_pairs(long pairs) {
  std::atomic<int> word = 0;
  const stopwatch watch;
  for (long pair = 0; pair < pairs; ++pair) {
    int expected = 0;
    // acquire and release: the orders a lock needs
    word.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed);
    expected = 1;
    word.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed);
  }
  return watch.stop(static_cast<double>(pairs));
}

}  // namespace treadle::bench
