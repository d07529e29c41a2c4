#include "treadle/sched/crew.hpp"

#include <unistd.h>

#include <cerrno>
#include <new>

#include "treadle/base/futex.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle::core {

crew_member::order crew_member::wait() noexcept {
  const bool away = base::go_away();
  // acquire: pairs with wake(), publishes what we were told
  while (bed_.load(base::acquire) == 0) base::futex_wait(bed_, 0, base::deadline::never());
  if (away) base::come_back();
  // Nobody wakes us before we are listed again, but for close(): its order must not be wiped out
  // unseen. acquire: pairs with wake()
  bed_.exchange(0, base::acquire);
  if (drawn_) let_loose();
  const std::uintptr_t told = told_.load(base::relaxed);  // relaxed: published by the bed
  return {reinterpret_cast<fiber_processor*>(told & ~spinner_mark), (told & spinner_mark) != 0};
}

void crew_member::wake(fiber_processor* about, bool as_spinner) noexcept {
  told_.store(reinterpret_cast<std::uintptr_t>(about) | (as_spinner ? spinner_mark : 0),
              base::relaxed);    // relaxed: published by the bed
  bed_.store(1, base::release);  // pairs with wait()
  base::futex_wake(bed_);
}

void crew_member::draw_to(int cpu) noexcept {
  const int saved = errno;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<unsigned>(cpu), &only);
  const pid_t who = probe.kernel_id();
  // A member that may not run there stays where it is, and so does one where CPUs are too many for
  // the set.
  drawn_ = ::sched_getaffinity(who, sizeof(free_), &free_) == 0 &&
           CPU_ISSET(static_cast<unsigned>(cpu), &free_) &&
           ::sched_setaffinity(who, sizeof(only), &only) == 0;
  errno = saved;
}

// By the member itself. It cannot fail where drawing did not; if it does, for want of the kernel's
// memory, the member goes on where it is.
void crew_member::let_loose() noexcept {
  const int saved = errno;
  static_cast<void>(::sched_setaffinity(0, sizeof(free_), &free_));
  drawn_ = false;
  errno = saved;
}

int crew::open(unsigned first, unsigned extra_max, void* (*main)(void*), void* home) noexcept {
  first_ = first;
  size_max_ = first + extra_max;
  main_ = main;
  home_ = home;
  // Untouched memory costs nothing, and most programs never need many members.
  void* memory = ::operator new (size_max_ * sizeof(crew_member),
                                 std::align_val_t{alignof(crew_member)}, std::nothrow);
  if (memory == nullptr) return ENOMEM;
  members_ = static_cast<crew_member*>(memory);
  int error = 0;
  while (error == 0 && size() < first) error = hire();
  if (error != 0) return error;
  // Without a hirer, or spares, a blocked worker keeps its processor: slower, not wrong.
  hiring_.store(1, base::relaxed);  // relaxed: the hirer starts after this
  hirer_runs_ =
      extra_max != 0 && base::create_kernel_thread(&hirer_, nullptr, &crew::hirer_main, this) == 0;
  return 0;
}

// Never called by two at a time: by open(), then by the hirer.
int crew::hire() noexcept {
  const std::uint32_t count = size_.load(base::relaxed);  // relaxed: ours alone to change
  auto* fresh = ::new (static_cast<void*>(members_ + count)) crew_member;
  fresh->number = count + 1;
  fresh->home = home_;
  fresh->has_come = count < first_;
  // relaxed, here and below: a guess for ourselves
  if (!fresh->has_come) coming_.fetch_add(1, base::relaxed);
  const int error = base::create_kernel_thread(&fresh->kernel_thread, nullptr, main_, fresh);
  if (error != 0) {
    if (!fresh->has_come) coming_.fetch_sub(1, base::relaxed);
    fresh->~crew_member();
    return error;
  }
  size_.store(count + 1, base::release);  // pairs with size()
  return 0;
}

void* crew::hirer_main(void* argument) {
  auto& mine = *static_cast<crew*>(argument);
  std::uint32_t enough = spares_first;
  // acquire: pairs with close()
  while (!mine.closing_.load(base::acquire)) {
    base::futex_wait(mine.hiring_, 0, base::deadline::never());
    // acq_rel: what was wanted before this is seen below, what comes later sets it again
    if (mine.hiring_.exchange(0, base::acq_rel) == 0) continue;
    while (!mine.closing_.load(base::acquire) && mine.size() < mine.size_max_ &&
           mine.coming_.load(base::relaxed) + mine.spare_count_.load(base::relaxed) < enough) {
      if (mine.hire() != 0) break;  // the next one who wants a spare makes us try again
    }
    enough = 2 * enough < spares_most ? 2 * enough : spares_most;
  }
  return nullptr;
}

void crew::want_more() noexcept {
  // relaxed, both: guesses
  if (size_.load(base::relaxed) >= size_max_ || hiring_.load(base::relaxed) != 0) return;
  hiring_.store(1, base::release);  // pairs with hirer_main()
  base::futex_wake(hiring_);
}

crew_member* crew::take_spare() noexcept {
  const std::uint32_t number = spares_.pop(below_of());
  if (number == spare_stack::nobody) {
    shortages_.fetch_add(1, base::relaxed);  // relaxed: a statistic
    want_more();
    return nullptr;
  }
  // relaxed: a guess for the hirer
  if (spare_count_.fetch_sub(1, base::relaxed) <= spares_low) want_more();
  return &(*this)[number];
}

void crew::put_spare(crew_member& idle) noexcept {
  spare_count_.fetch_add(1, base::relaxed);  // relaxed, both: guesses for the hirer
  if (!idle.has_come) [[unlikely]] {
    idle.has_come = true;
    coming_.fetch_sub(1, base::relaxed);
  }
  spares_.push(idle.number, below_of());
}

void crew::close() noexcept {
  closing_.store(true, base::release);  // pairs with hirer_main()
  if (hirer_runs_) {
    hiring_.store(1, base::release);
    base::futex_wake(hiring_);
    ::pthread_join(hirer_, nullptr);
    hirer_runs_ = false;
  }
  const std::uint32_t count = size();
  for (std::uint32_t number = 1; number <= count; ++number) (*this)[number].wake(nullptr, false);
  for (std::uint32_t number = 1; number <= count; ++number) {
    ::pthread_join((*this)[number].kernel_thread, nullptr);
    (*this)[number].~crew_member();
  }
  release_memory();
}

void crew::release_memory() noexcept {
  ::operator delete (members_, std::align_val_t{alignof(crew_member)});
  members_ = nullptr;
  size_.store(0, base::relaxed);  // relaxed: nobody else is left
}

crew_counters crew::counters() const noexcept {
  // relaxed: statistics
  return {size_.load(base::relaxed), spare_count_.load(base::relaxed),
          shortages_.load(base::relaxed)};
}

}  // namespace treadle::core
