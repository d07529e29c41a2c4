#include "treadle/shim/door/patch.hpp"

#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdint>
#include <cstring>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/door/call_sites.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/say.hpp"

extern "C" {
std::uint8_t treadle_shim_ways[512] = {};
}

namespace treadle::shim {
namespace {

constexpr std::uintptr_t page = 4096;   // sourced: x86-64's base page
constexpr std::size_t stub_bytes = 40;  // the longest: 12 that are kept, and 23 of the way out

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

bool makes_tasks(std::uint32_t number) noexcept {
  return number == SYS_clone || number == SYS_vfork || number == SYS_clone3;
}

// Never through the door: what the kernel looks for at its own address, and what does not return.
bool stays(std::uint32_t number) noexcept {
  return number == SYS_rt_sigreturn || number == SYS_fork;
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

void write_stub(const call_site& site, std::uint8_t* stub) noexcept {
  std::memcpy(stub, site.at, site.kept_bytes);
  void (*door)() = &treadle_shim_door;
  if (site.form == site_form::any) {
    door = &treadle_shim_any;
  } else if (site.number == call_site::not_known) {
    door = &treadle_shim_site;
  } else if (way_of(site.number) == way::straight) {
    door = &treadle_shim_straight;
  }
  write_way_out(stub + site.kept_bytes, site.back, door);
}

void fill_ways() noexcept {
  for (int i = 0; i < static_cast<int>(sizeof(treadle_shim_ways)); ++i) {
    treadle_shim_ways[i] = static_cast<std::uint8_t>(way_of(i));
  }
}

long protect(const text_range& text, int protection) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(text.begin) & ~(page - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(text.end) + page - 1) & ~(page - 1);
  return kernel_call(SYS_mprotect, begin, end - begin, protection);
}

template <class Wanted>
const char* patch_sites(Wanted&& wanted) noexcept {
  std::size_t count = 0;
  for (std::size_t i = 0; i < site_count; ++i) count += wanted(sites[i]) ? 1 : 0;
  if (count == 0) return "this libc has none of the system calls that are to be patched";
  const std::size_t bytes = (count * stub_bytes + page - 1) & ~(page - 1);
  std::uint8_t* const stubs = map_near(libc_text, bytes);
  if (stubs == nullptr) return "there is no memory near libc for the patches";
  std::uint8_t* next = stubs;
  const auto for_each_site = [&](auto&& action) noexcept {
    next = stubs;
    for (std::size_t i = 0; i < site_count; ++i) {
      if (!wanted(sites[i])) continue;
      action(sites[i]);
      next += stub_bytes;
    }
  };
  for_each_site([&](const call_site& site) noexcept { write_stub(site, next); });
  // First: whoever forbids new code forbids this, too, and libc is whole yet.
  if (protect({stubs, stubs + bytes}, PROT_READ | PROT_EXEC) != 0) {
    return "the kernel refuses to run the patches";
  }
  if (protect(libc_text, PROT_READ | PROT_WRITE) != 0) {
    return "the kernel refuses to patch libc's text";
  }
  for_each_site([&](const call_site& site) noexcept { write_jump(site.at, next); });
  if (protect(libc_text, PROT_READ | PROT_EXEC) != 0) {
    fail("the kernel refuses to run libc's text once it is patched", 0);  // nothing could go on
  }
  return nullptr;
}

}  // namespace

const char* patch_first_sites() noexcept {
  libc_text = find_libc();
  if (libc_text.begin == nullptr) return "the program does not use glibc (no libc.so.6 in it)";
  site_count = find_call_sites(libc_text, sites, sites_max);
  return patch_sites([](const call_site& site) noexcept { return makes_tasks(site.number); });
}

const char* patch_all_sites() noexcept {
  site_count = drop_jumped_into(libc_text, sites, site_count);
  fill_ways();
  return patch_sites([](const call_site& site) noexcept {
    return !makes_tasks(site.number) && !stays(site.number);
  });
}

int patched_sites() noexcept { return patched; }

bool is_in_libc(std::uint64_t address) noexcept {
  return address >= reinterpret_cast<std::uint64_t>(libc_text.begin) &&
         address < reinterpret_cast<std::uint64_t>(libc_text.end);
}

}  // namespace treadle::shim
