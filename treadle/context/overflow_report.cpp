#include "treadle/context/overflow_report.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>

#include "treadle/base/atomic.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/context/frame_symbol.hpp"
#include "treadle/context/stack_arenas.hpp"

namespace treadle::context {
namespace {

// Guess: what fits a screen.
constexpr int other_threads_max = 16;
// Guess: reads at most this many pages, 10 ms, before it stops looking for other threads.
constexpr std::uint32_t slots_looked_at_max = 65536;
// Guess: far more than the handler's 6 KiB, as handlers that were there before run on it too.
constexpr std::size_t handler_bytes = std::size_t{48} << 10;
constexpr std::size_t alternate_bytes_min = std::size_t{64} << 10;

base::atomic<describe_function> describer{nullptr};
base::atomic<bool> installed{false};
base::atomic<bool> reporting{false};

// Written by install_overflow_handler() before the handler can run.
struct sigaction previous_segv;
struct sigaction previous_bus;

// One line of text, written with one system call.
class report_line {
 public:
  void add(std::string_view text) noexcept {
    const std::size_t count = std::min(text.size(), sizeof(text_) - 1 - size_);
    std::memcpy(text_ + size_, text.data(), count);
    size_ += count;
  }
  void add_number(std::uint64_t number, unsigned base = 10) noexcept {
    char digits[20];
    std::size_t first = sizeof(digits);
    do {
      digits[--first] = "0123456789abcdef"[number % base];
      number /= base;
    } while (number != 0);
    add({digits + first, sizeof(digits) - first});
  }
  void add_address(std::uintptr_t address) noexcept {
    add("0x");
    add_number(address, 16);
  }
  void add_thread(const overflow_subject& subject) noexcept {
    add_number(subject.thread);
    if (subject.name[0] == '\0') return;
    add(" \"");
    add(subject.name);
    add("\"");
  }
  void write_out() noexcept {
    text_[size_++] = '\n';
    // Nothing can be done about a failing write while dying.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text_, size_);
    size_ = 0;
  }

