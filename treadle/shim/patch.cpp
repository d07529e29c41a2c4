#include "treadle/shim/patch.hpp"

#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdint>
#include <cstring>

#include "treadle/shim/door.hpp"
#include "treadle/shim/kernel_call.hpp"

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

int patched = 0;
text_range libc_text;  // fixed after the first patches

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

bool is_site(const std::uint8_t* at) noexcept {
  return at[0] == 0xb8 && at[5] == 0x0f && at[6] == 0x05;
}

std::uint32_t number_at(const std::uint8_t* site) noexcept {
  std::uint32_t number;
  std::memcpy(&number, site + 1, sizeof(number));
  return number;
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

// mov $number, %eax; movabs $back, %rcx; movabs $door, %r11; jmp *%r11
std::uint8_t* write_stub(std::uint8_t* at, std::uint32_t number,
                         const std::uint8_t* back) noexcept {
  const auto back_address = reinterpret_cast<std::uint64_t>(back);
  const auto door_address = reinterpret_cast<std::uint64_t>(&treadle_shim_door);
  *at++ = 0xb8;
  std::memcpy(at, &number, 4);
  at += 4;
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
  return at;
}

long protect(const text_range& text, int protection) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(text.begin) & ~(page - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(text.end) + page - 1) & ~(page - 1);
  return kernel_call(SYS_mprotect, begin, end - begin, protection);
}

template <class Wanted>
const char* patch_sites(Wanted&& wanted) noexcept {
  const text_range text = find_libc();
  if (text.begin == nullptr) return "the program does not use glibc (no libc.so.6 in it)";
  libc_text = text;
  const std::uint8_t* last = text.end - 7;
  std::size_t count = 0;
  for (const std::uint8_t* at = text.begin; at <= last; ++at) {
    if (is_site(at) && wanted(number_at(at))) ++count;
  }
  if (count == 0) return "this libc has none of the system calls that are to be patched";
  const std::size_t bytes = (count * stub_bytes + page - 1) & ~(page - 1);
  std::uint8_t* stubs = map_near(text, bytes);
  if (stubs == nullptr) return "there is no memory near libc for the patches";
  if (protect(text, PROT_READ | PROT_WRITE) != 0) return "the kernel refuses to patch libc's text";
  std::uint8_t* next = stubs;
  for (std::uint8_t* at = text.begin; at <= last; ++at) {
    if (!is_site(at) || !wanted(number_at(at))) continue;
    std::uint8_t* stub = next;
    write_stub(stub, number_at(at), at + 7);
    next += stub_bytes;
    const auto distance = static_cast<std::int32_t>(stub - (at + 5));
    at[0] = 0xe9;
    std::memcpy(at + 1, &distance, 4);
    ++patched;
  }
  if (protect(text, PROT_READ | PROT_EXEC) != 0) return "the kernel refuses to run patched text";
  const text_range all_stubs{stubs, stubs + bytes};
  if (protect(all_stubs, PROT_READ | PROT_EXEC) != 0)
    return "the kernel refuses to run the patches";
  return nullptr;
}

}  // namespace

const char* patch_first_sites() noexcept {
  return patch_sites([](std::uint32_t number) noexcept { return makes_tasks(number); });
}

const char* patch_all_sites() noexcept {
  return patch_sites(
      [](std::uint32_t number) noexcept { return !makes_tasks(number) && !stays(number); });
}

int patched_sites() noexcept { return patched; }

bool is_in_libc(std::uint64_t address) noexcept {
  return address >= reinterpret_cast<std::uint64_t>(libc_text.begin) &&
         address < reinterpret_cast<std::uint64_t>(libc_text.end);
}

}  // namespace treadle::shim
