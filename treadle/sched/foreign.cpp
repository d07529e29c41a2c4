// Foreign kernel threads: main, and threads that some library made. They are adopted at their
// first use of the runtime: they get a record, a body and a worker of their own, park on a futex,
// and are forgotten when the kernel thread ends.
//
// Rejected: C++ thread_local for this state. Its destructors run before static destructors do on
// the main thread, and those may still use the runtime; a pthread key's destructor does not run
// at exit().
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "treadle/base/system_call.hpp"
#include "treadle/sched/kernel_level.hpp"
#include "treadle/sched/one_to_one.hpp"
#include "treadle/thread/body.hpp"
#include "treadle/thread/record_list.hpp"

// Sourced: glibc's, what thread_local objects are destroyed by.
extern "C" int __cxa_thread_atexit_impl(void (*destroy)(void*), void* object, void* dso) noexcept;
extern "C" void* __dso_handle;

namespace treadle::core {
namespace {

struct foreign_thread {
  worker self;
  thread_body body;
  thread* record = nullptr;
  bool mapped = false;
};

one_to_one& foreign_scheduler() noexcept {
  alignas(one_to_one) static std::byte memory[sizeof(one_to_one)];
  // Never destroyed: foreign threads may outlive static destruction.
  static auto* scheduler = ::new (memory) one_to_one(stack_sizes{0, 0});
  return *scheduler;
}

void forget(void* state) noexcept {
  auto* mine = static_cast<foreign_thread*>(state);
  if (mine->body.specific.destroy != nullptr) finish_specific(*mine->record);
  thread& record = *mine->record;
  end_kernel_level(record);
  transition(record, thread_state::running, thread_state::finished, wait_reason::exited);
  record_pool::release(mine->self.records, record);
  mine->self.release_kernel_thread();
  const bool mapped = mine->mapped;
  mine->~foreign_thread();
  if (mapped) base::unmap_memory(state, sizeof(foreign_thread));
}

// When the kernel thread ends, `mine` is forgotten.
void forget_at_end(foreign_thread* mine) noexcept {
  struct end_key {
    pthread_key_t number{};
    bool is_made = ::pthread_key_create(&number, &forget) == 0;
  };
  static const end_key key;
  if (key.is_made) {
    ::pthread_setspecific(key.number, mine);
  } else if (::getpid() != ::gettid()) {
    // The program has all keys. What its own keys' destructors adopt again stays. It cannot fail.
    __cxa_thread_atexit_impl(&forget, mine, &__dso_handle);
  }
}

// The first one, main mostly, needs no system call that could fail.
void* memory_for_one(bool& mapped) noexcept {
  alignas(foreign_thread) static std::byte first[sizeof(foreign_thread)];
  static base::atomic<bool> first_taken{false};
  mapped = first_taken.exchange(true, base::relaxed);  // relaxed: only one gets false
  if (!mapped) return first;
  const base::mapping_result page = base::map_memory(
      nullptr, sizeof(foreign_thread), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  TREADLE_CHECK(page.error == 0, "no memory to adopt a foreign kernel thread");
  return page.address;
}

// A kernel thread that wakes somebody before it has used anything else.
struct greeting {
  greeting() noexcept {
    base::set_stranger_hook([]() noexcept { adopt_current(); });
  }
};
const greeting install;

}  // namespace

bool is_foreign(const scheduler_port* scheduler) noexcept {
  return scheduler == &foreign_scheduler();
}

thread& adopt_current() noexcept {
  bool mapped = false;
  auto* mine = ::new (memory_for_one(mapped)) foreign_thread;
  mine->mapped = mapped;
  mine->self.scheduler = &foreign_scheduler();
  mine->self.spins_max = spins_between_kernel_threads();
  mine->self.adopt_kernel_thread(false);
  thread* record = record_pool::acquire(mine->self.records);
  TREADLE_CHECK(record != nullptr, "no memory to adopt a foreign kernel thread");
  mine->record = record;
  mine->body.set_name(::getpid() == ::gettid() ? "main" : "foreign");
  record->body = &mine->body;
  record->resume = {};
  record->bound = true;
  record->forked = false;
  record->scheduler = mine->self.scheduler;
  record->completion.begin();
  // relaxed: nobody else knows the record yet
  mine->body.owner.store(record, base::relaxed);
  transition(*record, thread_state::fresh, thread_state::running, wait_reason::none);
  set_current_thread(record);
  begin_kernel_level(*record);
  forget_at_end(mine);
  return *record;
}

}  // namespace treadle::core
