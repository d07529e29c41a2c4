#include "treadle/shim/patch.hpp"

#include <emmintrin.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "treadle/shim/calls.hpp"
#include "treadle/shim/door.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/say.hpp"

extern "C" {
std::uint8_t treadle_shim_ways[512] = {};
const void* treadle_shim_any_instruction = nullptr;
}

namespace treadle::shim {
namespace {

constexpr std::uintptr_t page = 4096;  // sourced: x86-64's base page
constexpr std::size_t stub_bytes = 32;
// Guess: no libc has a system call of a larger number.
constexpr std::uint32_t number_max = 1023;

struct text_range {
  std::uint8_t* begin = nullptr;
  std::uint8_t* end = nullptr;
};

struct call_site {
  std::uint8_t* at;
  std::uint32_t number;
};

// Guess: twice what glibc 2.36 has. What has no room is trapped.
constexpr std::size_t sites_max = 1024;

int patched = 0;
// Fixed after the first patches.
text_range libc_text;
call_site sites[sites_max];
std::size_t site_count = 0;

// Its executable segment.
text_range find_libc() noexcept {
  text_range found;
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* out) {
        const char* name = std::strrchr(object->dlpi_name, '/');
        if (name == nullptr || std::strcmp(name, "/libc.so.6") != 0) return 0;
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const ElfW(Phdr)& part = object->dlpi_phdr[i];
          if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
          auto* begin = reinterpret_cast<std::uint8_t*>(object->dlpi_addr + part.p_vaddr);
          *static_cast<text_range*>(out) = {begin, begin + part.p_memsz};
        }
        return 1;
      },
      &found);
  return found;
}

// mov $number, %eax; syscall. `after` is behind the latter.
void note_site(std::uint8_t* after) noexcept {
  std::uint8_t* const at = after - 7;
  if (at < libc_text.begin || at[0] != 0xb8 || site_count == sites_max) return;
  call_site& fresh = sites[site_count++];
  fresh.at = at;
  std::memcpy(&fresh.number, at + 1, sizeof(fresh.number));
}

// Sixteen bytes at a time: libc has some two million, and every process that starts pays for them.
void find_sites() noexcept {
  const __m128i first = _mm_set1_epi8(0x0f);
  const __m128i second = _mm_set1_epi8(0x05);
  const auto at_once = [](const std::uint8_t* at) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  };
  std::uint8_t* at = libc_text.begin;
  for (; at + 17 <= libc_text.end; at += 16) {
    const __m128i both =
        _mm_and_si128(_mm_cmpeq_epi8(at_once(at), first), _mm_cmpeq_epi8(at_once(at + 1), second));
    for (int found = _mm_movemask_epi8(both); found != 0; found &= found - 1) {
      note_site(at + __builtin_ctz(static_cast<unsigned>(found)) + 2);
    }
  }
  for (; at + 2 <= libc_text.end; ++at) {
    if (at[0] == 0x0f && at[1] == 0x05) note_site(at + 2);
  }
}

bool makes_tasks(std::uint32_t number) noexcept {
  return number == SYS_clone || number == SYS_vfork || number == SYS_clone3;
}

// Never through the door: what the kernel looks for at its own address, and what does not return.
bool stays(std::uint32_t number) noexcept {
  return number == SYS_rt_sigreturn || number == SYS_fork || number > number_max;
}

// Near enough for a jump of 32 bits.
std::uint8_t* map_near(const text_range& text, std::size_t bytes) noexcept {
  constexpr std::uintptr_t reach = 1ull << 30;  // guess: half of what a jump can do
  constexpr std::uintptr_t step = 1ull << 20;
  const auto begin = reinterpret_cast<std::uintptr_t>(text.begin);
  for (std::uintptr_t away = 16 * step; away < reach; away += step) {
    const std::uintptr_t wanted = (begin - away) & ~(page - 1);
    const long got = kernel_call(SYS_mmap, wanted, bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got > 0) return reinterpret_cast<std::uint8_t*>(got);
  }
  return nullptr;
}

// movabs $back, %rcx; movabs $door, %r11; jmp *%r11
void write_way_out(std::uint8_t* at, const std::uint8_t* back, void (*door)()) noexcept {
  const auto back_address = reinterpret_cast<std::uint64_t>(back);
  const auto door_address = reinterpret_cast<std::uint64_t>(door);
  *at++ = 0x48;
  *at++ = 0xb9;
  std::memcpy(at, &back_address, 8);
  at += 8;
  *at++ = 0x49;
  *at++ = 0xbb;
  std::memcpy(at, &door_address, 8);
  at += 8;
  *at++ = 0x41;
  *at++ = 0xff;
  *at++ = 0xe3;
}

