// `deny CALL PROGRAM ARGUMENTS...`: the program, with one thing that the kernel refuses.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  if (argc < 3) return 1;
  // prctl(59): Syscall User Dispatch. clone3 with ENOMEM is left to libc, which tries clone.
  const std::string what = argv[1];
  const unsigned number = what == "dispatch" ? SYS_prctl : SYS_mprotect;
  const unsigned value = what == "dispatch" ? 59 : 3;  // PROT_READ | PROT_WRITE
  const unsigned at = what == "dispatch" ? 0 : 2;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
               static_cast<unsigned>(offsetof(seccomp_data, args) + 8 * at)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{sizeof(program) / sizeof(program[0]), program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    return 77;
  }
  execvp(argv[2], argv + 2);
  std::perror("deny");
  return 1;
}
