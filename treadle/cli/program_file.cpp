#include "treadle/cli/program_file.hpp"

#include <elf.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace treadle::cli {
namespace {

// Guess: a program's headers, notes and dynamic section are small; a file that says otherwise is
// broken.
constexpr std::size_t part_bytes_max = 1 << 20;

std::string find_in_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/bin:/usr/bin");  // sourced: execvp(3)
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    struct stat info {};
    if (::access(candidate.c_str(), X_OK) == 0 && ::stat(candidate.c_str(), &info) == 0 &&
        S_ISREG(info.st_mode)) {
      return candidate;
    }
  }
  return name;
}

class elf_file {
 public:
  explicit elf_file(const std::string& path) : file_(path, std::ios::binary) {
    if (!read_at(0, &head_, sizeof(head_))) return;
    is_elf_ = std::memcmp(head_.e_ident, ELFMAG, SELFMAG) == 0;
    if (!is_elf_ || head_.e_ident[EI_CLASS] != ELFCLASS64) return;
    if (head_.e_phentsize != sizeof(Elf64_Phdr)) return;
    parts_.resize(head_.e_phnum);
    if (!read_at(head_.e_phoff, parts_.data(), parts_.size() * sizeof(Elf64_Phdr))) parts_.clear();
  }

  bool is_elf() const noexcept { return is_elf_; }
  bool is_for_x86_64() const noexcept {
    return head_.e_ident[EI_CLASS] == ELFCLASS64 && head_.e_machine == EM_X86_64;
  }

  std::string interpreter() {
    const std::vector<char> text = content(PT_INTERP);
    return text.empty() ? std::string() : std::string(text.data());
  }

  bool has_treadle_note() {
    for (const Elf64_Phdr& part : parts_) {
      if (part.p_type != PT_NOTE) continue;
      const std::vector<char> notes = bytes_of(part.p_offset, part.p_filesz);
      const std::string_view text(notes.data(), notes.size());
      if (text.find(std::string_view("Treadle\0", 8)) != std::string_view::npos) return true;
    }
    return false;
  }

  // A library whose name begins so.
  bool needs(std::string_view wanted) {
    const std::vector<char> table = content(PT_DYNAMIC);
    std::vector<Elf64_Xword> names;
    Elf64_Addr strings = 0;
    for (std::size_t at = 0; at + sizeof(Elf64_Dyn) <= table.size(); at += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry;
      std::memcpy(&entry, table.data() + at, sizeof(entry));
      if (entry.d_tag == DT_NEEDED) names.push_back(entry.d_un.d_val);
      if (entry.d_tag == DT_STRTAB) strings = entry.d_un.d_ptr;
    }
    for (const Elf64_Xword name : names) {
      std::string text(wanted.size(), '\0');
      if (read_at(offset_of(strings) + name, text.data(), text.size()) && text == wanted) {
        return true;
      }
    }
    return false;
  }

 private:
  bool read_at(std::size_t offset, void* out, std::size_t bytes) {
    file_.clear();
    file_.seekg(static_cast<std::streamoff>(offset));
    return bytes == 0 || static_cast<bool>(file_.read(static_cast<char*>(out),
                                                      static_cast<std::streamsize>(bytes)));
  }
  std::vector<char> bytes_of(std::size_t offset, std::size_t bytes) {
    std::vector<char> found(bytes < part_bytes_max ? bytes : part_bytes_max);
    if (!read_at(offset, found.data(), found.size())) found.clear();
    return found;
  }
  std::vector<char> content(Elf64_Word type) {
    for (const Elf64_Phdr& part : parts_) {
      if (part.p_type != type) continue;
      std::vector<char> found = bytes_of(part.p_offset, part.p_filesz);
      if (type == PT_INTERP) found.push_back('\0');
      return found;
    }
    return {};
  }
  std::size_t offset_of(Elf64_Addr address) const {
    for (const Elf64_Phdr& part : parts_) {
      if (part.p_type == PT_LOAD && address >= part.p_vaddr &&
          address < part.p_vaddr + part.p_filesz) {
        return address - part.p_vaddr + part.p_offset;
      }
    }
    return address;
  }

  std::ifstream file_;
  Elf64_Ehdr head_{};
  std::vector<Elf64_Phdr> parts_;
  bool is_elf_ = false;
};

// Null, or why the kernel would start it without what LD_PRELOAD says.
const char* gets_other_rights(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & (S_ISUID | S_ISGID)) != 0) {
    return "is a setuid or setgid program: the kernel loads no libraries of ours into it";
  }
  if (::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0) {
    return "has capabilities of its own: the kernel loads no libraries of ours into it";
  }
  return nullptr;
}

// The program of a `#!` line, or nothing.
std::string script_interpreter(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  if (!std::getline(file, line) || line.compare(0, 2, "#!") != 0) return {};
  std::istringstream words(line.substr(2));
  std::string program;
  words >> program;
  // `#!/usr/bin/env NAME`: NAME is what runs.
  std::string argument;
  if (program.ends_with("/env") && words >> argument && argument[0] != '-') return argument;
  return program;
}

program_file not_for_shim(std::string path, std::string why) {
  return {program_kind::not_for_shim, std::move(path), std::move(why)};
}

program_file judge(const std::string& path) {
  elf_file file(path);
  if (!file.is_elf()) return {program_kind::unreadable, path, {}};
  if (!file.is_for_x86_64()) return not_for_shim(path, "is not a program for x86-64");
  if (file.has_treadle_note() || file.needs("libtreadle.so")) {
    return {program_kind::brings_treadle, path, {}};
  }
  const std::string interpreter = file.interpreter();
  if (interpreter.empty()) {
    return not_for_shim(path, "is linked statically: there is no libc.so.6 in it to stand behind");
  }
  if (!interpreter.ends_with("/ld-linux-x86-64.so.2")) {
    return not_for_shim(path, "uses another libc than glibc (its loader is " + interpreter + ")");
  }
  if (const char* why = gets_other_rights(path)) return not_for_shim(path, why);
  return {program_kind::threads_of_libc, path, {}};
}

}  // namespace

program_file look_at_program(const std::string& name) {
  std::string path = find_in_path(name);
  const std::string first = path;
  constexpr int scripts_max = 5;  // sourced: execve(2), interpreters of interpreters
  for (int i = 0; i < scripts_max; ++i) {
    const std::string interpreter = script_interpreter(path);
    if (interpreter.empty()) break;
    path = find_in_path(interpreter);
  }
  program_file found = judge(path);
  found.path = first;
  if (found.kind == program_kind::unreadable && ::access(path.c_str(), X_OK) == 0 &&
      ::access(path.c_str(), R_OK) != 0) {
    found.kind = program_kind::not_for_shim;
    found.why = "cannot be read, so that nobody knows how it is linked";
  }
  return found;
}

}  // namespace treadle::cli