 private:
  char text_[1024];  // sourced: 16 threads of 20 digits and a name of 31
  std::size_t size_ = 0;
};

struct registers {
  std::uintptr_t code;
  std::uintptr_t stack_pointer;
};

registers registers_of(const void* raw) noexcept {
  const auto& machine = static_cast<const ucontext_t*>(raw)->uc_mcontext;
#if defined(__x86_64__)
  return {static_cast<std::uintptr_t>(machine.gregs[REG_RIP]),
          static_cast<std::uintptr_t>(machine.gregs[REG_RSP])};
#elif defined(__aarch64__)
  return {machine.pc, machine.sp};
#endif
}

bool describe(const stack& memory, overflow_subject* subject) noexcept {
  // pairs with set_stack_describer().
  const describe_function function = describer.load(base::acquire);
  return function != nullptr && function(memory, subject);
}

void add_frame(report_line& line, std::uintptr_t code) noexcept {
  frame_symbol symbol;
  if (!find_symbol(reinterpret_cast<const void*>(code), &symbol)) {
    line.add(", at code ");
    line.add_address(code);
    return;
  }
  line.add(", in frame ");
  line.add(symbol.function[0] != '\0' ? symbol.function : "?");
  line.add(" (");
  line.add(symbol.module);
  line.add("+");
  line.add_address(symbol.offset);
  line.add(")");
}

void say_subject(report_line& line, const stack& hit, std::uintptr_t fault,
                 const registers& at) noexcept {
  overflow_subject subject{0, "", 0};
  line.add("treadle: stack overflow in ");
  if (describe(hit, &subject)) {
    line.add("thread ");
    line.add_thread(subject);
  } else {
    subject.stack_bytes = hit.arena->stack_bytes();
    line.add("a stack that no thread owns");
  }
  line.add(": ");
  line.add_number(subject.stack_bytes / 1024);
  line.add(" KiB stack, fault at ");
  line.add_address(fault);
  add_frame(line, at.code);
  line.write_out();
  const auto top = reinterpret_cast<std::uintptr_t>(hit.top);
  const auto guard = reinterpret_cast<std::uintptr_t>(hit.bottom) - hit.arena->guard_bytes();
  if (at.stack_pointer < guard || at.stack_pointer > top) {
    line.add("treadle: the stack pointer ");
    line.add_address(at.stack_pointer);
    line.add(
        " is not in that stack: a frame larger than the guard (build with "
        "-fstack-clash-protection, or raise runtime_options::guard_bytes or TREADLE_GUARD), "
        "or a stray write");
    line.write_out();
  }
  line.add(
      "treadle: for a larger stack set thread_attributes::stack_bytes, "
      "runtime_options::stack_bytes or the environment's TREADLE_STACK, as in TREADLE_STACK=");
  line.add_number(std::max<std::size_t>(subject.stack_bytes / 1024 * 2, 16));
  line.add("K");
  line.write_out();
}

void say_other_threads(report_line& line, const stack& hit) noexcept {
  struct walk {
    report_line& line;
    const stack& hit;
    int named;
  };
  walk state{line, hit, 0};
  for_each_touched_slot(
      [](const stack& memory, void* argument) {
        auto& here = *static_cast<walk*>(argument);
        overflow_subject subject{0, "", 0};
        if (memory.bottom == here.hit.bottom || !describe(memory, &subject)) return true;
        if (here.named == other_threads_max) {
          here.line.add(", and more");
          return false;
        }
        here.line.add(here.named++ == 0 ? "treadle: other threads: " : ", ");
        here.line.add_thread(subject);
        return true;
      },
      &state, slots_looked_at_max);
  if (state.named > 0) line.write_out();
}

void set_default_action(int signal) noexcept {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);  // cannot fail for these signals
}

// Does what would have happened without this handler.
void pass_on(int signal, siginfo_t* info, void* raw) noexcept {
  const struct sigaction& previous = signal == SIGSEGV ? previous_segv : previous_bus;
  const bool sent = info->si_code <= 0;  // by kill() and its like: it will not happen again
  const bool has_information = (previous.sa_flags & SA_SIGINFO) != 0;
  if (!has_information && previous.sa_handler == SIG_IGN && sent) return;
  if (!has_information && (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN)) {
    set_default_action(signal);
    // Sent again, it is delivered when this handler returns; a fault is by then a new fault.
    if (sent) ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), signal);
    return;
  }
  // The mask that the kernel would have set; it is undone when this handler returns.
  ::pthread_sigmask(SIG_BLOCK, &previous.sa_mask, nullptr);
  if ((previous.sa_flags & SA_NODEFER) != 0) {
    sigset_t own;
    ::sigemptyset(&own);
    ::sigaddset(&own, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
  }
  if (has_information) {
    previous.sa_sigaction(signal, info, raw);
  } else {
    previous.sa_handler(signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* raw) noexcept {
  stack hit{};
  if (info->si_code <= 0 || arena_of(info->si_addr, &hit) == nullptr ||
      !hit.arena->in_guard(hit, info->si_addr)) {
    pass_on(signal, info, raw);
    return;
  }
  // relaxed: only one kernel thread may report; the others wait for the end it brings.
  while (reporting.exchange(true, base::relaxed)) ::pause();
  report_line line;
  say_subject(line, hit, reinterpret_cast<std::uintptr_t>(info->si_addr), registers_of(raw));
  say_other_threads(line, hit);
  // The instruction faults again when this handler returns, and a core file shows it.
  set_default_action(signal);
}

// The arena of alternate stacks: apart from the others, as no thread lies at the top of these.
// Never destroyed: kernel threads may end after the program's static objects.
stack_arena& alternate_stacks() noexcept {
  alignas(stack_arena) static std::byte storage[sizeof(stack_arena)];
  static stack_arena* const arena = [] {
    // The kernel's frame alone takes 3 KiB with AVX-512 and 11 KiB with AMX.
    const long frame_bytes = ::sysconf(_SC_MINSIGSTKSZ);
    const std::size_t bytes = static_cast<std::size_t>(std::max(frame_bytes, 0L)) + handler_bytes;
    return ::new (storage) stack_arena(std::max(bytes, alternate_bytes_min), base::page_bytes());
  }();
  return *arena;
}

}  // namespace

void set_stack_describer(describe_function describe) noexcept {
  describer.store(describe, base::release);  // pairs with describe(), publishes what it reads
}

void install_overflow_handler() noexcept {
  // relaxed: only one caller may see false; the kernel orders sigaction() before the signals.
  if (installed.exchange(true, base::relaxed)) return;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  // Asked first, as a fault may come between setting and storing. Cannot fail for these signals.
  ::sigaction(SIGSEGV, nullptr, &previous_segv);
  ::sigaction(SIGBUS, nullptr, &previous_bus);
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
}

alternate_signal_stack::alternate_signal_stack() noexcept {
  stack_t existing = {};
  if (::sigaltstack(nullptr, &existing) == 0 && (existing.ss_flags & SS_DISABLE) == 0) return;
  stack_arena& arena = alternate_stacks();
  error_ = arena.promise(1);
  if (error_ != 0) return;
  if (arena.take(&memory_, 1) != 1) {
    arena.give_up(1);
    error_ = ENOMEM;
    return;
  }
  stack_t own = {};
  own.ss_sp = memory_.bottom;
  own.ss_size = static_cast<std::size_t>(memory_.top - memory_.bottom);
  if (::sigaltstack(&own, nullptr) == 0) return;
  error_ = errno;
  arena.put(&memory_, 1);
  arena.give_up(1);
  memory_ = {};
}

alternate_signal_stack::~alternate_signal_stack() {
  if (memory_.arena == nullptr) return;
  stack_t current = {};
  // Somebody may have put another one in its place, which stays then.
  if (::sigaltstack(nullptr, &current) == 0 && current.ss_sp == memory_.bottom) {
    stack_t off = {};
    off.ss_flags = SS_DISABLE;
    // Fails only when called on that very stack, that is, in a handler: the stack is then lost.
    if (::sigaltstack(&off, nullptr) != 0) return;
  }
  memory_.arena->put(&memory_, 1);
  memory_.arena->give_up(1);
}

}  // namespace treadle::context
