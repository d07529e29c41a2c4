// `deny WHAT PROGRAM ARGUMENTS...`: the program, with one thing that the kernel refuses.
//
// WHAT is `dispatch` (Syscall User Dispatch), `mprotect` (text that can be written), or
// NUMBER:ERROR, a system call and the error that it fails with; NUMBER:ERROR:ARGUMENT:VALUE refuses
// only those with that 32-bit value in that argument. Exit status 77 where there are no seccomp
// filters.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <string>

namespace {

struct refusal {
  unsigned number = 0;
  unsigned error = 0;
  int argument = -1;  // none: whatever it is
  unsigned value = 0;
};

bool read(const std::string& what, refusal& out) {
  if (what == "dispatch") {
    out = {SYS_prctl, EPERM, 0, 59};  // sourced: PR_SET_SYSCALL_USER_DISPATCH
    return true;
  }
  if (what == "mprotect") {
    out = {SYS_mprotect, EPERM, 2, 3};  // sourced: PROT_READ | PROT_WRITE
    return true;
  }
  const int found =
      std::sscanf(what.c_str(), "%u:%u:%d:%u", &out.number, &out.error, &out.argument, &out.value);
  return found == 2 || found == 4;
}

bool refuse(const refusal& what) {
  const auto argument_at =
      static_cast<unsigned>(offsetof(seccomp_data, args) +
                            8 * static_cast<unsigned>(what.argument < 0 ? 0 : what.argument));
  // Without an argument the second jump goes on either way.
  const unsigned char other = what.argument < 0 ? 0 : 1;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, what.number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, what.value, 0, other),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | what.error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{sizeof(program) / sizeof(program[0]), program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  refusal what;
  if (argc < 3 || !read(argv[1], what)) return 1;
  if (!refuse(what)) return 77;
  execvp(argv[2], argv + 2);
  std::perror("deny");
  return 1;
}
