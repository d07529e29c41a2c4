#include "treadle/shim/own_imports.hpp"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdint>

#include "treadle/shim/kernel_call.hpp"

// The linker's names for our own headers.
extern "C" {
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));
extern ElfW(Dyn) own_dynamic_section[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));
}

// Calls nothing outside of the shim, not even memory functions: they are what is to be mended.
namespace treadle::shim {
namespace {

// As the dynamic linker has left it: addresses, no offsets.
struct dynamic_section {
  explicit dynamic_section(const ElfW(Dyn) * at) noexcept {
    for (; at->d_tag != DT_NULL; ++at) {
      const ElfW(Addr) value = at->d_un.d_ptr;
      if (at->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(value);
      if (at->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(value);
      if (at->d_tag == DT_VERSYM) versions = reinterpret_cast<const std::uint16_t*>(value);
      if (at->d_tag == DT_GNU_HASH) hashes = reinterpret_cast<const std::uint32_t*>(value);
      if (at->d_tag == DT_RELA) relocations = reinterpret_cast<ElfW(Rela)*>(value);
      if (at->d_tag == DT_RELASZ) relocation_bytes = value;
      if (at->d_tag == DT_JMPREL) calls = reinterpret_cast<ElfW(Rela)*>(value);
      if (at->d_tag == DT_PLTRELSZ) call_bytes = value;
    }
  }
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  const std::uint16_t* versions = nullptr;
  const std::uint32_t* hashes = nullptr;
  const ElfW(Rela) * relocations = nullptr;
  std::size_t relocation_bytes = 0;
  const ElfW(Rela) * calls = nullptr;
  std::size_t call_bytes = 0;
};

bool are_equal(const char* one, const char* other) noexcept {
  while (*one != '\0' && *one == *other) ++one, ++other;
  return *one == *other;
}

bool ends_with(const char* text, const char* end) noexcept {
  for (; *text != '\0'; ++text) {
    if (are_equal(text, end)) return true;
  }
  return false;
}

const link_map* find_libc() noexcept {
  for (const link_map* one = _r_debug.r_map; one != nullptr; one = one->l_next) {
    if (ends_with(one->l_name, "/libc.so.6")) return one;
  }
  return nullptr;
}

// The function of that name in its newest version; 0 where there is none. Sources: the System V
// gABI's symbol tables; "GNU hash ELF sections", A. Roenky, for the table's layout.
ElfW(Addr) find_function(const dynamic_section& in, ElfW(Addr) base, const char* name) noexcept {
  std::uint32_t hash = 5381;
  for (const char* each = name; *each != '\0'; ++each) {
    hash = hash * 33 + static_cast<unsigned char>(*each);
  }
  const std::uint32_t bucket_count = in.hashes[0];
  const std::uint32_t first_symbol = in.hashes[1];
  const std::uint32_t* const buckets = in.hashes + 4 + 2 * in.hashes[2];  // 64-bit filter words
  const std::uint32_t* const chains = buckets + bucket_count;
  std::uint32_t at = buckets[hash % bucket_count];
  if (at < first_symbol) return 0;
  for (;; ++at) {
    const std::uint32_t found = chains[at - first_symbol];
    const ElfW(Sym)& symbol = in.symbols[at];
    constexpr std::uint16_t hidden = 0x8000;  // an older version
    if ((found | 1) == (hash | 1) && (in.versions[at] & hidden) == 0 &&
        symbol.st_shndx != SHN_UNDEF && are_equal(in.names + symbol.st_name, name)) {
      const ElfW(Addr) address = base + symbol.st_value;
      const unsigned type = ELF64_ST_TYPE(symbol.st_info);
      if (type == STT_GNU_IFUNC) return reinterpret_cast<ElfW(Addr) (*)()>(address)();
      return type == STT_FUNC ? address : 0;
    }
    if ((found & 1) != 0) return 0;
  }
}

// The part of our data that the dynamic linker has made read-only.
struct sealed_range {
  sealed_range() noexcept {
    constexpr ElfW(Addr) page = 4096;  // sourced: x86-64's base page
    const auto base = reinterpret_cast<ElfW(Addr)>(&__ehdr_start);
    const auto* part = reinterpret_cast<const ElfW(Phdr)*>(base + __ehdr_start.e_phoff);
    for (int i = 0; i < __ehdr_start.e_phnum; ++i, ++part) {
      if (part->p_type != PT_GNU_RELRO) continue;
      begin = (base + part->p_vaddr) & ~(page - 1);
      end = (base + part->p_vaddr + part->p_memsz) & ~(page - 1);
    }
  }
  bool protect(int how) const noexcept {
    return begin == end || kernel_call(SYS_mprotect, begin, end - begin, how) == 0;
  }
  ElfW(Addr) begin = 0;
  ElfW(Addr) end = 0;
};

// Calls bind(slot, function) for each import that is a function of libc's and is bound elsewhere.
template <class Bind>
void for_each_stranger(const dynamic_section& own, const link_map& libc, Bind bind) noexcept {
  const dynamic_section there(libc.l_ld);
  const auto base = reinterpret_cast<ElfW(Addr)>(&__ehdr_start);
  const auto look = [&](const ElfW(Rela) * at, std::size_t bytes) noexcept {
    for (const auto* end = at + bytes / sizeof(*at); at != end; ++at) {
      const ElfW(Sym)& symbol = own.symbols[ELF64_R_SYM(at->r_info)];
      const auto type = ELF64_R_TYPE(at->r_info);
      const bool is_address = type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT ||
                              (type == R_X86_64_64 && at->r_addend == 0);
      if (!is_address || symbol.st_shndx != SHN_UNDEF) continue;
      // libc itself calls what the program has put in place of malloc when it makes a thread, so
      // that whoever did that must know of our kernel threads.
      if (are_equal(own.names + symbol.st_name, "pthread_create")) continue;
      const ElfW(Addr) function = find_function(there, libc.l_addr, own.names + symbol.st_name);
      auto* const slot = reinterpret_cast<ElfW(Addr)*>(base + at->r_offset);
      if (function != 0 && *slot != function) bind(*slot, function);
    }
  };
  look(own.relocations, own.relocation_bytes);
  look(own.calls, own.call_bytes);
}

}  // namespace

void bind_imports_to_libc() noexcept {
  const link_map* const libc = find_libc();
  if (libc == nullptr) return;
  const dynamic_section own(own_dynamic_section);
  bool any = false;
  for_each_stranger(own, *libc, [&any](ElfW(Addr)&, ElfW(Addr)) noexcept { any = true; });
  if (!any) return;
  const sealed_range sealed;
  if (!sealed.protect(PROT_READ | PROT_WRITE)) return;
  for_each_stranger(own, *libc,
                    [](ElfW(Addr) & slot, ElfW(Addr) function) noexcept { slot = function; });
  sealed.protect(PROT_READ);
}

}  // namespace treadle::shim
