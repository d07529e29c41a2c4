// The shim is loaded: what must be so for it to work, and what it lies in wait for.
//
// It is the first library of the process that is initialised (-z initfirst): nobody has made a
// thread yet, and libc has not set `environ`.
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include <cstring>

#include "treadle/shim/door/door.hpp"
#include "treadle/shim/door/patch.hpp"
#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/own_imports.hpp"
#include "treadle/shim/say.hpp"
#include "treadle/shim/takeover.hpp"

namespace treadle::shim {
namespace {

// Before its first thread a process has no side stack but this.
alignas(16) unsigned char first_stack[32 * 1024];

const char* find(char** environment, const char* name) noexcept {
  const std::size_t size = std::strlen(name);
  for (; *environment != nullptr; ++environment) {
    if (std::strncmp(*environment, name, size) == 0 && (*environment)[size] == '=') {
      return *environment + size + 1;
    }
  }
  return nullptr;
}

// A program may write its title over its environment.
const char* keep(const char* name) noexcept {
  static char kept[4096];  // sourced: PATH_MAX of Linux; the kernel takes no longer name
  if (name == nullptr || std::strlen(name) >= sizeof(kept)) return nullptr;
  return std::strcpy(kept, name);
}

// Null, or why not.
const char* what_is_missing() noexcept {
  constexpr unsigned long user_fsgsbase = 1ul << 1;  // sourced: HWCAP2_FSGSBASE
  if ((::getauxval(AT_HWCAP2) & user_fsgsbase) == 0) {
    return "this CPU or kernel does not let programs set the FS base (FSGSBASE)";
  }
  constexpr int dispatch = 59;  // sourced: PR_SET_SYSCALL_USER_DISPATCH, on and off
  seat& outside = treadle_shim_outside;
  if (kernel_call(SYS_prctl, dispatch, 1, treadle_shim_allowed_begin, allowed_bytes(),
                  &outside.selector) != 0) {
    return "the kernel refuses Syscall User Dispatch (Linux 5.11, CONFIG_GENERIC_ENTRY, and no "
           "seccomp filter against prctl)";
  }
  kernel_call(SYS_prctl, dispatch, 0, 0, 0, 0);
  return nullptr;
}

// A program that brings Treadle itself says so in a note (treadle/runtime.cpp), as does this
// library.
bool brings_treadle(const dl_phdr_info& object) noexcept {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = object.dlpi_phdr[i];
    if (part.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const char*>(object.dlpi_addr + part.p_vaddr);
    const char* const end = at + part.p_memsz;
    const auto padded = [](std::size_t size) { return (size + 3) & ~std::size_t{3}; };
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) head;
      std::memcpy(&head, at, sizeof(head));
      const char* name = at + sizeof(head);
      if (head.n_namesz == sizeof("Treadle") && std::strcmp(name, "Treadle") == 0) return true;
      at = name + padded(head.n_namesz) + padded(head.n_descsz);
    }
  }
  return false;
}

bool another_treadle_is_there() noexcept {
  bool found = false;
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* out) {
        const auto own = reinterpret_cast<std::uintptr_t>(&first_stack);
        bool is_own = false;
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const ElfW(Phdr)& part = object->dlpi_phdr[i];
          const std::uintptr_t begin = object->dlpi_addr + part.p_vaddr;
          is_own |= part.p_type == PT_LOAD && own >= begin && own < begin + part.p_memsz;
        }
        if (!is_own && brings_treadle(*object)) *static_cast<bool*>(out) = true;
        return 0;
      },
      &found);
  return found;
}

// Of digits only, as `treadle run` writes it; libc's own functions are not ready yet.
std::int64_t milliseconds_in(const char* text) noexcept {
  std::int64_t found = 0;
  for (; *text >= '0' && *text <= '9' && found < 1'000'000'000; ++text) {
    found = found * 10 + (*text - '0');
  }
  return found;
}

// What this program executes runs natively: its LD_PRELOAD is without us, who are first in it.
void spare_children(char** environment) noexcept {
  constexpr const char name[] = "LD_PRELOAD=";
  for (char** at = environment; *at != nullptr; ++at) {
    if (std::strncmp(*at, name, sizeof(name) - 1) != 0) continue;
    char* const value = *at + sizeof(name) - 1;
    if (const char* rest = std::strchr(value, ':')) {
      std::memmove(value, rest + 1, std::strlen(rest));
      return;
    }
    do {
      at[0] = at[1];
    } while (*at++ != nullptr);
    return;
  }
}

void lie_in_wait() noexcept {
  seat& outside = treadle_shim_outside;
  outside.runtime_pointer = thread_pointer();
  outside.side_stack = first_stack + sizeof(first_stack);
  set_seat_in_gs(&outside);
  treadle_shim_armed = 1;
}

[[gnu::constructor(101)]] void begin(int, char**, char** environment) noexcept {
  bind_imports_to_libc();
  const char* model = find(environment, "TREADLE_MODEL");
  // Where each thread is a kernel thread there is nothing to do: libc's are.
  if (model != nullptr && std::strcmp(model, "1:1") == 0) return;
  const char* children = find(environment, "TREADLE_CHILDREN");
  if (children != nullptr && std::strcmp(children, "off") == 0) spare_children(environment);
  settings& all = chosen();
  const char* fallback = find(environment, "TREADLE_FALLBACK");
  all.falls_back = fallback != nullptr && std::strcmp(fallback, "on") == 0;
  all.stats_file = keep(find(environment, "TREADLE_STATS"));
  const char* limit = find(environment, "TREADLE_PURE");
  if (limit != nullptr && model != nullptr && std::strcmp(model, "m:1") == 0) {
    all.is_pure = true;
    all.watchdog_nanoseconds = milliseconds_in(limit) * 1'000'000;
  }
  // Where the runtime stops threads itself it has its own setting.
  const char* slice = find(environment, "TREADLE_TURNS");
  if (slice != nullptr && model != nullptr && std::strcmp(model, "m:1") == 0) {
    all.slice_nanoseconds = milliseconds_in(slice) * 1'000'000;
  }
  if (another_treadle_is_there()) return;
  const char* missing = what_is_missing();
  if (missing == nullptr) missing = patch_first_sites();
  if (missing == nullptr) return lie_in_wait();
  if (!all.falls_back) fail(missing, 0);
  say(missing, "; the program goes on without Treadle");
}

}  // namespace
}  // namespace treadle::shim