void write_jump(std::uint8_t* at, const std::uint8_t* to) noexcept {
  const auto distance = static_cast<std::int32_t>(to - (at + 5));
  at[0] = 0xe9;
  std::memcpy(at + 1, &distance, sizeof(distance));
  ++patched;
}

// Before it: mov $number, %eax
void write_stub(const call_site& site, std::uint8_t* stub) noexcept {
  const bool straight = way_of(site.number) == way::straight;
  stub[0] = 0xb8;
  std::memcpy(stub + 1, &site.number, sizeof(site.number));
  write_way_out(stub + 5, site.at + 7, straight ? &treadle_shim_straight : &treadle_shim_door);
}

// libc's syscall(): mov 8(%rsp), %r9; syscall. The former goes into the stub. Null where it has
// another form; it is then trapped.
std::uint8_t* find_any() noexcept {
  constexpr std::uint8_t form[] = {0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05};
  constexpr std::size_t function_bytes = 64;  // guess: glibc's has some forty
  const void* function = reinterpret_cast<const void*>(&::syscall);
  const auto address = reinterpret_cast<std::uint64_t>(function);
  if (!is_in_libc(address) || !is_in_libc(address + function_bytes)) return nullptr;
  return static_cast<std::uint8_t*>(::memmem(function, function_bytes, form, sizeof(form)));
}

void write_stub_of_any(std::uint8_t* at, std::uint8_t* stub) noexcept {
  treadle_shim_any_instruction = at + 5;
  for (int i = 0; i < static_cast<int>(sizeof(treadle_shim_ways)); ++i) {
    treadle_shim_ways[i] = static_cast<std::uint8_t>(way_of(i));
  }
  std::memcpy(stub, at, 5);
  write_way_out(stub + 5, at + 7, &treadle_shim_any);
}

long protect(const text_range& text, int protection) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(text.begin) & ~(page - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(text.end) + page - 1) & ~(page - 1);
  return kernel_call(SYS_mprotect, begin, end - begin, protection);
}

template <class Wanted>
const char* patch_sites(Wanted&& wanted, std::uint8_t* any) noexcept {
  std::size_t count = any != nullptr ? 1 : 0;
  for (std::size_t i = 0; i < site_count; ++i) count += wanted(sites[i].number) ? 1 : 0;
  if (count == 0) return "this libc has none of the system calls that are to be patched";
  const std::size_t bytes = (count * stub_bytes + page - 1) & ~(page - 1);
  std::uint8_t* const stubs = map_near(libc_text, bytes);
  if (stubs == nullptr) return "there is no memory near libc for the patches";
  std::uint8_t* next = stubs;
  const auto for_each_site = [&](auto&& action) noexcept {
    next = stubs;
    for (std::size_t i = 0; i < site_count; ++i) {
      if (!wanted(sites[i].number)) continue;
      action(sites[i]);
      next += stub_bytes;
    }
  };
  for_each_site([&](const call_site& site) noexcept { write_stub(site, next); });
  if (any != nullptr) write_stub_of_any(any, next);
  // First: whoever forbids new code forbids this, too, and libc is whole yet.
  if (protect({stubs, stubs + bytes}, PROT_READ | PROT_EXEC) != 0) {
    return "the kernel refuses to run the patches";
  }
  if (protect(libc_text, PROT_READ | PROT_WRITE) != 0) {
    return "the kernel refuses to patch libc's text";
  }
  for_each_site([&](const call_site& site) noexcept { write_jump(site.at, next); });
  if (any != nullptr) write_jump(any, next);
  if (protect(libc_text, PROT_READ | PROT_EXEC) != 0) {
    fail("the kernel refuses to run libc's text once it is patched", 0);  // nothing could go on
  }
  return nullptr;
}

}  // namespace

const char* patch_first_sites() noexcept {
  libc_text = find_libc();
  if (libc_text.begin == nullptr) return "the program does not use glibc (no libc.so.6 in it)";
  find_sites();
  return patch_sites([](std::uint32_t number) noexcept { return makes_tasks(number); }, nullptr);
}

const char* patch_all_sites() noexcept {
  return patch_sites(
      [](std::uint32_t number) noexcept { return !makes_tasks(number) && !stays(number); },
      find_any());
}

int patched_sites() noexcept { return patched; }

bool is_in_libc(std::uint64_t address) noexcept {
  return address >= reinterpret_cast<std::uint64_t>(libc_text.begin) &&
         address < reinterpret_cast<std::uint64_t>(libc_text.end);
}

}  // namespace treadle::shim
