#include "treadle/context/frame_symbol.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace treadle::context {
namespace {

// Guess: the largest programs have a few hundred thousand symbols; ends a walk over a bad file.
constexpr std::uint64_t symbols_max = std::uint64_t{4} << 20;
// Guess: 1.5 KiB of the alternate signal stack for each read.
constexpr std::size_t symbols_per_read = 64;

class text_out {
 public:
  text_out(char* out, std::size_t size) noexcept : out_(out), left_(size - 1) { *out_ = '\0'; }
  void add(std::string_view text) noexcept {
    const std::size_t count = std::min(text.size(), left_);
    std::memcpy(out_, text.data(), count);
    out_ += count;
    left_ -= count;
    *out_ = '\0';
  }

 private:
  char* out_;
  std::size_t left_;
};

std::string_view file_name(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0: the whole path
}

// ---- the symbol table of an ELF file ----

bool read_at(int file, std::uint64_t offset, void* out, std::size_t size) noexcept {
  return ::pread(file, out, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

bool find_section(int file, const ElfW(Ehdr) & header, std::uint32_t type,
                  ElfW(Shdr) * out) noexcept {
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    if (!read_at(file, header.e_shoff + i * sizeof(*out), out, sizeof(*out))) return false;
    if (out->sh_type == type) return true;
  }
  return false;
}

// Where in the file the name of the function at `address` is, or 0.
std::uint64_t name_offset(int file, std::uintptr_t address) noexcept {
  ElfW(Ehdr) header;
  ElfW(Shdr) table;
  ElfW(Shdr) names;
  if (!read_at(file, 0, &header, sizeof(header)) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_shentsize != sizeof(table)) {
    return 0;
  }
  // A stripped file still has what it exports.
  if (!find_section(file, header, SHT_SYMTAB, &table) &&
      !find_section(file, header, SHT_DYNSYM, &table)) {
    return 0;
  }
  if (!read_at(file, header.e_shoff + table.sh_link * sizeof(names), &names, sizeof(names))) {
    return 0;
  }
  const std::uint64_t count =
      std::min<std::uint64_t>(table.sh_size / sizeof(ElfW(Sym)), symbols_max);
  ElfW(Sym) symbols[symbols_per_read];
  for (std::uint64_t first = 0; first < count; first += symbols_per_read) {
    const std::uint64_t some = std::min<std::uint64_t>(symbols_per_read, count - first);
    if (!read_at(file, table.sh_offset + first * sizeof(*symbols), symbols,
                 some * sizeof(*symbols))) {
      return 0;
    }
    for (std::uint64_t i = 0; i < some; ++i) {
      const ElfW(Sym)& symbol = symbols[i];
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
      if (address < symbol.st_value || address - symbol.st_value >= symbol.st_size) continue;
      return names.sh_offset + symbol.st_name;
    }
  }
  return 0;
}

void read_function(const char* path, std::uintptr_t address, frame_symbol* out) noexcept {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  char symbol[sizeof(out->function)] = {};
  const std::uint64_t offset = name_offset(file, address);
  if (offset != 0 && ::pread(file, symbol, sizeof(symbol) - 1, static_cast<off_t>(offset)) > 0) {
    write_readable_name(symbol, out->function, sizeof(out->function));
  }
  ::close(file);
}

// ---- names ----

// <number><that many characters>, the spelling of a plain name in the Itanium C++ ABI, 5.1.2.
bool read_plain_name(std::string_view& rest, std::string_view* name) noexcept {
  std::size_t length = 0;
  std::size_t digits = 0;
  while (digits < rest.size() && digits < 4 && rest[digits] >= '0' && rest[digits] <= '9') {
    length = length * 10 + static_cast<std::size_t>(rest[digits++] - '0');
  }
  if (digits == 0 || length == 0 || length > rest.size() - digits) return false;
  *name = rest.substr(digits, length);
  rest.remove_prefix(digits + length);
  if (name->starts_with("_GLOBAL__N")) *name = "(anonymous namespace)";
  return true;
}

bool skip(std::string_view& rest, std::string_view prefix) noexcept {
  if (!rest.starts_with(prefix)) return false;
  rest.remove_prefix(prefix.size());
  return true;
}

// N [qualifiers] names E, or one name; templates, operators and local names are left alone.
bool write_demangled(std::string_view rest, text_out& out) noexcept {
  const bool nested = skip(rest, "N");
  while (nested && !rest.empty() && std::strchr("rVKRO", rest.front()) != nullptr) {
    rest.remove_prefix(1);
  }
  skip(rest, "L");  // g++ marks functions of one file so
  std::string_view name;
  if (skip(rest, "St")) {
    out.add("std::");
  }
  for (bool first = true;; first = false) {
    if (!first) {
      if (!nested || skip(rest, "E")) break;
      out.add("::");
    }
    if (!first && (skip(rest, "C1") || skip(rest, "C2"))) {
      out.add(name);
    } else if (!first && (skip(rest, "D1") || skip(rest, "D2"))) {
      out.add("~");
      out.add(name);
    } else {
      skip(rest, "L");
      if (!read_plain_name(rest, &name)) return false;
      out.add(name);
    }
  }
  out.add("()");
  // What follows are the parameters' types, or the arguments of a template.
  return !rest.starts_with("I");
}

}  // namespace

void write_readable_name(const char* symbol, char* out, std::size_t size) noexcept {
  std::string_view rest(symbol);
  text_out text(out, size);
  if (skip(rest, "_Z")) {
    if (write_demangled(rest, text)) return;
    text = text_out(out, size);
    text.add(symbol);
    return;
  }
  text.add(symbol);
  text.add("()");
}

bool find_symbol(const void* code, frame_symbol* out) noexcept {
  *out = {};
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
  dl_find_object found;
  if (::_dl_find_object(const_cast<void*>(code), &found) != 0) return false;
  const char* path = found.dlfo_link_map->l_name;
  char program[512] = {};
  if (path == nullptr || *path == '\0') {
    // Nothing to do on error: the name stays empty.
    [[maybe_unused]] const ssize_t length =
        ::readlink("/proc/self/exe", program, sizeof(program) - 1);
    text_out(out->module, sizeof(out->module)).add(file_name(program));
    path = "/proc/self/exe";  // still right when the program's file was moved
  } else {
    text_out(out->module, sizeof(out->module)).add(file_name(path));
  }
  out->offset = reinterpret_cast<std::uintptr_t>(code) - found.dlfo_link_map->l_addr;
  read_function(path, out->offset, out);
  return true;
#endif
#endif
  return false;
}

}  // namespace treadle::context
